package runners

import (
	"path/filepath"
	"strings"
	"testing"

	"refreekv/model/tensor"
)

// Rows tell which programs computed them, and in what these differ is told where
// it matters to what is averaged.
func TestMixed(t *testing.T) {
	run := func(dir, old, new string, shards ...Shard) string {
		t.Helper()
		c := small(t, Overrides{Limit: 2, Set: []string{"context_lengths=[512]"}, Variants: []string{"full"}, Tasks: []string{"recall"}})
		for _, shard := range append(shards, Shard{}) {
			mustRun(t, c, Options{Dir: dir, Shard: shard})
			if shard == (Shard{}) {
				break
			}
			path := filepath.Join(dir, provenanceFile)
			text := read(t, path)
			if !strings.Contains(text, old) {
				t.Fatalf("run.yaml holds no %q:\n%s", old, text)
			}
			write(t, path, strings.Replace(text, old, new, 1))
		}
		return dir
	}
	version, kernels := "version: "+Version(), "kernels: "+tensor.Level()
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":  {version, version, ""},
		"version":  {version, "version: v0.1.0", "version v0.1.0 and "},
		"kernels":  {kernels, "kernels: neon", "kernels neon and "},
		"Go":       {"go: go", "go: go0", "Go go0"},
		"threads":  {"threads: ", "threads: 9", ""},
		"earlier":  {"cpu: ", "cpu: \"\" #", ""},
		"a letter": {"cpu: ", "cpu: x", ""},
	} {
		// The first record by one program, the second by another.
		dir := run(t.TempDir(), c.old, c.new, Shard{Index: 0, Count: 2})
		_, resumed, err := ReadRuns([]string{dir})
		if err != nil {
			t.Fatal(err)
		}
		// The same in two folders.
		first, second := t.TempDir(), run(t.TempDir(), "", "")
		mustRun(t, small(t, Overrides{Limit: 2, Set: []string{"context_lengths=[512]"}, Variants: []string{"full"}, Tasks: []string{"recall"}}), Options{Dir: first, Shard: Shard{Index: 0, Count: 2}})
		path := filepath.Join(first, provenanceFile)
		write(t, path, strings.Replace(read(t, path), c.old, c.new, 1))
		all, merged, err := ReadRuns([]string{first, second})
		if err != nil || len(all) != 2 {
			t.Fatalf("%s: %d rows, %v", name, len(all), err)
		}
		for how, p := range map[string]*Provenance{"resumed": resumed, "merged": merged} {
			if also := 1; c.old != c.new && len(p.Also) != also || c.old == c.new && len(p.Also) != 0 {
				t.Errorf("%s, %s: programs %+v", name, how, p.programs())
			}
			got := ""
			if err := p.Mixed(); err != nil {
				got = err.Error()
			}
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) || got != "" && !strings.Contains(got, "--mixed") {
				t.Errorf("%s, %s: %q, want %q", name, how, got, c.want)
			}
			p.Config.Isolated = 1
			if isolated := p.Mixed() != nil; isolated != (c.want != "" || name == "threads" || name == "a letter") {
				t.Errorf("%s, %s, isolated: %v", name, how, p.Mixed())
			}
		}
	}
}

// What makes a row's origin stands in run.yaml.
func TestProvenance(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, small(t, Overrides{Models: []string{tinyM}, Limit: 1}), Options{Dir: dir})
	p, err := ReadProvenance(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := p.Models[tinyM]
	for name, value := range map[string]string{
		"weights": m.Weights, "config": m.Config, "tokenizer": m.Tokenizer, "chat template": m.Template,
		"task recall": p.Tasks["recall"], "task own": p.Tasks["own"],
	} {
		if len(value) != 64 {
			t.Errorf("%s: %q is no SHA-256", name, value)
		}
	}
	g := p.Program
	if g.Version == "" || g.Go == "" || g.CPU == "" || g.Kernels == "" || g.Threads != tensor.Threads() || g.Rows != rowsVersion || p.Config.Protocol == "" {
		t.Errorf("%+v, protocol %q", g, p.Config.Protocol)
	}
}

// A run's rows are the same, to the bit, on any number of threads.
func TestThreads(t *testing.T) {
	before := tensor.Threads()
	defer tensor.SetThreads(before)
	tensor.SetThreads(1)
	c := small(t, Overrides{Models: []string{tinyS, tinyM}})
	want := mustRun(t, c, Options{Dir: t.TempDir()}).Rows
	for _, n := range []int{2, 3, 7} {
		tensor.SetThreads(n)
		got := mustRun(t, c, Options{Dir: t.TempDir()}).Rows
		sameRows(t, "another number of threads", want, got)
	}
}
