package reports

import (
	"fmt"
	"slices"
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
		if t.heavier() {
			head = append(head, headerMemory)
		}
		if t.compared() {
			head = append(head, headerKL)
		}
		if t.tested() {
			head = append(head, headerVerdict)
		}
		writeMarkdownLine(&b, head)
		b.WriteString("|---|" + strings.Repeat("---:|", len(head)-1) + "\n")
		for _, l := range t.Lines {
			cells := []string{escapeMarkdown(l.Variant)}
			for _, c := range l.Cells {
				cells = append(cells, markdownCell(c))
			}
			cells = append(cells, markdownRank(l.vsFull(), l.VsFullRank), markdownCell(l.Average))
			if t.heavier() {
				cells = append(cells, l.Average.memory())
			}
			if t.compared() {
				cells = append(cells, twoLines(l.Average.kl(), l.Average.agreement()))
			}
			if t.tested() {
				cells = append(cells, twoLines(l.Average.Against.verdict()))
			}
			writeMarkdownLine(&b, cells)
		}
		fmt.Fprintf(&b, "\n%s %s %s.\n", t.legend(), fmt.Sprintf(legendMarks, "Bold and italic"), escapeMarkdown(t.records()))
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "\n%s\n", escapeMarkdown(note))
		}
		if t.tested() && len(t.Tasks) > 1 {
			b.WriteString(markdownVersus(t))
		}
	}
	return b.String()
}

// markdownVersus is the table of the differences to the full cache, task by task.
func markdownVersus(t Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n", versusTitle)
	head := []string{"variant"}
	for _, task := range t.Tasks {
		head = append(head, escapeMarkdown(task))
	}
	writeMarkdownLine(&b, append(head, headerAverage))
	b.WriteString("|---|" + strings.Repeat("---:|", len(head)) + "\n")
	for _, l := range t.versus() {
		cells := []string{escapeMarkdown(l.Variant)}
		for _, c := range append(slices.Clip(l.Cells), l.Average) {
			cells = append(cells, twoLines(c.Against.difference(), c.Against.words()))
		}
		writeMarkdownLine(&b, cells)
	}
	return b.String()
}

// versusTitle stands over the table of differences.
const versusTitle = "Difference to the full cache in points, with its 95 % interval and the verdict underneath."

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
	return twoLines(markdownRank(c.score(), c.Rank), c.budget())
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

func writeMarkdownLine(b *strings.Builder, cells []string) {
	for _, c := range cells {
		b.WriteString("| " + c + " ")
	}
	b.WriteString("|\n")
}
