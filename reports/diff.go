package reports

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"refreekv/reports/stats"
	"refreekv/runners/rows"
)

// A Diff is what differs between the rows of two runs, the first and the second.
// Rows are compared that are of the same record, variant, model and context length;
// a model or a context length that is each run's only one is not compared, so that
// two models can be.
type Diff struct {
	Compared   int         `json:"compared"` // rows that both runs hold
	OnlyFirst  int         `json:"only_first"`
	OnlySecond int         `json:"only_second"`
	Only       []OnlyRow   `json:"only"`   // those that one run lacks
	Groups     []DiffGroup `json:"groups"` // of every task and variant, in the order of the first run
	Rows       []DiffRow   `json:"rows"`   // that differ, the largest change of score first
}

// A DiffGroup is what differs in one task under one variant.
type DiffGroup struct {
	Task     string  `json:"task"`
	Variant  string  `json:"variant"`
	Rows     int     `json:"rows"`     // compared, less those with an error in either run
	Errors   int     `json:"errors"`   // rows with an error in one of the runs only, or with another one
	Prompts  int     `json:"prompts"`  // rows whose prompts differ: what else differs is no effect of the variant
	Texts    int     `json:"texts"`    // rows whose generated tokens differ, or why generation ended
	Kept     int     `json:"kept"`     // rows whose layers keep other numbers of entries, or whose caches hold other numbers of bytes
	Scores   int     `json:"scores"`   // rows whose scores differ
	Fidelity int     `json:"fidelity"` // rows whose fidelity differs, or was measured in one of the runs only
	First    float64 `json:"first"`    // mean score, 0..100
	Second   float64 `json:"second"`
	// P is the two-sided p-value of a paired sign-flip test of the scores; 1 where
	// none differ.
	P float64 `json:"p"`
}

// same tells whether nothing in the group differs.
func (g DiffGroup) same() bool {
	return g.Errors+g.Prompts+g.Texts+g.Kept+g.Scores+g.Fidelity == 0
}

// An OnlyRow is a row that one of the runs holds alone.
type OnlyRow struct {
	Run     int    `json:"run"` // 1 or 2
	Task    string `json:"task"`
	Record  string `json:"record"`
	Variant string `json:"variant"`
}

// A DiffRow is one record under one variant that differs.
type DiffRow struct {
	Task    string     `json:"task"`
	Record  string     `json:"record"`
	Variant string     `json:"variant"`
	Differs []string   `json:"differs"` // error, or some of prompt, text, kept, score, fidelity
	Score   [2]float64 `json:"score"`   // 0..100
	Budget  [2]float64 `json:"budget"`  // kept share of the prompt, percent
	Text    [2]string  `json:"text"`
	Error   [2]string  `json:"error"`
}

// Same tells whether the rows of both runs are the same in everything but timing.
func (d Diff) Same() bool { return d.OnlyFirst == 0 && d.OnlySecond == 0 && len(d.Rows) == 0 }

// diffKey names a row among those of its run.
type diffKey struct {
	model         string
	contextLength int
	task          string
	index         int
	variant       string
}

// Compare finds what differs between the rows of two runs.
func Compare(first, second []rows.Row) (Diff, error) {
	if len(first) == 0 || len(second) == 0 {
		return Diff{}, errors.New("one of the runs holds no finished record; there is nothing to compare")
	}
	oneModel := only(first, func(r rows.Row) string { return r.Model }) && only(second, func(r rows.Row) string { return r.Model })
	oneLength := only(first, func(r rows.Row) int { return r.ContextLength }) && only(second, func(r rows.Row) int { return r.ContextLength })
	name := func(r rows.Row) diffKey {
		k := diffKey{r.Model, r.ContextLength, r.Task, r.Index, r.Variant}
		if oneModel {
			k.model = ""
		}
		if oneLength {
			k.contextLength = 0
		}
		return k
	}
	others, held := map[diffKey]rows.Row{}, map[diffKey]bool{}
	for _, r := range second {
		others[name(r)] = r
	}
	var d Diff
	groups := map[[2]string]int{}
	scores := [][]float64{} // by group, differences of scores
	for _, a := range first {
		b, ok := others[name(a)]
		if !ok {
			d.OnlyFirst++
			d.Only = append(d.Only, OnlyRow{1, a.Task, a.Record, a.Variant})
			continue
		}
		held[name(a)] = true
		d.Compared++
		at, known := groups[[2]string{a.Task, a.Variant}]
		if !known {
			at = len(d.Groups)
			groups[[2]string{a.Task, a.Variant}] = at
			d.Groups, scores = append(d.Groups, DiffGroup{Task: a.Task, Variant: a.Variant}), append(scores, nil)
		}
		if what := d.Groups[at].add(a, b); len(what) > 0 {
			d.Rows = append(d.Rows, DiffRow{a.Task, a.Record, a.Variant, what, [2]float64{100 * a.Score, 100 * b.Score}, [2]float64{100 * a.Budget, 100 * b.Budget}, [2]string{a.Text, b.Text}, [2]string{a.Error, b.Error}})
		}
		if a.Error == "" && b.Error == "" {
			scores[at] = append(scores[at], b.Score-a.Score)
		}
	}
	for _, b := range second {
		if !held[name(b)] {
			d.OnlySecond++
			d.Only = append(d.Only, OnlyRow{2, b.Task, b.Record, b.Variant})
		}
	}
	for i := range d.Groups {
		d.Groups[i].finish(scores[i])
	}
	slices.SortStableFunc(d.Rows, func(a, b DiffRow) int {
		return cmp.Compare(math.Abs(b.Score[1]-b.Score[0]), math.Abs(a.Score[1]-a.Score[0]))
	})
	return d, nil
}

// add counts a pair of rows and tells in what they differ.
func (g *DiffGroup) add(a, b rows.Row) []string {
	if a.Error != "" || b.Error != "" {
		if a.Error != b.Error {
			g.Errors++
			return []string{"error"}
		}
		return nil
	}
	g.Rows++
	g.First += 100 * a.Score
	g.Second += 100 * b.Score
	var differs []string
	for _, c := range []struct {
		name    string
		count   *int
		changed bool
	}{
		{"prompt", &g.Prompts, a.PromptHash != b.PromptHash},
		{"text", &g.Texts, a.Text != b.Text || !slices.Equal(a.Tokens, b.Tokens) || a.Stop != b.Stop},
		{"kept", &g.Kept, !slices.Equal(a.Kept, b.Kept) || a.KVBytes != b.KVBytes},
		{"score", &g.Scores, a.Score != b.Score},
		{"fidelity", &g.Fidelity, (a.Fidelity == nil) != (b.Fidelity == nil) || a.Fidelity != nil && *a.Fidelity != *b.Fidelity},
	} {
		if c.changed {
			*c.count++
			differs = append(differs, c.name)
		}
	}
	return differs
}

// diffFlips is how many random sign flips stand for all where these are too
// many.
const diffFlips = 10_000

// finish turns sums into means and tests the differences.
func (g *DiffGroup) finish(differences []float64) {
	if g.Rows > 0 {
		g.First /= float64(g.Rows)
		g.Second /= float64(g.Rows)
	}
	g.P = 1
	if g.Scores == 0 {
		return
	}
	var exact bool
	if g.P, exact = stats.ExactSignFlip(differences); !exact {
		sums := stats.Flips([][]float64{differences}, diffFlips, g.Task+g.Variant)
		g.P = stats.FlipP(sums[0], differences)
	}
}

// only tells whether all rows have one value.
func only[T comparable](all []rows.Row, value func(rows.Row) T) bool {
	for _, r := range all {
		if value(r) != value(all[0]) {
			return false
		}
	}
	return true
}

// Changed are the groups in which something differs.
func (d Diff) Changed() []DiffGroup {
	var out []DiffGroup
	for _, g := range d.Groups {
		if !g.same() {
			out = append(out, g)
		}
	}
	return out
}

// Headline says in a line how much differs.
func (d Diff) Headline() string {
	text := fmt.Sprintf("%d of %s differ", len(d.Rows), count(d.Compared, "row"))
	if len(d.Rows) == 0 {
		text = fmt.Sprintf("%s, all the same but for timings", count(d.Compared, "row"))
	}
	if d.OnlyFirst > 0 {
		text += fmt.Sprintf("; %s only in the first run", count(d.OnlyFirst, "row"))
	}
	if d.OnlySecond > 0 {
		text += fmt.Sprintf("; %s only in the second", count(d.OnlySecond, "row"))
	}
	return text
}
