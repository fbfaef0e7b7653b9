package reports

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"refreekv/runners/rows"
)

// Whatever the names are, no line is wider than the screen, and all figures are
// there.
func TestTerminalWidth(t *testing.T) {
	long := strings.Repeat("long-", 30)
	var many []string
	var scores []float64
	for i := range 17 {
		many = append(many, fmt.Sprintf("task_%d_%s", i, strings.Repeat("x", i)))
		scores = append(scores, float64(i)/20)
	}
	for name, all := range map[string][]rows.Row{
		"paper":        made("meta-llama/Meta-Llama-3-8B-Instruct", 7500, 5, paperTasks, paper),
		"nasty":        nasty(),
		"many tasks":   made("/a/path/"+strings.Repeat("that/is/long/", 9), 512, 1, many, []result{{"full", "full", 1, scores}, {"h2o budget=0.5", "h2o", .5, scores}}),
		"long variant": made("m", 512, 1, paperTasks[:1], []result{{"snapkv " + strings.Repeat("option=value ", 12), "snapkv", .5, []float64{.5}}, {long, "x", 1, []float64{1}}}),
		"long task":    made("m", 512, 1, []string{long, "b"}, []result{{"full", "full", 1, []float64{.5, .5}}}),
		"wide letters": made("模型", 512, 1, []string{strings.Repeat("检索", 20), "日本"}, []result{{strings.Repeat("变体 ", 15), "x", 1, []float64{.5, .5}}}),
		"huge vs full": made("m", 512, 1, []string{"a"}, []result{{"full", "full", 1, []float64{1e-6}}, {"h2o budget=0.5", "h2o", .5, []float64{1}}}),
	} {
		for _, width := range []int{40, 60, 80, 100, 200} {
			for _, colour := range []bool{false, true} {
				s := summarize(t, all)
				var out bytes.Buffer
				Terminal(&out, s, width, colour)
				for row := range strings.SplitSeq(out.String(), "\n") {
					if n := text.StringWidthWithoutEscSequences(row); n > width {
						t.Errorf("%s on %d columns: a line takes %d: %s", name, width, n, row)
					}
					if row != strings.TrimRight(row, " ") {
						t.Errorf("%s on %d columns: blanks at the end: %q", name, width, row)
					}
				}
				for _, table := range s.Tables {
					for _, l := range table.Lines {
						for _, c := range append(l.Cells, l.Average) {
							if !strings.Contains(out.String(), c.score()) || !strings.Contains(out.String(), c.budget()) {
								t.Errorf("%s on %d columns: %s (%s) of %q is missing", name, width, c.score(), c.budget(), l.Variant)
							}
						}
					}
				}
				if got := strings.Contains(out.String(), "\x1b"); got != colour {
					t.Errorf("%s: escape sequences: %v, want %v", name, got, colour)
				}
			}
		}
	}
}

// Columns stand under each other, also beside wide letters.
func TestTerminalColumnsAlign(t *testing.T) {
	for _, all := range [][]rows.Row{nasty(), made("m", 512, 1, []string{"检索", "b"}, []result{{"变体", "x", 1, []float64{.5, 1}}, {"a", "a", 1, []float64{.05, 0}}})} {
		var out bytes.Buffer
		Terminal(&out, summarize(t, all), 80, false)
		width := 0
		for row := range strings.SplitSeq(out.String(), "\n") {
			switch {
			case strings.HasPrefix(row, "╭"):
				width = text.StringWidthWithoutEscSequences(row)
			case strings.HasPrefix(row, "│"), strings.HasPrefix(row, "├"), strings.HasPrefix(row, "╰"):
				if n := text.StringWidthWithoutEscSequences(row); n != width {
					t.Errorf("a line takes %d columns, its table %d: %s", n, width, row)
				}
			}
		}
	}
}
