package metrics

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// symbols numbers words, so that sequences of them compare fast.
type symbols map[string]int32

func (s symbols) of(words []string) []int32 {
	out := make([]int32, len(words))
	for i, w := range words {
		id, ok := s[w]
		if !ok {
			id = int32(len(s))
			s[w] = id
		}
		out[i] = id
	}
	return out
}

// unshared stands for a word that the other text lacks. Which one it is makes no
// difference to a common subsequence.
const unshared = -1

// withoutUnshared puts unshared for the words of the sentences that no sentence
// of the other text holds, and drops sentences that are then repeated.
func withoutUnshared(sentences [][]int32, other sentenceIndex) [][]int32 {
	var out [][]int32
	seen := map[string]bool{}
	for _, s := range sentences {
		replaced, key := make([]int32, len(s)), make([]byte, 0, 4*len(s))
		for i, id := range s {
			if len(other[id]) == 0 {
				id = unshared
			}
			replaced[i] = id
			key = binary.NativeEndian.AppendUint32(key, uint32(id))
		}
		if !seen[string(key)] {
			seen[string(key)] = true
			out = append(out, replaced)
		}
	}
	return out
}

// sentenceIndex tells which sentences hold a word.
type sentenceIndex map[int32][]int

func newSentenceIndex(sentences [][]int32) sentenceIndex {
	x := sentenceIndex{}
	for n, s := range sentences {
		for _, id := range s {
			if at := x[id]; len(at) == 0 || at[len(at)-1] != n {
				x[id] = append(at, n)
			}
		}
	}
	return x
}

// lcsIndex is a sequence prepared for longest common subsequences with others.
// The table of lengths is made 64 cells at a time (Hyyrö, "Bit-parallel LCS-length
// computation revisited", 2004): bit j of a row is 0 where the length grows from
// the first j to the first j+1 symbols. Two sequences of n and m symbols take
// n·m/64 steps.
type lcsIndex struct {
	sequence []int32
	at       map[int32][]int32  // where each symbol stands
	masks    map[int32][]uint64 // the same as bits, for frequent symbols
	scratch  []uint64           // all zero between calls
}

func newLCSIndex(sequence []int32) *lcsIndex {
	x := &lcsIndex{
		sequence: sequence,
		at:       map[int32][]int32{},
		masks:    map[int32][]uint64{},
		scratch:  make([]uint64, (len(sequence)+63)/64),
	}
	for j, s := range sequence {
		x.at[s] = append(x.at[s], int32(j))
	}
	return x
}

// firstRow is the row before any symbol of the other sequence.
func (x *lcsIndex) firstRow() []uint64 {
	row := make([]uint64, len(x.scratch))
	for w := range row {
		row[w] = math.MaxUint64
	}
	return row
}

// advance makes a row the next one, for symbol s of the other sequence.
func (x *lcsIndex) advance(row []uint64, s int32) {
	at := x.at[s]
	if len(at) == 0 {
		return
	}
	mask, kept := x.masks[s]
	if !kept {
		mask = x.scratch
		for _, j := range at {
			mask[j/64] |= 1 << (j % 64)
		}
		// Frequent symbols, of which there can be 64 at most, keep their bits:
		// setting them would take longer than the row.
		if len(at) > len(row) {
			x.masks[s], x.scratch, kept = mask, make([]uint64, len(row)), true
		}
	}
	var carry uint64
	for w, v := range row {
		var sum uint64
		sum, carry = bits.Add64(v, v&mask[w], carry)
		row[w] = sum | v&^mask[w]
	}
	if !kept {
		for _, j := range at {
			mask[j/64] = 0
		}
	}
}

// length is the length of a longest common subsequence.
func (x *lcsIndex) length(other []int32) int {
	row := x.firstRow()
	for _, s := range other {
		x.advance(row, s)
	}
	n := 0
	for _, v := range row {
		n += bits.OnesCount64(^v)
	}
	return n
}

// storedWords bounds the rows that walk holds at once, in words of 64 cells.
const storedWords = 1 << 20

// walk goes back through the table from both ends along one longest common
// subsequence: equal symbols are taken; otherwise the step is in other only if
// that is strictly better. match gets the positions of the taken symbols in the
// indexed sequence, last first. steps counts the cells walked through.
func (x *lcsIndex) walk(other []int32, match func(j int)) (steps int) {
	// Where all rows are too many to hold, every stride-th is, and the others
	// are made again when the walk comes to them.
	stride := len(other)
	if stride*len(x.scratch) > storedWords {
		stride = int(math.Sqrt(float64(stride)))
	}
	var starts [][]uint64
	row := x.firstRow()
	for i, s := range other {
		if i%stride == 0 {
			starts = append(starts, append([]uint64(nil), row...))
		}
		if i/stride < (len(other)-1)/stride {
			x.advance(row, s)
		}
	}
	i, j := len(other), len(x.sequence)
	for i > 0 && j > 0 {
		low := (i - 1) / stride * stride
		rows := x.rows(starts[low/stride], other[low:i])
		for i > low && j > 0 {
			steps++
			switch {
			case other[i-1] == x.sequence[j-1]:
				match(j - 1)
				i, j = i-1, j-1
			case rows[i-1-low][(j-1)/64]>>((j-1)%64)&1 == 0:
				i--
			default:
				j--
			}
		}
	}
	return steps
}

// rows are the rows after each symbol.
func (x *lcsIndex) rows(start []uint64, other []int32) [][]uint64 {
	row := append([]uint64(nil), start...)
	flat := make([]uint64, 0, len(other)*len(row))
	out := make([][]uint64, len(other))
	for i, s := range other {
		x.advance(row, s)
		flat = append(flat, row...)
		out[i] = flat[i*len(row):]
	}
	return out
}
