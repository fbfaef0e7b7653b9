package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildExample adds the method of docs/new-pruner.md to a copy of the program, as
// its blocks say, runs its test and returns the folder of the program.
func buildExample(t *testing.T, blocks []codeBlock) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("building the example needs the go command: ", err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	replace := map[string]string{}
	file := func(name, text string) {
		copied := filepath.Join(dir, filepath.Base(name))
		write(t, copied, text)
		replace[filepath.Join(top, name)] = copied
	}
	lines := 0
	for _, b := range blocks {
		name, text, _ := strings.Cut(strings.TrimPrefix(b.text, "// "), "\n")
		switch {
		case b.language != "go":
		case name == "pruners/registry.go, at the end of scorers":
			file("pruners/registry.go", withScorer(t, filepath.Join(top, "pruners", "registry.go"), text))
			lines += strings.Count(text, "\n")
		case strings.HasPrefix(name, "pruners/") && strings.HasSuffix(name, ".go"):
			file(name, text)
			if !strings.HasSuffix(name, "_test.go") {
				lines += strings.Count(text, "\n")
			}
		default:
			t.Fatalf("a block of code does not say which file it is: %q", name)
		}
	}
	if len(replace) != 3 || lines >= 60 {
		t.Fatalf("%d files and %d lines of the method, want 3 and fewer than 60", len(replace), lines)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	write(t, overlayFile, string(overlay))
	bin := filepath.Join(dir, "bin")
	for _, args := range [][]string{
		{"build", "-overlay", overlayFile, "-o", filepath.Join(bin, "refreekv"), "./cmd/refreekv"},
		{"test", "-overlay", overlayFile, "./pruners", "-run", "^(TestLastOutputByHand|TestList|TestRoundTrip|TestLabelsDiffer)$"},
	} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests to run") {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return bin
}

// withScorer is the registry with a row at the end of scorers.
func withScorer(t *testing.T, path, row string) string {
	t.Helper()
	registry, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(registry), "var scorers = []method{\n")
	if !ok {
		t.Fatal("registry.go has no list of scorers")
	}
	rows, rest, _ := strings.Cut(after, "\n}\n")
	return before + "var scorers = []method{\n" + rows + "\n" + row + "}\n" + rest
}
