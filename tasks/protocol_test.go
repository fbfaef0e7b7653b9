package tasks

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

func TestSwitches(t *testing.T) {
	const text = plainTask + "chat: false\nsystem: Standard.\npaper: {prompt: 'p {context}', max_new_tokens: 9, metric: exact}\n"
	task, err := parse("test", "test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	get := func(protocol string) *Definition {
		t.Helper()
		d, err := task.Protocol(protocol)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	// settings are what protocols may differ in, with the names of their switches.
	settings := func(d *Definition) map[string]any {
		return map[string]any{
			"prompt": d.prompt, "chat": d.chat, "llama2_by_hand": d.llama2ByHand, "add_special_tokens": d.addSpecialTokens, "truncate": d.truncate,
			"truncate_margin": d.truncateMargin, "max_new_tokens": d.MaxNewTokens, "first_token_not_eos": d.FirstTokenNotEOS,
			"tokenizer_eos_only": d.TokenizerEOSOnly, "metric": d.Metric, "systems": d.systems,
		}
	}
	standard, paper := settings(get("standard")), settings(get("paper"))
	for name := range standard {
		if cmp.Equal(standard[name], paper[name]) {
			t.Fatalf("%s is %v under both protocols", name, standard[name])
		}
		for protocol, parts := range map[string][2]map[string]any{"standard+": {standard, paper}, "paper-": {paper, standard}} {
			got := settings(get(protocol + name))
			for other := range standard {
				want := parts[0][other]
				if other == name {
					want = parts[1][other]
				}
				if !cmp.Equal(want, got[other]) {
					t.Errorf("%s%s: %s is %v, want %v", protocol, name, other, got[other], want)
				}
			}
		}
	}
	two := get("standard+chat+truncate")
	if !two.chat || two.truncate != "after_wrap" || two.MaxNewTokens != 3 || two.Protocol != "standard+chat+truncate" {
		t.Errorf("two switches: %+v", two)
	}
	// A switch that both protocols agree on changes nothing but the name.
	if d := get("standard+first_line"); d.FirstLine || d.chat {
		t.Errorf("%+v", d)
	}
	hashes := map[string]string{}
	for _, protocol := range []string{"standard", "paper", "standard+chat", "standard+metric", "paper-chat"} {
		hash := get(protocol).Hash()
		if before, twice := hashes[hash]; twice || len(hash) != 64 || hash != get(protocol).Hash() {
			t.Errorf("hash %s of %s; also of %q", hash, protocol, before)
		}
		hashes[hash] = protocol
	}
}

func TestProtocolErrors(t *testing.T) {
	for name, want := range map[string]string{
		"":                       `"" is neither standard nor paper`,
		"papr":                   `"papr" is neither standard nor paper; did you mean "paper"?`,
		"papr-chat":              `"papr" is neither standard nor paper; did you mean "paper"?`,
		"standard-chat":          `"standard-chat": switch a setting of standard with +, as in standard+chat`,
		"paper+chat":             `"paper+chat": switch a setting of paper with -, as in paper-chat`,
		"standard+chta":          `"standard+chta": there is no setting "chta"; did you mean "chat"?`,
		"standard+":              `"standard+": there is no setting ""`,
		"standard+chat+chat":     `"standard+chat+chat" switches chat twice; leave one out`,
		"standard+chat-truncate": `there is no setting "chat-truncate"`,
		"standard+Chat":          `there is no setting "Chat"; did you mean "chat"?`,
		"standard +chat":         `"standard " is neither standard nor paper`,
	} {
		wantError(t, CheckProtocol(name), want)
		task, err := Load("qasper")
		if err != nil {
			t.Fatal(err)
		}
		_, err = task.Protocol(name)
		wantError(t, err, "protocol ", want)
	}
}

// Every setting in which the protocols differ, for any task, can be looked at
// alone: an experiment of configs/audit switches it on and no other, save the
// settings that only work together.
func TestEverySwitchHasAnAudit(t *testing.T) {
	shared, err := protocols()
	if err != nil {
		t.Fatal(err)
	}
	differ := map[string]bool{}
	for _, task := range List() {
		standard := merge(shared.Standard, task.Settings)
		paper := merge(standard, shared.Paper, task.Paper)
		for i, name := range Switches() {
			a, b := reflect.ValueOf(standard).Field(i).Interface(), reflect.ValueOf(paper).Field(i).Interface()
			if !reflect.DeepEqual(a, b) {
				differ[name] = true
			}
		}
	}
	together := [][]string{{"system", "systems"}, {"answers", "answers_as"}, {"llama2_by_hand", "system", "systems"}}
	audited := map[string]bool{}
	dir := os.DirFS(filepath.Join("..", "configs", "audit"))
	files, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := fs.ReadFile(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		var config struct{ Protocol string }
		if err := yaml.Load(raw, &config); err != nil {
			t.Fatal(err)
		}
		_, switches, err := parseProtocol(config.Protocol)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(switches) > 1 && !slices.ContainsFunc(together, func(set []string) bool { return slices.Equal(set, switches) }) {
			t.Errorf("%s switches %s at once", file, strings.Join(switches, ", "))
		}
		for _, s := range switches {
			audited[s] = true
			if !differ[s] {
				t.Errorf("%s switches %s, in which the protocols do not differ", file, s)
			}
		}
	}
	for name := range differ {
		if !audited[name] {
			t.Errorf("no experiment of configs/audit switches %s", name)
		}
	}
}

func TestExtends(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("records.jsonl", `{"context": "c", "answers": ["a"]}`+"\n")
	base := write("base.yaml", "about: the base\ndataset: records.jsonl\nprompt: '{context}'\nchat: false\nmax_new_tokens: 3\nmetric: qa_f1\npaper: {max_new_tokens: 9, metric: exact}\n")
	task, err := Load(write("sub/own.yaml", "extends: ../base.yaml\nmax_new_tokens: 4\npaper: {metric: count}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if task.Name != "own" || task.About != "the base" || task.Dataset != filepath.Join(dir, "records.jsonl") || task.Protected {
		t.Errorf("%+v", task)
	}
	for protocol, want := range map[string][]any{"standard": {4, "qa_f1", false}, "paper": {9, "count", true}} {
		d, err := task.Protocol(protocol)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, []any{d.MaxNewTokens, d.Metric, d.chat}); diff != "" {
			t.Errorf("%s (-want +got) %s", protocol, diff)
		}
	}
	// A built-in one, protected, and one of one.
	write("private.yaml", "extends: gpqa\ndataset: records.jsonl\n")
	task, err = Load(write("more.yaml", "extends: private.yaml\nmetric: choice_paper\n"))
	if err != nil || !task.Protected || task.Dataset != filepath.Join(dir, "records.jsonl") || *task.Metric != "choice_paper" {
		t.Errorf("%+v, %v", task, err)
	}
	if again, err := Load(base); err != nil || *again.MaxNewTokens != 3 {
		t.Errorf("the base was changed: %v, %v", again, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"self.yaml", "extends: self.yaml\n", "field extends leads back to this task"},
		{"a.yaml", "extends: b.yaml\n", "field extends: "},
		{"unknown.yaml", "extends: qaspr\n", `field extends: task "qaspr" is neither built in nor a .yaml file; did you mean "qasper"?`},
		{"protocols-too.yaml", "extends: protocols\n", `field extends: task "protocols" is neither built in`},
		{"nothing.yaml", "extends: none.yaml\n", "field extends: reading task: open none.yaml"},
		{"wrong.yaml", "extends: base.yaml\nmetric: f9\n", `field metric: there is no "f9"`},
	} {
		_, err := Load(write(c.name, c.text))
		wantError(t, err, "task "+filepath.Join(dir, c.name)+": ", c.want)
	}
	write("b.yaml", "extends: a.yaml\n")
	_, err = Load(filepath.Join(dir, "a.yaml"))
	wantError(t, err, "field extends leads back to this task", "b.yaml")
}

// Options of a generated set may follow the task's name; they are part of it.
func TestTaskWithOptions(t *testing.T) {
	task, err := Load("niah_single_1  length=500 records=2")
	if err != nil || task.Name != "niah_single_1 length=500 records=2" || task.Dataset != task.Name {
		t.Fatalf("%+v, %v", task, err)
	}
	if records := openAll(t, task); len(records) != 2 {
		t.Errorf("%d records", len(records))
	}
	if d := protocolOf(t, task.Name, "standard"); d.Task != task.Name || d.Hash() == protocolOf(t, "niah_single_1", "standard").Hash() {
		t.Errorf("%+v", d)
	}
	dir := filepath.Join(t.TempDir(), "with blanks")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "own a=b.yaml")
	if err := os.WriteFile(path, []byte("extends: needle\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if task, err := Load(path); err != nil || task.Name != "own a=b" || task.Dataset != "needle" {
		t.Errorf("%+v, %v", task, err)
	}
	if task, err := Load(path + " length=300"); err != nil || task.Name != "own a=b length=300" || task.Dataset != "needle length=300" {
		t.Errorf("%+v, %v", task, err)
	}
	_, err = Load("needel length=3")
	wantError(t, err, `task "needel" is neither built in`, `did you mean "needle"?`)
}

// What the answer begins with stands behind the chat template, and is counted
// where the prompt must fit the model or the context.
func TestAnswerPrefix(t *testing.T) {
	const text = plainTask + "answer_prefix: ' The {kind} is'\n"
	record := recordOf(map[string]any{"context": count(20), "kind": "number", "answers": "a"})
	for _, c := range []struct {
		protocol, extra, want string
		model                 Model
		length                int
	}{
		{"standard", "", "<s>[user]0 1 17 18 19 [/user] [assistant] The number is", Model{Tokenizer: newWords()}, 6},
		{"standard", "chat: false\n", "0 1 17 18 19  The number is", Model{Tokenizer: newWords()}, 6},
		// Four words of the text, three new tokens, the wrapping with its BOS and the prefix.
		{"standard", "", "<s>[user]0 18 19 [/user] [assistant] The number is", Model{Tokenizer: newWords(), MaxPositions: 4 + 3 + 6 + wrapSlack}, 100},
		{"paper", "paper: {systems: {other: Hi}}\n", "[system]Hi[/system] [user]0 [assistant] The number is", Model{Tokenizer: newWords(), Family: "other"}, 8 + 3 + 20},
	} {
		got, err := define(t, c.protocol, text+c.extra).Prompt(c.model, record, c.length)
		if err != nil || got.Text != c.want || !got.Truncated {
			t.Errorf("%s: %q, %v; want %q", c.protocol, got.Text, err, c.want)
		}
	}
	_, err := define(t, "standard", text).Prompt(Model{Tokenizer: newWords()}, recordOf(textRecord("a")), 100)
	wantError(t, err, `field "kind" is missing`)
	wantError(t, define(t, "standard", text).Check(recordOf(textRecord("a"))), `field "kind" is missing`)
}

func TestTruncateMargin(t *testing.T) {
	d := define(t, "standard", plainTask+"chat: false\ntruncate_margin: 2\n")
	for words, want := range map[int]string{3: count(3), 4: "0 2 3 "} {
		got, err := d.Prompt(Model{Tokenizer: newWords()}, recordOf(textRecord(count(words))), 6)
		if err != nil || got.Text != want {
			t.Errorf("%d words: %q, %v; want %q", words, got.Text, err, want)
		}
	}
}

// GPQA's line breaks, as the paper's evaluation collapses them.
func TestCollapseNewlines(t *testing.T) {
	const text = "dataset: x\nprompt: \"{context}\\n\\n{more}\"\nmax_new_tokens: 3\nmetric: qa_f1\nchat: false\ncollapse_newlines: true\n"
	d := define(t, "standard", text)
	for _, c := range []struct{ context, want string }{
		{"a", "a\n\nb"},
		{"a\n", "a\n\nb"},
		{"a\n\n", "a\n\nb"},       // four become three, then two
		{"a\n\n\n\n", "a\n\n\nb"}, // six: twice, not for ever
		{"a\n\n\n\n\n\n\n\n", "a\n\n\n\n\nb"},
	} {
		got, err := d.Prompt(Model{Tokenizer: newWords()}, recordOf(map[string]any{"context": c.context, "more": "b"}), 100)
		if err != nil || strings.ReplaceAll(got.Text, " ", "") != c.want {
			t.Errorf("%q: %q, %v; want %q", c.context, got.Text, err, c.want)
		}
	}
	if protocolOf(t, "gpqa", "standard").collapseNewlines || !protocolOf(t, "gpqa", "paper").collapseNewlines || protocolOf(t, "mmlu_stem", "paper").collapseNewlines {
		t.Error("only GPQA under paper collapses line breaks")
	}
}

// Of a protected task neither texts nor tokens are kept.
func TestProtected(t *testing.T) {
	for _, task := range List() {
		d := protocolOf(t, task.Name, "paper")
		if d.Protected != (task.Name == "gpqa") {
			t.Errorf("%s: protected %t", task.Name, d.Protected)
		}
		text, tokens := d.Stored("B: a secret", []int32{1, 2})
		if d.Protected && (!strings.HasPrefix(text, "sha256:") || strings.Contains(text, "secret") || len(text) != len("sha256:")+16 || tokens != nil) {
			t.Errorf("%s keeps %q and %v", task.Name, text, tokens)
		}
		if !d.Protected && (text != "B: a secret" || len(tokens) != 2) {
			t.Errorf("%s keeps %q and %v", task.Name, text, tokens)
		}
	}
}
