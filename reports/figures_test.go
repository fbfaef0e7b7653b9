package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/runners/rows"
)

func figuresOf(t *testing.T, all []rows.Row) map[string][]byte {
	t.Helper()
	out, err := figureFiles(summarize(t, all), all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(files map[string][]byte) []string { return slices.Sorted(maps.Keys(files)) }

func TestFiguresDecode(t *testing.T) {
	files := figuresOf(t, made("meta-llama/Meta-Llama-3-8B-Instruct", 7500, 5, paperTasks, paper))
	var want []string
	for _, name := range []string{"budget-against-length", "budget-by-task", "fidelity-against-budget", "score-against-budget-by-task", "score-against-budget", "sweep-window-by-task", "sweep-window"} {
		want = append(want, name+".pdf", name+".png", name+".svg")
	}
	if diff := cmp.Diff(want, names(files)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for name, raw := range files {
		checkFigure(t, name, raw)
	}
	svg := string(files["score-against-budget.svg"])
	for _, label := range []string{"Meta-Llama-3-8B-Instruct", "KV cache kept (%)", "mean score", "full cache", "refreekv", "h2o", "snapkv window=16", "streamingllm", "s.d."} {
		if !strings.Contains(svg, label) {
			t.Errorf("the figure lacks %q", label)
		}
	}
}

// checkFigure makes sure that a program can read a figure, and that it is not
// blank.
func checkFigure(t *testing.T, name string, raw []byte) {
	t.Helper()
	switch filepath.Ext(name) {
	case ".png":
		im, err := png.Decode(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if b := im.Bounds(); b.Dx() < 800 || b.Dy() < 200 || b.Dx() > 6000 || b.Dy() > 6000 {
			t.Errorf("%s: %d by %d points", name, b.Dx(), b.Dy())
		}
		dark := 0
		for y := im.Bounds().Min.Y; y < im.Bounds().Max.Y; y++ {
			for x := im.Bounds().Min.X; x < im.Bounds().Max.X; x++ {
				if r, g, b, _ := im.At(x, y).RGBA(); r+g+b < 0xffff {
					dark++
				}
			}
		}
		if dark < 500 {
			t.Errorf("%s: only %d dark points", name, dark)
		}
	case ".svg":
		for d := xml.NewDecoder(bytes.NewReader(raw)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !bytes.Contains(raw, []byte("<path")) {
			t.Errorf("%s: nothing is drawn", name)
		}
	case ".pdf":
		if err := checkPDF(raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var pdfEnd = regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n?$`)

// checkPDF follows the file's offsets: each must lead to the object it names.
func checkPDF(raw []byte) error {
	end := pdfEnd.FindSubmatch(raw)
	if !bytes.HasPrefix(raw, []byte("%PDF-1.")) || end == nil {
		return errors.New("no PDF")
	}
	at, err := strconv.Atoi(string(end[1]))
	if err != nil || at >= len(raw) || !bytes.HasPrefix(raw[at:], []byte("xref\n")) {
		return fmt.Errorf("no table of objects at %d", at)
	}
	lines := strings.Split(string(raw[at:]), "\n")
	var first, count int
	if _, err := fmt.Sscanf(lines[1], "%d %d", &first, &count); err != nil {
		return err
	}
	for i := 1; i < count; i++ {
		var offset int
		if _, err := fmt.Sscanf(lines[2+i], "%d", &offset); err != nil {
			return err
		}
		if want := fmt.Sprintf("%d 0 obj", i); offset+len(want) > len(raw) || !bytes.HasPrefix(raw[offset:], []byte(want)) {
			return fmt.Errorf("object %d is not at %d", i, offset)
		}
	}
	return nil
}

func TestFiguresAreTheSameBytes(t *testing.T) {
	all := made("m", 512, 2, paperTasks[:2], paper)
	first := figuresOf(t, all)
	for range 3 {
		for name, raw := range figuresOf(t, all) {
			if !bytes.Equal(first[name], raw) {
				t.Errorf("%s differs from the first", name)
			}
		}
	}
	for _, name := range names(first) {
		if strings.HasSuffix(name, ".pdf") && !bytes.Contains(first[name], []byte("(D:20000101000000")) {
			t.Errorf("%s holds the time at which it was made", name)
		}
	}
}

func TestFiguresOfOddRows(t *testing.T) {
	one := func(variant, pruner string, scores ...float64) []rows.Row {
		var all []rows.Row
		for i, s := range scores {
			all = append(all, rows.Row{Model: "m", ContextLength: 512, Task: "a", Protocol: "standard", Index: i, Variant: variant, Pruner: pruner, Score: s, Budget: 0.5, FullKVBytes: 1})
		}
		return all
	}
	many := []rows.Row{}
	for i := range 40 {
		many = append(many, one(fmt.Sprintf("method%d budget=0.%d option=%s", i/2, i%2+3, strings.Repeat("v", i)), fmt.Sprint("method", i/2), float64(i)/40)...)
	}
	for name, all := range map[string][]rows.Row{
		"only the full cache":      one("full", "full", 0.5, 0.7),
		"one variant":              one("h2o budget=0.5", "h2o", 0.5),
		"no full cache":            made("m", 512, 2, paperTasks, paper[1:]),
		"budgets all equal":        append(one("h2o budget=0.5", "h2o", 0.2), one("h2o budget=0.50", "h2o", 0.8)...),
		"all score 0":              append(one("full", "full", 0), one("h2o budget=0.5", "h2o", 0)...),
		"all score 1":              append(one("full", "full", 1), one("h2o budget=0.5", "h2o", 1)...),
		"many methods, long names": many,
		"markup and wide letters":  nasty(),
		"budgets 0 and 1, spread":  {{Model: "m", Task: "a", Variant: "x", Pruner: "x", Budget: 0, Score: 0.5}, {Model: "m", Task: "a", Index: 1, Variant: "x", Pruner: "x", Budget: 1, Score: 0.5}},
	} {
		files := figuresOf(t, all)
		if len(files) < 3 {
			t.Errorf("%s: figures %q", name, names(files))
		}
		for file, raw := range files {
			checkFigure(t, name+": "+file, raw)
		}
	}
}

// A table without any result has tables, with a note, but no figure.
func TestNoFigureWithoutResults(t *testing.T) {
	all := made("m", 512, 2, paperTasks, paper)
	for i := range all {
		all[i].Error = "no"
	}
	if files := figuresOf(t, all); len(files) != 0 {
		t.Errorf("figures %q", names(files))
	}
	dir := t.TempDir()
	if _, err := WriteAll(dir, all, Options{Title: "x"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "summary.md"))
	if err != nil || !strings.Contains(string(text), "8 records could not be run") {
		t.Errorf("summary.md (%v):\n%s", err, text)
	}
}

func TestFigureNames(t *testing.T) {
	names := func(tables ...Table) (out []string) {
		s := Summary{Tables: tables}
		for i := range tables {
			out = append(out, s.figureSuffix(i))
		}
		return out
	}
	for _, c := range []struct{ got, want []string }{
		{names(Table{Model: "a/b", ContextLength: 1}), []string{""}},
		{names(Table{Model: "org/b", ContextLength: 1}, Table{Model: "org/b", ContextLength: 2}), []string{"-b-1", "-b-2"}},
		{names(Table{Model: "x/b", ContextLength: 1}, Table{Model: "y/b", ContextLength: 1}), []string{"-x-b-1", "-y-b-1"}},
		{names(Table{Model: "模", ContextLength: 1}, Table{Model: "型", ContextLength: 1}), []string{"--1-1", "--1-2"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// No two series of a figure look alike, also in grey, and a method looks the same
// in every figure.
func TestLooks(t *testing.T) {
	series := func(names ...string) (out []series) {
		for _, n := range names {
			pruner, _, _ := strings.Cut(n, " ")
			out = append(out, newSeries(n, pruner))
		}
		return out
	}
	alone := map[string]look{}
	for _, name := range []string{"refreekv", "h2o", "snapkv", "streamingllm"} {
		alone[name] = looksOf(series(name))[0]
	}
	for _, names := range [][]string{
		{"streamingllm", "snapkv", "h2o", "refreekv"},
		{"snapkv", "snapkv window=16", "snapkv heads=kv", "streamingllm", "h2o", "refreekv"},
		{"tova", "pyramidkv", "adakv", "keydiff", "snapkv", "h2o", "refreekv"},
	} {
		looks := looksOf(series(names...))
		for i, a := range looks {
			for k, b := range looks[:i] {
				if a.glyph == b.glyph {
					t.Errorf("%q: %s and %s have the same glyph", names, names[i], names[k])
				}
				sameMethod := strings.Fields(names[i])[0] == strings.Fields(names[k])[0]
				if (a.colour == b.colour) != sameMethod {
					t.Errorf("%q: colours of %s and %s: %d and %d", names, names[i], names[k], a.colour, b.colour)
				}
			}
			if usual, ok := alone[names[i]]; ok && a != usual {
				t.Errorf("%q: %s looks as %v, alone as %v", names, names[i], a, usual)
			}
		}
	}
}

// More methods than colours still are told apart by glyph and dashes.
func TestLooksOfManyMethods(t *testing.T) {
	var many []series
	for i := range 24 {
		many = append(many, newSeries(fmt.Sprint("method", i), fmt.Sprint("method", i)))
	}
	seen := map[[2]int]string{}
	for i, l := range looksOf(many) {
		if before, twice := seen[[2]int{l.glyph, l.dash}]; twice {
			t.Errorf("%s looks like %s", many[i].name, before)
		}
		seen[[2]int{l.glyph, l.dash}] = many[i].name
	}
}

func newSeries(name, pruner string) series { return series{name: name, pruner: pruner} }

// The axis holds every score with ticks at round values within 0 and 100.
func TestScale(t *testing.T) {
	for _, c := range []struct {
		low, high   float64
		first, last string
	}{
		{0, 100, "0", "100"}, {12, 87, "0", "100"}, {40, 42, "40", "42"}, {41.2, 47.9, "40", "48"}, {0, 0, "0.0", "1.0"},
		{100, 100, "99.0", "100.0"}, {99.9, 100, "98.5", "100.0"}, {33, 33, "32", "34"}, {0.1, 3, "0", "3"},
	} {
		from, to, ticks := scale(c.low, c.high, 2, 0, 100)
		if len(ticks) < 3 || len(ticks) > 7 {
			t.Errorf("scale(%v, %v) has %d ticks", c.low, c.high, len(ticks))
		}
		first, last := ticks[0], ticks[len(ticks)-1]
		if first.Label != c.first || last.Label != c.last {
			t.Errorf("scale(%v, %v): ticks %s to %s, want %s to %s", c.low, c.high, first.Label, last.Label, c.first, c.last)
		}
		if c.low <= c.high && (from > c.low || to < c.high || from >= first.Value || to <= last.Value || first.Value < 0 || last.Value > 100+1e-9) {
			t.Errorf("scale(%v, %v) goes from %v to %v with ticks %s to %s", c.low, c.high, from, to, first.Label, last.Label)
		}
	}
}

func TestWriteAll(t *testing.T) {
	dir := t.TempDir()
	two := append(made("a", 512, 1, paperTasks, paper), made("b", 512, 1, paperTasks, paper)...)
	if _, err := WriteAll(dir, two, Options{Title: "x"}); err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "figures", "drawn-by-hand.png")
	if err := os.WriteFile(own, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteAll(dir, made("a", 512, 1, paperTasks[:1], paper), Options{Title: "x"}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, pattern := range []string{"*", "figures/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			name, err := filepath.Rel(dir, p)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
	}
	want := []string{
		"figures", "summary.csv", "summary.json", "summary.md", "summary.tex",
		"figures/budget-by-task.pdf", "figures/budget-by-task.png", "figures/budget-by-task.svg", "figures/drawn-by-hand.png",
		"figures/score-against-budget.pdf", "figures/score-against-budget.png", "figures/score-against-budget.svg",
		"figures/sweep-window.pdf", "figures/sweep-window.png", "figures/sweep-window.svg",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a report of fewer models (-want +got):\n%s", diff)
	}
	blocked := filepath.Join(dir, "summary.md")
	if _, err := WriteAll(blocked, two, Options{Title: "x"}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("writing into a file: %v", err)
	}
}
