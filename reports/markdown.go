package reports

import (
	"fmt"
	"strings"
	"unicode"
)

// markdown renders all tables for GitHub.
func markdown(s Summary, title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", escapeMarkdown(title))
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n", escapeMarkdown(t.heading()))
		head := []string{"variant"}
		for _, task := range t.Tasks {
			head = append(head, escapeMarkdown(task))
		}
		head = append(head, headerVsFull, headerAverage)
		if t.compared() {
			head = append(head, headerKL)
		}
		writeMarkdownLine(&b, head)
		b.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
		for _, l := range t.Lines {
			cells := []string{escapeMarkdown(l.Variant)}
			for _, c := range l.Cells {
				cells = append(cells, markdownCell(c))
			}
			cells = append(cells, l.vsFull(), markdownCell(l.Average))
			if t.compared() {
				cells = append(cells, twoLines(l.Average.kl(), l.Average.agreement()))
			}
			writeMarkdownLine(&b, cells)
		}
		fmt.Fprintf(&b, "\n%s %s.\n", t.legend(), escapeMarkdown(t.records()))
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "\n%s\n", escapeMarkdown(note))
		}
	}
	return b.String()
}

// escapeMarkdown escapes what Markdown reads as markup. An underscore between
// letters or digits means nothing there and stays readable.
func escapeMarkdown(s string) string {
	var b strings.Builder
	runes := []rune(s)
	word := func(i int) bool {
		return i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]))
	}
	for i, r := range runes {
		switch {
		case r == '\n' || r == '\r':
			r = ' '
		case strings.ContainsRune("\\`*[]<>|~&$", r), r == '_' && !(word(i-1) && word(i+1)), r == '#' && i == 0:
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func markdownCell(c Cell) string {
	return twoLines(c.score(), c.budget())
}

func twoLines(figure, beneath string) string {
	if figure == noResult {
		return noResult
	}
	return figure + "<br><sub>" + beneath + "</sub>"
}

func writeMarkdownLine(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}
