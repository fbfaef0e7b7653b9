package runners

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refreekv/model"
	"refreekv/runners/rows"
)

// small is an experiment that the tiny models run in a moment. Prompts of 24
// tokens are truncated, the others not.
func small(t *testing.T, o Overrides) *Config {
	t.Helper()
	c, err := parseConfig([]byte(`name: small
models: [`+tinyS+`]
context_lengths: [24, 512]
tasks: [recall, `+ownTask(t)+`]
records: 2
variants: [full, refreekv, {pruner: [], budget: 0}]
`), "small.yaml", override(o, []string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.2"}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func override(o Overrides, variants []string) Overrides {
	if len(o.Variants) == 0 {
		o.Variants = variants
	}
	return o
}

// ownTask is the path of a task with a data set of its own.
func ownTask(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "own.jsonl")
	write(t, data, `{"id": "one", "q": "ab12 cd34 ef56\ncd", "a": "34"}
{"id": "two", "q": "gh78 ij90 kl11\ngh", "a": "78"}
{"id": "three", "q": "mn22 op33 qr44\nqr", "a": "44"}
`)
	path := filepath.Join(dir, "own.yaml")
	write(t, path, "about: own records\ndataset: "+data+"\nprompt: \"{q}\\n\"\nfields: {q: q}\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func mustRun(t *testing.T, c *Config, o Options) *Result {
	t.Helper()
	result, err := Run(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

var timing = regexp.MustCompile(`"timing":\{[^}]*\}`)

// untimed is a rows file without the one thing in which two runs of the same
// experiment differ.
func untimed(text string) string { return timing.ReplaceAllString(text, `"timing":{}`) }

func untimedRows(all []rows.Row) []rows.Row {
	out := slices.Clone(all)
	for i := range out {
		out[i].Timing = rows.Timing{}
	}
	return out
}

func sameRows(t *testing.T, what string, want, got []rows.Row) {
	t.Helper()
	if diff := diffRows(untimedRows(want), untimedRows(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// diffRows compares rows; stores need not tell an absent list from an empty one.
func diffRows(want, got []rows.Row) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

// TestRun checks the rows of a small run against what is known of them without
// running it.
func TestRun(t *testing.T) {
	c := small(t, Overrides{})
	dir := filepath.Join(t.TempDir(), "a", "b")
	var updates []Update
	result := mustRun(t, c, Options{Dir: dir, Progress: func(u Update) { updates = append(updates, u) }})

	at := 0
	for _, task := range []string{"recall", "own"} {
		for index := range 2 {
			for _, length := range []int{24, 512} {
				for _, variant := range []string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.2"} {
					r := result.Rows[at]
					at++
					if r.Model != tinyS || r.Task != task || r.Index != index || r.ContextLength != length || r.Variant != variant || r.Protocol != "standard" {
						t.Fatalf("row %d is %s, record %d, length %d, %s; want %s, %d, %d, %s", at-1, r.Task, r.Index, r.ContextLength, r.Variant, task, index, length, variant)
					}
					if pruner, _, _ := strings.Cut(variant, " "); r.Pruner != pruner {
						t.Errorf("row %d: pruner %q", at-1, r.Pruner)
					}
					if want := task == "recall" && length == 24; r.Truncated != want {
						t.Errorf("row %d of %d tokens: truncated %v", at-1, r.PromptTokens, r.Truncated)
					}
					if r.PromptTokens > length || r.Error != "" || len(r.PromptHash) != 16 || r.Timing.Prefill <= 0 || (r.Timing.Decode > 0) != (len(r.Tokens) > 0) {
						t.Errorf("row %d: %+v", at-1, r)
					}
					if share := map[string]float64{"full": 1, "snapkv budget=0.5": 0.5, "h2o budget=0.2": 0.2}[variant]; share > 0 {
						// 2 layers of 4 query heads over 2 KV heads of width 16; float32 keys and values.
						kept := max(1, int(share*float64(r.PromptTokens)+0.5))
						if share*float64(r.PromptTokens)-float64(int(share*float64(r.PromptTokens))) == 0.5 {
							kept = int(r.Kept[0]) // halves go to the even side
						}
						if !cmp.Equal(r.Kept, []float64{float64(kept), float64(kept)}) || r.Budget != float64(kept)/float64(r.PromptTokens) {
							t.Errorf("row %d, %s of %d tokens: kept %v, budget %v", at-1, variant, r.PromptTokens, r.Kept, r.Budget)
						}
						heads := 2
						if variant != "full" {
							heads = 4
						}
						if want := int64(2 * heads * kept * 16 * 2 * 4); r.KVBytes != want {
							t.Errorf("row %d, %s: %d bytes held, want %d", at-1, variant, r.KVBytes, want)
						}
						if want := []int64{r.KVBytes / 2, r.KVBytes / 2}; !cmp.Equal(r.KVBytesLayers, want) {
							t.Errorf("row %d, %s: %d bytes held in the layers, want %d", at-1, variant, r.KVBytesLayers, want)
						}
					}
					if variant != "full" && variant != "refreekv" && r.ReleasedKVBytes != r.KVBytes || variant == "full" && r.ReleasedKVBytes != r.FullKVBytes ||
						variant == "refreekv" && r.ReleasedKVBytes != 2*r.KVBytes { // one choice for all heads, once per query head there
						t.Errorf("row %d, %s: %d bytes as released, %d held", at-1, variant, r.ReleasedKVBytes, r.KVBytes)
					}
					if want := int64(2 * 2 * r.PromptTokens * 16 * 2 * 4); r.FullKVBytes != want {
						t.Errorf("row %d: full cache of %d bytes, want %d", at-1, r.FullKVBytes, want)
					}
				}
			}
		}
	}
	if at != len(result.Rows) || result.Errors != 0 || result.Resumed != 0 {
		t.Errorf("%d rows, %d errors, %d resumed; want %d, 0, 0", len(result.Rows), result.Errors, result.Resumed, at)
	}
	if ids := []string{result.Rows[16].Record, result.Rows[24].Record}; !cmp.Equal(ids, []string{"one", "two"}) {
		t.Errorf("record ids %q", ids)
	}

	// Told once at the start and once after each of the 8 records.
	for i, u := range updates {
		if u.Done != i || u.Total != 8 || u.Resumed != 0 || (u.Task == "") != (i == 0) {
			t.Errorf("update %d: %+v", i, u)
		}
	}
	if len(updates) != 9 {
		t.Errorf("%d updates", len(updates))
	}

	// The folder says the same as the result.
	stored, p, err := ReadRuns([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffRows(result.Rows, stored); diff != "" {
		t.Errorf("rows.jsonl (-want +got):\n%s", diff)
	}
	fromParquet, err := rows.ReadParquet(filepath.Join(dir, parquetFile))
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffRows(result.Rows, fromParquet); diff != "" {
		t.Errorf("rows.parquet (-want +got):\n%s", diff)
	}
	facts := p.Models[tinyS]
	if p.Config.Name != "small" || !cmp.Equal(p.Variants, labels(c)) || p.Program.Go == "" || p.Program.Kernels == "" ||
		len(facts.Weights) != 64 || len(facts.Tokenizer) != 64 || facts.Layers != 2 || facts.Heads != 4 || facts.KVHeads != 2 || facts.HeadDim != 16 {
		t.Errorf("run.yaml: %+v", p)
	}
}

// The first promise of sharing a prefill: what a variant scores does not depend
// on who runs beside it.
func TestVariantsAloneAndTogether(t *testing.T) {
	together := mustRun(t, small(t, Overrides{}), Options{Dir: t.TempDir()}).Rows
	for k, variant := range []string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.2"} {
		c := small(t, Overrides{Variants: []string{variant}})
		alone := mustRun(t, c, Options{Dir: t.TempDir()}).Rows
		var mine []rows.Row
		for i := k; i < len(together); i += 4 {
			mine = append(mine, together[i])
		}
		sameRows(t, variant+" alone", mine, alone)
	}
}

// Neither do models and context lengths that run one after the other change each
// other's rows.
// With new_tokens every text has that length, beyond the task's own and past
// what would end it.
func TestNewTokens(t *testing.T) {
	result := mustRun(t, small(t, Overrides{Set: []string{"new_tokens=40", "context_lengths=[300]"}}), Options{Dir: t.TempDir()})
	for _, row := range result.Rows {
		if len(row.Tokens) != 40 || row.Stop != model.StopLength {
			t.Errorf("%s, %s: %d tokens, then %s; want 40 (%s)", row.Task, row.Variant, len(row.Tokens), row.Stop, row.Error)
		}
	}
}

func TestModelsAndContextLengths(t *testing.T) {
	all := mustRun(t, small(t, Overrides{Models: []string{tinyS, tinyM}, Set: []string{"context_lengths=[24, 512, 600]"}}), Options{Dir: t.TempDir()}).Rows
	if len(all) != 2*3*4*4 {
		t.Fatalf("%d rows", len(all))
	}
	for _, model := range []string{tinyS, tinyM} {
		for _, length := range []int{24, 512, 600} {
			c := small(t, Overrides{Models: []string{model}, Set: []string{fmt.Sprintf("context_lengths=[%d]", length)}})
			alone := mustRun(t, c, Options{Dir: t.TempDir()}).Rows
			var mine []rows.Row
			for _, r := range all {
				if r.Model == model && r.ContextLength == length {
					mine = append(mine, r)
				}
			}
			sameRows(t, fmt.Sprintf("%s at %d alone", model, length), mine, alone)
		}
	}
	// The two lengths that hold the prompts whole share one measurement.
	for i, r := range all {
		if r.ContextLength == 600 && r.Timing != all[i-4].Timing {
			t.Errorf("row %d was measured again for another context length", i)
		}
	}
}

// stopAfter runs until n records are done in all, and stops as a signal does.
func stopAfter(t *testing.T, c *Config, dir string, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, c, Options{Dir: dir, Progress: func(u Update) {
		if u.Done == n {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped after %d records: %v", n, err)
	}
}

func TestResume(t *testing.T) {
	c := small(t, Overrides{Models: []string{tinyS, tinyM}})
	const total = 16
	undisturbed := t.TempDir()
	mustRun(t, c, Options{Dir: undisturbed})
	want := untimed(read(t, undisturbed, rowsFile))
	if want == read(t, undisturbed, rowsFile) || strings.Count(want, "\n") != total*4 {
		t.Fatal("the helper does not blank the timings of all rows")
	}
	for n := range total {
		dir := t.TempDir()
		stopAfter(t, c, dir, n)
		before := ""
		if n > 0 { // else nothing was stored
			before = read(t, dir, rowsFile)
		}
		if lines := strings.Count(before, "\n"); lines != n*4 {
			t.Fatalf("stopped after %d records: %d rows stored", n, lines)
		}
		var updates []Update
		result := mustRun(t, c, Options{Dir: dir, Progress: func(u Update) { updates = append(updates, u) }})
		after := read(t, dir, rowsFile)
		if diff := cmp.Diff(want, untimed(after)); diff != "" {
			t.Fatalf("stopped after %d records and resumed (-undisturbed +got):\n%s", n, diff)
		}
		// Finished records stand as they were measured the first time, timings
		// included: they were not run again.
		there := map[string]bool{}
		for line := range strings.Lines(after) {
			there[line] = true
		}
		whole := map[string]int{} // stored rows of the own task by model and record
		for line := range strings.Lines(before) {
			if !there[line] {
				t.Errorf("stopped after %d records: a stored one was run again: %s", n, line)
			}
			if strings.Contains(line, `"task":"own"`) {
				whole[line[:strings.Index(line, `,"context_length"`)]+line[strings.Index(line, `"record"`):strings.Index(line, `,"variant"`)]]++
			}
		}
		// The own task's records have the same prompt under their second context
		// length: it needs no run.
		resumed := n
		for _, count := range whole {
			if count == 4 {
				resumed++
			}
		}
		if result.Resumed != resumed {
			t.Errorf("stopped after %d records: %d resumed", n, result.Resumed)
		}
		switch {
		case resumed == total && len(updates) > 0:
			t.Errorf("stopped after %d records: %+v, though nothing was to be run", n, updates)
		case resumed < total && (len(updates) != total-resumed+1 || updates[0].Done != resumed || updates[0].Resumed != resumed):
			t.Errorf("stopped after %d records: updates %+v", n, updates)
		}
		fromParquet, err := rows.ReadParquet(filepath.Join(dir, parquetFile))
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffRows(result.Rows, fromParquet); diff != "" {
			t.Errorf("stopped after %d records: rows.parquet (-want +got):\n%s", n, diff)
		}
	}
}

// Stopped again and again, with the file cut in the middle of what came next.
func TestResumeAfterEveryRecord(t *testing.T) {
	c := small(t, Overrides{})
	undisturbed, dir := t.TempDir(), t.TempDir()
	mustRun(t, c, Options{Dir: undisturbed})
	want := read(t, undisturbed, rowsFile)
	for n := 1; n < 7; n++ {
		stopAfter(t, c, dir, n)
		f, err := os.OpenFile(filepath.Join(dir, rowsFile), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		next, stored := "", untimed(read(t, dir, rowsFile))
		for _, line := range strings.SplitAfter(want, "\n")[:4*n+4] {
			if !strings.Contains(stored, untimed(line)) {
				next += line
			}
		}
		if _, err := f.WriteString(next[:len(next)*n/8]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var notices []string
	result := mustRun(t, c, Options{Dir: dir, Notice: func(s string) { notices = append(notices, s) }})
	if diff := cmp.Diff(untimed(want), untimed(read(t, dir, rowsFile))); diff != "" {
		t.Errorf("(-undisturbed +got):\n%s", diff)
	}
	if result.Resumed != 6 || len(notices) != 2 || notices[0] != "resuming: 6 of 8 records are stored, 2 more in part" || !strings.HasPrefix(notices[1], "model "+tinyS+" from ") {
		t.Errorf("%d resumed, notices %q", result.Resumed, notices)
	}
	// A complete run computes nothing and changes nothing.
	again, parquet := read(t, dir, rowsFile), read(t, dir, parquetFile)
	result = mustRun(t, c, Options{Dir: dir, Progress: func(u Update) { t.Errorf("told %+v of a complete run", u) }})
	if result.Resumed != 8 || len(result.Rows) != 32 || read(t, dir, rowsFile) != again || read(t, dir, parquetFile) != parquet {
		t.Errorf("a complete run was changed by running it again")
	}
}

// A record that cannot be run gets rows that say so; the others are run.
func TestErrorRows(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "d.jsonl")
	write(t, data, `{"id": "good", "q": "ab12\nab", "a": "12"}
{"id": "long", "q": "`+strings.Repeat("ab12 ", 300)+`\nab", "a": "12"}
{"id": "last", "q": "cd34\ncd", "a": "34"}
`)
	task := filepath.Join(dir, "t.yaml")
	write(t, task, "about: x\ndataset: "+data+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\ntruncate: never\nmax_new_tokens: 3\nmetric: exact\n")
	c := small(t, Overrides{Tasks: []string{task}, Set: []string{"context_lengths=[512]"}, Limit: 3})
	run := filepath.Join(dir, "run")
	result := mustRun(t, c, Options{Dir: run})
	if len(result.Rows) != 12 || result.Errors != 4 {
		t.Fatalf("%d rows, %d of them errors", len(result.Rows), result.Errors)
	}
	for i, r := range result.Rows {
		if (r.Error != "") != (i/4 == 1) {
			t.Errorf("row %d, record %s: error %q", i, r.Record, r.Error)
		}
		if r.Error == "" {
			continue
		}
		if r.Variant != labels(c)[i%4] || r.Pruner == "" || r.Record != "long" || !strings.Contains(r.Error, "1024") {
			t.Errorf("row %d: %+v", i, r)
		}
		if r.Score != 0 || r.Budget != 0 || r.KVBytes != 0 || len(r.Tokens) != 0 || len(r.Kept) != 0 || r.Text != "" {
			t.Errorf("row %d holds results beside its error: %+v", i, r)
		}
	}
	// They are finished too.
	if again := mustRun(t, c, Options{Dir: run}); again.Resumed != 3 || again.Errors != 4 {
		t.Errorf("run again: %d resumed, %d errors", again.Resumed, again.Errors)
	}
}

func TestOneRunAtATime(t *testing.T) {
	c := small(t, Overrides{})
	dir := t.TempDir()
	tried := 0
	mustRun(t, c, Options{Dir: dir, Progress: func(u Update) {
		if u.Done != 3 {
			return
		}
		tried++
		_, err := Run(t.Context(), c, Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "another run is writing to "+dir) || !strings.Contains(err.Error(), "--out") {
			t.Errorf("a second run beside the first: %v", err)
		}
		if err := WriteRun(dir, nil, &Provenance{Variants: labels(c)}); err == nil || !strings.Contains(err.Error(), "another run") {
			t.Errorf("a merge into a running run: %v", err)
		}
		if stored, _, err := ReadRuns([]string{dir}); err != nil || len(stored) != 12 {
			t.Errorf("reading beside the run: %d rows (%v), want 12", len(stored), err)
		}
	}})
	if tried != 1 {
		t.Fatal("no second run was tried")
	}
	if result := mustRun(t, c, Options{Dir: dir}); result.Resumed != 8 {
		t.Errorf("after the first: %d resumed", result.Resumed)
	}
}

// copyModel copies the tiny model to a folder.
func copyModel(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(dir, os.DirFS(tinyS)); err != nil {
		t.Fatal(err)
	}
}

// What is not the same experiment is refused: the run tells how to go on and
// leaves the folder as it is.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, c *Config, dir string)
		want   string
	}{
		"name": {func(_ *testing.T, c *Config, _ string) { c.Name = "other" }, "holds the experiment small, not other"},
		"rows of an earlier version": {func(t *testing.T, _ *Config, dir string) {
			path := filepath.Join(dir, rowsFile)
			write(t, path, regexp.MustCompile(`"inputs":"[^"]*",`).ReplaceAllString(read(t, path), ""))
		}, "rows of an earlier version"},
		"row twice": {func(t *testing.T, _ *Config, dir string) {
			path := filepath.Join(dir, rowsFile)
			write(t, path, strings.Replace(read(t, path), `"variant":"refreekv"`, `"variant":"full"`, 1))
		}, rowsFile + ":2"},
		"records": {func(t *testing.T, c *Config, _ string) {
			moved := ownTask(t)
			data := filepath.Join(filepath.Dir(moved), "own.jsonl")
			write(t, data, strings.Replace(read(t, data), `"one"`, `"another"`, 1))
			c.Tasks[1] = moved
		}, "another data set"},
		"rows without run.yaml": {func(t *testing.T, _ *Config, dir string) {
			if err := os.Remove(filepath.Join(dir, provenanceFile)); err != nil {
				t.Fatal(err)
			}
		}, "without the run.yaml"},
		"run.yaml damaged": {func(t *testing.T, _ *Config, dir string) { write(t, filepath.Join(dir, provenanceFile), "config: [") }, provenanceFile},
	} {
		t.Run(name, func(t *testing.T) {
			conf, dir := small(t, Overrides{Set: []string{"context_lengths=[512]"}}), t.TempDir()
			stopAfter(t, conf, dir, 3)
			c.change(t, conf, dir)
			before := snapshot(t, dir)
			_, err := Run(t.Context(), conf, Options{Dir: dir, Progress: func(u Update) {
				if u.Done > u.Resumed {
					t.Error("a record was run")
				}
			}})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "delete") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q and a remedy", err, c.want)
			}
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("the folder was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func flipLastByte(t *testing.T, path string) {
	t.Helper()
	raw := []byte(read(t, path))
	before := bytes.Clone(raw)
	t.Cleanup(func() { write(t, path, string(before)) })
	raw[len(raw)-1] ^= 1
	write(t, path, string(raw))
}

// snapshot is a folder's files and their contents.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out[path] = read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A run that never began leaves nothing behind, and nothing of others goes.
func TestNothingLeftBehind(t *testing.T) {
	parent := t.TempDir()
	notes := filepath.Join(parent, "kept", "notes.txt")
	if err := os.Mkdir(filepath.Dir(notes), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, notes, "mine")
	before := snapshot(t, parent)
	damaged := filepath.Join(t.TempDir(), "m")
	copyModel(t, damaged)
	write(t, filepath.Join(damaged, "model.safetensors"), "x")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		change func(*Config)
	}{
		"model without weights":      {t.Context(), func(c *Config) { c.Models = []string{damaged} }},
		"second model not there":     {t.Context(), func(c *Config) { c.Models = []string{tinyS, "nosuch.gguf"} }},
		"data set not there":         {t.Context(), func(c *Config) { c.Tasks, c.Data = []string{"gsm8k"}, parent }},
		"stopped at once":            {cancelled, func(*Config) {}},
		"prompt that cannot be made": {t.Context(), func(c *Config) { c.Protocol = "paper" }}, // 24 tokens less the margin
	} {
		for _, dir := range []string{filepath.Join(parent, "new", "run"), filepath.Join(parent, "kept")} {
			conf := small(t, Overrides{})
			c.change(conf)
			if _, err := Run(c.ctx, conf, Options{Dir: dir}); err == nil {
				t.Errorf("%s: no error", name)
			}
			if diff := cmp.Diff(before, snapshot(t, parent)); diff != "" {
				t.Errorf("%s, in %s (-before +after):\n%s", name, dir, diff)
			}
			if _, err := os.Stat(filepath.Join(parent, "new")); err == nil {
				t.Fatalf("%s: a folder is left", name)
			}
		}
	}
	if _, err := Run(t.Context(), small(t, Overrides{}), Options{Dir: filepath.Join(notes, "run")}); err == nil || !strings.Contains(err.Error(), notes) {
		t.Errorf("a folder below a file: %v", err)
	}
}

// A measurement is shared only by the context lengths of one record under one
// model, also where the next unit has the very same prompt.
func TestSharingStopsAtTheRecordAndTheModel(t *testing.T) {
	c := small(t, Overrides{Models: []string{tinyS, tinyM}, Set: []string{"context_lengths=[512]"}, Limit: 1, Tasks: []string{"recall"}})
	both := mustRun(t, c, Options{Dir: t.TempDir()}).Rows
	c.Models = []string{tinyM}
	sameRows(t, "the second model after the same prompt", mustRun(t, c, Options{Dir: t.TempDir()}).Rows, both[4:])

	dir := t.TempDir()
	data, task := filepath.Join(dir, "d.jsonl"), filepath.Join(dir, "t.yaml")
	write(t, data, `{"id": "right", "q": "ab12 cd34\ncd", "a": "34"}
{"id": "wrong", "q": "ab12 cd34\ncd", "a": "12"}
`)
	write(t, task, "about: x\ndataset: "+data+"\nprompt: \"{q}\"\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
	got := mustRun(t, small(t, Overrides{Tasks: []string{task}, Variants: []string{"full"}, Set: []string{"context_lengths=[512]"}}), Options{Dir: filepath.Join(dir, "run")}).Rows
	for i, want := range []struct {
		record string
		score  float64
	}{{"right", 1}, {"wrong", 0}} {
		if got[i].Record != want.record || got[i].Score != want.score {
			t.Errorf("row %d is of record %s with score %v, want %s with %v", i, got[i].Record, got[i].Score, want.record, want.score)
		}
	}
}

// With skip_bad malformed records are left out and told; without, one ends the
// run before anything is stored.
func TestSkipBad(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "own.jsonl"), `{"id": "one", "q": "ab12\nab", "a": "12"}
{"id": "two", "q": "ab12\nab"
{"id": "three", "q": "ab12\nab"}
{"id": "four", "q": "cd34\ncd", "a": "34"}
`)
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nfields: {q: q}\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
	o := Overrides{Tasks: []string{task}, Limit: 9}
	out := filepath.Join(t.TempDir(), "run")
	if _, err := Run(t.Context(), small(t, o), Options{Dir: out}); err == nil || !strings.Contains(err.Error(), "own.jsonl:2") {
		t.Errorf("a malformed record: %v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("the refused run left a folder behind")
	}
	o.SkipBad = true
	var told []string
	result := mustRun(t, small(t, o), Options{Dir: out, Notice: func(s string) { told = append(told, s) }})
	ids := map[string]bool{}
	for _, row := range result.Rows {
		ids[row.Record] = true
	}
	if !ids["one"] || !ids["four"] || len(ids) != 2 {
		t.Errorf("records %v", ids)
	}
	if !strings.Contains(strings.Join(told, "\n"), "2 ") {
		t.Errorf("told %q", told)
	}
}

// A model that is fetched is said to come from where it came from, in the notice
// and in run.yaml, also by the runs that find it fetched.
func TestFirstDownload(t *testing.T) {
	files := http.StripPrefix("/org/tiny/resolve/main", http.FileServer(http.Dir(tinyS)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"tag"`)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	home := t.TempDir()
	for name, value := range map[string]string{"HF_ENDPOINT": server.URL, "HF_HUB_CACHE": "", "HF_HUB_OFFLINE": "", "HF_HOME": home, "REFREEKV_CACHE": filepath.Join(home, "cache")} {
		t.Setenv(name, value)
	}
	c, dir := small(t, Overrides{Models: []string{"org/tiny"}, Limit: 1}), t.TempDir()
	for i, want := range []string{"model org/tiny from the Hugging Face hub", "model org/tiny from the Hugging Face hub, fetched before"} {
		var notices []string
		mustRun(t, c, Options{Dir: dir, Notice: func(s string) { notices = append(notices, s) }})
		if !slices.Contains(notices, want) {
			t.Errorf("notices %q, want %q", notices, want)
		}
		_, p, err := ReadRuns([]string{dir})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Models["org/tiny"].Source; got != "the Hugging Face hub" {
			t.Errorf("run %d: run.yaml says that the model is from %q", i+1, got)
		}
		c.Records++
	}
}
