package tokenizer

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file makes the texts of testdata/corpus.py from the same numbers.

const ownTexts, realTexts = 1200, 1000

// charRanges are ranges of characters, the end excluded: scripts, marks, numbers,
// symbols, blanks, emoji.
var charRanges = [][2]int{
	{0x0000, 0x0020}, {0x0020, 0x007F}, {0x0041, 0x005B}, {0x0061, 0x007B}, {0x0030, 0x003A}, {0x007F, 0x00A1}, {0x00A1, 0x0180},
	{0x0250, 0x0300}, {0x0300, 0x0370}, {0x0370, 0x0530}, {0x0590, 0x0700}, {0x0900, 0x0E00}, {0x0E00, 0x1000}, {0x10A0, 0x1200},
	{0x1E00, 0x2000}, {0x2000, 0x2070}, {0x2070, 0x2190}, {0x2190, 0x2C00}, {0x2E80, 0x3200}, {0x3400, 0x3500}, {0x4E00, 0x9FA6},
	{0xAC00, 0xD7A4}, {0xE000, 0xE100}, {0xF900, 0x10000}, {0x10000, 0x11000}, {0x1D400, 0x1D800}, {0x1F1E6, 0x1F200},
	{0x1F300, 0x1F700}, {0x20000, 0x20100}, {0xE0000, 0xE01F0}, {0x10FF00, 0x110000},
}

var corpusBlanks = []string{" ", "  ", "\n", "\t", "\r\n", "\n\n", "\u00a0", "\u3000", "\u200b", "\u2028", "\u0085", "\x0b", "\u180e", "\ufeff"}

var corpusSuffixes = []string{"'s", "'S", "'t", "'RE", "'ve", "'m", "'ll", "'LL", "'d", "\u2019s", "'x", "''", "'\u017f", "n't"}

var corpusSpecial = []string{
	"<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
	"<|end_header_id|>", "<|end|>", "<|user|>", "<|assistant|>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
	"<tool_call>", "</tool_call>", "<think>", "</think>", "<mask>", "<0x41>", "<|im_start", "im_end|>", "\u2581", "\u0120", "<unused7>", "yes",
}

var corpusWords = []string{
	"the", "Hello", "world", "tokenization", "antidisestablishmentarianism", "HTTPServer", "snake_case", "x", "I", "42", "3.14", "1,000,000", "2024",
	"naïve", "Ångström", "straße", "привет", "κόσμε", "東京", "你好", "한국어",
	"مرحبا", "שלום", "नमस्ते", "สวัสดี", "😀", "👩\u200d💻", "e\u0301", "\u1112\u1161\u11ab",
	"{", "}", "();", "=>", "!=", "...", "—", "\"", "\\n", "//", "#", "$", "%", "&amp;", "<b>", "def", "return",
}

// splitmix is splitmix64 (Steele, Lea and Flood, 2014).
type splitmix uint64

func (s *splitmix) below(n int) int {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
	z = (z ^ (z >> 27)) * 0x94D049BB133111EB
	return int((z ^ (z >> 31)) % uint64(n))
}

func pick[T any](s *splitmix, items []T) T { return items[s.below(len(items))] }

func (s *splitmix) charOf(r [2]int) string { return string(rune(r[0] + s.below(r[1]-r[0]))) }

// part makes a part of a text: words with blanks, special tokens, runs, odd
// characters.
func (s *splitmix) part() string {
	switch kind := s.below(8); kind {
	case 0, 1:
		return pick(s, corpusWords)
	case 2:
		return " " + pick(s, corpusWords) + pick(s, corpusSuffixes)
	case 3:
		return strings.Repeat(pick(s, corpusBlanks), 1+s.below(6))
	case 4:
		return pick(s, corpusSpecial)
	case 5:
		return strings.Repeat(s.charOf(pick(s, charRanges)), 1+s.below(30))
	case 6:
		return s.join(1+s.below(9), func() string { return strconv.Itoa(s.below(10)) })
	}
	r := pick(s, charRanges)
	return s.join(1+s.below(12), func() string { return s.charOf(r) })
}

func (s *splitmix) join(n int, one func() string) string {
	var b strings.Builder
	for range n {
		b.WriteString(one())
	}
	return b.String()
}

// ownCorpus returns the texts of nasty.json and those made from a seed.
func ownCorpus(t testing.TB) []string {
	texts, s := nastyTexts(t), splitmix(1)
	for range ownTexts {
		texts = append(texts, s.join(1+s.below(12), s.part))
	}
	return texts
}

type dataFile struct{ File, SHA256 string }

// realCorpus returns the texts cut from real records; none, and why, where the
// files are missing or others.
func realCorpus(t testing.TB, files []dataFile) (texts []string, why string) {
	var pools [][]string
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dataFolder(), f.File))
		if err != nil {
			return nil, "the real records are not here: " + err.Error()
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
			return nil, f.File + " is another file than the fixture was made from"
		}
		var pool []string
		for _, r := range readRecords(t, f.File, data) {
			eachText(r, func(s string) {
				if s != "" {
					pool = append(pool, s)
				}
			})
		}
		pools = append(pools, pool)
	}
	s := splitmix(2)
	for range realTexts {
		text := []rune(pick(&s, pick(&s, pools)))
		start := s.below(len(text))
		texts = append(texts, string(text[start:min(start+1+s.below(600), len(text))]))
	}
	return texts, ""
}

// dataFolder holds the real records.
func dataFolder() string {
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	return filepath.Join(shared, "data")
}

// corpusAnswers are what a tokenizer did with one part of the corpus.
type corpusAnswers struct {
	SHA256 string // over all answers
	Each   string // the first 16 bits of every answer's own sha256, in hex
}

// bothAnswers are those to both parts.
type bothAnswers struct{ Own, Real corpusAnswers }

// corpusFixture is testdata/corpus.json.gz.
type corpusFixture struct {
	Data      []dataFile
	Own, Real string // sha256 of the texts
	Answers   map[string]bothAnswers
}

// readGzip decodes a fixture of gzipped JSON.
func readGzip(t testing.TB, name string, v any) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(unpacked).Decode(v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// A corpus is both parts; real is nil, and why says so, without the records.
type corpus struct {
	fixture   corpusFixture
	own, real []string
	why       string
}

// readCorpus makes the texts and checks that they are those of corpus.py.
func readCorpus(t testing.TB) *corpus {
	t.Helper()
	c := new(corpus)
	readGzip(t, "corpus.json.gz", &c.fixture)
	c.own = ownCorpus(t)
	c.real, c.why = realCorpus(t, c.fixture.Data)
	for _, p := range []struct {
		name, want string
		texts      []string
	}{{"own", c.fixture.Own, c.own}, {"real", c.fixture.Real, c.real}} {
		h := sha256.New()
		for _, text := range p.texts {
			writeText(h, text)
		}
		if p.texts != nil && hex.EncodeToString(h.Sum(nil)) != p.want {
			t.Fatalf("the %s texts are others than those of testdata/corpus.py", p.name)
		}
	}
	return c
}

// check compares a tokenizer's answers to the whole corpus with Hugging Face's,
// and returns how many texts were compared.
func (c *corpus) check(t *testing.T, tok *Tokenizer, want bothAnswers) int {
	t.Helper()
	checkAnswers(t, tok, c.own, want.Own)
	checkAnswers(t, tok, c.real, want.Real)
	return len(c.own) + len(c.real)
}

func checkAnswers(t *testing.T, tok *Tokenizer, texts []string, want corpusAnswers) {
	t.Helper()
	if len(texts) == 0 {
		return
	}
	if len(want.Each) != 4*len(texts) {
		t.Fatalf("%d answers for %d texts", len(want.Each)/4, len(texts))
	}
	all, differ := sha256.New(), 0
	for i, text := range texts {
		a := answer(t, tok, text)
		all.Write(a)
		sum := sha256.Sum256(a)
		if hex.EncodeToString(sum[:2]) == want.Each[4*i:4*i+4] {
			continue
		}
		if differ++; differ <= 5 {
			t.Errorf("text %d %+.200q: ids %v", i, text, encoded(t, tok, text, false))
		}
	}
	if differ > 0 || hex.EncodeToString(all.Sum(nil)) != want.SHA256 {
		t.Errorf("%d of %d texts differ from Hugging Face's tokenizers", max(differ, 1), len(texts))
	}
}

// answer is what corpus.py records of a text: ids, ids with special tokens, the
// ids' text without and with special tokens, and that of the ids in reverse.
func answer(t *testing.T, tok *Tokenizer, text string) []byte {
	var b bytes.Buffer
	ids := encoded(t, tok, text, false)
	for _, seq := range [][]int32{ids, encoded(t, tok, text, true)} {
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(seq))))
		for _, id := range seq {
			b.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
		}
	}
	writeText(&b, tok.Decode(ids, true))
	writeText(&b, tok.Decode(ids, false))
	slices.Reverse(ids)
	writeText(&b, tok.Decode(ids, false))
	return b.Bytes()
}

func writeText(w io.Writer, text string) {
	w.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text))))
	w.Write([]byte(text))
}

// The small tokenizers of every kind do what Hugging Face's tokenizers does.
func TestCorpusFamilies(t *testing.T) {
	c := readCorpus(t)
	for name, f := range readFamilies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok, err := parse(f.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			c.check(t, tok, c.fixture.Answers[name])
		})
	}
}

// SmolLM2's own tokenizer does.
func TestCorpusSmolLM2(t *testing.T) {
	c := readCorpus(t)
	n := c.check(t, smolLM2(t), c.fixture.Answers["SmolLM2"])
	t.Logf("%d texts compared; of the real part: %s", n, cmp.Or(c.why, "all"))
}
