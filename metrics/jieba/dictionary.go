package jieba

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed dictionary.txt.gz
var dictionaryFile []byte

// A dictionary holds the words in the order of their bytes.
type dictionary struct {
	text    string          // "word class\n" for each word
	starts  []int32         // where each word begins, and the end of the text
	begin   map[rune][2]int // the words that begin with a character
	weights []float64       // log probability of each frequency, ascending; the first is that of no word
}

var loadDictionary = sync.OnceValue(func() *dictionary {
	text := unzip(dictionaryFile)
	first, text, _ := strings.Cut(text, "\n")
	d := &dictionary{text: text, begin: map[rune][2]int{}}
	for _, field := range strings.Fields(first) {
		d.weights = append(d.weights, number(field))
	}
	for at := 0; at < len(text); {
		r, _ := utf8.DecodeRuneInString(text[at:])
		n := len(d.starts)
		words, ok := d.begin[r]
		if !ok {
			words[0] = n
		}
		d.begin[r] = [2]int{words[0], n + 1}
		d.starts = append(d.starts, int32(at))
		at += strings.IndexByte(text[at:], '\n') + 1
	}
	d.starts = append(d.starts, int32(len(text)))
	return d
})

// unzip reads one of the embedded files. They are part of the program, so a
// fault in them is one of the program.
func unzip(file []byte) string {
	reader, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		panic(err)
	}
	var text strings.Builder
	if _, err := io.Copy(&text, reader); err != nil {
		panic(err)
	}
	return text.String()
}

func number(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return x
}

// word gives a word of the dictionary and its log probability.
func (d *dictionary) word(i int) (word string, weight float64) {
	word, class, _ := strings.Cut(d.text[d.starts[i]:d.starts[i+1]-1], " ")
	n, err := strconv.Atoi(class)
	if err != nil {
		panic(err)
	}
	return word, d.weights[n]
}

// words calls found with the end and the log probability of every word of the
// dictionary that text begins with, shortest first.
func (d *dictionary) words(text string, found func(end int, weight float64)) {
	r, end := utf8.DecodeRuneInString(text)
	at, ok := d.begin[r]
	low, high := at[0], at[1]
	for ok && low < high {
		if word, weight := d.word(low); len(word) == end {
			found(end, weight)
		}
		if end == len(text) {
			return
		}
		_, size := utf8.DecodeRuneInString(text[end:])
		next := text[:end+size]
		low += sort.Search(high-low, func(i int) bool { return d.line(low+i) >= next })
		high = low + sort.Search(high-low, func(i int) bool { return !strings.HasPrefix(d.line(low+i), next) })
		end += size
	}
}

// line is a word with what follows it. A blank comes first, and it is less than
// any character of a word, so that lines are in the order of words.
func (d *dictionary) line(i int) string { return d.text[d.starts[i]:d.starts[i+1]] }

// has tells whether a text is a word.
func (d *dictionary) has(text string) bool {
	is := false
	d.words(text, func(end int, _ float64) { is = is || end == len(text) })
	return is
}
