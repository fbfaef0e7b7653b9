package reports

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/runners/rows"
)

func TestCompare(t *testing.T) {
	first := pageRows(6)
	second := append([]rows.Row(nil), first...)
	if d, err := Compare(first, second); err != nil || !d.Same() || d.Compared != 18 || len(d.Changed()) != 0 {
		t.Errorf("a run and itself: %+v, %v", d, err)
	}

	// Another model's name and other times are no difference of rows.
	for i := range second {
		second[i].Model = "other"
		second[i].Timing.Decode = 7
	}
	if d, err := Compare(first, second); err != nil || !d.Same() {
		t.Errorf("a run under another model's name: %+v, %v", d, err)
	}

	second[1].Text, second[1].Score = "something else", 0 // task qa, snapkv
	second[7].Kept = []float64{1, 2, 3}                   // task qa, snapkv
	second[8].Error = ""                                  // task qa, refreekv: an error in the first run only
	second = append(second[:17], rows.Row{Model: "other", ContextLength: 512, Task: "new", Variant: "full", Score: 1})
	d, err := Compare(first, second)
	if err != nil {
		t.Fatal(err)
	}
	if d.Compared != 17 || d.OnlyFirst != 1 || d.OnlySecond != 1 || len(d.Rows) != 3 || d.Same() {
		t.Errorf("%d compared, %d and %d alone, %d differ", d.Compared, d.OnlyFirst, d.OnlySecond, len(d.Rows))
	}
	var got []DiffGroup
	for _, g := range d.Changed() {
		g.First, g.Second = 0, 0
		got = append(got, g)
	}
	want := []DiffGroup{
		{Task: "qa", Variant: "snapkv budget=0.5", Rows: 3, Texts: 1, Kept: 1, Scores: 1, P: 1},
		{Task: "qa", Variant: "refreekv", Rows: 2, Errors: 1, P: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if r := d.Rows[0]; r.Record != "r0" || r.Score != [2]float64{50, 0} || r.Text[1] != "something else" {
		t.Errorf("the row that changed most: %+v", r)
	}

	if _, err := Compare(first, nil); err == nil {
		t.Error("a run without rows is compared")
	}
}

// Where runs hold several models, rows are of the same one only.
func TestCompareModels(t *testing.T) {
	first := pageRows(2)
	second := append(pageRows(2), pageRows(2)...)
	for i := range second[6:] {
		second[6+i].Model = "other"
		second[6+i].Score = 1
	}
	if d, err := Compare(first, second); err != nil || d.Compared != 6 || d.OnlySecond != 6 || len(d.Rows) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

// The p-value is that of all sign flips: of three equal changes 2 of 8 are as far.
func TestCompareTests(t *testing.T) {
	first := pageRows(6)
	second := append([]rows.Row(nil), first...)
	for i := range second {
		if second[i].Task == "qa" && second[i].Variant == "full" {
			second[i].Score += 0.25
		}
	}
	d, err := Compare(first, second)
	if err != nil || len(d.Changed()) != 1 || d.Changed()[0].P != 0.25 {
		t.Errorf("%+v, %v", d.Changed(), err)
	}
}

// Everything but the timing counts: prompts, why a text ended, bytes, fidelity,
// which error it was.
func TestCompareAllButTiming(t *testing.T) {
	row := rows.Row{Task: "qa", Variant: "h2o", Kept: []float64{4, 4}, KVBytes: 64, Stop: "eos", Fidelity: &rows.Fidelity{Tokens: 8, KL: 0.5, Divergence: -1}}
	failed := rows.Row{Task: "qa", Variant: "h2o", Error: "too little memory"}
	for name, c := range map[string]struct {
		first  rows.Row
		change func(*rows.Row)
		want   DiffGroup
	}{
		"timing":             {row, func(r *rows.Row) { r.Timing.Peak = 7 }, DiffGroup{Rows: 1}},
		"equal fidelity":     {row, func(r *rows.Row) { f := *r.Fidelity; r.Fidelity = &f }, DiffGroup{Rows: 1}},
		"fidelity":           {row, func(r *rows.Row) { f := *r.Fidelity; f.KL = 0.25; r.Fidelity = &f }, DiffGroup{Rows: 1, Fidelity: 1}},
		"fidelity of one":    {row, func(r *rows.Row) { r.Fidelity = nil }, DiffGroup{Rows: 1, Fidelity: 1}},
		"prompt":             {row, func(r *rows.Row) { r.PromptHash = "other" }, DiffGroup{Rows: 1, Prompts: 1}},
		"stop":               {row, func(r *rows.Row) { r.Stop = "length" }, DiffGroup{Rows: 1, Texts: 1}},
		"bytes":              {row, func(r *rows.Row) { r.KVBytes = 128 }, DiffGroup{Rows: 1, Kept: 1}},
		"the same error":     {failed, func(r *rows.Row) { r.Timing.Peak = 7 }, DiffGroup{}},
		"another error":      {failed, func(r *rows.Row) { r.Error = "no prompt" }, DiffGroup{Errors: 1}},
		"an error that went": {failed, func(r *rows.Row) { *r = row }, DiffGroup{Errors: 1}},
	} {
		second := c.first
		c.change(&second)
		d, err := Compare([]rows.Row{c.first}, []rows.Row{second})
		if err != nil {
			t.Fatal(err)
		}
		c.want.Task, c.want.Variant, c.want.P = "qa", "h2o", 1
		if diff := cmp.Diff(c.want, d.Groups[0]); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
		if d.Same() != c.want.same() || len(d.Rows) == 1 == c.want.same() {
			t.Errorf("%s: same %v, %d rows differ", name, d.Same(), len(d.Rows))
		}
	}
}
