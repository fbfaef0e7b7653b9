package reports

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// latexEscaper escapes what LaTeX reads as commands, and what its usual font
// encoding prints as something else.
var latexEscaper = strings.NewReplacer(
	`\`, `\textbackslash{}`, `{`, `\{`, `}`, `\}`, `_`, `\_`, `%`, `\%`, `&`, `\&`, `#`, `\#`, `$`, `\$`,
	`^`, `\textasciicircum{}`, `~`, `\textasciitilde{}`, `<`, `\textless{}`, `>`, `\textgreater{}`, `|`, `\textbar{}`, `"`, `''`,
	`–`, `--`, `≈`, `$\approx$`, `“`, "``", `”`, `''`, "\n", " ",
)

// latexText escapes a text. Letters that LaTeX's usual fonts lack are named by
// their code points: the document must compile.
func latexText(s string) string {
	var b strings.Builder
	for _, r := range latexEscaper.Replace(s) {
		if r > 0x17f {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// latex renders a document that compiles by itself; the tables need only
// booktabs and can be copied out of it.
func latex(s Summary, title string) string {
	var b strings.Builder
	b.WriteString("\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage[a4paper,landscape,margin=15mm]{geometry}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n")
	fmt.Fprintf(&b, "%% %s\n", strings.ReplaceAll(title, "\n", " "))
	for _, t := range s.Tables {
		b.WriteString(latexTable(t))
	}
	b.WriteString("\\end{document}\n")
	return b.String()
}

func latexTable(t Table) string {
	var b strings.Builder
	caption := t.heading() + ". " + t.legend() + " " + fmt.Sprintf(legendMarks, "Bold and underlined") + " " + t.records() + "."
	if len(t.Notes) > 0 {
		caption += " " + strings.Join(t.Notes, " ")
	}
	fmt.Fprintf(&b, "\\begin{table}[p]\n\\centering\\small\n\\caption{%s}\n", latexText(caption))
	// A table of many tasks is shrunk to the line, a small one stays as it is.
	b.WriteString("\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n")
	head := append([]string{"variant"}, t.Tasks...)
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
	lines := make([][2][]latexCell, len(t.Lines))
	for i, l := range t.Lines {
		figures, beneath := []latexCell{{text: l.Variant}}, []latexCell{{}}
		add := func(figure, below string, rank int) {
			figures, beneath = append(figures, latexCell{figure, rank}), append(beneath, latexCell{text: below})
		}
		for _, c := range l.Cells {
			add(c.score(), c.budget(), c.Rank)
		}
		add(l.vsFull(), "", l.VsFullRank)
		add(l.Average.score(), l.Average.budget(), l.Average.Rank)
		if t.heavier() {
			add(l.Average.memory(), "", 0)
		}
		if t.compared() {
			add(l.Average.kl(), l.Average.agreement(), 0)
		}
		if t.tested() {
			word, detail := l.Average.Against.verdict()
			add(word, detail, 0)
		}
		lines[i] = [2][]latexCell{figures, beneath}
	}
	writeTabular(&b, head, lines)
	b.WriteString("\\end{table}\n")
	if t.tested() && len(t.Tasks) > 1 {
		b.WriteString(latexVersus(t))
	}
	return b.String()
}

// latexVersus is the table of the differences to the full cache, task by task.
func latexVersus(t Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\\begin{table}[p]\n\\centering\\small\n\\caption{%s}\n", latexText(t.heading()+". "+versusTitle))
	b.WriteString("\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n")
	var lines [][2][]latexCell
	for _, l := range t.versus() {
		line := [2][]latexCell{{{text: l.Variant}}, {{}}}
		for _, c := range append(slices.Clip(l.Cells), l.Average) {
			words := c.Against.words()
			if c.Against == nil {
				words = ""
			}
			line[0], line[1] = append(line[0], latexCell{text: c.Against.difference()}), append(line[1], latexCell{text: words})
		}
		lines = append(lines, line)
	}
	writeTabular(&b, append(append([]string{"variant"}, t.Tasks...), headerAverage), lines)
	b.WriteString("\\end{table}\n")
	return b.String()
}

// A latexCell is a cell's text and its rank among its column's best.
type latexCell struct {
	text string
	rank int
}

// writeTabular writes a table of lines, each with a smaller one beneath.
func writeTabular(b *strings.Builder, head []string, lines [][2][]latexCell) {
	fmt.Fprintf(b, "\\begin{tabular}{l%s}\n\\toprule\n", strings.Repeat("r", len(head)-1))
	cells := make([]latexCell, len(head))
	for i, h := range head {
		cells[i].text = h
	}
	writeLatexLine(b, cells, "")
	b.WriteString("\\midrule\n")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\\addlinespace\n")
		}
		writeLatexLine(b, line[0], "")
		writeLatexLine(b, line[1], "\\scriptsize ")
	}
	b.WriteString("\\bottomrule\n\\end{tabular}}\n")
}

func writeLatexLine(b *strings.Builder, cells []latexCell, style string) {
	for i, c := range cells {
		if i > 0 {
			b.WriteString(" & ")
		}
		if c.text == "" {
			continue
		}
		text := latexMinus.ReplaceAllString(latexText(c.text), "$$-$$$1") // a minus, not a hyphen
		switch c.rank {
		case 1:
			text = "\\textbf{" + text + "}"
		case 2:
			text = "\\underline{" + text + "}"
		}
		b.WriteString(style + text)
	}
	b.WriteString(" \\\\\n")
}

// latexMinus is a hyphen that stands for a minus.
var latexMinus = regexp.MustCompile(`(?:^|\B)-([0-9])`)
