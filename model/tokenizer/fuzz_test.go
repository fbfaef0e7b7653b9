package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// doubling is a GGUF tokenizer of the 256 bytes in which every letter, digit,
// blank and line break doubles: "aa", "aaaa", … up to 2^doublings of them.
const doublings = 6

func doubling(t testing.TB, pre string) *Tokenizer {
	t.Helper()
	var tokens, merges []string
	for b := range 256 {
		tokens = append(tokens, byteChars[b])
	}
	for _, b := range "ab7 \n!" {
		part := byteChars[b]
		for range doublings {
			merges = append(merges, part+" "+part)
			part += part
			tokens = append(tokens, part)
		}
	}
	tok, err := FromGGUF(map[string]any{
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.merges": merges,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

var pres = []string{"gpt-2", "smollm", "llama-bpe", "qwen2", "default"}

// checkRoundTrip: ids lie in the vocabulary, and their text is what went in.
func checkRoundTrip(t *testing.T, tok *Tokenizer, text string) {
	t.Helper()
	ids := encoded(t, tok, text, false)
	for _, id := range ids {
		if tok.Token(id) == "" {
			t.Fatalf("%q: id %d is not in the vocabulary of %d", text, id, tok.Size())
		}
	}
	want := text
	if !utf8.ValidString(text) {
		want = lossy([]byte(text))
	}
	if got := tok.Decode(ids, false); got != want {
		t.Fatalf("%q came back as %q by %v", text, got, ids)
	}
	if again := encoded(t, tok, text, false); !slices.Equal(ids, again) {
		t.Fatalf("%q: ids %v, then %v", text, ids, again)
	}
}

// Byte-level tokenizers lose nothing: those of the test models, and one with
// merges behind every pre-tokenizer that does not normalise.
func FuzzEncodeDecode(f *testing.F) {
	var tokenizers []*Tokenizer
	for _, dir := range []string{"../testdata/tiny-s", "../testdata/tiny-m"} {
		tok, err := Load(dir)
		if err != nil {
			f.Fatal(err)
		}
		tokenizers = append(tokenizers, tok)
	}
	for _, pre := range pres {
		if pre != "qwen2" {
			tokenizers = append(tokenizers, doubling(f, pre))
		}
	}
	for _, text := range nastyTexts(f) {
		f.Add(text)
	}
	f.Add("\xff\xfe broken \xe2\x82")
	f.Fuzz(func(t *testing.T, text string) {
		for _, tok := range tokenizers {
			checkRoundTrip(t, tok, text)
		}
		// Any ids have a text.
		var ids []int32
		for _, b := range []byte(text) {
			ids = append(ids, int32(b)*3-100)
		}
		for _, tok := range tokenizers {
			if !utf8.ValidString(tok.Decode(ids, len(text)%2 == 0)) {
				t.Errorf("%v is decoded to broken text", ids)
			}
		}
	})
}

// The tokenizers of all kinds neither panic nor give ids that are not there.
func FuzzFamilies(f *testing.F) {
	var names []string
	var tokenizers []*Tokenizer
	for name, family := range readFamilies(f) {
		tok, err := parse(family.Tokenizer)
		if err != nil {
			f.Fatal(err)
		}
		names, tokenizers = append(names, name), append(tokenizers, tok)
	}
	for _, text := range nastyTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for i, tok := range tokenizers {
			ids := encoded(t, tok, text, true)
			for _, id := range ids {
				if tok.Token(id) == "" {
					t.Fatalf("%s: %q: id %d is not in the vocabulary", names[i], text, id)
				}
			}
			if !utf8.ValidString(tok.Decode(ids, true)) {
				t.Fatalf("%s: %q is decoded to broken text", names[i], text)
			}
		}
	})
}

// splits are pre-tokenizers as tokenizer.json writes them; joined, their pieces
// give the text again, spelled as bytes where so marked.
var splits = map[string]bool{
	`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}`:                    true,
	`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}`:                   true,
	`{"type":"Digits","individual_digits":true}`:                                                            false,
	`{"type":"Digits","individual_digits":false}`:                                                           false,
	`{"type":"Split","pattern":{"Regex":"\\s|[.,]"},"behavior":"Isolated","invert":false}`:                  false,
	`{"type":"Split","pattern":{"Regex":"\\s|[.,]"},"behavior":"MergedWithPrevious","invert":false}`:        false,
	`{"type":"Split","pattern":{"Regex":"\\p{L}*"},"behavior":"MergedWithNext","invert":true}`:              false,
	`{"type":"Split","pattern":{"Regex":"\\s+"},"behavior":"Contiguous","invert":false}`:                    false,
	`{"type":"Split","pattern":{"String":"a"},"behavior":"Isolated","invert":true}`:                         false,
	`{"type":"Split","pattern":{"String":"ab"},"behavior":"MergedWithNext","invert":false}`:                 false,
	`{"type":"Split","pattern":{"String":"  "},"behavior":"MergedWithPrevious","invert":false}`:             false,
	`{"type":"Split","pattern":{"String":""},"behavior":"Contiguous","invert":false}`:                       false,
	`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel"}]}`: true,
	`{"type":"Sequence","pretokenizers":[]}`:                                                                false,
}

func init() {
	for _, p := range []string{llama3Pattern, qwen2Pattern} {
		quoted, err := json.Marshal(p)
		if err != nil {
			panic(err)
		}
		splits[`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":`+string(quoted)+
			`},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`] = true
	}
}

// Nothing of a text is lost or doubled between the pieces, and none is empty.
func FuzzPreTokenizer(f *testing.F) {
	type pre struct {
		source    string
		splitters []splitter
		bytes     bool
	}
	var all []pre
	for source, bytes := range splits {
		s, err := parsePreTokenizer([]byte(source), 0)
		if err != nil {
			f.Fatal(source, err)
		}
		all = append(all, pre{source, s, bytes})
	}
	for _, text := range nastyTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || text == "" {
			return
		}
		for _, p := range all {
			e := encoder{}
			var joined strings.Builder
			for i, piece := range e.split(p.splitters, piece{text, true}) {
				if piece.text == "" || piece.begins != (i == 0) {
					t.Fatalf("%s: %q: piece %d is %q, at the beginning: %t", p.source, text, i, piece.text, piece.begins)
				}
				joined.WriteString(piece.text)
			}
			want := text
			if p.bytes {
				want = spellBytes(text)
			}
			if joined.String() != want {
				t.Fatalf("%s: the pieces of %q join to %q", p.source, text, joined.String())
			}
		}
	})
}

// Whatever stands in tokenizer.json, it is refused or makes a tokenizer that
// works.
func FuzzLoadJSON(f *testing.F) {
	tiny, err := os.ReadFile("../testdata/tiny-s/tokenizer.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tiny)
	// The families' own files without most of their vocabulary.
	for _, family := range readFamilies(f) {
		var file map[string]json.RawMessage
		if err := json.Unmarshal(family.Tokenizer, &file); err != nil {
			f.Fatal(err)
		}
		file["model"] = json.RawMessage(smallModel)
		small, err := json.Marshal(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(small)
	}
	f.Add([]byte(`{"model":` + smallModel + `,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"special_tokens":{"x":{"id":"x","ids":[3],"tokens":["x"]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := parse(data)
		if err != nil {
			return
		}
		checkWorks(t, tok)
	})
}

// checkWorks: ids lie in the vocabulary and have a text.
func checkWorks(t *testing.T, tok *Tokenizer) {
	t.Helper()
	for _, text := range []string{"", "ab a  b\n", "aaé\x00"} {
		ids := encoded(t, tok, text, true)
		for _, id := range ids {
			if tok.Token(id) == "" {
				t.Fatalf("id %d is not in the vocabulary of %d", id, tok.Size())
			}
		}
		if !utf8.ValidString(tok.Decode(ids, true)) {
			t.Fatalf("%q is decoded to broken text", text)
		}
	}
}

const smallModel = `{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"vocab":{"<unk>":0,"a":1,"b":2,"ab":3,"Ġ":4,"▁":5,"Ġa":6,"<0x0A>":7},"merges":[["a","b"],["Ġ","a"]]}`

// normalizeMarks is the definition written out; the library must agree wherever
// runs of marks are short.
func FuzzNormalForm(f *testing.F) {
	for _, text := range nastyTexts(f) {
		f.Add(text)
	}
	f.Add("각각 \u1112\u1161\u11ab \u09c7\u09be \u0344\u0345 \u1e9b\u0323 \ufb01\u0308 \u2126\u212b\u0958 a\u0313\u0301 \u0131\u0307\u0301 a\u0323\u0302")
	forms := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || hasLongMarks(text) || strings.ContainsRune(text, '\u034f') {
			return
		}
		for name, form := range forms {
			if want, got := form.String(text), normalizeMarks(form, text); want != got {
				t.Errorf("%s of %+q: %+q, want %+q", name, text, got, want)
			}
		}
	})
}

func TestTokenizerTogether(t *testing.T) {
	tok := doubling(t, "llama-bpe")
	texts := nastyTexts(t)
	var want [][]int32
	for _, text := range texts {
		want = append(want, encoded(t, doubling(t, "llama-bpe"), text, false))
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i, text := range texts {
				if !slices.Equal(encoded(t, tok, text, false), want[i]) {
					t.Errorf("text %d: other ids beside other goroutines", i)
				}
			}
		})
	}
	group.Wait()
}

// Of tokenizer.json that would change the ids and is not implemented, every part
// is refused by name.
func TestParseRefused(t *testing.T) {
	with := func(field, value string) string { return `{"model":` + smallModel + `,"` + field + `":` + value + `}` }
	model := func(change string) string {
		return `{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]` + change + `}}`
	}
	for name, c := range map[string]struct{ source, want string }{
		"no JSON":                  {`{`, "JSON"},
		"empty":                    {``, "JSON"},
		"no model":                 {`{}`, "model: it is missing"},
		"version":                  {with("version", `"2.0"`), `version "2.0" is not supported`},
		"Unigram":                  {`{"model":{"type":"Unigram","vocab":[]}}`, `model: type "Unigram" is not supported; supported: BPE`},
		"WordPiece":                {`{"model":{"type":"WordPiece","vocab":{}}}`, `"WordPiece"`},
		"dropout":                  {model(`,"dropout":0.1`), "dropout 0.1"},
		"prefix of words' parts":   {model(`,"continuing_subword_prefix":"##"`), `continuing_subword_prefix "##"`},
		"suffix of words":          {model(`,"end_of_word_suffix":"</w>"`), `end_of_word_suffix "</w>"`},
		"unknown option":           {model(`,"new_option":true`), "new_option"},
		"unknown token":            {model(`,"unk_token":"?"`), `unk_token "?" is not in the vocabulary`},
		"no vocabulary":            {`{"model":{"type":"BPE","merges":[]}}`, "vocab is missing"},
		"no merges":                {`{"model":{"type":"BPE","vocab":{"a":0}}}`, "merges: the list is missing"},
		"merge of three":           {`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a a"]}}`, `merges: entry 0: "a a a"`},
		"merge of one":             {`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a"]}}`, "merges: entry 0"},
		"pair of three":            {`{"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]}}`, "merges: entry 0 has 3 parts"},
		"merges of both kinds":     {`{"model":{"type":"BPE","vocab":{"a":0,"aa":1},"merges":[["a","a"],"a a"]}}`, "merges"},
		"merge of unknown tokens":  {`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}`, `the vocabulary lacks "b"`},
		"merge to unknown token":   {`{"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":["a b"]}}`, `the vocabulary lacks "ab"`},
		"negative id":              {`{"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}}`, `token "a" has id -1`},
		"wild id":                  {`{"model":{"type":"BPE","vocab":{"a":2000000000},"merges":[]}}`, `token "a" has id 2000000000`},
		"id beyond 32 bits":        {`{"model":{"type":"BPE","vocab":{"a":4294967296},"merges":[]}}`, "vocab"},
		"two tokens of one id":     {`{"model":{"type":"BPE","vocab":{"a":0,"b":0},"merges":[]}}`, `"a" and "b" share the id 0`},
		"wild added id":            {with("added_tokens", `[{"id":1000000000,"content":"x"}]`), `added_tokens: token "x" has id 1000000000`},
		"added token of other id":  {with("added_tokens", `[{"id":9,"content":"a"}]`), `added_tokens: "a" has id 9 here and 1`},
		"added token over another": {with("added_tokens", `[{"id":1,"content":"x"}]`), `added_tokens: "x" and "a" share the id 1`},
		"normalizer":               {with("normalizer", `{"type":"BertNormalizer"}`), `normalizer: BertNormalizer: type "BertNormalizer"`},
		"normalizer's option":      {with("normalizer", `{"type":"NFC","x":1}`), "normalizer: NFC"},
		"normalizer in a sequence": {with("normalizer", `{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}`), `part 1: Lowercase: type "Lowercase"`},
		"empty pattern":            {with("normalizer", `{"type":"Replace","pattern":{"String":""},"content":"x"}`), "the pattern is empty"},
		"pre-tokenizer":            {with("pre_tokenizer", `{"type":"BertPreTokenizer"}`), `pre_tokenizer: BertPreTokenizer: type "BertPreTokenizer"`},
		"behavior":                 {with("pre_tokenizer", `{"type":"Split","pattern":{"String":"a"},"behavior":"Isolate"}`), `behavior "Isolate"`},
		"pattern of both kinds":    {with("pre_tokenizer", `{"type":"Split","pattern":{"String":"a","Regex":"a"},"behavior":"Isolated"}`), "either String or Regex"},
		"broken pattern":           {with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"}`), `the pattern "("`},
		"characters of words":      {with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"[^\\s]\\w+"},"behavior":"Isolated"}`), `\w has another meaning here`},
		"set inside a set":         {with("pre_tokenizer", `{"type":"Split","pattern":{"Regex":"[^(\\s|[.,])]+"},"behavior":"Isolated"}`), "a set inside a set"},
		"intersection of sets":     {with("normalizer", `{"type":"Replace","pattern":{"Regex":"[]a-z&&[x]]"},"content":""}`), "&&"},
		"deep sequences":           {with("pre_tokenizer", strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 20)+strings.Repeat(`]}`, 20)), "nest too deeply"},
		"mark of two characters":   {with("pre_tokenizer", `{"type":"Metaspace","replacement":"__"}`), `replacement is "__"`},
		"prepend scheme":           {with("pre_tokenizer", `{"type":"Metaspace","replacement":"▁","prepend_scheme":"last"}`), `prepend_scheme "last"`},
		"post-processor":           {with("post_processor", `{"type":"BertProcessing","sep":["a",1],"cls":["b",2]}`), `post_processor: type "BertProcessing"`},
		"template's token":         {with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"special_tokens":{}}`), `special_tokens lacks "x"`},
		"template's id":            {with("post_processor", `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x","type_id":0}}],"special_tokens":{"x":{"id":"x","ids":[99],"tokens":["x"]}}}`), "the vocabulary lacks id 99"},
		"template of two texts":    {with("post_processor", `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}`), `sequence "B"`},
		"decoder":                  {with("decoder", `{"type":"WordPiece","prefix":"##"}`), `decoder: WordPiece: type "WordPiece"`},
		"strip of two characters":  {with("decoder", `{"type":"Strip","content":"ab","start":1,"stop":0}`), `content "ab"`},
		"negative strip":           {with("decoder", `{"type":"Strip","content":"a","start":-1,"stop":0}`), "start -1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(c.source))
			if err == nil {
				t.Fatal("it was read")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line that says %q", err, c.want)
			}
		})
	}
}

// With ignore_merges a word of the vocabulary stands for itself, also where no
// merges lead to it.
func TestIgnoreMerges(t *testing.T) {
	for ignore, want := range map[string][]int32{"true": {3}, "false": {0, 1, 2}} {
		tok, err := parse([]byte(`{"model":{"type":"BPE","ignore_merges":` + ignore + `,"vocab":{"a":0,"b":1,"c":2,"abc":3},"merges":[]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, encoded(t, tok, "abc", false)); diff != "" {
			t.Errorf("ignore_merges %s (-want +got):\n%s", ignore, diff)
		}
	}
}

// Broken UTF-8 becomes as many U+FFFD as Python and Rust write for it.
func TestLossy(t *testing.T) {
	for broken, want := range map[string]string{
		"a\xf1\x80\x80\xe1\x80\xc2b\x80c\x80\xbfd": "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd",
		"\xe0\x80\xaf":         "\ufffd\ufffd\ufffd",
		"\xe0\xa0":             "\ufffd",
		"\xed\xa0\x80":         "\ufffd\ufffd\ufffd",
		"\xf4\x91\x92\x93":     "\ufffd\ufffd\ufffd\ufffd",
		"\xf0\x80\x80A":        "\ufffd\ufffd\ufffdA",
		"\xc0\xaf":             "\ufffd\ufffd",
		"\xf0\x90\x80":         "\ufffd",
		"\xf5\x80":             "\ufffd\ufffd",
		"\xed\x9f\xbf\xee":     "\ud7ff\ufffd",
		"\xe2\x82\xac\xe2\x82": "\u20ac\ufffd",
		"whole":                "whole",
	} {
		if got := lossy([]byte(broken)); got != want {
			t.Errorf("%q became %+q, want %+q", broken, got, want)
		}
	}
}

// Merges are written in two ways, with or without blanks in the file.
func TestMergesInTwoWays(t *testing.T) {
	want := [][2]string{{"a", "b"}, {"ab", "["}}
	for _, source := range []string{`["a b","ab ["]`, " [\n \"a b\",\n \"ab [\" ]", `[["a","b"],["ab","["]]`, " [ [\"a\",\t\"b\"],\r\n[\"ab\",\"[\"]]"} {
		got, err := parseMerges([]byte(source))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", source, err, diff)
		}
	}
	for _, source := range []string{`[]`, ` [ ] `} {
		if got, err := parseMerges([]byte(source)); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}
