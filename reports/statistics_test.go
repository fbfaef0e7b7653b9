package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"refreekv/reports/stats"
	"refreekv/runners/rows"
)

// scoredRows are the rows of records of one task: scores[variant][record], 0..1.
func scoredRows(task string, scores map[string][]float64, order ...string) []rows.Row {
	var out []rows.Row
	for _, variant := range order {
		for i, score := range scores[variant] {
			out = append(out, rows.Row{
				Model: "m", ContextLength: 512, Task: task, Protocol: "standard", Index: i, Record: fmt.Sprint(i),
				Variant: variant, Pruner: variant, Budget: 0.5, Score: score, KVBytes: 1, FullKVBytes: 2,
			})
		}
	}
	return out
}

// repeated is n records, the first few of which have another score.
func repeated(n int, score float64, first ...float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = score
	}
	copy(out, first)
	return out
}

func TestVerdicts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noisy := make([]float64, 200)
	for i := range noisy {
		noisy[i] = 0.5 + 0.3*random.NormFloat64()
	}
	for name, c := range map[string]struct {
		full, pruned []float64
		margin       float64
		want         Verdict
		needed       [2]int // from, to
	}{
		// 1 − 0.025^(1/500) = 0.735 % of the records may be lost unseen: 0.44 of 60 points.
		"nothing changes in 500 records": {repeated(500, 0.6), repeated(500, 0.6), 1, Lossless, [2]int{0, 0}},
		// In five records half may be: 367 records would show one point of 100.
		"nothing changes in 5 records": {repeated(5, 1), repeated(5, 1), 1, Unclear, [2]int{370, 370}},
		"a wide margin":                {repeated(5, 1), repeated(5, 1), 55, Lossless, [2]int{0, 0}},
		"every record loses a little":  {repeated(300, 0.5), repeated(300, 0.48), 1, Worse, [2]int{0, 0}},
		"within a wider margin":        {repeated(300, 0.5), repeated(300, 0.48), 2.5, Lossless, [2]int{0, 0}},
		"every record gains":           {repeated(300, 0.5), repeated(300, 0.7), 1, Lossless, [2]int{0, 0}},
		// Five losses are significant at 2/32 only.
		"five losses":  {repeated(5, 1), repeated(5, 0), 1, Unclear, [2]int{6, 6}},
		"seven losses": {repeated(7, 1), repeated(7, 0), 1, Worse, [2]int{0, 0}},
		"pure scatter": {repeated(200, 0.5), noisy, 1, Unclear, [2]int{700, 800}},
		// Where the full cache scores nothing, nothing can be lost.
		"a task of 0 %":   {repeated(500, 0), repeated(500, 0), 1, Unclear, [2]int{0, 0}},
		"a task of 0.9 %": {repeated(500, 0.009), repeated(500, 0), 1, Unclear, [2]int{0, 0}},
		"a task of 2 %":   {repeated(500, 0.02), repeated(500, 0.02), 1, Lossless, [2]int{0, 0}},
	} {
		all := scoredRows("a", map[string][]float64{"full": c.full, "h2o": c.pruned}, "full", "h2o")
		s, err := Summarize(all, Options{Margin: c.margin})
		if err != nil {
			t.Fatal(err)
		}
		if s.Tables[0].Lines[0].Cells[0].Against != nil {
			t.Errorf("%s: the full cache is compared with itself", name)
		}
		for where, got := range map[string]*Comparison{"task": s.Tables[0].Lines[1].Cells[0].Against, "average": s.Tables[0].Lines[1].Average.Against} {
			if got == nil || got.Verdict != c.want || got.Needed < c.needed[0] || got.Needed > c.needed[1] {
				t.Errorf("%s, %s: %+v, want %s with %v records needed", name, where, got, c.want, c.needed)
			}
		}
	}
}

// The average weighs tasks alike, whatever their numbers of records, and its
// figures are those of the two tasks.
func TestStatisticsOfAnAverage(t *testing.T) {
	all := append(
		scoredRows("few", map[string][]float64{"full": repeated(4, 0.5), "h2o": repeated(4, 0.5, 0.1)}, "full", "h2o"),
		scoredRows("many", map[string][]float64{"full": repeated(40, 0.8), "h2o": repeated(40, 0.8, 0.4, 0.4)}, "full", "h2o")...,
	)
	h2o := summarize(t, all).Tables[0].Lines[1]
	few, many, both := h2o.Cells[0].Against, h2o.Cells[1].Against, h2o.Average.Against
	if !near(few.Difference, -10) || !near(many.Difference, -2) || !near(both.Difference, -6) || both.Records != 44 {
		t.Errorf("differences %v, %v and %v on %d records, want -10, -2 and -6 on 44", few.Difference, many.Difference, both.Difference, both.Records)
	}
	// A record of the small task is 1/8 of the mean, one of the other 1/80: the
	// changed ones sum up to -5 ± 0.5 ± 0.5, so that 2 of 8 choices are as far.
	if !near(few.P, 1) || !near(many.P, 0.5) || !near(both.P, 0.25) || !both.Exact {
		t.Errorf("p %v, %v and %v, want 1, 0.5 and 0.25", few.P, many.P, both.P)
	}
	if want := math.Max(50*stats.Unseen(4), 80*stats.Unseen(40)) / 2; !near(both.Unseen, want) {
		t.Errorf("unseen %v, want %v", both.Unseen, want)
	}
	if !few.Interval.Holds(-10) || !few.Interval.Holds(-30) || few.Interval.High != 0 {
		t.Errorf("the interval of one loss among four records is %v", few.Interval)
	}
	if low := (few.Interval.Low + many.Interval.Low) / 2; both.Interval.Low < low || both.Interval.Low > -6 || both.Interval.High < -6 {
		t.Errorf("the interval of the average is %v, those of the tasks %v and %v", both.Interval, few.Interval, many.Interval)
	}
	// The mean of ratios: 40/50 and 78/80.
	if want := 100 * ((0.8+0.975)/2 - 1); !near(*h2o.VsFull, want) || !h2o.VsFullInterval.Holds(want) {
		t.Errorf("vs full %v in %v, want %v", *h2o.VsFull, h2o.VsFullInterval, want)
	}
}

// Records that only one side was scored on are in no difference.
func TestPairsOnly(t *testing.T) {
	all := scoredRows("a", map[string][]float64{"full": {0.5, 0.5, 0.5, 0.5}, "h2o": {0.4, 0.4, 1, 0.4}}, "full", "h2o")
	all[2].Error = "no" // the full cache failed on record 2
	all[7].Error = "no" // and h2o on record 3
	got := summarize(t, all).Tables[0].Lines[1].Cells[0].Against
	if got == nil || got.Records != 2 || !near(got.Difference, -10) {
		t.Errorf("%+v, want -10 on two records", got)
	}
}

// P-values are corrected for the comparisons of the table: averages among
// themselves, single tasks among themselves.
func TestHolmOverATable(t *testing.T) {
	scores := map[string][]float64{"full": repeated(7, 1), "a": repeated(7, 0), "b": repeated(7, 0), "c": repeated(7, 1)}
	all := append(scoredRows("x", scores, "full", "a", "b", "c"), scoredRows("y", scores, "full", "a", "b", "c")...)
	lines := summarize(t, all).Tables[0].Lines
	single, overall := lines[1].Cells[1].Against, lines[1].Average.Against
	// Among six comparisons 2/2^k must be at most 0.05/6.
	if single.Needed != 8 {
		t.Errorf("%d records needed, want 8", single.Needed)
	}
	if !near(single.P, 2.0/128) || !near(single.Adjusted, 6*2.0/128) || single.Verdict != Unclear {
		t.Errorf("one of six comparisons: %+v", single)
	}
	if !near(overall.P, 2.0/16384) || !near(overall.Adjusted, 3*2.0/16384) || overall.Verdict != Worse {
		t.Errorf("one of three comparisons: %+v", overall)
	}
}

// The same rows give the same bytes, and further variants or tasks change neither
// intervals nor p-values.
func TestStatisticsAreDeterministic(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	scores := map[string][]float64{}
	for _, variant := range []string{"full", "a", "b", "c"} {
		for range 60 {
			scores[variant] = append(scores[variant], random.Float64())
		}
	}
	encode := func(c Cell) string {
		c.Rank, c.Against.Adjusted, c.Against.Needed = 0, 0, 0
		text, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	small := scoredRows("x", scores, "full", "a")
	large := append(scoredRows("x", scores, "full", "b", "a", "c"), scoredRows("y", scores, "full", "a", "c")...)
	first, again := new(bytes.Buffer), new(bytes.Buffer)
	for _, out := range []*bytes.Buffer{first, again} {
		text, err := Render(large, Options{}, "json")
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("the same rows give other bytes")
	}
	want := encode(summarize(t, small).Tables[0].Lines[1].Cells[0])
	if got := encode(summarize(t, large).Tables[0].Lines[2].Cells[0]); got != want {
		t.Errorf("with other variants and tasks: %s, alone %s", got, want)
	}
}

func TestRanks(t *testing.T) {
	lines := func(scores ...float64) []rows.Row {
		all := scoredRows("x", map[string][]float64{"full": {1}}, "full")
		for i, s := range scores {
			name := fmt.Sprint("v", i)
			all = append(all, scoredRows("x", map[string][]float64{name: {s}}, name)...)
		}
		return all
	}
	for _, c := range []struct {
		scores []float64
		want   []int
	}{
		{[]float64{.3, .5, .4, .2}, []int{0, 1, 2, 0}},
		{[]float64{.5, .3, .5, .4}, []int{1, 0, 1, 2}},
		{[]float64{.5, .4, .4}, []int{1, 2, 2}},
		{[]float64{.5, .499999}, []int{0, 0}}, // printed alike
		{[]float64{.5}, []int{0}},
		{nil, nil},
	} {
		table := summarize(t, lines(c.scores...)).Tables[0]
		for i, want := range c.want {
			l := table.Lines[i+1]
			if l.Cells[0].Rank != want || l.Average.Rank != want || l.VsFullRank != want {
				t.Errorf("%v: ranks of %v are %d, %d, %d, want %d", c.scores, c.scores[i], l.Cells[0].Rank, l.Average.Rank, l.VsFullRank, want)
			}
		}
		if table.Lines[0].Cells[0].Rank != 0 {
			t.Errorf("%v: the full cache has a rank", c.scores)
		}
	}
}

// BenchmarkSummarize is a large table: 30 variants on 13 tasks of 500 records.
func BenchmarkSummarize(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	var all []rows.Row
	for task := range 13 {
		scores := map[string][]float64{}
		var order []string
		for v := range 30 {
			name := fmt.Sprint("v", v)
			if v == 0 {
				name = "full"
			}
			order = append(order, name)
			for range 500 {
				scores[name] = append(scores[name], random.Float64())
			}
		}
		all = append(all, scoredRows(fmt.Sprint("task", task), scores, order...)...)
	}
	b.ResetTimer()
	for b.Loop() {
		if _, err := Summarize(all, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
