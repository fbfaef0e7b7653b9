package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/tasks"
)

// What docs/new-task.md tells a user to write and to run works, and prints what
// the document says.
func TestNewTaskDocument(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "docs", "new-task.md"))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "model"), filepath.Join(work, "model")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REFREEKV_DATA", "")
	t.Setenv("REFREEKV_CACHE", filepath.Join(work, ".cache"))
	blocks := codeBlocks(string(raw))
	ran, compared := 0, 0
	for i, b := range blocks {
		language, name, _ := strings.Cut(b.language, " ")
		switch {
		case name != "":
			if err := os.WriteFile(filepath.Join(work, name), []byte(b.text), 0o644); err != nil {
				t.Fatal(err)
			}
		case language == "sh":
			ran++
			cmd := exec.Command("sh", "-ec", b.text)
			cmd.Dir = work
			var stderr strings.Builder
			cmd.Stderr = &stderr
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s%v\n%s", b.text, err, stderr.String())
			}
			if i+1 < len(blocks) && blocks[i+1].language == "text" {
				compared++
				if diff := cmp.Diff(blocks[i+1].text, string(got)); diff != "" {
					t.Errorf("%sprints something else (-document +got):\n%s", b.text, diff)
				}
			}
		case language != "text":
			t.Errorf("a block of %q does not say which file it is: %s", language, b.text)
		}
	}
	if ran != 7 || compared != 5 {
		t.Errorf("%d commands were run, the output of %d was compared", ran, compared)
	}
	for _, setting := range tasks.Switches() {
		if !strings.Contains(string(raw), "\n| `"+setting+"` | ") {
			t.Errorf("the table of settings lacks %s", setting)
		}
	}
}
