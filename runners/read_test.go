package runners

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Shards, in whatever order they are named, merge into what one run gives.
func TestShardsMergeIntoOneRun(t *testing.T) {
	c := small(t, Overrides{Models: []string{tinyS, tinyM}})
	single := t.TempDir()
	want := mustRun(t, c, Options{Dir: single}).Rows
	for _, n := range []int{2, 3, 17} { // of 16 records: one of 17 shards is empty
		parent := t.TempDir()
		var dirs []string
		for i := range n {
			dir := filepath.Join(parent, fmt.Sprint(i))
			mustRun(t, c, Options{Dir: dir, Shard: Shard{Index: i, Count: n}})
			dirs = append(dirs, dir)
		}
		slices.Reverse(dirs)
		got, p, err := ReadRuns(dirs)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, fmt.Sprintf("%d shards merged", n), want, got)

		// The merged folder is that of a run: the same files, and it can be run.
		merged := filepath.Join(parent, "merged")
		if err := WriteRun(merged, got, p); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(untimed(read(t, single, rowsFile)), untimed(read(t, merged, rowsFile))); diff != "" {
			t.Errorf("%d shards: rows.jsonl (-single +merged):\n%s", n, diff)
		}
		if diff := cmp.Diff(read(t, single, provenanceFile), read(t, merged, provenanceFile)); diff != "" {
			t.Errorf("%d shards: run.yaml (-single +merged):\n%s", n, diff)
		}
		before := read(t, merged, rowsFile)
		if result := mustRun(t, c, Options{Dir: merged}); result.Resumed != 16 {
			t.Errorf("%d shards: the merged run lacks %d records", n, 16-result.Resumed)
		}
		if diff := cmp.Diff(before, read(t, merged, rowsFile)); diff != "" {
			t.Errorf("%d shards: run again, rows.jsonl changed (-before +after):\n%s", n, diff)
		}
		// Merging again into the same folder is no error: more shards may have come.
		if err := WriteRun(merged, got, p); err != nil {
			t.Errorf("merged again: %v", err)
		}
	}
}

// Runs of other models and tasks stand in one table, in the order of a plan.
func TestRunsOfOtherModelsAndTasksMerge(t *testing.T) {
	whole := small(t, Overrides{Models: []string{tinyS, tinyM}})
	want := mustRun(t, whole, Options{Dir: t.TempDir()}).Rows
	var dirs []string
	for _, task := range whole.Tasks {
		for _, model := range whole.Models {
			c := *whole
			c.Tasks, c.Models = []string{task}, []string{model}
			dir := t.TempDir()
			mustRun(t, &c, Options{Dir: dir})
			dirs = append(dirs, dir)
		}
	}
	got, p, err := ReadRuns(dirs)
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, "four runs merged", want, got)
	if diff := cmp.Diff(*whole, p.Config, cmpopts.IgnoreFields(Config{}, "Variants")); diff != "" {
		t.Errorf("merged config (-want +got):\n%s", diff)
	}
	if len(p.Models) != 2 {
		t.Errorf("models %v", p.Models)
	}
}

// Of a run that was stopped whole records are read, whatever else stands there.
func TestReadOfAnUnfinishedRun(t *testing.T) {
	c := small(t, Overrides{})
	whole, dir := t.TempDir(), t.TempDir()
	want := mustRun(t, c, Options{Dir: whole}).Rows
	lines := strings.SplitAfter(read(t, whole, rowsFile), "\n")
	stopAfter(t, c, dir, 3)
	// The fourth record lacks a variant, the fifth is whole, the sixth half a line.
	torn := slices.Concat(lines[:13], lines[14:20])
	write(t, filepath.Join(dir, rowsFile), strings.Join(torn, "")+lines[20][:30])
	got, _, err := ReadRuns([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffRows(slices.Concat(want[:12], want[16:20]), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Written back as it was read, nothing is lost: a run takes the rest up again.
	_, p, err := ReadRuns([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteRun(dir, got, p); err != nil {
		t.Fatal(err)
	}
	if aside := strings.Count(read(t, dir, earlierFile), "\n"); aside != 3 {
		t.Errorf("%d rows are set aside, want 3", aside)
	}
	result := mustRun(t, c, Options{Dir: dir})
	sameRows(t, "completed", want, result.Rows)
	if result.Rows[12].Timing != want[12].Timing || result.Rows[13].Timing == want[13].Timing {
		t.Error("a row that was stored was run again, or one that was not was not")
	}
	if _, err := os.Stat(filepath.Join(dir, earlierFile)); err == nil {
		t.Errorf("%s is left, though all is taken up", earlierFile)
	}
}

func TestRunsThatCannotStandInOneTable(t *testing.T) {
	run := func(change func(*Config)) string {
		c := small(t, Overrides{Limit: 1, Set: []string{"context_lengths=[512]"}})
		change(c)
		dir := t.TempDir()
		mustRun(t, c, Options{Dir: dir})
		return dir
	}
	a := run(func(*Config) {})
	edited := func(old, new string) string {
		dir := run(func(c *Config) { c.Tasks = c.Tasks[1:] })
		path := filepath.Join(dir, provenanceFile)
		text := read(t, path)
		if !strings.Contains(text, old) {
			t.Fatalf("run.yaml holds no %q:\n%s", old, text)
		}
		write(t, path, strings.Replace(text, old, new, 1))
		return dir
	}
	otherRow := run(func(*Config) {})
	path := filepath.Join(otherRow, rowsFile)
	write(t, path, strings.Replace(read(t, path), `"score":`, `"score":0.123,"was":`, 1))
	for _, c := range []struct {
		what string
		dirs []string
		want []string
	}{
		{"none", nil, []string{"no run"}},
		{"no run", []string{t.TempDir()}, []string{provenanceFile}},
		{"a missing folder", []string{a, filepath.Join(a, "none")}, []string{"none"}},
		{"rows that differ", []string{a, otherRow}, []string{a, otherRow, "both hold task recall, record 0", "differ"}},
		{"other variants", []string{a, run(func(c *Config) { c.Variants = c.Variants[:2]; c.Tasks = c.Tasks[1:] })}, []string{a, "variants differ (no variant ", "refreekv diff"}},
		{"another protocol", []string{a, edited("protocol: standard", "protocol: paper")}, []string{"standard and paper", "refreekv diff"}},
		{"another dtype", []string{a, edited("dtype: float32", "dtype: int8")}, []string{"float32 and int8", "refreekv diff"}},
		{"isolated", []string{a, edited("config:\n", "config:\n  isolated: 3\n")}, []string{"isolated 0 and 3 times", "refreekv diff"}},
		{"fixed lengths", []string{a, edited("config:\n", "config:\n  new_tokens: 7\n")}, []string{"0 and 7 tokens (new_tokens", "refreekv diff"}},
		{"fidelity", []string{a, run(func(c *Config) { none := 0; c.Fidelity, c.Tasks = &none, c.Tasks[1:] })}, []string{"fidelity is measured on", "and 0 tokens", "refreekv diff"}},
		{"rows of another version", []string{a, edited("rows_version: ", "rows_version: 9")}, []string{"rows_version", "run command again"}},
		{"other weights", []string{a, edited("weights_sha256: ", "weights_sha256: 0")}, []string{tinyS, "other weights", "refreekv diff"}},
		{"other weights than the second", []string{run(func(c *Config) { c.Models = []string{tinyM} }), a, edited("weights_sha256: ", "weights_sha256: 0")}, []string{"other weights"}},
		{"another config", []string{a, edited("config_sha256: ", "config_sha256: 0")}, []string{"has another config.json;", "refreekv diff"}},
		{"another tokenizer", []string{a, edited("tokenizer_sha256: ", "tokenizer_sha256: 0")}, []string{"has another tokenizer;", "refreekv diff"}},
		{"another task definition", []string{a, edited("task_sha256:\n  own: ", "task_sha256:\n  own: 0")}, []string{"definition of task own", "refreekv diff"}},
		{"run.yaml of something else", []string{edited("config:", "konfig:")}, []string{provenanceFile, "konfig"}},
	} {
		_, _, err := ReadRuns(c.dirs)
		if err == nil {
			t.Errorf("%s: no error", c.what)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: the error lacks %q: %v", c.what, want, err)
			}
		}
	}
}

// What one model has that another of its name has not.
func TestOtherModelOfTheName(t *testing.T) {
	of := func(change func(*ModelFacts)) ModelFacts {
		f := ModelFacts{Weights: "w", Config: "c", Tokenizer: "t", Template: "p"}
		change(&f)
		return f
	}
	one := of(func(*ModelFacts) {})
	for _, c := range []struct {
		name  string
		other ModelFacts
		want  []string
	}{
		{"the same", of(func(f *ModelFacts) { f.Source = "elsewhere" }), nil},
		{"weights", of(func(f *ModelFacts) { f.Weights = "x" }), []string{"other weights"}},
		{"config", of(func(f *ModelFacts) { f.Config = "x" }), []string{"another config.json"}},
		{"config not told", of(func(f *ModelFacts) { f.Config = "" }), nil},
		{"tokenizer", of(func(f *ModelFacts) { f.Tokenizer = "x" }), []string{"another tokenizer"}},
		{"template", of(func(f *ModelFacts) { f.Template, f.Tokenizer = "x", "x" }), []string{"another chat template, perhaps another tokenizer"}},
		{"template not told", of(func(f *ModelFacts) { f.Template = "" }), nil},
		{"two", of(func(f *ModelFacts) { f.Weights, f.Config = "x", "x" }), []string{"other weights", "another config.json"}},
	} {
		if diff := cmp.Diff(c.want, one.others(c.other)); diff != "" || one.same(c.other) != (c.want == nil) {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A table of rows of which some have no texts has rows without texts.
func TestTextsLeftOutStayLeftOut(t *testing.T) {
	c := small(t, Overrides{Models: []string{tinyS, tinyM}, Limit: 1})
	var dirs []string
	for _, model := range c.Models {
		one := *c
		one.Models = []string{model}
		dirs = append(dirs, t.TempDir())
		mustRun(t, &one, Options{Dir: dirs[len(dirs)-1]})
	}
	got, p, err := ReadRuns(dirs[1:])
	if err != nil {
		t.Fatal(err)
	}
	got, p = WithoutTexts(got, p)
	bare := t.TempDir()
	if err := WriteRun(bare, got, p); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadRuns([]string{dirs[1], bare}); err == nil || !strings.Contains(err.Error(), "without its texts; name only one") {
		t.Errorf("the same rows with texts and without: %v", err)
	}
	for _, order := range [][]string{{dirs[0], bare}, {bare, dirs[0]}} {
		if _, p, err := ReadRuns(order); err != nil || !p.NoTexts {
			t.Errorf("error %v, run.yaml tells of it: %v", err, err == nil && p.NoTexts)
		}
	}
}

// Records that several runs hold alike count once.
func TestTheSameRowsTwice(t *testing.T) {
	c := small(t, Overrides{})
	whole, again, part := t.TempDir(), t.TempDir(), t.TempDir()
	want := mustRun(t, c, Options{Dir: whole}).Rows
	mustRun(t, c, Options{Dir: again})
	mustRun(t, c, Options{Dir: part, Shard: Shard{Index: 1, Count: 3}})
	for _, dirs := range [][]string{{whole, whole}, {whole, again}, {whole, part}, {part, whole, again}} {
		got, _, err := ReadRuns(dirs)
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, strings.Join(dirs, ", "), want, got)
	}
	got, _, err := ReadRuns([]string{whole, again})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Timing != want[i].Timing {
			t.Fatal("the times are not those of the first run")
		}
	}
}

// Nothing that was computed is lost to a merge.
func TestWriteRunKeepsWhatIsThere(t *testing.T) {
	c := small(t, Overrides{})
	full, part := t.TempDir(), t.TempDir()
	mustRun(t, c, Options{Dir: full})
	mustRun(t, c, Options{Dir: part, Shard: Shard{Index: 0, Count: 2}})
	got, p, err := ReadRuns([]string{part})
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, full)
	if err := WriteRun(full, got, p); err == nil || !strings.Contains(err.Error(), "the merged runs lack") {
		t.Errorf("half a run over a whole one: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, full)); diff != "" {
		t.Errorf("the folder was changed (-before +after):\n%s", diff)
	}
	other := t.TempDir()
	write(t, filepath.Join(other, rowsFile), "no rows\n")
	if err := WriteRun(other, got, p); err == nil || !strings.Contains(err.Error(), "no row") {
		t.Errorf("over a file of something else: %v", err)
	}
	if read(t, other, rowsFile) != "no rows\n" {
		t.Error("the file was changed")
	}
	if _, err := os.Stat(filepath.Join(other, provenanceFile)); err == nil {
		t.Error("run.yaml was written beside it")
	}
}
