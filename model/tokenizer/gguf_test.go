package tokenizer

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// GGUF does not tell that Phi 3's added tokens take in the blanks to their right,
// all but the text's own end; without that the line break after <|user|> would be
// a token.
func TestPhi3FromGGUF(t *testing.T) {
	meta := func(arch string) map[string]any {
		return map[string]any{
			"general.architecture": arch, "tokenizer.ggml.model": "llama", "tokenizer.ggml.bos_token_id": int64(1),
			"tokenizer.ggml.tokens":     []string{"<unk>", "<s>", "</s>", "<|endoftext|>", "<|user|>", "▁", "a", "\n", "▁a"},
			"tokenizer.ggml.token_type": []int64{2, 3, 4, 3, 3, 1, 1, 1, 1},
			"tokenizer.ggml.scores":     []float64{0, 0, 0, 0, 0, -2, -3, -4, -1},
		}
	}
	hashes := map[string]bool{}
	for arch, want := range map[string][]int32{
		"phi3":  {1, 4, 8, 2, 8, 3, 5, 7, 6},
		"llama": {1, 4, 5, 7, 6, 2, 5, 8, 3, 5, 7, 6},
	} {
		tok, err := FromGGUF(meta(arch))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, encoded(t, tok, "<|user|>\na</s> a<|endoftext|>\na", true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", arch, diff)
		}
		hashes[tok.Hash()] = true
	}
	if len(hashes) != 2 {
		t.Error("two tokenizers that give other ids have one hash")
	}
}

// Characters that came after Unicode 9 are not normalised: their parts stay apart,
// and marks beside them in place.
func TestLaterCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"\U00011935\U00011930 e\u0301":       "\U00011935\U00011930 \u00e9", // would be U+11938
		"e\u07fd\u0301":                      "e\u07fd\u0301",               // U+07FD is a mark of class 220
		"\u32ff":                             "\u32ff",
		"e\U0001fae9\u0301 \U0001fae9":       "e\U0001fae9\u0301 \U0001fae9",
		"\u1112\u1161\u11ab\U00010eab\u0301": "\ud55c\U00010eab\u0301",
	} {
		if got := normalForm(normalForms["NFC"])(text); got != want {
			t.Errorf("%+q became %+q, want %+q", text, got, want)
		}
	}
}

// Whatever stands in a GGUF file's metadata, it is refused or makes a tokenizer
// that works.
func FuzzFromGGUF(f *testing.F) {
	for _, seed := range []string{
		`{"Model":"gpt2","Pre":"llama-bpe","Tokens":["a","b","ab","<x>"],"Types":[1,1,1,3],"Merges":["a b"],"BOS":3,"EOS":2}`,
		`{"Model":"gpt2","Pre":"qwen2","Tokens":["Ġ","a","Ġa"],"Merges":["Ġ a"]}`,
		`{"Arch":"phi3","Model":"llama","Tokens":["<unk>","<s>","▁","a","▁a","<0x0A>"],"Types":[2,3,1,1,1,6],"Scores":[0,0,-2,-3,-1,0],"BOS":1,"EOS":9,"Chat":"{{ messages[0].content }}"}`,
		`{"Model":"llama","Tokens":["a","a"],"Types":[1],"Scores":[1e999]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m struct {
			Arch, Model, Pre, Chat string
			Tokens, Merges         []string
			Types                  []int64
			Scores                 []float64
			BOS, EOS, Unknown      *int64
			Prefix, AddBOS         *bool
		}
		if json.Unmarshal(data, &m) != nil {
			return
		}
		meta := map[string]any{
			"general.architecture": m.Arch, "tokenizer.ggml.model": m.Model, "tokenizer.ggml.pre": m.Pre, "tokenizer.chat_template": m.Chat,
			"tokenizer.ggml.tokens": m.Tokens, "tokenizer.ggml.merges": m.Merges, "tokenizer.ggml.scores": m.Scores,
		}
		if m.Types != nil {
			meta["tokenizer.ggml.token_type"] = m.Types
		}
		for key, id := range map[string]*int64{"bos": m.BOS, "eos": m.EOS, "unknown": m.Unknown} {
			if id != nil {
				meta["tokenizer.ggml."+key+"_token_id"] = *id
			}
		}
		for key, flag := range map[string]*bool{"add_space_prefix": m.Prefix, "add_bos_token": m.AddBOS} {
			if flag != nil {
				meta["tokenizer.ggml."+key] = *flag
			}
		}
		tok, err := FromGGUF(meta)
		if err != nil {
			return
		}
		checkWorks(t, tok)
	})
}
