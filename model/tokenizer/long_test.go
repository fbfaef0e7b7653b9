package tokenizer

import (
	"encoding/json"
	"strings"
	"testing"
)

// gemma is the small tokenizer of Llama 2's kind with the pipeline of Gemma's.
func gemma(t *testing.T, llama2 json.RawMessage) *Tokenizer {
	t.Helper()
	var f map[string]json.RawMessage
	if err := json.Unmarshal(llama2, &f); err != nil {
		t.Fatal(err)
	}
	f["normalizer"] = json.RawMessage(`{"type":"Replace","pattern":{"String":" "},"content":"▁"}`)
	f["pre_tokenizer"] = json.RawMessage(`{"type":"Split","pattern":{"String":" "},"behavior":"MergedWithPrevious","invert":false}`)
	f["decoder"] = json.RawMessage(`{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"}]}`)
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Lines of a megabyte of one text come through every kind of tokenizer in a time
// that grows about as the line does: with squares they would not end within the
// test's time.
func TestLongLines(t *testing.T) {
	const n = 1 << 20
	kinds := map[string]*Tokenizer{}
	for _, pre := range pres {
		kinds[pre] = doubling(t, pre)
	}
	families := readFamilies(t)
	for _, name := range []string{"llama2", "metaspace, first, split False", "gpt2, blank in front, added tokens", "qwen2, added tokens"} {
		tok, err := parse(families[name].Tokenizer)
		if err != nil {
			t.Fatal(err)
		}
		kinds[name] = tok
	}
	kinds["gemma"] = gemma(t, families["llama2"].Tokenizer)
	const words = n >> doublings // all as tokens of 64, in one word
	for _, c := range []struct {
		kind, part string
		want       int // tokens; 0: between one and one for each byte
	}{
		{"gpt-2", "a", words}, {"gpt-2", " ", words}, {"gpt-2", "7", words}, {"gpt-2", "😀", n},
		{"llama-bpe", "a", words}, {"llama-bpe", " ", words}, {"llama-bpe", "7", n - n/3}, {"llama-bpe", "😀", n}, {"llama-bpe", "\n", words},
		{"qwen2", "a", words}, {"qwen2", " ", words}, {"qwen2", "7", n}, {"qwen2", "😀", n}, {"qwen2", "\u0301", n},
		{"smollm", "a", words}, {"smollm", " ", words}, {"smollm", "7", n}, {"smollm", "😀", n},
		{"llama2", "a", 0}, {"llama2", " ", 0}, {"llama2", "7", 0}, {"llama2", "😀", 0},
		{"gemma", "a", 0}, {"gemma", " ", 0}, {"gemma", "7", 0}, {"gemma", "😀", 0},
		{"metaspace, first, split False", " ", 0},
		{"gpt2, blank in front, added tokens", "<|im_start", 0}, {"qwen2, added tokens", "   <mask>   ", 0},
	} {
		t.Run(c.kind+", "+c.part, func(t *testing.T) {
			t.Parallel()
			tok := kinds[c.kind]
			text := strings.Repeat(c.part, n/len(c.part))
			ids := encoded(t, tok, text, false)
			if c.want > 0 && len(ids) != c.want || len(ids) == 0 || len(ids) > len(text)+1 {
				t.Errorf("a megabyte of %q became %d tokens, want %d", c.part, len(ids), c.want)
			}
			back := tok.Decode(ids, false)
			// The others change blanks and take in those beside added tokens.
			if !strings.Contains(c.kind, ", ") && back != text {
				t.Errorf("a megabyte of %q does not come back", c.part)
			}
		})
	}
}

// A regular expression that backtracks for ever, in a splitter or in a normalizer, ends
// with an error, and the tokenizer goes on to serve.
func TestHostilePattern(t *testing.T) {
	const model = `"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}`
	for name, source := range map[string]string{
		"split":      `{"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+c"},"behavior":"Isolated"},` + model + `}`,
		"normalizer": `{"normalizer":{"type":"Replace","pattern":{"Regex":"(a+)+c"},"content":"b"},` + model + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tok, err := parse([]byte(source))
			if err != nil {
				t.Fatal(err)
			}
			ids, err := tok.Encode(strings.Repeat("a", 60)+"b", false)
			if err == nil || !strings.Contains(err.Error(), "tokenizer.json") || ids != nil {
				t.Errorf("%d tokens, error %v", len(ids), err)
			}
			if ids := encoded(t, tok, "ab", false); len(ids) != 2 {
				t.Errorf("afterwards, ab is %v", ids)
			}
		})
	}
}
