package reports

import (
	"fmt"
	"strings"
)

// latexEscaper escapes what LaTeX reads as commands, and what its usual font
// encoding prints as something else.
var latexEscaper = strings.NewReplacer(
	`\`, `\textbackslash{}`, `{`, `\{`, `}`, `\}`, `_`, `\_`, `%`, `\%`, `&`, `\&`, `#`, `\#`, `$`, `\$`,
	`^`, `\textasciicircum{}`, `~`, `\textasciitilde{}`, `<`, `\textless{}`, `>`, `\textgreater{}`, `|`, `\textbar{}`, `"`, `''`,
	`–`, `--`, `“`, "``", `”`, `''`, "\n", " ",
)

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
	caption := t.heading() + ". " + t.legend() + " " + t.records() + "."
	if len(t.Notes) > 0 {
		caption += " " + strings.Join(t.Notes, " ")
	}
	fmt.Fprintf(&b, "\\begin{table}[p]\n\\centering\\small\n\\caption{%s}\n", latexEscaper.Replace(caption))
	// A table of many tasks is shrunk to the line, a small one stays as it is.
	b.WriteString("\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n")
	head := append([]string{"variant"}, t.Tasks...)
	head = append(head, headerVsFull, headerAverage)
	if t.compared() {
		head = append(head, headerKL)
	}
	fmt.Fprintf(&b, "\\begin{tabular}{l%s}\n\\toprule\n", strings.Repeat("r", len(head)-1))
	writeLatexLine(&b, head, "")
	b.WriteString("\\midrule\n")
	for i, l := range t.Lines {
		if i > 0 {
			b.WriteString("\\addlinespace\n")
		}
		scores, budgets := []string{l.Variant}, []string{""}
		for _, c := range l.Cells {
			scores, budgets = append(scores, c.score()), append(budgets, c.budget())
		}
		scores, budgets = append(scores, l.vsFull(), l.Average.score()), append(budgets, "", l.Average.budget())
		if t.compared() {
			scores, budgets = append(scores, l.Average.kl()), append(budgets, l.Average.agreement())
		}
		writeLatexLine(&b, scores, "")
		writeLatexLine(&b, budgets, "\\scriptsize ")
	}
	b.WriteString("\\bottomrule\n\\end{tabular}}\n\\end{table}\n")
	return b.String()
}

func writeLatexLine(b *strings.Builder, cells []string, style string) {
	for i, c := range cells {
		if i > 0 {
			b.WriteString(" & ")
		}
		if c == "" {
			continue
		}
		text := latexEscaper.Replace(c)
		if len(c) > 1 && c[0] == '-' && c[1] >= '0' && c[1] <= '9' {
			text = "$-$" + text[1:] // a minus, not a hyphen
		}
		b.WriteString(style + text)
	}
	b.WriteString(" \\\\\n")
}
