package tokenizer

import (
	"container/heap"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// bpe merges the symbols of a word, best rank first (arXiv 1508.07909).
type bpe struct {
	ids          map[string]int32
	ranks        map[pair]merge
	ignoreMerges bool // a word that is a token as a whole is taken as it is
	mu           sync.RWMutex
	cache        map[string][]int32
}

type pair struct{ left, right int32 }

type merge struct {
	rank int32
	id   int32 // of the merged token
}

// Words longer than this are not cached, and the cache is bounded.
const (
	cachedLength = 64
	cachedWords  = 1 << 16
)

func newBPE(ids map[string]int32, merges []string, ignoreMerges bool) (*bpe, error) {
	b := &bpe{ids: ids, ranks: make(map[pair]merge, len(merges)), ignoreMerges: ignoreMerges, cache: map[string][]int32{}}
	for rank, line := range merges {
		left, right, ok := strings.Cut(line, " ")
		if !ok {
			return nil, fmt.Errorf("tokenizer: merge %d is %q, want two tokens", rank, line)
		}
		l, okL := ids[left]
		r, okR := ids[right]
		id, okM := ids[left+right]
		if !okL || !okR || !okM {
			return nil, fmt.Errorf("tokenizer: merge %d is %q, whose parts or result are not in the vocabulary", rank, line)
		}
		if _, twice := b.ranks[pair{l, r}]; !twice {
			b.ranks[pair{l, r}] = merge{int32(rank), id}
		}
	}
	return b, nil
}

// encode appends the tokens of one byte-level word. Symbols that the vocabulary
// lacks become unk, or nothing where there is none.
func (b *bpe) encode(out []int32, word string, unk int32) []int32 {
	if len(word) > cachedLength {
		return append(out, b.merge(word, unk)...)
	}
	b.mu.RLock()
	ids, ok := b.cache[word]
	b.mu.RUnlock()
	if !ok {
		ids = b.merge(word, unk)
		b.mu.Lock()
		if len(b.cache) < cachedWords {
			b.cache[word] = ids
		}
		b.mu.Unlock()
	}
	return append(out, ids...)
}

// symbol is a link of the list that a word's symbols form while they merge.
type symbol struct {
	id         int32
	prev, next int32
	dead       bool
}

func (b *bpe) merge(word string, unk int32) []int32 {
	if b.ignoreMerges {
		if id, ok := b.ids[word]; ok {
			return []int32{id}
		}
	}
	symbols := make([]symbol, 0, len(word))
	for at := 0; at < len(word); {
		_, size := utf8.DecodeRuneInString(word[at:])
		id, ok := b.ids[word[at:at+size]]
		at += size
		if !ok {
			if id = unk; unk < 0 {
				continue
			}
		}
		n := int32(len(symbols))
		symbols = append(symbols, symbol{id: id, prev: n - 1, next: n + 1})
	}
	if len(symbols) == 0 {
		return nil
	}
	symbols[len(symbols)-1].next = -1
	b.mergeAll(symbols)
	out := make([]int32, 0, len(symbols))
	for at := int32(0); at >= 0; at = symbols[at].next {
		out = append(out, symbols[at].id)
	}
	return out
}

// candidate is a pair of neighbours that could merge.
type candidate struct {
	rank, at    int32
	left, right int32 // ids when it was found: a later change makes it stale
	id          int32
}

type candidates []candidate

func (c candidates) Len() int { return len(c) }
func (c candidates) Less(i, j int) bool {
	if c[i].rank != c[j].rank {
		return c[i].rank < c[j].rank
	}
	return c[i].at < c[j].at
}
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)   { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// mergeAll merges until no pair is left; a heap keeps it near linear for words
// of any length.
func (b *bpe) mergeAll(symbols []symbol) {
	var queue candidates
	find := func(at int32) (candidate, bool) {
		next := symbols[at].next
		if next < 0 {
			return candidate{}, false
		}
		m, ok := b.ranks[pair{symbols[at].id, symbols[next].id}]
		return candidate{m.rank, at, symbols[at].id, symbols[next].id, m.id}, ok
	}
	for at := range symbols {
		if c, ok := find(int32(at)); ok {
			queue = append(queue, c)
		}
	}
	heap.Init(&queue)
	for len(queue) > 0 {
		c := heap.Pop(&queue).(candidate)
		s := &symbols[c.at]
		if s.dead || s.id != c.left || s.next < 0 || symbols[s.next].id != c.right {
			continue
		}
		gone := &symbols[s.next]
		gone.dead = true
		s.id, s.next = c.id, gone.next
		if s.next >= 0 {
			symbols[s.next].prev = c.at
		}
		if s.prev >= 0 {
			if c, ok := find(s.prev); ok {
				heap.Push(&queue, c)
			}
		}
		if c, ok := find(c.at); ok {
			heap.Push(&queue, c)
		}
	}
}
