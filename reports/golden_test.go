package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/runners/rows"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./reports -update writes it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; if that is right, go test ./reports -update (-want +got):\n%s", path, diff)
	}
}

func TestGoldenTables(t *testing.T) {
	for name, c := range map[string]struct {
		title string
		rows  []rows.Row
	}{
		"paper": {"llama", made("meta-llama/Meta-Llama-3-8B-Instruct", 7500, 5, paperTasks, paper)},
		"nasty": {"a_title_ with *markup* <b> & 50%\nand a line break", nasty()},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range Formats {
				got, err := Render(c.rows, Options{Title: c.title}, format)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+format, got)
			}
			s, err := Summarize(c.rows, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var screen bytes.Buffer
			Terminal(&screen, s, 80, false)
			golden(t, name+".txt", screen.Bytes())
		})
	}
}

// The formats hold what another program can read.
func TestFormatsAreWellFormed(t *testing.T) {
	all := nasty()
	sheet, err := Render(all, Options{Title: "x"}, "csv")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(sheet)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 5 || lines[1][0] != all[0].Model || lines[3][3] != "odd|pruner budget=0.5 note=[a](b)_c_" {
		t.Errorf("the CSV reads as %q", lines)
	}
	object, err := Render(all, Options{Title: "x"}, "json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Summarize(all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got Summary
	if err := json.Unmarshal(object, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the JSON reads as another summary (-want +got):\n%s", diff)
	}
	if _, err := Render(all, Options{Title: "x"}, "html"); err == nil {
		t.Error("an unknown format was rendered")
	}
}

// Every cell separator in the Markdown table is ours: each line has as many.
func TestMarkdownColumns(t *testing.T) {
	text, err := Render(nasty(), Options{Title: "x"}, "md")
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasPrefix(line, "|") {
			want = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if want == 0 {
			want = n
		}
		if n != want {
			t.Errorf("%d separators, the head has %d: %s", n, want, line)
		}
	}
}

// What LaTeX would read as a command or a group appears only where we wrote it.
func TestLatexEscapes(t *testing.T) {
	for in, want := range map[string]string{
		`a_b%c&d#e$f{g}h`: `a\_b\%c\&d\#e\$f\{g\}h`,
		`\x^y~z`:          `\textbackslash{}x\textasciicircum{}y\textasciitilde{}z`,
		`<a> | "b"`:       `\textless{}a\textgreater{} \textbar{} ''b''`,
		"–50 % “x”\ny":    "--50 \\% ``x'' y",
		"检索":              "[U+68C0][U+7D22]",
	} {
		if got := latexText(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	text, err := Render(nasty(), Options{Title: "x"}, "tex")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		depth := 0
		for k := range len(line) {
			escaped := k > 0 && line[k-1] == '\\'
			switch {
			case line[k] == '{' && !escaped:
				depth++
			case line[k] == '}' && !escaped:
				depth--
			}
		}
		// The table's contents are the argument of \resizebox.
		opens, closes := strings.HasPrefix(line, `\resizebox`), strings.HasPrefix(line, `\end{tabular}}`)
		if depth != 0 && !(opens && depth == 1) && !(closes && depth == -1) {
			t.Errorf("line %d: braces do not match: %s", i+1, line)
		}
	}
}

func TestEscapeMarkdown(t *testing.T) {
	for in, want := range map[string]string{
		"multi_news, 2wikimqa": "multi_news, 2wikimqa", "_a_ __init__": `\_a\_ \_\_init\_\_`, "*a* `b` <c> [d](e) f|g": "\\*a\\* \\`b\\` \\<c\\> \\[d\\](e) f\\|g",
		`\n & ~x~`: `\\n \& \~x\~`, "# a #": `\# a #`, "a\nb": "a b", "snapkv budget=0.5 window=16": "snapkv budget=0.5 window=16",
	} {
		if got := escapeMarkdown(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// many is a table of 28 tasks.
func many() []rows.Row {
	var tasks []string
	ones, halves := make([]float64, 28), make([]float64, 28)
	for i := range 28 {
		tasks, ones[i], halves[i] = append(tasks, fmt.Sprintf("task_%02d", i)), 1, .5
	}
	return made("model", 512, 2, tasks, []result{{"full", "full", 1, ones}, {"h2o budget=0.5", "h2o", .5, halves}})
}

// A table that is too wide for a page goes on in others, each column once.
func TestLatexWideTables(t *testing.T) {
	raw, err := Render(many(), Options{Title: "x"}, "tex")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, columns := range regexp.MustCompile(`tabular\}\{l(r+)\}`).FindAllStringSubmatch(text, -1) {
		if len(columns[1]) > mostScores {
			t.Errorf("a table of %d columns", len(columns[1]))
		}
	}
	// The scores, and the differences.
	for i := range 28 {
		if name := fmt.Sprintf(`task\_%02d`, i); strings.Count(text, name) != 2 {
			t.Errorf("%s stands %d times", name, strings.Count(text, name))
		}
	}
	if got := strings.Count(text, "continued."); got != 1+3 {
		t.Errorf("%d tables go on, want 4:\n%s", got, text)
	}
}

// The document compiles by itself, whatever names and texts hold.
func TestLatexCompiles(t *testing.T) {
	program, err := exec.LookPath("pdflatex")
	if err != nil {
		t.Skip("needs LaTeX: there is no pdflatex here")
	}
	wide, err := Render(many(), Options{Title: "x"}, "tex")
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string][]byte{"wide": wide}
	for _, name := range []string{"paper", "nasty"} {
		if documents[name], err = os.ReadFile(filepath.Join("testdata", name+".tex")); err != nil {
			t.Fatal(err)
		}
	}
	for name, raw := range documents {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "t.tex"), raw, 0o644); err != nil {
			t.Fatal(err)
		}
		c := exec.Command(program, "-interaction=nonstopmode", "-halt-on-error", "t.tex")
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s.tex: %v\n%s", name, err, out)
		}
	}
}
