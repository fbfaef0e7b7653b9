package runners

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rows.parquet is read by DuckDB and by pandas, value for value what rows.jsonl
// holds. REFREEKV_PYTHON is a Python that has both, and pyarrow.
func TestParquetInOtherReaders(t *testing.T) {
	python := cmp.Or(os.Getenv("REFREEKV_PYTHON"), "python3")
	if _, err := exec.LookPath(python); err != nil {
		t.Skipf("no Python: %v", err)
	}
	data := t.TempDir()
	write(t, filepath.Join(data, "own.jsonl"), `{"id": "żółć/🦜", "q": "ab12 cd34\ncd", "a": "34"}
{"id": "too long", "q": "`+strings.Repeat("ab12 ", 300)+`\nab", "a": "12"}
{"id": "last", "q": "cd34 \u2028 日本語\ncd", "a": "34"}
`)
	task := filepath.Join(data, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(data, "own.jsonl")+"\nprompt: \"{q}\"\nanswers: a\nchat: false\ntruncate: never\nmax_new_tokens: 3\nmetric: exact\n")
	dir := t.TempDir()
	result := mustRun(t, small(t, Overrides{Models: []string{tinyS, tinyM}, Tasks: []string{"recall", task}, Limit: 3, Set: []string{"context_lengths=[512]"}}), Options{Dir: dir})
	if result.Errors != 8 || len(result.Rows) != 2*2*3*4 {
		t.Fatalf("%d rows, %d errors", len(result.Rows), result.Errors)
	}
	out, err := exec.Command(python, "testdata/read_parquet.py", dir).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 77 {
		t.Skipf("%s: %s", python, strings.TrimSpace(string(out)))
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if want := "48 rows, 8 of them without fidelity\n"; string(out) != want {
		t.Errorf("it says %q, want %q", out, want)
	}
}
