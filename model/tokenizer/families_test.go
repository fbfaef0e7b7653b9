package tokenizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nastyTexts are the texts of testdata/nasty.json.
func nastyTexts(t testing.TB) []string {
	t.Helper()
	var items []struct {
		Text   string
		Repeat int
	}
	readFixture(t, "nasty.json", &items)
	var texts []string
	for _, i := range items {
		texts = append(texts, strings.Repeat(i.Text, max(i.Repeat, 1)))
	}
	return texts
}

// A family is a small tokenizer and what Hugging Face's tokenizers does with it.
type family struct {
	Tokenizer json.RawMessage
	Items     []struct {
		IDs, Special []int32
		Text, Full   string
	}
}

func readFamilies(t testing.TB) map[string]family {
	t.Helper()
	var all map[string]family
	readGzip(t, "families.json.gz", &all)
	return all
}

// Ids and texts of every kind of tokenizer are Hugging Face's
// (testdata/families.py).
func TestFamilies(t *testing.T) {
	texts := nastyTexts(t)
	families := readFamilies(t)
	if len(families) < 20 {
		t.Fatalf("%d families, want 20", len(families))
	}
	for name, want := range families {
		t.Run(name, func(t *testing.T) {
			tok, err := parse(want.Tokenizer)
			if err != nil {
				t.Fatal(err)
			}
			if len(want.Items) != len(texts) {
				t.Fatalf("%d answers for %d texts: run testdata/families.py again", len(want.Items), len(texts))
			}
			for i, text := range texts {
				ids := encoded(t, tok, text, false)
				if !slices.Equal(ids, want.Items[i].IDs) {
					t.Errorf("text %d %.80q: ids (-want +got) %s", i, text, cmp.Diff(want.Items[i].IDs, ids))
					continue
				}
				if special := encoded(t, tok, text, true); !slices.Equal(special, want.Items[i].Special) {
					t.Errorf("text %d: ids with special tokens %v, want %v", i, special, want.Items[i].Special)
				}
				if got := tok.Decode(ids, true); got != want.Items[i].Text {
					t.Errorf("text %d: decoded %q, want %q", i, got, want.Items[i].Text)
				}
				if got := tok.Decode(ids, false); got != want.Items[i].Full {
					t.Errorf("text %d: decoded with special tokens %q, want %q", i, got, want.Items[i].Full)
				}
			}
		})
	}
}

// encoded is the text's tokens.
func encoded(t testing.TB, tok interface {
	Encode(string, bool) ([]int32, error)
}, text string, special bool) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, special)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
