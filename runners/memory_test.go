package runners

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"refreekv/model"
)

// A record that does not fit fails alone, with an error that says what it needs;
// the others run.
func TestMemory(t *testing.T) {
	m, err := model.Open(tinyS)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "own.jsonl"), `{"id": "short", "q": "ab12\nab", "a": "12"}
{"id": "long", "q": "`+strings.Repeat("ab12 ", 150)+`\nab", "a": "12"}
{"id": "last", "q": "cd34\ncd", "a": "34"}
`)
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nfields: {q: q}\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
	o := Overrides{Tasks: []string{task}, Limit: 9, Set: []string{"context_lengths=[900]"}}
	enough := m.WeightBytes() + m.Config.RecordBytes(300, model.Needs{LastRows: 8}, 4, 3)
	run := filepath.Join(t.TempDir(), "run")
	result := mustRun(t, small(t, o), Options{Dir: run, Memory: enough})
	for _, row := range result.Rows {
		failed := row.Error != ""
		if failed != (row.Record == "long") {
			t.Errorf("record %s, %s: error %q", row.Record, row.Variant, row.Error)
		}
		if failed && !(strings.Contains(row.Error, "--memory") && strings.Contains(row.Error, "MB")) {
			t.Errorf("error %q", row.Error)
		}
	}
	if result.Errors != 4 || len(result.Rows) != 12 {
		t.Errorf("%d rows, %d errors; want 12 and 4", len(result.Rows), result.Errors)
	}
	// With more memory that record is run, and no other.
	again := mustRun(t, small(t, o), Options{Dir: run})
	if again.Resumed != 2 || again.Errors != 0 {
		t.Errorf("with more memory: %d resumed, %d errors", again.Resumed, again.Errors)
	}
	sameRows(t, "with more memory", mustRun(t, small(t, o), Options{Dir: t.TempDir()}).Rows, again.Rows)
	if _, err := os.Stat(filepath.Join(run, earlierFile)); err == nil {
		t.Error("errors were set aside")
	}
}
