package runners

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
	"refreekv/pruners"
	"refreekv/runners/rows"
)

// Another variant costs its own rows and no more: records are prefilled once
// more, and what is stored stays to the byte.
func TestAddedVariant(t *testing.T) {
	o := Overrides{Variants: []string{"full", "h2o budget=0.2"}, Set: []string{"context_lengths=[512]"}}
	dir := t.TempDir()
	mustRun(t, small(t, o), Options{Dir: dir})
	before := strings.SplitAfter(read(t, dir, rowsFile), "\n")

	o.Variants = []string{"full", "snapkv budget=0.5", "h2o budget=0.2"}
	c := small(t, o)
	// Stopped after the first record, no table shows the new variant beside
	// records that lack it.
	stopAfter(t, c, dir, 1)
	if got, _, err := ReadRuns([]string{dir}); err != nil || len(got) != 3 || got[1].Variant != "snapkv budget=0.5" {
		t.Errorf("stopped after a record: %d rows (%v), want the 3 of that record", len(got), err)
	}
	var notices []string
	var last Update
	result := mustRun(t, c, Options{Dir: dir, Progress: func(u Update) { last = u }, Notice: func(s string) { notices = append(notices, s) }})
	if want := "resuming: 1 of 4 records are stored, 3 more in part"; notices[0] != want || result.Resumed != 1 {
		t.Errorf("%d resumed, notices %q, want first %q", result.Resumed, notices, want)
	}
	undisturbed := mustRun(t, c, Options{Dir: t.TempDir()})
	sameRows(t, "with a variant added", undisturbed.Rows, result.Rows)

	var old []string
	computed := 0 // prompt and generated tokens of what was run: snapkv on three records
	for i, line := range strings.SplitAfter(strings.TrimSuffix(read(t, dir, rowsFile), "\n"), "\n") {
		row := result.Rows[i]
		if row.Variant != "snapkv budget=0.5" {
			old = append(old, strings.TrimSuffix(line, "\n")+"\n")
			continue
		}
		if i > 3 {
			computed += row.PromptTokens - row.Timing.Shared + len(row.Tokens)
		}
	}
	if diff := cmp.Diff(strings.Join(before, ""), strings.Join(old, "")); diff != "" {
		t.Errorf("rows of the other variants (-before +after):\n%s", diff)
	}
	if last.Tokens != computed {
		t.Errorf("%d tokens were computed, want %d", last.Tokens, computed)
	}
}

// stockRun is a run whose every input a test may change.
type stockRun struct {
	config *Config
	model  string // its folder
	task   string // folder of the own task and its data
}

func newStockRun(t *testing.T) stockRun {
	s := stockRun{model: filepath.Join(t.TempDir(), "m")}
	copyModel(t, s.model)
	s.config = small(t, Overrides{Models: []string{s.model}, Set: []string{"context_lengths=[512]"}, Variants: []string{"full", "snapkv budget=0.5"}})
	s.task = filepath.Dir(s.config.Tasks[1])
	return s
}

// replace changes a file in place.
func replace(t *testing.T, path, old, new string) {
	t.Helper()
	text := read(t, path)
	if !strings.Contains(text, old) {
		t.Fatalf("%s holds no %q", path, old)
	}
	write(t, path, strings.Replace(text, old, new, 1))
}

// A changed setting runs exactly the rows again that it changed. The rows are
// those of a new run, what left is set aside, and changed back it needs no run.
func TestChangedSettings(t *testing.T) {
	all := func(rows.Row) bool { return true }
	none := func(rows.Row) bool { return false }
	own := func(r rows.Row) bool { return r.Task == "own" }
	for name, c := range map[string]struct {
		change func(t *testing.T, s *stockRun)
		again  func(rows.Row) bool // rows that are run
		told   string
	}{
		"nothing":      {func(*testing.T, *stockRun) {}, none, "resuming: 4 of 4"},
		"variant gone": {func(_ *testing.T, s *stockRun) { s.config.Variants = s.config.Variants[1:] }, none, "no variant full"},
		"variant changed": {func(t *testing.T, s *stockRun) {
			s.config.Variants = slices.Concat(s.config.Variants[:1], small(t, Overrides{Variants: []string{"snapkv budget=0.4"}}).Variants)
		}, func(r rows.Row) bool { return r.Pruner == "snapkv" }, "new variant snapkv budget=0.4; no variant snapkv budget=0.5"},
		"variant written otherwise": {func(t *testing.T, s *stockRun) {
			s.config.Variants = slices.Concat(s.config.Variants[:1], small(t, Overrides{Variants: []string{"snapkv heads=query budget=0.50"}}).Variants)
		}, none, ""},
		"variants in another order": {func(_ *testing.T, s *stockRun) {
			s.config.Variants = []pruners.Spec{s.config.Variants[1], s.config.Variants[0]}
		}, none, ""},
		"protocol":                           {func(_ *testing.T, s *stockRun) { s.config.Protocol = "standard+chat" }, all, "protocol (standard, now standard+chat)"},
		"one fidelity":                       {func(_ *testing.T, s *stockRun) { *s.config.Fidelity = 3 }, all, "fidelity (64, now 3)"},
		"dtype":                              {func(_ *testing.T, s *stockRun) { s.config.DType = "int8" }, all, "dtype (float32, now int8)"},
		"isolated":                           {func(_ *testing.T, s *stockRun) { s.config.Isolated = 1 }, all, "isolated (0, now 1)"},
		"new tokens":                         {func(_ *testing.T, s *stockRun) { s.config.NewTokens = 5 }, all, "new_tokens (0, now 5)"},
		"a task gone":                        {func(_ *testing.T, s *stockRun) { s.config.Tasks = s.config.Tasks[1:] }, none, ""},
		"fewer records":                      {func(_ *testing.T, s *stockRun) { s.config.Records = 1 }, none, ""},
		"more records":                       {func(_ *testing.T, s *stockRun) { s.config.Records = 3 }, func(r rows.Row) bool { return r.Index == 2 }, "resuming: 4 of 6"},
		"a context length that cuts nothing": {func(_ *testing.T, s *stockRun) { s.config.ContextLengths = []int{600} }, none, "new context length 600"},
		"a context length that cuts": {func(_ *testing.T, s *stockRun) { s.config.ContextLengths = []int{24} },
			func(r rows.Row) bool { return r.Task == "recall" }, "no context length 512"},
		"generation length": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.task, "own.yaml"), "max_new_tokens: 3", "max_new_tokens: 4")
		}, own, "definition of task own"},
		"metric": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.task, "own.yaml"), "metric: exact", "metric: contains")
		}, own, "definition of task own"},
		"a task's comment": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.task, "own.yaml"), "about: own records", "about: records of our own # and nobody's")
		}, none, ""},
		"a record's answer": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.task, "own.jsonl"), `"a": "78"`, `"a": "79"`)
		}, func(r rows.Row) bool { return r.Record == "two" }, "3 of 4"},
		"weights": {func(t *testing.T, s *stockRun) {
			flipLastByte(t, filepath.Join(s.model, "model.safetensors"))
		}, all, "other weights"},
		"tokenizer": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.model, "tokenizer.json"), "{", "{ ")
		}, all, "other weights, tokenizer"},
		"config": {func(t *testing.T, s *stockRun) {
			replace(t, filepath.Join(s.model, "config.json"), "{", "{ ")
		}, all, "other weights, tokenizer or config"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStockRun(t)
			dir := t.TempDir()
			first := mustRun(t, s.config, Options{Dir: dir})
			before := read(t, dir, rowsFile)
			measured := map[rows.Timing]bool{}
			for _, row := range first.Rows {
				measured[row.Timing] = true
			}

			changed := s
			config := *s.config
			usual := config.fidelity()
			config.Fidelity = &usual
			changed.config = &config
			files := snapshots(t, s)
			c.change(t, &changed)
			var notices []string
			result := mustRun(t, changed.config, Options{Dir: dir, Notice: func(s string) { notices = append(notices, s) }})
			if !strings.Contains(strings.Join(notices, "\n"), c.told) {
				t.Errorf("notices %q, want %q", notices, c.told)
			}
			sameRows(t, "as a new run", mustRun(t, changed.config, Options{Dir: t.TempDir()}).Rows, result.Rows)
			for _, row := range result.Rows {
				if again := !measured[row.Timing]; again != c.again(row) {
					t.Errorf("task %s, record %s, %s: run again: %v", row.Task, row.Record, row.Variant, again)
				}
			}
			// What the tables are made of is the same in all places, and of one experiment.
			read1, p, err := ReadRuns([]string{dir})
			if err != nil {
				t.Fatal(err)
			}
			if diff := diffRows(result.Rows, read1); diff != "" {
				t.Errorf("rows.jsonl (-result +read):\n%s", diff)
			}
			if parquet, err := rows.ReadParquet(filepath.Join(dir, parquetFile)); err != nil || diffRows(result.Rows, parquet) != "" {
				t.Errorf("rows.parquet differs (%v)", err)
			}
			if diff := cmp.Diff(labels(changed.config), p.Variants); diff != "" {
				t.Errorf("variants of run.yaml (-want +got):\n%s", diff)
			}
			gone := 0
			for _, row := range first.Rows {
				if !slices.ContainsFunc(result.Rows, func(r rows.Row) bool { return r.Inputs == row.Inputs }) {
					gone++
				}
			}
			aside, err := rows.ReadEarlier(filepath.Join(dir, earlierFile))
			if err != nil || len(aside) != gone {
				t.Errorf("%d rows are set aside (%v), want %d", len(aside), err, gone)
			}
			told := slices.ContainsFunc(notices, func(s string) bool {
				return s == "set aside in earlier.jsonl, since the experiment does not ask for them now: "+counted(gone, "row")
			})
			if told != (gone > 0) {
				t.Errorf("notices %q, %d rows are set aside", notices, gone)
			}

			files.restore(t)
			mustRun(t, s.config, Options{Dir: dir, Progress: func(u Update) { t.Errorf("changed back, told %+v", u) }})
			if diff := cmp.Diff(before, read(t, dir, rowsFile)); diff != "" {
				t.Errorf("changed back (-before +after):\n%s", diff)
			}
		})
	}
}

// snapshots are the contents of a run's files.
type fileSnapshots map[string]string

func snapshots(t *testing.T, s stockRun) fileSnapshots {
	out := fileSnapshots(snapshot(t, s.model))
	maps.Copy(out, snapshot(t, s.task))
	return out
}

func (f fileSnapshots) restore(t *testing.T) {
	for path, text := range f {
		write(t, path, text)
	}
}

// A run that was scored again with another definition of a task has scores that
// its rows' inputs do not speak of: taken up, they are computed anew.
func TestScoredAgain(t *testing.T) {
	s := newStockRun(t)
	s.config.Tasks = s.config.Tasks[1:]
	dir, task := t.TempDir(), filepath.Join(s.task, "own.yaml")
	replace(t, task, `"{q}\n"`, `"{q}"`) // which the model can answer
	mustRun(t, s.config, Options{Dir: dir})
	before, files := read(t, dir, rowsFile), snapshots(t, s)
	rescore := func() {
		t.Helper()
		if _, _, _, err := Rescore(t.Context(), dir, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	replace(t, task, "answers: a", "answers: id") // which no text equals
	rescore()
	scoring := func() *Scoring {
		t.Helper()
		_, p, err := ReadRuns([]string{dir})
		if err != nil {
			t.Fatal(err)
		}
		return p.Scoring
	}
	if read(t, dir, rowsFile) == before || scoring() == nil {
		t.Fatal("scoring again changed nothing")
	}
	files.restore(t)
	mustRun(t, s.config, Options{Dir: dir, Progress: func(u Update) { t.Errorf("told %+v", u) }})
	if diff := cmp.Diff(before, read(t, dir, rowsFile)); diff != "" {
		t.Errorf("with the task as it was (-before +after):\n%s", diff)
	}
	if again := scoring(); again != nil {
		t.Errorf("run.yaml still says that scores are from %+v", again)
	}
	// Scored again by the run's own definition, run.yaml keeps saying so.
	rescore()
	mustRun(t, s.config, Options{Dir: dir})
	if scoring() == nil || read(t, dir, rowsFile) != before {
		t.Error("scores of the run's own definition were lost")
	}
}

// refuser is a pruner that some records are too long for.
type refuser struct{ pruners.Pruner }

func (r refuser) Select(p *model.Prefix) (model.Keep, error) {
	if p.Len() > 50 {
		return nil, errors.New("more than 50 tokens")
	}
	return r.Pruner.Select(p)
}

// A variant that fails on a record fails alone, isolated or not: the others' rows
// are those of a run without it.
func TestVariantFailsAlone(t *testing.T) {
	for _, isolated := range []string{"isolated=0", "isolated=1"} {
		o := Overrides{Set: []string{"context_lengths=[512]", isolated}}
		want := mustRun(t, small(t, o), Options{Dir: t.TempDir()})
		c := small(t, o)
		p, err := NewPlan(t.Context(), c, Shard{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Variants[2].Pruner = refuser{p.Variants[2].Pruner}
		got, err := p.run(t.Context(), Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for i, row := range want.Rows {
			if i%4 == 2 && row.PromptTokens > 50 {
				failed++
				got := got.Rows[i]
				if got.Error != "more than 50 tokens" || got.Budget != 0 || got.Kept != nil || got.Text != "" || got.Inputs != row.Inputs || got.Timing != (rows.Timing{}) {
					t.Errorf("row %d: %+v", i, got)
				}
				want.Rows[i] = got
			}
		}
		if failed == 0 || got.Errors != failed {
			t.Errorf("%d errors, want %d", got.Errors, failed)
		}
		sameRows(t, isolated, want.Rows, got.Rows)
	}
}

// What a killed run was just writing under another name goes; nothing else does.
func TestTemporaryFilesGo(t *testing.T) {
	c, dir := small(t, Overrides{Limit: 1}), t.TempDir()
	for _, name := range []string{".rows.jsonl123", ".rows.parquet4", ".run.yaml99", ".earlier.jsonl1", ".rows.jsonl", ".rowsxjsonl1", ".rows.jsonl12.mine", "rows.jsonl1"} {
		write(t, filepath.Join(dir, name), name)
	}
	mustRun(t, c, Options{Dir: dir})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".lock", ".rows.jsonl", ".rows.jsonl12.mine", ".rowsxjsonl1", "rows.jsonl", "rows.jsonl1", "rows.parquet", "run.yaml"}; !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}
