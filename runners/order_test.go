package runners

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/runners/rows"
	"refreekv/tasks"
)

// Questions on common texts are run one after the other and share its prefill;
// the rows are those of running every record alone, in the data set's order.
func TestSharedPrompts(t *testing.T) {
	dir := t.TempDir()
	story := func(word string) string { return strings.Repeat(word+"12 cd34 ", 45) }
	var lines []string
	for i, text := range []string{story("ab"), story("gh"), story("ab"), story("ab") + story("kl"), "mn22 op33", story("gh"), story("ab") + story("kl")} {
		lines = append(lines, fmt.Sprintf(`{"id": "r%d", "q": "%s\nq%d", "a": "34"}`, i, text, i%3))
	}
	write(t, filepath.Join(dir, "own.jsonl"), strings.Join(lines, "\n")+"\n")
	task := filepath.Join(dir, "own.yaml")
	write(t, task, "about: own records\ndataset: "+filepath.Join(dir, "own.jsonl")+"\nprompt: \"{q}\\n\"\nfields: {q: q}\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n")
	o := Overrides{Models: []string{tinyM}, Tasks: []string{task}, Limit: 100, Set: []string{"context_lengths=[900]"},
		Variants: []string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.2 rows=all", "streamingllm budget=0.3"}}
	together := mustRun(t, small(t, o), Options{Dir: filepath.Join(t.TempDir(), "together")})
	var alone []rows.Row
	for i := range lines {
		r := mustRun(t, small(t, o), Options{Dir: filepath.Join(t.TempDir(), "alone"), Shard: Shard{Index: i, Count: len(lines)}})
		alone = append(alone, r.Rows...)
	}
	slices.SortStableFunc(alone, func(a, b rows.Row) int { return a.Index - b.Index })
	sameRows(t, "together and alone", alone, together.Rows)
	shared := 0
	for _, row := range together.Rows {
		if row.Variant == "full" {
			shared += row.Timing.Shared
		}
	}
	// Four of the seven begin like another: two by one story's 360 tokens, one by
	// that of another, one by two stories.
	if shared < 1200 {
		t.Errorf("%d prompt tokens were shared, want at least 1200", shared)
	}
}

func TestOrderAndMarks(t *testing.T) {
	prompt := func(parts ...int32) []int32 {
		var out []int32
		for _, p := range parts { // a part is 100 tokens of a kind
			for range 100 {
				out = append(out, p)
			}
		}
		return out
	}
	var jobs []job
	for i, tokens := range [][]int32{
		prompt(9), prompt(1, 2, 3), prompt(5), prompt(1, 2, 4), prompt(1, 7), prompt(5, 1), prompt(9, 9, 9, 9, 9, 9, 9, 9, 9), prompt(8),
	} {
		jobs = append(jobs, job{unit: Unit{Record: i}, prompt: tasks.Prompt{Tokens: tokens}})
	}
	jobs = inOrder(jobs)
	setMarks(jobs)
	var order []int
	var marks [][]int
	for _, j := range jobs {
		order, marks = append(order, j.unit.Record), append(marks, j.marks)
	}
	if diff := cmp.Diff([]int{0, 6, 1, 3, 4, 2, 5, 7}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{100}, nil, {200, 100}, {100}, nil, {100}, nil, nil}, marks); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}
