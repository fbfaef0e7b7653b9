package runners

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/configs"
	"refreekv/pruners"
)

const tinyS, tinyM = "../model/testdata/tiny-s", "../model/testdata/tiny-m"

// whole has every field of a config.
const whole = `name: every-field_1.0
about: what it shows
models: [` + tinyS + `, "smollm2-135m-instruct", org/name]
context_lengths: [512, 64]
protocol: paper
tasks: [recall, kv_retrieval]
records: 3
fidelity: 20
data: ../data
variants:
  - full
  - "snapkv budget=0.5 window=16"
  - {pruner: h2o, budget: 0.3}
dtype: int8
`

func parse(t *testing.T, text string, o Overrides) (*Config, error) {
	t.Helper()
	return parseConfig([]byte(text), "c.yaml", o)
}

func labels(c *Config) (out []string) {
	for _, spec := range c.Variants {
		out = append(out, spec.String())
	}
	return out
}

func TestEveryField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	twenty := 20
	want := &Config{
		Fidelity: &twenty,
		Name:     "every-field_1.0", About: "what it shows", Models: []string{tinyS, "smollm2-135m-instruct", "org/name"},
		ContextLengths: []int{512, 64}, Protocol: "paper", DType: "int8", Tasks: []string{"recall", "kv_retrieval"}, Records: 3, Data: "../data",
		Variants: got.Variants,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"full", "snapkv budget=0.5 window=16", "h2o budget=0.3"}, labels(got)); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	got, err := parse(t, "name: a\nmodels: ["+tinyS+"]\ntasks: [recall]\nvariants: [full]\n", Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Protocol != "standard" || !cmp.Equal(got.ContextLengths, []int{4096}) || got.Records != 0 || got.Data != "" {
		t.Errorf("defaults: %+v", got)
	}
}

func TestAxesAreMultipliedOut(t *testing.T) {
	for variants, want := range map[string][]string{
		"{pruner: h2o, budget: [0.8, 0.5]}":                      {"h2o budget=0.8", "h2o budget=0.5"},
		"{pruner: snapkv, budget: [0.8, 0.5], window: [32, 16]}": {"snapkv budget=0.8 window=32", "snapkv budget=0.8 window=16", "snapkv budget=0.5 window=32", "snapkv budget=0.5 window=16"},
		"{pruner: snapkv, window: [32, 16], budget: [0.8, 0.5]}": {"snapkv budget=0.8 window=32", "snapkv budget=0.8 window=16", "snapkv budget=0.5 window=32", "snapkv budget=0.5 window=16"},
		"{pruner: snapkv, budget: 0.5, heads: kv}":               {"snapkv budget=0.5 heads=kv"},
		"{pruner: streamingllm, budget: [64]}":                   {"streamingllm budget=64"},
		"{pruner: refreekv, frozen_layers: [0]}":                 {"refreekv frozen_layers=0"},
		"{pruner: refreekv, frozen_layers: [[0], []]}":           {"refreekv frozen_layers=0", "refreekv frozen_layers="},
		"{pruner: full}": {"full"},
		"full, 'h2o budget=0.5', {pruner: h2o, budget: [0.4]}":        {"full", "h2o budget=0.5", "h2o budget=0.4"},
		"{pruner: full}, {pruner: streamingllm, budget: [0.2, 0.1]} ": {"full", "streamingllm budget=0.2", "streamingllm budget=0.1"},
	} {
		got, err := parse(t, "name: a\nmodels: ["+tinyS+"]\ntasks: [recall]\nvariants: ["+variants+"]\n", Overrides{})
		if err != nil {
			t.Errorf("%s: %v", variants, err)
			continue
		}
		if diff := cmp.Diff(want, labels(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", variants, diff)
		}
	}
}

// with replaces a field of the whole config; an empty value leaves it out.
func with(field, value string) string {
	var out []string
	skipping := false
	for line := range strings.SplitSeq(whole, "\n") {
		if !strings.HasPrefix(line, " ") {
			skipping = strings.HasPrefix(line, field+":")
			if skipping && value != "" {
				out = append(out, field+": "+value)
			}
		}
		if !skipping {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// A wrong file: one line that names the file, the field and the remedy.
func TestWrongFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"unknown field", with("about", "x") + "protcol: paper\n", []string{"line 15", `no field "protcol"; did you mean "protocol"?`}},
		{"unknown field, none near", with("about", "x") + "temperature: 1\n", []string{`no field "temperature"; want one of name, about`}},
		{"a field twice", whole + "name: b\n", []string{"line 15", "name: stands already in line 1"}},
		{"records no number", with("records", "many"), []string{"line 7: records: want a whole number", `"many"`}},
		{"records a fraction", with("records", "2.5"), []string{"records: want a whole number"}},
		{"records too large", with("records", "99999999999999999999"), []string{"records: want a whole number"}},
		{"records negative", with("records", "-1"), []string{"records: -1 is negative"}},
		{"fidelity negative", with("fidelity", "-1"), []string{"fidelity: -1 is negative"}},
		{"models no list", with("models", "x"), []string{"line 3: models: want a list of texts"}},
		{"models a mapping", with("models", "{a: b}"), []string{"models: want a list of texts, got a mapping"}},
		{"a model that is a list", with("models", "[[a]]"), []string{"models: want a text, got a list"}},
		{"name a list", with("name", "[a]"), []string{"name: want a text, got a list"}},
		{"lengths no numbers", with("context_lengths", "[512, long]"), []string{"context_lengths: want a whole number", `"long"`}},
		{"lengths one number", with("context_lengths", "512"), []string{"context_lengths: want a list of whole numbers"}},
		{"variants no list", with("variants", "full"), []string{"variants: want a list"}},
		{"no mapping", "[a, b]", []string{"want fields (name, about, models, context_lengths, …)"}},
		{"a bare text", "quickstart", []string{"want fields (name, about, models, context_lengths, …)"}},
		{"empty", "", []string{"empty"}},
		{"only a remark", "# nothing\n", []string{"empty"}},
		{"null", "null\n", []string{"name: it is missing"}},
		{"two documents", whole + "---\nname: b\n", []string{"several YAML documents"}},
		{"no YAML", "name: [a\nmodels: ]", []string{"line 2: no valid YAML"}},
		{"a tab", "name:\n\t- a", []string{"line 2: a tab indents this line"}},
		{"no name", with("name", ""), []string{"name: it is missing"}},
		{"name a path", with("name", "../x"), []string{"name:", "../x"}},
		{"name hidden", with("name", ".x"), []string{"name:"}},
		{"no models", with("models", "[]"), []string{"models: name at least one"}},
		{"misspelt model", with("models", "[smollm2-135m-instuct]"), []string{"models: no model", `did you mean "smollm2-135m-instruct"?`}},
		{"model twice", with("models", "["+tinyS+", "+tinyS+"]"), []string{"models:", "twice"}},
		{"no tasks", with("tasks", ""), []string{"tasks: name at least one", "refreekv list tasks"}},
		{"misspelt task", with("tasks", "[recall, kv_retreival]"), []string{"tasks:", "kv_retreival"}},
		{"task file missing", with("tasks", "[no/such.yaml]"), []string{"tasks:", "no/such.yaml"}},
		{"task twice", with("tasks", "[recall, needle, recall]"), []string{"tasks:", "twice"}},
		{"task and file of that name", with("tasks", "[recall, ../tasks/recall.yaml]"), []string{"tasks:", `"recall" is named twice`}},
		{"lengths too small", with("context_lengths", "[512, 15]"), []string{"context_lengths: 15", "at least 16"}},
		{"lengths negative", with("context_lengths", "[-512]"), []string{"context_lengths: -512"}},
		{"length twice", with("context_lengths", "[512, 64, 512]"), []string{"context_lengths: 512 is named twice"}},
		{"unknown dtype", strings.Replace(whole, "dtype: int8", "dtype: float16", 1), []string{`dtype: "float16" is no dtype; did you mean "bfloat16"?`}},
		{"unknown protocol", with("protocol", "papr"), []string{`protocol: "papr" is neither standard nor paper; did you mean "paper"?`}},
		{"no variants", with("variants", "[]"), []string{"variants: name at least one", "refreekv list pruners"}},
		{"misspelt pruner", with("variants", "[snapk budget=0.5]"), []string{"variants:", `did you mean "snapkv"?`}},
		{"misspelt pruner in a mapping", with("variants", "[{pruner: snapk, budget: 0.5}]"), []string{"variants:", `did you mean "snapkv"?`}},
		{"misspelt option", with("variants", "[{pruner: h2o, budgt: 0.5}]"), []string{"variants:", `did you mean "budget"?`}},
		{"option of a wrong type", with("variants", "[{pruner: h2o, budget: half}]"), []string{"variants:", "budget", "half"}},
		{"option missing", with("variants", "[h2o]"), []string{"variants:", "budget"}},
		{"budget 0", with("variants", "[h2o budget=0]"), []string{"variants:", "budget"}},
		{"option an empty list", with("variants", "[{pruner: h2o, budget: []}]"), []string{"variants:", "budget", "empty"}},
		{"variant twice", with("variants", "[full, h2o budget=0.5, {pruner: h2o, budget: [0.4, 0.5]}]"), []string{"variants:", `"h2o budget=0.5" is named twice`}},
		{"variant twice, written differently", with("variants", "[h2o budget=0.5, h2o budget=0.50]"), []string{"variants:", "twice"}},
		{"variant without pruner", with("variants", "[{budget: 0.5}]"), []string{"variants:", "pruner"}},
		{"variant a number", with("variants", "[0.5]"), []string{"variants:", "0.5"}},
		{"variant of two pruners", with("variants", "[{pruner: [h2o, snapkv], budget: 0.5}]"), []string{"variants:", "the name of one pruner"}},
		{"too many variants", with("variants", "[{pruner: h2o, a: ["+strings.Repeat("1,", 200)+"], b: ["+strings.Repeat("1,", 200)+"]}]"), []string{"variants:", "more than 10000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(t, c.text, Overrides{})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range append(c.want, "c.yaml: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			var override *OverrideError
			if strings.Contains(err.Error(), "\n") || errors.As(err, &override) {
				t.Errorf("error %T: %v", err, err)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	o := Overrides{
		Models: []string{tinyM}, Tasks: []string{"needle"}, Variants: []string{"full", "h2o budget=0.1"}, Limit: 7, Data: "d", DType: "bfloat16",
		Set: []string{"name=b", "about=a b", "context_lengths=[32, 16]", "protocol=standard", "records=1", "tasks=[recall]", "fidelity=0"},
	}
	got, err := parse(t, whole, o)
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	want := &Config{
		Fidelity: &none,
		Name:     "b", About: "a b", Models: []string{tinyM}, ContextLengths: []int{32, 16}, Protocol: "standard", DType: "bfloat16",
		Tasks: []string{"needle"}, Records: 7, Data: "d", Variants: got.Variants, // flags of their own win over --set
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"full", "h2o budget=0.1"}, labels(got)); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	got, err = parse(t, whole, Overrides{Set: []string{"variants=[full, {pruner: h2o, budget: [0.2, 0.1]}]", "data=elsewhere"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"full", "h2o budget=0.2", "h2o budget=0.1"}, labels(got)); diff != "" || got.Data != "elsewhere" {
		t.Errorf("--set of variants (-want +got):\n%s", diff)
	}
}

// A wrong value of the command line names the flag, not the file.
func TestWrongOverrides(t *testing.T) {
	for _, c := range []struct {
		o    Overrides
		want string
	}{
		{Overrides{Models: []string{"smolm2-135m-instruct"}}, `--model: no model "smolm2-135m-instruct"; did you mean "smollm2-135m-instruct"?`},
		{Overrides{Models: []string{""}}, `--model: no model ""`},
		{Overrides{Models: []string{tinyS, tinyS}}, "--model: "},
		{Overrides{Tasks: []string{"recal"}}, "--tasks: "},
		{Overrides{Tasks: []string{"recall", "recall"}}, "--tasks: "},
		{Overrides{Variants: []string{"snapk budget=0.5"}}, `--variants: unknown pruner "snapk"; did you mean "snapkv"?`},
		{Overrides{Variants: []string{""}}, "--variants: "},
		{Overrides{Variants: []string{"full", "full"}}, "--variants: "},
		{Overrides{Limit: -1}, "--limit: -1 is negative"},
		{Overrides{Set: []string{"records"}}, `--set: "records": want key=value`},
		{Overrides{Set: []string{"=3"}}, `--set: "=3": want key=value`},
		{Overrides{Set: []string{"recods=3"}}, `--set recods: a config has no such field; did you mean "records"?`},
		{Overrides{Set: []string{"records="}}, "--set records: the value is missing"},
		{Overrides{Set: []string{"records=null"}}, "--set records: the value is missing"},
		{Overrides{Set: []string{"records=abc"}}, `--set records: want a whole number, got "abc"`},
		{Overrides{Set: []string{"records=-3"}}, "--set records: -3 is negative"},
		{Overrides{Set: []string{"context_lengths=[4]"}}, "--set context_lengths: 4 tokens"},
		{Overrides{Set: []string{"context_lengths=[4"}}, `--set context_lengths: "[4" is no valid YAML`},
		{Overrides{Set: []string{"protocol=foo"}}, `--set protocol: "foo" is neither`},
		{Overrides{Set: []string{"name=a/b"}}, "--set name: "},
		{Overrides{Set: []string{"variants=[{pruner: h2o}]"}}, "--set variants: "},
		{Overrides{Set: []string{"models=[]"}}, "--set models: name at least one"},
		{Overrides{Set: []string{"tasks={a: b}"}}, "--set tasks: want a list of texts, got a mapping"},
	} {
		_, err := parse(t, whole, c.o)
		var override *OverrideError
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || !errors.As(err, &override) {
			t.Errorf("%+v: error %v, want %q…", c.o, err, c.want)
		}
	}
	// What is wrong in the file stays the file's fault.
	var override *OverrideError
	if _, err := parse(t, with("protocol", "foo"), Overrides{Limit: 1, Models: []string{tinyS}}); err == nil || errors.As(err, &override) {
		t.Errorf("a wrong file with overrides: %v", err)
	}
	// An override may mend it.
	if _, err := parse(t, with("protocol", "foo"), Overrides{Set: []string{"protocol=paper"}}); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestFindingConfigs(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range configs.Names() {
		byName, err := LoadConfig(name, Overrides{})
		if err != nil {
			t.Errorf("built-in config: %v", err)
			continue
		}
		if byName.Name != strings.ReplaceAll(name, "/", "-") || byName.About == "" {
			t.Errorf("config %s calls itself %q (%s)", name, byName.Name, byName.About)
		}
		for _, spec := range byName.Variants {
			if _, err := pruners.New(spec); err != nil {
				t.Errorf("config %s: %v", name, err)
			}
		}
		asFile, err := LoadConfig(name+".yaml", Overrides{})
		if diff := cmp.Diff(byName, asFile); err != nil || diff != "" {
			t.Errorf("%s.yaml: %v %s", name, err, diff)
		}
	}
	_, err := LoadConfig("quickstrt", Overrides{})
	if !errors.Is(err, ErrNoConfig) || !strings.Contains(err.Error(), `did you mean "quickstart"?`) {
		t.Errorf("misspelt: %v", err)
	}
	for _, missing := range []string{"no/such", "such.yaml"} {
		if _, err := LoadConfig(missing, Overrides{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), missing) {
			t.Errorf("missing file: %v", err)
		}
	}
	// A folder of a config's name does not hide it, a file does.
	if err := os.Mkdir("quickstart", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig("quickstart", Overrides{}); err != nil {
		t.Errorf("beside a folder of that name: %v", err)
	}
	if err := os.WriteFile("quickstart.yaml", []byte("name: mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig("quickstart.yaml", Overrides{}); err == nil || !strings.HasPrefix(err.Error(), "quickstart.yaml: models") {
		t.Errorf("an own file: %v", err)
	}
}

// Every table and figure of the paper has an experiment with its models and one
// that finishes on a laptop, with as many variants.
func TestConfigsOfThePaper(t *testing.T) {
	var papers, laptops []string
	for _, name := range configs.Names() {
		switch {
		case strings.HasPrefix(name, "paper/"):
			papers = append(papers, strings.TrimPrefix(name, "paper/"))
		case strings.HasPrefix(name, "laptop/"):
			laptops = append(laptops, strings.TrimPrefix(name, "laptop/"))
		}
	}
	load := func(name string) *Config {
		c, err := LoadConfig(name, Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, want := range []string{"table-1", "table-2", "table-3", "table-4", "table-5", "table-6", "table-7", "table-8", "table-9", "table-10", "table-11", "table-12", "figure-3"} {
		if !slices.Contains(laptops, want) {
			t.Fatalf("no config laptop/%s", want)
		}
		small, found := load("laptop/"+want), 0
		for _, name := range papers {
			if name != want && !strings.HasPrefix(name, want+"-") {
				continue
			}
			found++
			paper := load("paper/" + name)
			if len(paper.Variants) > len(small.Variants) || (paper.Isolated > 0) != (small.Isolated > 0) || (paper.NewTokens > 0) != (small.NewTokens > 0) || paper.Protocol != "paper" {
				t.Errorf("paper/%s is not what laptop/%s runs small", name, want)
			}
			for _, task := range small.Tasks {
				if !slices.Contains(paper.Tasks, task) {
					t.Errorf("laptop/%s has the task %s, paper/%s has not", want, task, name)
				}
			}
		}
		if found == 0 {
			t.Errorf("no config paper/%s", want)
		}
	}
}

func FuzzLoadConfig(f *testing.F) {
	f.Add([]byte(whole), "records=3")
	f.Add([]byte(whole), "variants=[{pruner: h2o, budget: [0.1, 0.2]}]")
	f.Add([]byte(""), "name=a")
	f.Add([]byte("null"), "x")
	f.Add([]byte("name: &a b\nmodels: [*a]\n<<: {tasks: [recall]}\n"), "models=[a, [b]]")
	f.Add([]byte("variants: [{1: 2}, {pruner: h2o, budget: [[1], {}]}]"), "=")
	f.Add([]byte("? [a]\n: !!binary aGk=\n"), "name=!!map x")
	for _, name := range configs.Names() {
		raw, err := configs.Files.ReadFile(name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, "")
	}
	f.Fuzz(func(t *testing.T, raw []byte, set string) {
		var o Overrides
		if set != "" {
			o.Set = []string{set}
		}
		c, err := parseConfig(raw, "c.yaml", o)
		if err != nil {
			if c != nil || strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("error %q and config %v", err, c)
			}
			return
		}
		if !runName.MatchString(c.Name) || len(c.Models) == 0 || len(c.Tasks) == 0 || len(c.Variants) == 0 || len(c.ContextLengths) == 0 || c.Records < 0 {
			t.Fatalf("accepted: %+v", c)
		}
		if label, twice := repeated(labels(c)); twice {
			t.Fatalf("variant %q twice", label)
		}
	})
}
