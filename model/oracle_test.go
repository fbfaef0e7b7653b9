package model

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/hub"
	"refreekv/model/tokenizer"
)

// Tolerances against the recorded oracles; testdata/README.md says where they
// come from.
const (
	tinyLogits      = 5e-4 // the logits of a tiny model reach 25
	tinyCache       = 1e-4 // keys reach 10, recorded to 5 digits
	attentionWeight = 2e-5 // recorded to 6 digits
	smolLogits      = 5e-4
	smolSum         = 3
	smolNorm        = 1e-2
	nearTie         = 5e-3 // two right programs may part below this margin
)

// A tinyOracle is what tiny_oracle.json.gz holds for one model.
type tinyOracle struct {
	Prompts []struct {
		Text      string
		IDs       []int32
		Greedy    []int32
		Logits    []float32
		Attention [][][][]float32 // [layers][heads][last queries][tokens]
		KVLayer   int             `json:"kv_layer"`
		Keys      [][][]float32   // [kvHeads][tokens][headDim]
		Values    [][][]float32
	}
	Pruned []struct {
		Name           string
		Prompt         int
		Keep           Keep
		Greedy         []int32
		SmallestMargin float64 `json:"smallest_margin"`
		Logits         [][]float32
	}
}

func readTinyOracle(t *testing.T, model string) tinyOracle {
	t.Helper()
	raw, err := os.ReadFile("testdata/tiny_oracle.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]json.RawMessage{}
	if err := json.NewDecoder(unpacked).Decode(&all); err != nil {
		t.Fatal(err)
	}
	var o tinyOracle
	if err := json.Unmarshal(all[model], &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Prompts) < 4 || len(o.Pruned) < 10 {
		t.Fatalf("the oracle of %s holds %d prompts and %d pruned runs, want 4 and 10", model, len(o.Prompts), len(o.Pruned))
	}
	return o
}

var tinyModels = []string{"tiny-s", "tiny-m"}

// Ids, logits, attention, keys, values and greedy tokens of the full cache are
// those of transformers.
func TestTinyOracle(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		for i, want := range readTinyOracle(t, name).Prompts {
			t.Run(fmt.Sprintf("%s/prompt %d", name, i), func(t *testing.T) {
				if diff := cmp.Diff(want.IDs, encoded(t, m.Tokenizer, want.Text, false)); diff != "" {
					t.Fatalf("token ids (-want +got):\n%s", diff)
				}
				p := prefill(t, m, want.IDs, Needs{LastRows: 8})
				near(t, "logits", want.Logits, p.Logits(), tinyLogits)
				for l, heads := range want.Attention {
					for h, rows := range heads {
						for q, row := range rows {
							near(t, fmt.Sprintf("attention of layer %d, query head %d, %d before the last token", l, h, len(rows)-1-q),
								row, p.Row(l, h, len(rows)-1-q), attentionWeight)
						}
					}
				}
				got := make([]float32, m.Config.HeadDim)
				for h := range want.Keys {
					for pos := range want.Keys[h] {
						where := fmt.Sprintf("of layer %d, KV head %d, position %d", want.KVLayer, h, pos)
						p.Key(want.KVLayer, h, pos, got)
						near(t, "key "+where, want.Keys[h][pos], got, tinyCache)
						p.Value(want.KVLayer, h, pos, got)
						near(t, "value "+where, want.Values[h][pos], got, tinyCache)
					}
				}
				full := []Keep{All(m.Config.Layers, len(want.IDs))}
				if diff := cmp.Diff(want.Greedy, decode(t, m, p, full, len(want.Greedy))[0].Tokens); diff != "" {
					t.Errorf("greedy tokens (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Decoding over pruned caches, all variants of a prompt in lockstep, gives the
// recorded tokens; the logits of every step are near the recorded ones.
func TestTinyPrunedOracle(t *testing.T) {
	for _, name := range tinyModels {
		m := openTiny(t, name)
		oracle := readTinyOracle(t, name)
		for i, prompt := range oracle.Prompts {
			p := prefill(t, m, prompt.IDs, Needs{})
			var keeps []Keep
			var wanted []int
			for j, run := range oracle.Pruned {
				if run.Prompt == i {
					keeps, wanted = append(keeps, run.Keep), append(wanted, j)
				}
			}
			out := decode(t, m, p, keeps, 8)
			for k, j := range wanted {
				want := oracle.Pruned[j]
				t.Run(fmt.Sprintf("%s/prompt %d/%s", name, i, want.Name), func(t *testing.T) {
					if want.SmallestMargin < 2*tinyLogits {
						t.Fatalf("a margin of %g cannot tell tokens apart", want.SmallestMargin)
					}
					if diff := cmp.Diff(want.Greedy, out[k].Tokens); diff != "" {
						t.Errorf("greedy tokens (-want +got):\n%s", diff)
					}
					for step, logits := range stepLogits(m, p, want.Keep, want.Greedy) {
						near(t, fmt.Sprintf("logits of step %d", step), want.Logits[step], logits, tinyLogits)
					}
				})
			}
		}
	}
}

// stepLogits returns the logits that chose each token, when these tokens follow
// the pruned prefix.
func stepLogits(m *Model, p *Prefix, keep Keep, tokens []int32) [][]float32 {
	d, c := &decoder{m: m}, newContinuation(p, []Variant{{Keep: keep}}, DecodeOptions{MaxNewTokens: len(tokens)})
	out := [][]float32{p.Logits()}
	for _, token := range tokens[:len(tokens)-1] {
		c.streams[0].accept(token)
		d.step(c.streams)
		out = append(out, slices.Clone(d.logits[:m.Config.Vocab]))
	}
	return out
}

// near reports the largest difference between two lists if it is above most.
func near(t *testing.T, what string, want, got []float32, most float64) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	worst, at := 0.0, 0
	for i := range want {
		off := math.Abs(float64(want[i]) - float64(got[i]))
		if !(off <= worst) { // NaN is the worst of all
			worst, at = off, i
		}
	}
	if !(worst <= most) {
		t.Errorf("%s: number %d is %g, want %g; the difference of %g is above %g", what, at, got[at], want[at], worst, most)
	}
}

// A smolGreedy is what smollm2_oracle.json holds of one greedy text.
type smolGreedy struct {
	Tokens, Second []int32
	Margins        []float64
	FirstTop       struct {
		IDs    []int32
		Logits []float32
	} `json:"first_top"`
	FirstSum float64 `json:"first_sum"`
	FirstL2  float64 `json:"first_l2"`
}

type smolPrompt struct {
	File         string
	Record       int
	LineSHA256   string `json:"line_sha256"`
	Field        string
	Chars        int
	PromptTokens int    `json:"prompt_tokens"`
	PromptSHA256 string `json:"prompt_sha256"`
	smolGreedy
}

type smolOracle struct {
	Model   struct{ File, SHA256 string }
	Prompts []smolPrompt
	Chats   []struct {
		Messages []tokenizer.Message
		Rendered string
		IDs      []int32 `json:"prompt_ids"`
		Text     string
		smolGreedy
	}
	Attention struct {
		Prompt int
		Layers map[int][][]float32 // [layer][head][tokens]
	}
}

func readSmolOracle(t *testing.T) smolOracle {
	t.Helper()
	raw, err := os.ReadFile("testdata/smollm2_oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o smolOracle
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// openSmolLM2 opens the oracle's model from the program's cache; it does not
// fetch it.
func openSmolLM2(t *testing.T, want smolOracle) *Model {
	t.Helper()
	cache, err := hub.CacheDir()
	if err != nil {
		t.Skip(err)
	}
	found := ""
	err = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == want.Model.File {
			found = path
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil || found == "" {
		t.Skipf("%s is not in the cache %s; refreekv pull model smollm2-135m-instruct fetches it", want.Model.File, cache)
	}
	m, err := Open(found)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if hash, err := m.Hash(); err != nil || hash != want.Model.SHA256 {
		t.Skipf("%s has hash %s (%v), the oracle was made with %s", found, hash, err, want.Model.SHA256)
	}
	return m
}

func dataDir() string {
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	return filepath.Join(shared, "data")
}

// promptText cuts a prompt out of its record.
func promptText(t *testing.T, p smolPrompt) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dataDir(), p.File))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the real record is not here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(raw, []byte("\n"))
	if p.Record >= len(lines) {
		t.Skipf("%s has no record %d", p.File, p.Record)
	}
	line := lines[p.Record]
	if sum := sha256.Sum256(line); hex.EncodeToString(sum[:]) != p.LineSHA256 {
		t.Skipf("record %d of %s is another one than the oracle was made from", p.Record, p.File)
	}
	record := map[string]any{}
	if err := json.Unmarshal(line, &record); err != nil {
		t.Fatal(err)
	}
	text, _ := record[p.Field].(string)
	runes := []rune(text)
	if len(runes) < p.Chars {
		t.Fatalf("field %s has %d characters, want %d", p.Field, len(runes), p.Chars)
	}
	return string(runes[:p.Chars])
}

// A real model, its tokenizer and 48 greedy tokens on beginnings of real
// records: ids, logits and tokens are those of transformers, from 48 to more
// than 4,000 tokens.
func TestSmolLM2Oracle(t *testing.T) {
	oracle := readSmolOracle(t)
	m := openSmolLM2(t, oracle)
	longest := 0
	for i, want := range oracle.Prompts {
		longest = max(longest, want.PromptTokens)
		t.Run(fmt.Sprintf("%s record %d", want.File, want.Record), func(t *testing.T) {
			ids := encoded(t, m.Tokenizer, promptText(t, want), false)
			sum := sha256.New()
			if err := binary.Write(sum, binary.LittleEndian, ids); err != nil {
				t.Fatal(err)
			}
			if hash := hex.EncodeToString(sum.Sum(nil)); len(ids) != want.PromptTokens || hash != want.PromptSHA256 {
				t.Fatalf("%d ids with hash %s, want %d with %s", len(ids), hash, want.PromptTokens, want.PromptSHA256)
			}
			needs := Needs{}
			if i == oracle.Attention.Prompt {
				needs.LastRows = 1
			}
			p := prefill(t, m, ids, needs)
			checkFirst(t, want.smolGreedy, p.Logits())
			full := []Keep{All(m.Config.Layers, len(ids))}
			checkGreedy(t, want.smolGreedy, decode(t, m, p, full, len(want.Tokens))[0].Tokens)
			if i != oracle.Attention.Prompt {
				return
			}
			for l, heads := range oracle.Attention.Layers {
				for h, row := range heads {
					near(t, fmt.Sprintf("attention of layer %d, query head %d", l, h), row, p.Row(l, h, 0), attentionWeight)
				}
			}
		})
	}
	if len(oracle.Prompts) < 8 || longest < 4000 {
		t.Errorf("the oracle holds %d prompts, the longest of %d tokens; want 8 and 4,000", len(oracle.Prompts), longest)
	}
	if len(oracle.Attention.Layers) < 3 {
		t.Errorf("the oracle holds the attention of %d layers, want 3", len(oracle.Attention.Layers))
	}
}

// Conversations go through the model's own chat template and end at its EOS.
func TestSmolLM2Chats(t *testing.T) {
	oracle := readSmolOracle(t)
	m := openSmolLM2(t, oracle)
	if len(oracle.Chats) < 2 {
		t.Fatalf("the oracle holds %d chats, want 2", len(oracle.Chats))
	}
	for i, want := range oracle.Chats {
		t.Run(fmt.Sprintf("chat %d", i), func(t *testing.T) {
			rendered, err := m.Tokenizer.Chat(want.Messages, true)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.Rendered, rendered); diff != "" {
				t.Fatalf("rendered (-want +got):\n%s", diff)
			}
			ids := encoded(t, m.Tokenizer, rendered, false)
			if diff := cmp.Diff(want.IDs, ids); diff != "" {
				t.Fatalf("token ids (-want +got):\n%s", diff)
			}
			p := prefill(t, m, ids, Needs{})
			checkFirst(t, want.smolGreedy, p.Logits())
			out, err := m.Decode(context.Background(), p, []Keep{All(m.Config.Layers, len(ids))},
				DecodeOptions{MaxNewTokens: 48, Stop: m.Tokenizer.EOS()})
			if err != nil {
				t.Fatal(err)
			}
			tokens, stop := want.Tokens, StopLength
			if last := len(tokens) - 1; slices.Contains(m.Tokenizer.EOS(), tokens[last]) {
				tokens, stop = tokens[:last], StopEOS
			}
			if slices.Min(want.Margins) < nearTie {
				t.Fatal("a near tie makes the text ambiguous")
			}
			got := Generation{Tokens: out[0].Tokens, Stop: out[0].Stop}
			if diff := cmp.Diff(Generation{Tokens: tokens, Stop: stop}, got); diff != "" {
				t.Errorf("generation (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.Text, m.Tokenizer.Decode(got.Tokens, true)); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

// checkFirst compares the logits after the prompt: the best ones one by one, the
// rest by the largest of them, their sum and their norm.
func checkFirst(t *testing.T, want smolGreedy, logits []float32) {
	t.Helper()
	best := make([]float32, len(want.FirstTop.IDs))
	for i, id := range want.FirstTop.IDs {
		best[i] = logits[id]
	}
	near(t, "best logits after the prompt", want.FirstTop.Logits, best, smolLogits)
	least := want.FirstTop.Logits[len(best)-1] + smolLogits
	sum, square := 0.0, 0.0
	for id, x := range logits {
		sum += float64(x)
		square += float64(x) * float64(x)
		if x > least && !slices.Contains(want.FirstTop.IDs, int32(id)) {
			t.Errorf("token %d has logit %g after the prompt, above the best %d, which end at %g", id, x, len(best), least)
		}
	}
	if off := math.Abs(sum - want.FirstSum); !(off <= smolSum) {
		t.Errorf("the logits after the prompt add up to %g, want %g", sum, want.FirstSum)
	}
	if off := math.Abs(math.Sqrt(square) - want.FirstL2); !(off <= smolNorm) {
		t.Errorf("the norm of the logits after the prompt is %g, want %g", math.Sqrt(square), want.FirstL2)
	}
}

// checkGreedy compares greedy tokens up to the first near tie that went the
// other way.
func checkGreedy(t *testing.T, want smolGreedy, got []int32) {
	t.Helper()
	if len(got) != len(want.Tokens) {
		t.Fatalf("%d tokens, want %d", len(got), len(want.Tokens))
	}
	for i, token := range got {
		if token == want.Tokens[i] {
			continue
		}
		if want.Margins[i] < nearTie && token == want.Second[i] {
			t.Logf("step %d: the second of two tokens %g apart; the rest is not compared", i, want.Margins[i])
			return
		}
		t.Fatalf("step %d: token %d, want %d, by a margin of %g", i, token, want.Tokens[i], want.Margins[i])
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
