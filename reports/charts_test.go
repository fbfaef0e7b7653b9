package reports

import (
	"fmt"
	"html"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gonum.org/v1/plot/vg"

	"refreekv/runners/rows"
)

// chartOf is the chart of that name of rows.
func chartOf(t *testing.T, all []rows.Row, name string) chart {
	t.Helper()
	var names []string
	for _, c := range charts(summarize(t, all), all) {
		if c.name == name {
			return c
		}
		names = append(names, c.name)
	}
	t.Fatalf("no chart %s among %q", name, names)
	return chart{}
}

func chartNames(t *testing.T, all []rows.Row) (out []string) {
	for _, c := range charts(summarize(t, all), all) {
		out = append(out, c.name)
	}
	return out
}

// drawn is what a panel holds, to be compared: the series' points as x, y.
func drawn(p panel) map[string][][2]float64 {
	out := map[string][][2]float64{}
	for _, m := range p.marks {
		for _, at := range m.points {
			out[m.name] = append(out[m.name], [2]float64{at.x, at.y})
		}
	}
	return out
}

var nearly = cmpopts.EquateApprox(0, 1e-9)

func checkDrawn(t *testing.T, p panel, want map[string][][2]float64) {
	t.Helper()
	if diff := cmp.Diff(want, drawn(p), nearly); diff != "" {
		t.Errorf("panel %q (-want +got):\n%s", p.title, diff)
	}
}

// row is a row of the hand-made runs of this file.
func row(task string, index int, variant string, score, budget float64) rows.Row {
	pruner, _, _ := strings.Cut(variant, " ")
	return rows.Row{
		Model: "org/m", ContextLength: 512, Task: task, Protocol: "standard", Record: fmt.Sprint(task, index), Index: index,
		Variant: variant, Pruner: pruner, PromptTokens: 100, Budget: budget, Score: score, KVBytes: 1, FullKVBytes: 1,
	}
}

// Curves of the methods with budgets, points with their spread of those that
// choose, the full cache as a level; the mean weighs tasks, not records.
func TestScoreCharts(t *testing.T) {
	all := []rows.Row{
		row("a", 0, "full", 0.5, 1), row("a", 1, "full", 0.7, 1), row("b", 0, "full", 0.2, 1),
		row("a", 0, "refreekv", 0.4, 0.3), row("a", 1, "refreekv", 0.6, 0.5), row("b", 0, "refreekv", 0.2, 0.8),
		row("a", 0, "h2o budget=0.8", 0.4, 0.8), row("a", 0, "h2o budget=0.2", 0.1, 0.2), row("b", 0, "h2o budget=0.2", 0.2, 0.2),
	}
	mean := chartOf(t, all, "score-against-budget")
	checkDrawn(t, mean.panels[0], map[string][][2]float64{"refreekv": {{60, 35}}, "h2o": {{20, 15}, {80, 40}}})
	if level := mean.panels[0].level; level == nil || math.Abs(*level-40) > 1e-9 {
		t.Errorf("the full cache is drawn at %v, want 40", level)
	}
	each := chartOf(t, all, "score-against-budget-by-task")
	checkDrawn(t, each.panels[0], map[string][][2]float64{"refreekv": {{40, 50}}, "h2o": {{20, 10}, {80, 40}}})
	checkDrawn(t, each.panels[1], map[string][][2]float64{"refreekv": {{80, 20}}, "h2o": {{20, 20}}})
	if m := each.panels[0].marks[0]; math.Abs(m.points[0].spread-10) > 1e-9 || each.panels[0].marks[1].points[0].spread != 0 {
		t.Errorf("spreads: refreekv %v, want 10; h2o %v, want none", m.points[0].spread, each.panels[0].marks[1].points[0].spread)
	}
	var key []string
	for _, e := range mean.key {
		key = append(key, e.text)
	}
	if diff := cmp.Diff([]string{"full cache", "refreekv", "h2o", "horizontal bars: ±1 s.d. of what is kept, over records", "vertical bars: 95 % interval of the score, by bootstrap"}, key); diff != "" {
		t.Errorf("legend (-want +got):\n%s", diff)
	}
	for _, m := range mean.panels[0].marks {
		for _, at := range m.points {
			if !m.bars || !(at.low <= at.y && at.y <= at.high) {
				t.Errorf("%s: the interval of %v is from %v to %v", m.name, at.y, at.low, at.high)
			}
		}
	}
	if len(each.key) != len(mean.key)-1 {
		t.Errorf("small multiples have the legend %v", each.key)
	}
	if want := "3 records"; !strings.Contains(mean.caption, want) || strings.Contains(mean.caption, "\n") {
		t.Errorf("caption %q lacks %q", mean.caption, want)
	}
}

func TestFidelityChart(t *testing.T) {
	with := func(r rows.Row, kl, same float64) rows.Row {
		r.Fidelity = &rows.Fidelity{Tokens: 4, KL: kl, Agreement: same}
		return r
	}
	all := []rows.Row{
		with(row("a", 0, "full", 1, 1), 0, 1),
		with(row("a", 0, "h2o budget=0.5", 1, 0.5), 0.25, 0.75), with(row("a", 0, "h2o budget=0.2", 1, 0.2), 2, 0.5),
		with(row("a", 0, "refreekv", 1, 0.6), math.NaN(), 0.9),
		row("b", 0, "h2o budget=0.2", 1, 0.9), // without fidelity: its budget is not in the mean either
	}
	c := chartOf(t, all, "fidelity-against-budget")
	checkDrawn(t, c.panels[0], map[string][][2]float64{"h2o": {{20, 2}, {50, 0.25}}})
	checkDrawn(t, c.panels[1], map[string][][2]float64{"h2o": {{20, 50}, {50, 75}}, "refreekv": {{60, 90}}})
	if !c.panels[0].y.log {
		t.Error("KL from 0.25 to 2 is not drawn on a logarithmic axis")
	}
}

func TestBudgetCharts(t *testing.T) {
	kept := func(r rows.Row, tokens int, kept ...float64) rows.Row {
		r.PromptTokens, r.Kept, r.Budget = tokens, kept, 0
		for _, k := range kept {
			r.Budget += k / float64(tokens) / float64(len(kept))
		}
		return r
	}
	failed := row("a", 9, "refreekv", 0, 0)
	failed.Error = "no"
	all := []rows.Row{
		kept(row("a", 0, "full", 1, 1), 100, 100, 100),
		kept(row("a", 0, "refreekv", 1, 0), 100, 100, 20), kept(row("a", 1, "refreekv", 1, 0), 200, 200, 120), kept(row("b", 0, "refreekv", 1, 0), 50, 50, 20), failed,
		kept(row("a", 0, "snapkv budget=0.5", 1, 0), 100, 50, 50),
		kept(row("a", 0, "pyramidkv budget=0.5", 1, 0), 100, 80, 20),
	}
	c := chartOf(t, all, "budget-by-task")
	if len(c.panels) != 1 || c.panels[0].title != "refreekv" {
		t.Fatalf("%d panels, the first of %q; want refreekv's only", len(c.panels), c.panels[0].title)
	}
	var got [][]float64
	for _, b := range c.panels[0].boxes {
		got = append(got, append([]float64{b.at}, b.values...))
	}
	if diff := cmp.Diff([][]float64{{1, 60, 80}, {0, 70}}, got, nearly); diff != "" {
		t.Errorf("place and values of the boxes (-want +got):\n%s", diff)
	}
	checkDrawn(t, chartOf(t, all, "budget-against-length").panels[0], map[string][][2]float64{"refreekv": {{100, 60}, {200, 80}, {50, 70}}})

	c = chartOf(t, all, "budget-by-layer")
	checkDrawn(t, c.panels[0], map[string][][2]float64{"refreekv": {{0, 100}, {1, 40}}})
	if at := c.panels[0].marks[0].points[1]; at.low != 30 || at.high != 50 {
		t.Errorf("quartiles %v and %v, want 30 and 50 of 20, 40 and 60", at.low, at.high)
	}
	checkDrawn(t, c.panels[1], map[string][][2]float64{"pyramidkv budget=0.5": {{0, 80}, {1, 20}}})
	if len(c.panels) != 2 {
		t.Errorf("%d panels; snapkv keeps the same of every layer and has none", len(c.panels))
	}
}

// A task of which every record failed has no panel.
func TestNoPanelOfATaskThatFailed(t *testing.T) {
	var all []rows.Row
	for _, task := range []string{"a", "broken", "b"} {
		for _, variant := range []string{"full", "refreekv", "refreekv threshold=0.1"} {
			r := row(task, 0, variant, 0.5, 0.5)
			if task == "broken" {
				r.Error = "too long"
			}
			all = append(all, r)
		}
	}
	for _, name := range []string{"score-against-budget-by-task", "sweep-threshold-by-task"} {
		var titles []string
		for _, p := range chartOf(t, all, name).panels {
			if p.title != "" {
				titles = append(titles, p.title)
			}
		}
		if diff := cmp.Diff([]string{"a", "b"}, titles); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A setting that variants differ in is an axis, its default included; budgets are
// not, and other settings part the lines.
func TestSweepCharts(t *testing.T) {
	all := []rows.Row{row("a", 0, "full", 0.9, 1), row("b", 0, "full", 0.5, 1)}
	for i, variant := range []string{"refreekv threshold=0.1", "refreekv", "refreekv threshold=0.001", "refreekv norm_scope=all threshold=0.1", "refreekv norm_scope=all threshold=0.2", "h2o budget=0.2", "h2o budget=0.5", "odd x=1"} {
		all = append(all, row("a", 0, variant, float64(i)/10, float64(i)/20), row("b", 0, variant, 0.5, 0.5))
	}
	if diff := cmp.Diff([]string{"sweep-threshold", "sweep-threshold-by-task"}, slices.DeleteFunc(chartNames(t, all), func(n string) bool { return !strings.HasPrefix(n, "sweep") })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c := chartOf(t, all, "sweep-threshold-by-task")
	checkDrawn(t, c.panels[0], map[string][][2]float64{"refreekv": {{0.001, 20}, {0.01, 10}, {0.1, 0}}, "refreekv norm_scope=all": {{0.1, 30}, {0.2, 40}}})
	checkDrawn(t, c.panels[2], map[string][][2]float64{"refreekv": {{0.001, 10}, {0.01, 5}, {0.1, 0}}, "refreekv norm_scope=all": {{0.1, 15}, {0.2, 20}}})
	if x := c.panels[0].x; !x.log || x.label != "threshold" || c.panels[0].level == nil || *c.panels[0].level != 90 {
		t.Errorf("x axis %+v, level %v", x, c.panels[0].level)
	}
	// Among the curves over budget the sweep is a curve too.
	checkDrawn(t, chartOf(t, all, "score-against-budget-by-task").panels[0], map[string][][2]float64{
		"refreekv, threshold 0.001–0.1": {{0, 0}, {5, 10}, {10, 20}}, "refreekv norm_scope=all, threshold 0.1–0.2": {{15, 30}, {20, 40}},
		"h2o": {{25, 50}, {30, 60}}, "odd x=1": {{35, 70}},
	})
}

func TestNeedleCharts(t *testing.T) {
	var all []rows.Row
	at := func(index int, variant string, length, depth, score float64) {
		r := row("needle_grid length=100,200", index, variant, score, 0.5)
		r.Labels = map[string]float64{"target_length": length, "depth": depth}
		all = append(all, r)
	}
	for i, variant := range []string{"full", "h2o budget=0.5"} {
		at(0, variant, 100, 0, 1)
		at(1, variant, 100, 0, float64(1-i)/2) // another record of the cell
		at(2, variant, 100, 1, 0.25)
		at(3, variant, 200, 0, float64(i))
	}
	all = append(all, row("a", 0, "full", 1, 1)) // without labels
	c := chartOf(t, all, "needle")
	if len(c.panels) != 2 || c.panels[1].title != "h2o budget=0.5: 56" {
		t.Fatalf("%d panels, the last called %q", len(c.panels), c.panels[len(c.panels)-1].title)
	}
	// Lines from below: the end of the text is the lowest.
	for i, want := range [][][]float64{{{0.25, math.NaN()}, {0.75, 0}}, {{0.25, math.NaN()}, {0.5, 1}}} {
		if diff := cmp.Diff(want, c.panels[i].cells.values, cmpopts.EquateNaNs(), nearly); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.panels[i].title, diff)
		}
	}
	var depths []string
	for _, tick := range c.panels[0].y.ticks {
		depths = append(depths, fmt.Sprint(tick.Value, "=", tick.Label))
	}
	if diff := cmp.Diff([]string{"1.5=0", "0.5=100"}, depths); diff != "" {
		t.Errorf("depths (-want +got):\n%s", diff)
	}
}

// Many depths are drawn in tenths.
func TestNeedleBins(t *testing.T) {
	var many []float64
	for i := range 40 {
		many = append(many, float64(i)/39)
	}
	got := bins(many)
	if len(got) != 10 || got[0] != [2]float64{0, 0.1} || got[9][1] < 1 {
		t.Errorf("bins %v", got)
	}
	if got := bins([]float64{0, 0.5, 1}); len(got) != 3 || got[2][0] != 1 || got[2][1] <= 1 {
		t.Errorf("bins %v", got)
	}
}

func TestLatencyCharts(t *testing.T) {
	var all []rows.Row
	for i, tokens := range []int{100, 104, 400} {
		for k, variant := range []string{"full", "snapkv budget=0.5", "snapkv budget=0.2"} {
			r := row("a", i, variant, 1, 0.5)
			r.PromptTokens, r.Tokens = tokens, []int32{1, 2, 3, 4}
			r.Timing = rows.Timing{Prefill: float64(tokens + k), Select: float64(k) * 0.1, Decode: float64(4 + 4*k), Peak: int64(tokens) * 1e7}
			all = append(all, r)
		}
	}
	c := chartOf(t, all, "latency-against-length")
	var labels []string
	for _, p := range c.panels {
		labels = append(labels, p.y.label)
	}
	if diff := cmp.Diff([]string{"prefill (s)", "selection (s)", "decode (ms/token)", "peak memory (GB)"}, labels); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	// Prompts of about one length are one point, their median.
	checkDrawn(t, c.panels[0], map[string][][2]float64{"full": {{102, 102}, {400, 400}}, "snapkv budget=0.5": {{102, 103}, {400, 401}}, "snapkv budget=0.2": {{102, 104}, {400, 402}}})
	checkDrawn(t, c.panels[1], map[string][][2]float64{"snapkv budget=0.5": {{102, 0.1}, {400, 0.1}}, "snapkv budget=0.2": {{102, 0.2}, {400, 0.2}}})
	checkDrawn(t, c.panels[2], map[string][][2]float64{"full": {{102, 1000}, {400, 1000}}, "snapkv budget=0.5": {{102, 2000}, {400, 2000}}, "snapkv budget=0.2": {{102, 3000}, {400, 3000}}})
	checkDrawn(t, c.panels[3], map[string][][2]float64{"full": {{102, 1.02}, {400, 4}}, "snapkv budget=0.5": {{102, 1.02}, {400, 4}}, "snapkv budget=0.2": {{102, 1.02}, {400, 4}}})

	// Variants that ran together share a prefill: their times say nothing of each.
	for i := range all {
		all[i].Timing.Prefill, all[i].Timing.Peak = 1, 0
	}
	if names := chartNames(t, all); slices.Contains(names, "latency-against-length") {
		t.Errorf("charts %q of variants that ran together", names)
	}
}

func TestSizeChart(t *testing.T) {
	var all []rows.Row
	for i, size := range []int64{8e9, 135e6, 1.7e9} {
		for k, variant := range []string{"full", "refreekv"} {
			for _, task := range []string{"a", "b", "only here"} {
				if r := row(task, 0, variant, float64(i+k)/10, 0.5); task != "only here" || i == 0 {
					r.Model, r.Parameters = fmt.Sprint("model", i), size
					all = append(all, r)
				}
			}
		}
	}
	unknown := row("a", 0, "full", 1, 1)
	c := chartOf(t, append(all, unknown), "score-against-size")
	checkDrawn(t, c.panels[0], map[string][][2]float64{"full": {{135e6, 10}, {1.7e9, 20}, {8e9, 0}}, "refreekv": {{135e6, 20}, {1.7e9, 30}, {8e9, 10}}})
	if !c.panels[0].x.log || !strings.Contains(c.caption, "2 tasks") || !strings.Contains(c.caption, "3 models") {
		t.Errorf("caption %q, logarithmic %v", c.caption, c.panels[0].x.log)
	}
	for i := range all {
		all[i].Parameters = 1e9
	}
	if names := chartNames(t, all); slices.Contains(names, "score-against-size") {
		t.Errorf("charts %q of models of one size", names)
	}
}

// Numbers that are none are left out, and what has one record can be drawn.
func TestFiguresOfFewRows(t *testing.T) {
	one := row("a", 0, "refreekv", 0.5, 0.4)
	one.Kept = []float64{60, 20}
	bad := row("a", 1, "refreekv", math.NaN(), math.Inf(1))
	for name, all := range map[string][]rows.Row{"one": {one}, "one, full": {row("a", 0, "full", 1, 1)}, "not finite": {one, bad}} {
		figures, err := allFigures(all)
		if err != nil || len(figures) == 0 {
			t.Fatalf("%s: %d figures (%v)", name, len(figures), err)
		}
		for _, f := range figures {
			for _, format := range FigureFormats {
				raw, err := f.Render(format)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				checkFigure(t, f.Name+"."+format, raw)
				if strings.Contains(string(raw), "NaN") && format == "svg" {
					t.Errorf("%s: %s draws what is no number", name, f.Name)
				}
			}
			if f.Caption == "" || strings.ContainsAny(f.Caption, "\n") || !isFigureFile(f.Name+".png") {
				t.Errorf("%s: figure %q, caption %q", name, f.Name, f.Caption)
			}
		}
	}
}

func TestIsFigureFile(t *testing.T) {
	for name, want := range map[string]bool{
		"needle.png": true, "needle-m-1.5.svg": true, "score-against-budget-by-task.pdf": true,
		"needles.png": false, "drawn-by-hand.png": false, "needle.txt": false, "needle": false,
	} {
		if got := isFigureFile(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// Every text stands within its figure, and no two overlap, also where names are
// long and methods many.
func TestTextsDoNotOverlap(t *testing.T) {
	results := []result{{"full", "full", 1, []float64{.5, .2, .9, .4, .1}}}
	for i := range 11 {
		results = append(results, result{fmt.Sprintf("method%d budget=0.%d option=%s", i, i%9+1, strings.Repeat("wide", i)), fmt.Sprint("m", i), .5, []float64{.4, .1, .7, .3, .1}})
	}
	results = append(results, result{"refreekv", "refreekv", .6, []float64{.45, .2, .8, .4, .1}}, result{"refreekv threshold=0.001", "refreekv", .9, []float64{.5, .2, .8, .4, .1}}, result{"refreekv threshold=0.1", "refreekv", .3, []float64{.3, .2, .5, .4, .1}})
	all := made("organisation/a-model-of-a-rather-long-name-that-nobody-can-remember-instruct", 512, 3, []string{"a", "b", "a_task_whose_name_is_longer_than_its_panel_is_wide_by_far", "d", "e"}, results)
	for i := range all {
		all[i].PromptTokens = 900 + 37*i
		all[i].Kept = []float64{900, all[i].Budget * 900}
		all[i].Labels = map[string]float64{"target_length": float64(8000 + 1000*(i%7)), "depth": float64(i%5) / 4}
	}
	figures, err := allFigures(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		raw, err := f.Render("svg")
		if err != nil {
			t.Fatal(err)
		}
		checkTexts(t, f, string(raw))
	}
	if len(figures) < 8 {
		t.Errorf("only %d figures", len(figures))
	}
}

func checkTexts(t *testing.T, f Figure, svg string) {
	t.Helper()
	texts := textsOf(t, svg)
	page := vg.Rectangle{Max: vg.Point{X: f.w, Y: f.h}}
	for i, a := range texts {
		if a.box.Min.X < page.Min.X-0.5 || a.box.Min.Y < page.Min.Y-0.5 || a.box.Max.X > page.Max.X+0.5 || a.box.Max.Y > page.Max.Y+0.5 {
			t.Errorf("%s: %q at %v leaves the page of %v", f.Name, a.text, a.box, page.Max)
		}
		if a.size < 7 {
			t.Errorf("%s: %q has only %v points", f.Name, a.text, a.size)
		}
		for _, b := range texts[:i] {
			if a.box.Min.X < b.box.Max.X-0.5 && b.box.Min.X < a.box.Max.X-0.5 && a.box.Min.Y < b.box.Max.Y-0.5 && b.box.Min.Y < a.box.Max.Y-0.5 {
				t.Errorf("%s: %q at %v overlaps %q at %v", f.Name, a.text, a.box, b.text, b.box)
			}
		}
	}
	if len(texts) < 5 {
		t.Errorf("%s: only %d texts were found", f.Name, len(texts))
	}
}

// A placed text of a figure, in points from the lower left corner.
type placed struct {
	text string
	size float64
	box  vg.Rectangle
}

var svgText = regexp.MustCompile(`(rotate\(90\)">\n)?<text x="([^"]+)" y="([^"]+)"[^>]*font-size:([0-9.]+)px">([^<]*)<`)

func textsOf(t *testing.T, svg string) (out []placed) {
	t.Helper()
	for _, m := range svgText.FindAllStringSubmatch(svg, -1) {
		var x, y, size float64
		if _, err := fmt.Sscan(m[2]+" "+m[3]+" "+m[4], &x, &y, &size); err != nil {
			t.Fatal(err)
		}
		style := newPlot("", "", "").X.Label.TextStyle
		style.Font.Size = vg.Length(size)
		text := html.UnescapeString(m[5])
		// From the feet of a "g" to the top of a "T".
		box := vg.Rectangle{Min: vg.Point{X: 0, Y: vg.Length(-0.2 * size)}, Max: vg.Point{X: style.Width(text), Y: vg.Length(0.72 * size)}}
		if m[1] != "" {
			box = vg.Rectangle{Min: vg.Point{X: -box.Max.Y, Y: box.Min.X}, Max: vg.Point{X: -box.Min.Y, Y: box.Max.X}}
			x, y = y, -x
		}
		out = append(out, placed{text, size, box.Add(vg.Point{X: vg.Length(x), Y: vg.Length(-y)})})
	}
	return out
}

// allFigures are the figures of rows.
func allFigures(all []rows.Row) ([]Figure, error) {
	s, err := Summarize(all, Options{})
	return Figures(s, all), err
}
