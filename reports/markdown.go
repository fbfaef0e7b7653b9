package reports

import (
	"fmt"
	"strings"
)

// markdown renders all tables for GitHub.
func markdown(s Summary, title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", title)
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n", t.heading())
		head := append([]string{"variant"}, t.Tasks...)
		writeMarkdownLine(&b, append(head, headerVsFull, headerAverage))
		b.WriteString("|---|" + strings.Repeat("---:|", len(t.Tasks)+2) + "\n")
		for _, l := range t.Lines {
			cells := []string{l.Variant}
			for _, c := range l.Cells {
				cells = append(cells, markdownCell(c))
			}
			writeMarkdownLine(&b, append(cells, l.vsFull(), markdownCell(l.Average)))
		}
		fmt.Fprintf(&b, "\n%s %s.\n", legend, sentence(t.records()))
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "\n%s\n", note)
		}
	}
	return b.String()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func markdownCell(c Cell) string {
	if c.Records == 0 {
		return noResult
	}
	return c.score() + "<br><sub>" + c.budget() + "</sub>"
}

func writeMarkdownLine(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}
