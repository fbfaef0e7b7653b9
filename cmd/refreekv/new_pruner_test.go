package main

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the outputs in the documents anew")

// A codeBlock is a fenced block of a document.
type codeBlock struct {
	language, text string
	from, to       int // of the text in the document
}

func codeBlocks(document string) []codeBlock {
	var out []codeBlock
	at := 0
	for {
		open := strings.Index(document[at:], "```")
		if open < 0 {
			return out
		}
		language, _, _ := strings.Cut(document[at+open+3:], "\n")
		from := at + open + 3 + len(language) + 1
		size := strings.Index(document[from:], "```")
		if size < 0 {
			return out
		}
		out = append(out, codeBlock{language, document[from : from+size], from, from + size})
		at = from + size + 3
	}
}

// The method that docs/new-pruner.md adds is added to a copy of the program, as
// the document says; every command of it then prints what it says.
func TestNewPrunerDocument(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("building the example needs the go command: ", err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "docs", "new-pruner.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	document, dir := string(raw), t.TempDir()
	replace := map[string]string{}
	file := func(name, text string) {
		copied := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, name)] = copied
	}
	lines := 0
	for _, b := range codeBlocks(document) {
		name, text, _ := strings.Cut(strings.TrimPrefix(b.text, "// "), "\n")
		switch {
		case b.language != "go":
		case name == "pruners/registry.go, at the end of scorers":
			registry, err := os.ReadFile(filepath.Join(root, "pruners", "registry.go"))
			if err != nil {
				t.Fatal(err)
			}
			before, after, ok := strings.Cut(string(registry), "var scorers = []method{\n")
			if !ok {
				t.Fatal("registry.go has no list of scorers")
			}
			rows, rest, _ := strings.Cut(after, "\n}\n")
			file("pruners/registry.go", before+"var scorers = []method{\n"+rows+"\n"+text+"}\n"+rest)
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
	if err := os.WriteFile(overlayFile, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	goCommand := func(args ...string) {
		t.Helper()
		cmd := exec.Command(tool, args...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		} else if strings.Contains(string(out), "no tests to run") {
			t.Fatalf("go %s: %s", strings.Join(args, " "), out)
		}
	}
	goCommand("build", "-overlay", overlayFile, "-o", filepath.Join(dir, "refreekv"), "./cmd/refreekv")
	goCommand("test", "-overlay", overlayFile, "./pruners", "-run", "^(TestLastOutputByHand|TestList|TestRoundTrip|TestLabelsDiffer)$")

	// The commands are run in a folder of their own, beside the models.
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "model"), filepath.Join(work, "model")); err != nil {
		t.Fatal(err)
	}
	updated, done := "", 0
	blocks := codeBlocks(document)
	for i, b := range blocks {
		if b.language != "sh" {
			continue
		}
		if i+1 == len(blocks) || blocks[i+1].language != "text" {
			t.Fatalf("the document does not say what this prints: %s", b.text)
		}
		cmd := exec.Command("sh", "-ec", b.text)
		cmd.Dir = work
		cmd.Env = append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s%v\n%s", b.text, err, stderr.String())
		}
		want := blocks[i+1]
		if diff := cmp.Diff(want.text, string(got)); diff != "" && !*update {
			t.Errorf("%sprints something else; if that is right, go test ./cmd/refreekv -run TestNewPrunerDocument -update (-document +got):\n%s", b.text, diff)
		}
		updated += document[done:want.from] + string(got)
		done = want.to
	}
	if done == 0 {
		t.Error("the document holds no command")
	}
	if *update {
		if err := os.WriteFile(path, []byte(updated+document[done:]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
