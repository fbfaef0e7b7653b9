package reports

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refreekv/runners/rows"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func summarize(t *testing.T, all []rows.Row) Summary {
	t.Helper()
	s, err := Summarize(all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// line finds a variant in the only table.
func line(t *testing.T, table Table, variant string) Line {
	t.Helper()
	for _, l := range table.Lines {
		if l.Variant == variant {
			return l
		}
	}
	t.Fatalf("no line %q", variant)
	return Line{}
}

// The figures of a small table, worked out by hand.
func TestAverages(t *testing.T) {
	row := func(task string, index int, variant string, score, budget float64, held int64) rows.Row {
		pruner, _, _ := strings.Cut(variant, " ")
		return rows.Row{Model: "m", ContextLength: 8, Task: task, Protocol: "paper", Index: index, Variant: variant, Pruner: pruner, Score: score, Budget: budget, KVBytes: held, FullKVBytes: 100, ReleasedKVBytes: 2 * held}
	}
	failed := row("b", 2, "full", 0, 0, 0)
	failed.Error = "no"
	s := summarize(t, []rows.Row{
		row("a", 0, "full", 0.5, 1, 100), row("a", 1, "full", 0.7, 1, 100), row("b", 0, "full", 0.2, 1, 100), failed,
		row("a", 0, "h2o budget=0.5", 0.6, 0.4, 200), row("a", 1, "h2o budget=0.5", 0.3, 0.6, 100), row("b", 0, "h2o budget=0.5", 0.3, 0.5, 50),
	})
	if len(s.Tables) != 1 {
		t.Fatalf("%d tables", len(s.Tables))
	}
	table := s.Tables[0]
	if diff := cmp.Diff([]string{"a", "b"}, table.Tasks); diff != "" || table.Protocol != "paper" || table.ContextLength != 8 {
		t.Errorf("table %+v", table)
	}
	ratio := 100 * ((0.45/0.6+0.3/0.2)/2 - 1)
	want := []Line{
		{
			Variant: "full", Pruner: "full", VsFull: new(float64),
			Cells:   []Cell{{Records: 2, Score: 60, Budget: 100, Memory: 100, Released: 200}, {Records: 1, Errors: 1, Score: 20, Budget: 100, Memory: 100, Released: 200}},
			Average: Cell{Records: 3, Errors: 1, Score: 40, Budget: 100, Memory: 100, Released: 200}, // tasks weigh the same, records do not
		}, {
			Variant: "h2o budget=0.5", Pruner: "h2o", VsFull: &ratio,
			Cells:   []Cell{{Records: 2, Score: 45, Budget: 50, Spread: 10, Memory: 150, Released: 300}, {Records: 1, Score: 30, Budget: 50, Memory: 50, Released: 100}},
			Average: Cell{Records: 3, Score: 37.5, Budget: 50, Spread: 5, Memory: 100, Released: 200},
		},
	}
	statistics := cmpopts.IgnoreFields(Cell{}, "Interval", "Against")
	if diff := cmp.Diff(want, table.Lines, statistics, cmpopts.IgnoreFields(Line{}, "VsFullInterval"), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVsFullWhereThereIsNothingToCompare(t *testing.T) {
	results := []result{{"full", "full", 1, []float64{0, .5}}, {"h2o budget=0.5", "h2o", .5, []float64{.4, .4}}}
	table := summarize(t, made("m", 512, 2, []string{"zero", "half"}, results)).Tables[0]
	if got := line(t, table, "h2o budget=0.5").VsFull; got == nil || !near(*got, -20) {
		t.Errorf("vs full over the one task that the full cache scores on: %v, want -20", got)
	}
	if notes := strings.Join(table.Notes, "\n"); !strings.Contains(notes, "scores 0 on zero") {
		t.Errorf("no note about it: %q", notes)
	}
	// No full cache at all.
	table = summarize(t, made("m", 512, 2, []string{"zero", "half"}, results[1:])).Tables[0]
	if l := table.Lines[0]; l.VsFull != nil || l.vsFull() != noResult {
		t.Errorf("vs full without a full cache: %v", l.VsFull)
	}
	// A full cache that scores nowhere.
	table = summarize(t, made("m", 512, 2, []string{"zero"}, results)).Tables[0]
	if l := table.Lines[1]; l.VsFull != nil {
		t.Errorf("vs full of a full cache that scores 0: %v", *l.VsFull)
	}
}

func TestNotes(t *testing.T) {
	table := summarize(t, nasty()).Tables[0]
	notes := strings.Join(table.Notes, "\n")
	for _, want := range []string{
		"The full cache scores 0 on *zero*", "On *zero* the variants were scored on 0 to 3 records", "1 record could not be run and is not in the means",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	if got := summarize(t, made("m", 512, 2, paperTasks, paper)).Tables[0].Notes; got != nil {
		t.Errorf("a table in order has notes: %q", got)
	}
	if got := table.records(); got != "Records: _multi_news_ 3, *zero* 3, 检索 任务 2" {
		t.Errorf("records: %q", got)
	}
	for n, want := range map[int]string{1: "1 record of each task", 2: "2 records of each task"} {
		if got := summarize(t, made("m", 512, n, paperTasks, paper)).Tables[0].records(); got != want {
			t.Errorf("records: %q, want %q", got, want)
		}
	}
}

func TestOneTablePerModelAndContextLength(t *testing.T) {
	all := made("b", 512, 2, paperTasks, paper[:2])
	all = append(all, made("a", 1024, 1, paperTasks[:1], paper[:1])...)
	all = append(all, made("b", 1024, 1, paperTasks[1:2], paper[1:2])...)
	all = append(all, made("b", 512, 1, []string{"extra"}, paper[:1])...)
	var got []string
	for _, table := range summarize(t, all).Tables {
		got = append(got, table.heading()+": "+strings.Join(table.Tasks, " "))
	}
	want := []string{
		"b, context length 512, protocol standard: gsm8k qasper multi_news lcc extra",
		"a, context length 1024, protocol standard: gsm8k",
		"b, context length 1024, protocol standard: qasper",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoRows(t *testing.T) {
	if _, err := Summarize(nil, Options{}); err == nil {
		t.Error("no rows were summarized")
	}
	if _, err := WriteAll(t.TempDir(), nil, Options{Title: "x"}); err == nil {
		t.Error("no rows were reported")
	}
	if _, err := Render(nil, Options{}, "md"); err == nil {
		t.Error("no rows were rendered")
	}
}

// Shared measurements are counted once.
func TestTimings(t *testing.T) {
	var out bytes.Buffer
	all := made("m", 512, 2, paperTasks[:1], paper[:3])                 // 2 records: prefill 1 s each, decode 2 s each, selection 0.5 s a variant
	all = append(all, made("m", 1024, 2, paperTasks[:1], paper[:3])...) // the same prompts under another context length
	all = append(all, rows.Row{Model: "m", Task: "x", Variant: "full", Error: "no", PromptTokens: 10})
	Timings(&out, all)
	if got, want := out.String(), "prefill 2.0 s (100 tok/s), selection 3.00 s, decode 4.0 s (3 tok/s over all variants)\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	out.Reset()
	for i := range all {
		all[i].Tokens = nil
	}
	Timings(&out, all)
	if got, want := out.String(), "prefill 2.0 s (100 tok/s), selection 3.00 s, decode 4.0 s\n"; got != want {
		t.Errorf("without tokens: %q, want %q", got, want)
	}
	out.Reset()
	Timings(&out, nil)
	if out.Len() != 0 {
		t.Errorf("timings of nothing: %q", out.String())
	}
}
