package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"refreekv/configs"
	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/tasks"
)

var update = flag.Bool("update", false, "write the outputs in the documents anew")

// A codeBlock is a fenced block of a document.
type codeBlock struct {
	language string // sh, text, python, go, …
	name     string // behind it: the file that the block is
	text     string
	line     int // of the fence
	from, to int // of the text in the document
	// notRun and notCompared are why, from a remark before the block that readers do
	// not see: <!-- test: not run: WHY -->
	notRun, notCompared string
}

var remark = regexp.MustCompile(`<!-- test: (not run|not compared): (.+) -->\n$`)

func codeBlocks(document string) (out []codeBlock) {
	at := 0
	for {
		open := strings.Index(document[at:], "```")
		if open < 0 {
			return out
		}
		open += at
		head, _, _ := strings.Cut(document[open+3:], "\n")
		from := open + 3 + len(head) + 1
		size := strings.Index(document[from:], "```")
		if size < 0 {
			return out
		}
		b := codeBlock{text: document[from : from+size], from: from, to: from + size, line: 1 + strings.Count(document[:open], "\n")}
		b.language, b.name, _ = strings.Cut(head, " ")
		if m := remark.FindStringSubmatch(document[at:open]); m != nil {
			if m[1] == "not run" {
				b.notRun = m[2]
			} else {
				b.notCompared = m[2]
			}
		}
		out = append(out, b)
		at = b.to + 3
	}
}

// byHand are documents whose commands measure a machine for minutes: they are
// checked, not run.
var byHand = []string{"performance.md", "reliability.md", "dtypes.md"}

// TestDocuments runs README and every guide as a reader would: its files are
// written, its commands run in order in one folder, with the outputs that it shows.
// What cannot run here must at least name commands, flags, configs, tasks, pruners
// and models that exist.
func TestDocuments(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths = append(paths, filepath.Join(root, "README.md"), filepath.Join(root, "results", "README.md"))
	models := hubOfTinyModels(t)
	for _, path := range paths {
		name, _ := filepath.Rel(root, path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := document{path: path, text: string(raw), blocks: codeBlocks(string(raw)), work: workFolder(t), models: models}
			if filepath.Base(path) == "new-pruner.md" {
				d.bin = buildExample(t, d.blocks)
			}
			for _, wrong := range d.wrongNames() {
				t.Error(wrong)
			}
			d.run(t)
		})
	}
}

// A document is one that is run.
type document struct {
	path, text string
	blocks     []codeBlock
	work       string // where its commands run
	bin        string // folder of a refreekv of its own; empty: the tests'
	models     string // a hub's cache
}

func (d document) run(t *testing.T) {
	updated, done := "", 0
	for i, b := range d.blocks {
		ok := t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			switch {
			case b.name != "":
				write(t, filepath.Join(d.work, b.name), b.text)
				return
			case b.notRun != "":
				t.Skip("not run: " + b.notRun)
			case slices.Contains(byHand, filepath.Base(d.path)):
				t.Skip("not run: it measures this machine")
			case b.language == "text" || b.language == "go" && d.bin != "":
				return
			case b.language != "sh" && b.language != "python":
				t.Fatalf("a block of %q does not say which file it is:\n%s", b.language, b.text)
			}
			got := d.output(t, b)
			if i+1 == len(d.blocks) || d.blocks[i+1].language != "text" {
				return
			}
			want := d.blocks[i+1]
			if want.notCompared != "" {
				t.Log("its output is not compared: " + want.notCompared)
				return
			}
			if diff := gocmp.Diff(want.text, got); diff != "" && !*update {
				t.Errorf("%sprints something else; if that is right, go test ./cmd/refreekv -run TestDocuments -update (-document +got):\n%s", b.text, diff)
			}
			updated += d.text[done:want.from] + got
			done = want.to
		})
		if !ok && !*update {
			return
		}
	}
	if *update && done > 0 {
		write(t, d.path, updated+d.text[done:])
	}
}

// output runs a block and returns what it prints.
func (d document) output(t *testing.T, b codeBlock) string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-ec", b.text)
	if b.language == "python" {
		c = exec.CommandContext(ctx, python(t), "-c", b.text)
	}
	c.Dir, c.Env = d.work, d.environment()
	var stderr strings.Builder
	c.Stderr = &stderr
	got, err := c.Output()
	if err != nil {
		t.Fatalf("%s%v\n%s", b.text, err, stderr.String())
	}
	return string(got)
}

// environment is that of a new user: nothing cached, nothing configured, and a hub
// that cannot be reached. What the hub's own cache holds are tiny models under the
// names of the registry's.
func (d document) environment() []string {
	out := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "PATH" || strings.HasPrefix(name, "HF_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "REFREEKV_")
	})
	path := os.Getenv("PATH")
	if d.bin != "" {
		path = d.bin + string(os.PathListSeparator) + path
	}
	return append(out, "PATH="+path, "LC_ALL=C.UTF-8", "HF_HOME="+d.models, "HF_ENDPOINT=http://127.0.0.1:1", "REFREEKV_CACHE="+filepath.Join(d.work, ".cache"))
}

// python is a Python that has what the guides import; where there is none, the
// block is skipped.
func python(t *testing.T) string {
	name := cmp.Or(os.Getenv("REFREEKV_PYTHON"), "python3")
	if out, err := exec.Command(name, "-c", "import duckdb, pandas, pyarrow").CombinedOutput(); err != nil {
		t.Skipf("not run: no Python with duckdb, pandas and pyarrow (REFREEKV_PYTHON): %v: %s", err, lastLine(string(out)))
	}
	return name
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// hubOfTinyModels is a hub's cache in which every model of the registry is there: a
// tiny one in its place.
func hubOfTinyModels(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	tiny, err := filepath.Abs(filepath.Join(models, "tiny-m"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range hub.Models() {
		dir := filepath.Join(home, "hub", "models--"+strings.ReplaceAll(m.Repo, "/", "--"))
		write(t, filepath.Join(dir, "refs", "main"), "tiny")
		link(t, tiny, filepath.Join(dir, "snapshots", "tiny"))
	}
	return home
}

// workFolder is a folder in which the commands of a document run: beside what the
// repository holds, what they call the reader's own.
func workFolder(t *testing.T) string {
	t.Helper()
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	link(t, filepath.Join(top, "model"), filepath.Join(work, "model"))
	link(t, filepath.Join(top, "docs"), filepath.Join(work, "docs"))
	for _, run := range []string{"quickstart", "benchmarks"} {
		copyRun(t, filepath.Join(top, "results", "reference", run), filepath.Join(work, "results", "reference", run))
	}
	copyRun(t, filepath.Join(top, "results", "reference", "benchmarks"), filepath.Join(work, "results", "table-2"))
	copyRun(t, filepath.Join(top, "results", "reference", "quickstart"), filepath.Join(work, "results", "before"))
	copyRun(t, filepath.Join(top, "results", "reference", "quickstart"), filepath.Join(work, "results", "after"))
	writeRecords(t, filepath.Join(work, "DIR"))
	write(t, filepath.Join(work, "FILE"), "The lighthouse of Veyra was built in 1871. It is 31 metres high.\nHow high is it?\n")
	write(t, filepath.Join(work, "FILE.jsonl"), `{"pred": "31 metres", "answers": ["31 metres"]}`+"\n")
	write(t, filepath.Join(work, "my.yaml"), "name: mine\nmodels: [smollm2-135m-instruct]\ncontext_lengths: [512]\ntasks: [sample_qa]\nrecords: 4\nvariants: [full, refreekv]\n")
	return work
}

// copyRun copies a run's folder without its figures, so that commands may write to it.
func copyRun(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{"run.yaml", "rows.jsonl", "rows.parquet"} {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, name), string(raw))
	}
}

// writeRecords writes records of our own in the benchmarks' formats.
func writeRecords(t *testing.T, dir string) {
	t.Helper()
	three := func(format string) string {
		out := ""
		for i := range 3 {
			out += strings.ReplaceAll(format, "#", fmt.Sprint(i))
		}
		return out
	}
	longBench := three(`{"_id": "#", "input": "How high is tower #?", "context": "Tower # is 3# metres high.", "answers": ["3# metres"], "length": 9, "all_classes": null}` + "\n")
	for _, name := range []string{"narrativeqa", "qasper", "2wikimqa", "musique", "qmsum", "multi_news", "triviaqa", "lcc", "repobench-p"} {
		write(t, filepath.Join(dir, name+".jsonl"), longBench)
	}
	write(t, filepath.Join(dir, "gsm8k.jsonl"), three(`{"question": "What is # + 4?", "answer": "That is 4#. #### 4#"}`+"\n"))
	write(t, filepath.Join(dir, "theoremqa.json"), `[{"Question": "What is 1 + 1?", "Answer": "2", "Answer_type": "integer", "Picture": null}]`)
	write(t, filepath.Join(dir, "truthfulqa.csv"), "Question,Best Answer,Correct Answers,Incorrect Answers\n"+three("Is # a number?,Yes,Yes; It is,No\n"))
	write(t, filepath.Join(dir, "coqa.json"), `{"data": [{"id": "a", "story": "A cat sat on a mat.", "questions": [{"input_text": "Who sat?", "turn_id": 1}], "answers": [{"input_text": "a cat", "turn_id": 1}]}]}`)
	write(t, filepath.Join(dir, "quality.jsonl"), `{"article": "A cat sat on a mat.", "questions": [{"question": "Who sat?", "options": ["a dog", "a cat", "a cow", "a hen"], "gold_label": 2}]}`+"\n")
	write(t, filepath.Join(dir, "gpqa.csv"), "Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3\none,Which?,a,b,c,d\n")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(from, to); err != nil {
		t.Fatal(err)
	}
}

var (
	codeSpan    = regexp.MustCompile("`([^`\n]+)`")
	ourConfig   = regexp.MustCompile(`^(paper|laptop|audit)/[\w.-]+$`)
	flagSpan    = regexp.MustCompile(`^--[a-z][a-z-]*`)
	linkTarget  = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	othersFlags = []string{"--requeue", "--userns"} // of sbatch and podman
)

// wrongNames holds every command of a document, in blocks and in its text, to the
// program, and every link to the files that there are.
func (d document) wrongNames() (out []string) {
	prose, at := "", 0
	for _, b := range d.blocks {
		prose += d.text[at:b.from]
		at = b.to
		if b.language != "sh" {
			continue
		}
		if err := d.checkShell(b.text); err != nil {
			out = append(out, fmt.Sprintf("line %d: %v", b.line, err))
		}
	}
	prose += d.text[at:]
	for _, m := range codeSpan.FindAllStringSubmatch(prose, -1) {
		if err := d.checkSpan(m[1]); err != nil {
			out = append(out, fmt.Sprintf("`%s`: %v", m[1], err))
		}
	}
	for _, m := range linkTarget.FindAllStringSubmatch(prose, -1) {
		if _, err := os.Stat(filepath.Join(filepath.Dir(d.path), m[1])); err != nil {
			out = append(out, fmt.Sprintf("a link leads nowhere: %v", err))
		}
	}
	return out
}

// checkShell checks the calls of refreekv in a text of shell.
func (d document) checkShell(text string) error {
	lines, err := commandLines(text)
	if err != nil {
		return err
	}
	for _, args := range lines {
		line := strings.Join(args, " ")
		if d.bin != "" && strings.Contains(line, "last_output") {
			continue // the pruner that the document adds; the command is run
		}
		if err := checkCommand(args); err != nil {
			return fmt.Errorf("refreekv %s: %w", line, err)
		}
	}
	return nil
}

// checkSpan checks a command, a flag or a config's name in the text.
func (d document) checkSpan(span string) error {
	switch {
	case strings.HasPrefix(span, "refreekv "):
		if _, err := pruners.Parse(span); err == nil {
			return nil // the pruner of that name, with settings
		}
		if _, rest, err := newRoot().Find(strings.Fields(span)[1:]); err == nil && len(rest) == 0 {
			return nil // a command's name alone
		}
		return d.checkShell(span)
	case ourConfig.MatchString(span) && !slices.Contains(configs.Names(), span):
		return fmt.Errorf("there is no such config")
	case flagSpan.MatchString(span):
		name := flagSpan.FindString(span)
		if !isFlag(name) && !slices.Contains(othersFlags, name) {
			return fmt.Errorf("no command has the flag %s", name)
		}
	}
	return nil
}

// isFlag tells whether any command has a flag.
func isFlag(name string) bool {
	for _, c := range commands(newRoot()) {
		found := false
		c.Flags().VisitAll(func(f *pflag.Flag) { found = found || "--"+f.Name == name })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { found = found || "--"+f.Name == name })
		if found {
			return true
		}
	}
	return false
}

// The index names every document, and the guide to tasks every setting.
func TestDocumentsAreWhole(t *testing.T) {
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	index := read("README.md")
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if name := filepath.Base(path); name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
	table, err := os.ReadFile(filepath.Join(root, "results", "reference", "quickstart", "summary.md"))
	if err != nil {
		t.Fatal(err)
	}
	readme, shown := read("../README.md"), 0
	for line := range strings.Lines(readme[:strings.Index(readme, "![")]) {
		if strings.HasPrefix(line, "| ") {
			shown++
			if !strings.Contains(string(table), line) {
				t.Errorf("README.md shows a line that results/reference/quickstart/summary.md has not: %s", line)
			}
		}
	}
	if shown < 12 {
		t.Errorf("README.md shows %d lines of the quickstart's table", shown)
	}
	guide := read("new-task.md")
	for _, setting := range tasks.Switches() {
		if !strings.Contains(guide, "\n| `"+setting+"` | ") {
			t.Errorf("the table of settings in new-task.md lacks %s", setting)
		}
	}
}

// A document that names what there is not is found out.
func TestWrongNames(t *testing.T) {
	for text, wrong := range map[string]bool{
		"Run `refreekv run quickstart --limit 1`.":            false,
		"Run `refreekv run quickstrt`.":                       true,
		"With `--isolated` it is slower.":                     false,
		"With `--isolate` it is slower.":                      true,
		"The config `laptop/table-2` is it.":                  false,
		"The config `laptop/table-22` is it.":                 true,
		"See [this](documents_test.go#x).":                    false,
		"See [this](nothing.md).":                             true,
		"```sh\nrefreekv show recall\n```":                    false,
		"```sh\nls | refreekv score --task recal x\n```":      true,
		"<!-- test: not run: no -->\n```sh\nrefreekv rn\n```": true,
	} {
		d := document{path: "documents_test.go", text: text, blocks: codeBlocks(text)}
		if got := d.wrongNames(); (len(got) > 0) != wrong {
			t.Errorf("%q: found out %q, want any: %v", text, got, wrong)
		}
	}
}
