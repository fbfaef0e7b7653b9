package runners

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"refreekv/runners/rows"
)

// poisoned makes a copy of the tiny model with a head of its own, in which set
// changes values: those of tensors by name, and of the embedding by token.
func poisoned(t *testing.T, set func(tensors map[string][]float32)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "m")
	copyModel(t, dir)
	replace(t, filepath.Join(dir, "config.json"), `"tie_word_embeddings": true`, `"tie_word_embeddings": false`)
	path := filepath.Join(dir, "model.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		Type    string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header := map[string]tensor{}
	n := 8 + int(binary.LittleEndian.Uint64(raw))
	if err := json.Unmarshal(raw[8:n], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	header["lm_head.weight"] = header["model.embed_tokens.weight"]
	values := map[string][]float32{}
	for name, x := range header {
		data := raw[n:][x.Offsets[0]:x.Offsets[1]]
		values[name] = make([]float32, len(data)/4)
		for i := range values[name] {
			values[name][i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	}
	set(values)
	var out []byte
	for name, x := range header {
		x.Offsets[0] = len(out)
		for _, v := range values[name] {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
		x.Offsets[1] = len(out)
		header[name] = x
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)
	write(t, path, string(append(file, out...)))
	return dir
}

// A model whose predictions are no numbers gives rows that say so, for the records
// that it happens on; the others run.
func TestNotFinite(t *testing.T) {
	const hidden = 64
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	embedding := func(token byte, x float32) func(map[string][]float32) {
		return func(m map[string][]float32) { m["model.embed_tokens.weight"][int(token)*hidden+5] = x }
	}
	for name, c := range map[string]struct {
		set  func(map[string][]float32)
		set2 string // of the config
		fail string // record that fails; empty: all
	}{
		"nothing":                             {func(map[string][]float32) {}, "", "none"},
		"a token of a prompt":                 {embedding('~', nan), "", "prompt"},
		"a token of a prompt, infinite":       {embedding('~', inf), "", "prompt"},
		"a token of a prompt, isolated":       {embedding('~', nan), "isolated=1", "prompt"},
		"a token of a reference answer":       {embedding('^', nan), "", "answer"},
		"a token of no fidelity":              {embedding('^', nan), "fidelity=0", "none"},
		"a value of the last norm":            {func(m map[string][]float32) { m["model.norm.weight"][0] = nan }, "", ""},
		"logits that overflow":                {func(m map[string][]float32) { m["model.norm.weight"][0] = math.MaxFloat32 }, "", ""},
		"a value of an attention output":      {func(m map[string][]float32) { m["model.layers.0.self_attn.o_proj.weight"][7] = nan }, "", ""},
		"a value of a key projection":         {func(m map[string][]float32) { m["model.layers.1.self_attn.k_proj.weight"][7] = nan }, "", ""},
		"a value of a feed-forward, infinite": {func(m map[string][]float32) { m["model.layers.1.mlp.down_proj.weight"][7] = inf }, "", ""},
		"the logit of one token":              {func(m map[string][]float32) { m["lm_head.weight"][200*hidden] = nan }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "own.jsonl"), `{"id": "first", "q": "ab12 cd34\nab", "a": "12"}
{"id": "prompt", "q": "ab~~ cd34\ncd", "a": "34"}
{"id": "answer", "q": "ab12 cd34\ncd", "a": "^^34"}
{"id": "last", "q": "cd34\ncd", "a": "34"}
`)
			task := filepath.Join(dir, "own.yaml")
			write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
			o := Overrides{Models: []string{poisoned(t, c.set)}, Tasks: []string{task}, Limit: 9, Set: []string{"context_lengths=[512]"}}
			if c.set2 != "" {
				o.Set = append(o.Set, c.set2)
			}
			run := t.TempDir()
			result := mustRun(t, small(t, o), Options{Dir: run})
			for _, row := range result.Rows {
				want := c.fail == "" || c.fail == row.Record
				if got := row.Error != ""; got != want || got && !strings.Contains(row.Error, "not finite numbers") {
					t.Errorf("record %s, %s: error %q", row.Record, row.Variant, row.Error)
				}
			}
			if again := mustRun(t, small(t, o), Options{Dir: run}); again.Resumed != 4 {
				t.Errorf("run again: %d records are stored, want 4", again.Resumed)
			}
		})
	}
}

// So does a text in which the numbers fail only later: on a token that was
// generated and does not stand in the prompt. Nothing else is measured here that
// would notice.
func TestNotFiniteLater(t *testing.T) {
	const hidden = 64
	dir := t.TempDir()
	const prompt = "?? !!\n??"
	write(t, filepath.Join(dir, "own.jsonl"), `{"id": "one", "q": "?? !!\n??", "a": "!!"}`+"\n")
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\nmax_new_tokens: 6\nmetric: exact\n")
	run := func(model string, set ...string) []rows.Row {
		o := Overrides{Models: []string{model}, Tasks: []string{task}, Limit: 1, Set: append(set, "context_lengths=[512]", "new_tokens=6")}
		return mustRun(t, small(t, o), Options{Dir: t.TempDir()}).Rows
	}
	sound := run(poisoned(t, func(map[string][]float32) {}), "fidelity=0")
	fresh := map[int32]bool{}
	for _, row := range sound {
		for _, token := range row.Tokens[:5] { // the last one is not fed
			if token < 128 && !strings.ContainsRune(prompt+"\n", rune(token)) {
				fresh[token] = true
			}
		}
	}
	if len(fresh) == 0 {
		t.Fatalf("no text holds a token that the prompt lacks: %v", sound[0].Tokens)
	}
	bad := poisoned(t, func(m map[string][]float32) {
		for token := range fresh {
			m["model.embed_tokens.weight"][int(token)*hidden+5] = float32(math.NaN())
		}
	})
	for _, set := range []string{"fidelity=0", "isolated=1"} {
		for i, row := range run(bad, set) {
			want := slices.ContainsFunc(sound[i].Tokens[:5], func(token int32) bool { return fresh[token] })
			if got := strings.Contains(row.Error, "not finite numbers"); got != want {
				t.Errorf("%s, %s: error %q, tokens %v of %v", set, row.Variant, row.Error, row.Tokens, sound[i].Tokens)
			}
			if !want {
				if set == "fidelity=0" && !slices.Equal(row.Tokens, sound[i].Tokens) {
					t.Errorf("%s changed beside a row that failed: %v", row.Variant, row.Tokens)
				}
			}
		}
	}
}
