package tasks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseErrors(t *testing.T) {
	const good = plainTask
	settings := strings.Join(Switches(), ", ")
	allFields := "extends, about, dataset, protected, " + settings + ", paper"
	for _, c := range []struct{ name, text, want string }{
		{"empty file", "", "task dir/f.yaml: the file is empty"},
		{"blanks", " \n\t\n", "task dir/f.yaml: the file is empty"},
		{"comments", "# nothing\n", "task dir/f.yaml: the file is empty"},
		{"a text", "hello\n", `task dir/f.yaml: line 1: want fields (extends, about, dataset, protected, …), each as name: value, got "hello"`},
		{"a list", "- dataset: x\n", "task dir/f.yaml: line 1: want fields (extends, about, dataset, protected, …), each as name: value, got a list"},
		{"unknown field", good + "promt: x\n", `task dir/f.yaml: line 5: there is no field "promt"; did you mean "prompt"?`},
		{"unknown field like nothing", good + "colour: x\n", `task dir/f.yaml: line 5: there is no field "colour"; want one of ` + allFields},
		{"unknown field under paper", good + "paper:\n  max_tokens: 3\n", `task dir/f.yaml: line 6: there is no field "max_tokens"; did you mean "max_new_tokens"?`},
		{"a field that paper cannot have", good + "paper:\n  dataset: y\n", `task dir/f.yaml: line 6: there is no field "dataset"; want one of ` + settings},
		{"name is no field", good + "Name: x\n", `task dir/f.yaml: line 5: there is no field "Name"; want one of ` + allFields},
		{"a text for a number", strings.Replace(good, "3", "many", 1), `task dir/f.yaml: line 3: max_new_tokens: want a whole number, got "many"`},
		{"a fraction for a number", strings.Replace(good, "3", "3.5", 1), `task dir/f.yaml: line 3: max_new_tokens: want a whole number, got "3.5"`},
		{"a text for true or false", good + "chat: perhaps\n", `task dir/f.yaml: line 5: chat: want true or false, got "perhaps"`},
		{"a list for a text", "dataset: [x]\n", `task dir/f.yaml: line 1: dataset: want a text, got a list`},
		{"a mapping for a text", "dataset: x\nprompt: {a: b}\n", `task dir/f.yaml: line 2: prompt: want a text, got a mapping`},
		{"unquoted braces", "dataset: x\nprompt: {context}\n", `task dir/f.yaml: line 2: prompt: want a text, got a mapping`},
		{"a text for a mapping", good + "fields: context\n", `task dir/f.yaml: line 5: fields: want a mapping of texts, got "context"`},
		{"a list in a mapping", good + "fields:\n  context: [a]\n", `task dir/f.yaml: line 6: context: want a text, got a list`},
		{"a number for paper", good + "paper: 3\n", `task dir/f.yaml: line 5: paper: want fields (prompt, fields, collapse_newlines, answer_prefix, …), each as name: value, got "3"`},
		{"a field twice", good + "dataset: y\n", `task dir/f.yaml: line 5: dataset: stands already in line 1; leave one out`},
		{"several documents", good + "---\ndataset: y\n", "task dir/f.yaml: the file holds several YAML documents; make a file of each"},
		{"bad indent", "dataset: x\n  prompt: y\n", "task dir/f.yaml: line 2: no valid YAML: mapping values are not allowed in this context"},
		{"tab", "\tdataset: x\n", "task dir/f.yaml: line 1: a tab indents this line; YAML wants blanks"},
		{"invalid UTF-8", "dataset: \"\xff\"\n", "task dir/f.yaml: no valid YAML: invalid leading UTF-8 octet (value: 255)"},
		{"missing dataset", strings.Replace(good, "dataset: x\n", "", 1), "task dir/f.yaml: field dataset is missing; name a data set (refreekv list datasets) or a file"},
		{"missing prompt", "dataset: x\nmax_new_tokens: 3\nmetric: qa_f1\n", "task dir/f.yaml: field prompt is missing; write the template, with {name} for the record's fields"},
		{"a prompt without fields", "dataset: x\nprompt: hello\nmax_new_tokens: 3\nmetric: qa_f1\n", "task dir/f.yaml: field prompt uses no field of the record; write {name} where one goes"},
		{"missing max_new_tokens", "dataset: x\nprompt: '{a}'\nmetric: qa_f1\n", "task dir/f.yaml: field max_new_tokens is 0; it must be 1 or more"},
		{"negative max_new_tokens", "dataset: x\nprompt: '{a}'\nmax_new_tokens: -1\nmetric: qa_f1\n", "task dir/f.yaml: field max_new_tokens is -1; it must be 1 or more"},
		{"missing metric", "dataset: x\nprompt: '{a}'\nmax_new_tokens: 3\n", `task dir/f.yaml: field metric is missing; refreekv list metrics shows what there is`},
		{"unknown metric", "dataset: x\nprompt: '{a}'\nmax_new_tokens: 3\nmetric: f1\n", `task dir/f.yaml: field metric: there is no "f1"; refreekv list metrics shows what there is`},
		{"unknown metric under paper", good + "paper: {metric: bleurt}\n", `task dir/f.yaml: field metric: there is no "bleurt"; did you mean "bleu"?`},
		{"unknown truncate", good + "truncate: middle\n", `task dir/f.yaml: field truncate is "middle"; want before_wrap, after_wrap or never`},
		{"unknown truncate under paper", good + "paper: {truncate: ''}\n", `task dir/f.yaml: field truncate is ""; want before_wrap, after_wrap or never`},
		{"negative margin", good + "truncate_margin: -1\n", "task dir/f.yaml: field truncate_margin is -1; it must be 0 or more"},
		{"unknown answers_as", good + "answers_as: pyton\n", `task dir/f.yaml: field answers_as is "pyton"; want python or semicolons, or leave it out`},
		{"empty answers", good + "answers: ''\n", "task dir/f.yaml: field answers is empty; name the record's field with the references"},
		{"unknown family", good + "systems: {lama3: hello}\n", `task dir/f.yaml: field systems names the model family "lama3"; want llama2, llama3, mistral, qwen2.5, other`},
		{"a field mapped for nothing", good + "fields: {context: story, question: q}\n", `task dir/f.yaml: field fields maps "question", but the prompt has no {question}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse("f", "dir/f.yaml", []byte(c.text), nil)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}

// A task's own fields win over what is true of all, those under paper: over all
// others.
func TestLayers(t *testing.T) {
	const text = plainTask + "chat: false\nstop_at_newline: true\nfirst_token_not_eos: false\nanswers: a\nclasses: c\nfields: {context: story}\n" +
		"systems: {mistral: Standard.}\n"
	standard := define(t, "standard", text)
	paper := define(t, "paper", text+"paper: {prompt: '{context} {more}', fields: {more: extra}, max_new_tokens: 9, metric: exact, first_line: true, answers: b, truncate_margin: 5, stop_at_newline: true}\n")
	if standard.chat || !standard.StopAtNewline || standard.FirstTokenNotEOS || standard.answers != "a" || standard.classes != "c" ||
		standard.truncate != "before_wrap" || standard.MaxNewTokens != 3 || standard.Metric != "qa_f1" || standard.systemText("mistral") != "Standard." {
		t.Errorf("standard: %+v", standard)
	}
	// What all tasks have under paper wins over the task's standard fields.
	if !paper.chat || !paper.FirstTokenNotEOS || paper.truncate != "after_wrap" || !strings.Contains(paper.systemText("mistral"), "pirate") || paper.classes != "c" {
		t.Errorf("paper: %+v", paper)
	}
	// What the task has under paper wins over everything.
	if !paper.StopAtNewline || paper.MaxNewTokens != 9 || paper.Metric != "exact" || !paper.FirstLine || paper.answers != "b" || paper.truncateMargin != 5 || paper.prompt != "{context} {more}" ||
		!cmp.Equal(paper.fields, map[string]string{"more": "extra"}) {
		t.Errorf("paper: %+v", paper)
	}
	task, err := Load("qasper")
	if err != nil {
		t.Fatal(err)
	}
	_, err = task.Protocol("papers")
	wantError(t, err, `protocol "papers" is neither standard nor paper; did you mean "paper"?`)
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(path, []byte(plainTask), 0o644); err != nil {
		t.Fatal(err)
	}
	task, err := Load(path)
	if err != nil || task.Name != "mine" || task.Dataset != "x" {
		t.Errorf("%+v, %v", task, err)
	}
	t.Chdir(dir)
	if task, err := Load("mine.yaml"); err != nil || task.Name != "mine" {
		t.Errorf("%+v, %v", task, err)
	}
	if err := os.WriteFile("bad.yaml", []byte("dataset: [x]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bad.yaml":        `task bad.yaml: line 1: dataset: want a text, got a list`,
		"none.yaml":       "reading task: open none.yaml: no such file or directory",
		"dir/none":        "reading task: open dir/none: no such file or directory",
		dir:               "reading task: read " + dir + ": is a directory",
		"":                `task "" is neither built in nor a .yaml file; refreekv list tasks shows what there is`,
		"protocols":       `task "protocols" is neither built in nor a .yaml file; refreekv list tasks shows what there is`,
		"qaspr":           `task "qaspr" is neither built in nor a .yaml file; did you mean "qasper"?`,
		"QASPER":          `task "QASPER" is neither built in nor a .yaml file; did you mean "qasper"?`,
		"multinews":       `task "multinews" is neither built in nor a .yaml file; did you mean "multi_news"?`,
		"passage":         `task "passage" is neither built in nor a .yaml file; did you mean "passage_count"?`,
		"multihop":        `task "multihop" is neither built in nor a .yaml file; did you mean "sample_multihop"?`,
		"xyz":             `task "xyz" is neither built in nor a .yaml file; refreekv list tasks shows what there is`,
		"task\nwith\nbad": `task "task\nwith\nbad" is neither built in nor a .yaml file; refreekv list tasks shows what there is`,
	} {
		_, err := Load(name)
		if err == nil {
			t.Errorf("%q loads", name)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("(-want +got) %s", diff)
		}
	}
	// A built-in name is taken before a file beside it.
	if err := os.WriteFile("qasper.yaml", []byte(plainTask), 0o644); err != nil {
		t.Fatal(err)
	}
	if task, err := Load("qasper"); err != nil || task.Dataset != "qasper" {
		t.Errorf("%+v, %v", task, err)
	}
	if task, err := Load("qasper.yaml"); err != nil || task.Dataset != "x" {
		t.Errorf("%+v, %v", task, err)
	}
}
