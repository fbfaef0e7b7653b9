package reports

import (
	"fmt"
	"regexp"
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
	b.WriteString("\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\usepackage[a4paper,landscape,margin=15mm]{geometry}\n\\usepackage{booktabs,graphicx}\n\\setlength{\\belowcaptionskip}{6pt}\n\\begin{document}\n")
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
	writeLatexTables(&b, caption, t.heading()+", continued.", t.columns(), t.Lines, mostScores)
	if t.tested() && len(t.Tasks) > 1 {
		writeLatexTables(&b, t.heading()+". "+versusTitle, t.heading()+". Difference to the full cache, continued.", t.versusColumns(), t.versus(), mostIntervals)
	}
	return b.String()
}

// mostScores and mostIntervals are how many columns a page's width holds legibly:
// of scores, enough for the paper's 13 tasks, and of differences with intervals.
const (
	mostScores    = 18
	mostIntervals = 9
)

// writeLatexTables writes a table, in parts of about as many columns each where it
// has more than so many; the second caption is that of the further parts.
func writeLatexTables(b *strings.Builder, caption, continued string, columns []column, lines []Line, most int) {
	parts := (len(columns) + most - 1) / most
	for i := range parts {
		writeLatexTable(b, caption, columns[i*len(columns)/parts:(i+1)*len(columns)/parts], lines)
		caption = continued
	}
}

// writeLatexTable writes a table of lines, each with a smaller one beneath.
func writeLatexTable(b *strings.Builder, caption string, columns []column, lines []Line) {
	fmt.Fprintf(b, "\\begin{table}[p]\n\\centering\\small\n\\caption{%s}\n", latexText(caption))
	// A wide table is shrunk to the line, a small one stays as it is.
	b.WriteString("\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n")
	fmt.Fprintf(b, "\\begin{tabular}{l%s}\n\\toprule\n", strings.Repeat("r", len(columns)))
	head := []latexCell{{text: "variant"}}
	for _, c := range columns {
		head = append(head, latexCell{text: c.head})
	}
	writeLatexLine(b, head, "")
	b.WriteString("\\midrule\n")
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\\addlinespace\n")
		}
		figures, beneath := []latexCell{{text: l.Variant}}, []latexCell{{}}
		for _, c := range columns {
			e := c.of(l)
			figures, beneath = append(figures, latexCell{e.figure, e.rank}), append(beneath, latexCell{text: e.beneath})
		}
		writeLatexLine(b, figures, "")
		writeLatexLine(b, beneath, "\\scriptsize ")
	}
	b.WriteString("\\bottomrule\n\\end{tabular}}\n\\end{table}\n")
}

// A latexCell is a cell's text and its rank among its column's best.
type latexCell struct {
	text string
	rank int
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
