package reports

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// markdown renders all tables for GitHub.
func markdown(s Summary, title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", escapeMarkdown(title))
	for _, t := range s.Tables {
		fmt.Fprintf(&b, "\n## %s\n\n", escapeMarkdown(t.heading()))
		writeMarkdownTable(&b, t.columns(), t.Lines)
		fmt.Fprintf(&b, "\n%s %s %s.\n", t.legend(), fmt.Sprintf(legendMarks, "Bold and italic"), escapeMarkdown(t.records()))
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "\n%s\n", escapeMarkdown(note))
		}
		if t.tested() && len(t.Tasks) > 1 {
			fmt.Fprintf(&b, "\n%s\n\n", versusTitle)
			writeMarkdownTable(&b, t.versusColumns(), t.versus())
		}
	}
	return b.String()
}

func writeMarkdownTable(b *strings.Builder, columns []column, lines []Line) {
	head := []string{"variant"}
	for _, c := range columns {
		head = append(head, escapeMarkdown(c.head))
	}
	writeMarkdownLine(b, head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(columns)) + "\n")
	for _, l := range lines {
		cells := []string{escapeMarkdown(l.Variant)}
		for _, c := range columns {
			e := c.of(l)
			cells = append(cells, twoLines(markdownRank(e.figure, e.rank), e.beneath))
		}
		writeMarkdownLine(b, cells)
	}
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

// markdownRank marks the best figure and the second best.
func markdownRank(figure string, rank int) string {
	switch rank {
	case 1:
		return "**" + figure + "**"
	case 2:
		return "*" + figure + "*"
	}
	return figure
}

func twoLines(figure, beneath string) string {
	if figure == noResult || beneath == "" {
		return figure
	}
	return figure + "<br><sub>" + beneath + "</sub>"
}

func writeMarkdownLine(b io.StringWriter, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}
