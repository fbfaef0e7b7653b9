package runners

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// Rows tell the model's size and the record's place in its grid, and rows of a
// version that did not tell are completed without being run again.
func TestRowsTellSizeAndPlace(t *testing.T) {
	c := small(t, Overrides{Tasks: []string{"needle_grid length=300,400 depth=0,1"}, Variants: []string{"full"}, Set: []string{"context_lengths=[512]"}, Limit: 4})
	dir := t.TempDir()
	first := mustRun(t, c, Options{Dir: dir})
	described, err := model.Describe(t.Context(), c.Models[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	var places []map[string]float64
	for _, row := range first.Rows {
		places = append(places, row.Labels)
		if row.Parameters != described.Parameters {
			t.Errorf("%s: %d parameters, want %d", row.Record, row.Parameters, described.Parameters)
		}
	}
	want := []map[string]float64{{"target_length": 300, "depth": 0}, {"target_length": 300, "depth": 1}, {"target_length": 400, "depth": 0}, {"target_length": 400, "depth": 1}}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	p, err := ReadProvenance(dir)
	if err != nil || p.Models[c.Models[0]].Parameters != first.Rows[0].Parameters {
		t.Errorf("run.yaml tells of %d parameters, the rows of %d (%v)", p.Models[c.Models[0]].Parameters, first.Rows[0].Parameters, err)
	}
	path := filepath.Join(dir, rowsFile)
	old := regexp.MustCompile(`"(parameters":\d+|labels":\{[^}]*\}),`).ReplaceAllString(read(t, path), "")
	if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
		t.Fatal(err)
	}
	again := mustRun(t, c, Options{Dir: dir})
	if again.Resumed != 4 || old == read(t, path) {
		t.Errorf("%d records were found stored, want 4; completed: %v", again.Resumed, old != read(t, path))
	}
	if diff := cmp.Diff(first.Rows, again.Rows); diff != "" {
		t.Errorf("completed rows (-want +got):\n%s", diff)
	}
}
