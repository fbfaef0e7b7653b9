package tasks

import (
	"encoding/json"
	"strings"
	"testing"

	"refreekv/datasets"
)

func TestFill(t *testing.T) {
	record := recordOf(map[string]any{
		"a": "A", "b_2": "B", "braces": "{a} {} {{b_2}} {none} %s \\1 $1", "int": int64(-3), "float": 1e-7, "bool": true, "null": nil, "big": json.Number("12345678901234567890"),
		"list": []any{"x"}, "object": map[string]any{}, "Best Answer": "best", "empty": "",
	})
	for _, c := range []struct {
		name, prompt string
		fields       map[string]string
		want         string
	}{
		{"fields and text", "x {a} y {b_2}z", nil, "x A y Bz"},
		{"a field twice, side by side", "{a}{a}{b_2}", nil, "AAB"},
		{"braces of the record stay", "[{braces}] {a}", nil, "[{a} {} {{b_2}} {none} %s \\1 $1] A"},
		{"braces of the template that name nothing stay", "{ a } {} {a-b} {1} { {a} } {a", nil, "{ a } {} {a-b} {1} { A } {a"},
		{"doubled braces", "{{a}}", nil, "{A}"},
		{"values as Python prints them", "{int} {float} {bool} {big}", nil, "-3 1e-07 True 12345678901234567890"},
		{"null and empty are nothing", "[{null}{empty}]", nil, "[]"},
		{"renamed", "{question}: {a}", map[string]string{"question": "Best Answer"}, "best: A"},
		{"renamed to a name of the template", "{a} {b}", map[string]string{"a": "b_2", "b": "a"}, "B A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Definition{fields: c.fields}
			got, err := d.fill(c.prompt, record)
			if err != nil || got != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
	for prompt, want := range map[string]string{
		"{none}":   `data.jsonl:7: field "none" is missing; the task's template wants it (map other names under fields:)`,
		"{list}":   `data.jsonl:7: field "list" is a list; the task's template wants text`,
		"{object}": `data.jsonl:7: field "object" is an object; the task's template wants text`,
	} {
		d := Definition{}
		_, err := d.fill("{a} "+prompt, record)
		wantError(t, err, want)
		if _, err := define(t, "paper", strings.Replace(plainTask, "{context}", prompt, 1)).Prompt(Model{Tokenizer: newWords()}, record, 100); err == nil || err.Error() != want {
			t.Errorf("Prompt: %v", err)
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add("x {a} {b}", "A", "{a}{b}")
	f.Add("{a}{a", "", "}")
	f.Add("{{a}} {none}", "{none}", "b")
	f.Add("\xff{a}", "\xff", "{")
	f.Fuzz(func(t *testing.T, prompt, a, b string) {
		d := Definition{}
		got, err := d.fill(prompt, datasets.Record{Source: "f:1", Fields: map[string]any{"a": a, "b": b}})
		if err != nil {
			wantError(t, err, "f:1: field ", "is missing")
			return
		}
		// Another way to the same text: cut at the first placeholder, once.
		var want strings.Builder
		rest := prompt
		for rest != "" {
			switch {
			case strings.HasPrefix(rest, "{a}"):
				want.WriteString(a)
				rest = rest[3:]
			case strings.HasPrefix(rest, "{b}"):
				want.WriteString(b)
				rest = rest[3:]
			default:
				want.WriteByte(rest[0])
				rest = rest[1:]
			}
		}
		if got != want.String() {
			t.Errorf("%q, want %q", got, want.String())
		}
	})
}

func FuzzParseTask(f *testing.F) {
	f.Add([]byte(plainTask))
	f.Add([]byte(plainTask + "paper:\n  prompt: '{a}'\n  fields: {a: b}\n"))
	f.Add([]byte("dataset: [x]\n"))
	f.Add([]byte("dataset: x\ndataset: y\n"))
	f.Add([]byte("- &a [*a]\n"))
	f.Add([]byte("a: &a {b: *a}\n"))
	f.Add([]byte("%YAML 1.2\n---\n!!binary x\n"))
	f.Add([]byte("\"\\n\": \"\\u2028\"\n"))
	for _, t := range []string{"qasper", "theoremqa", "samsum"} {
		text, err := files.ReadFile(t + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		task, err := parse("n", "f.yaml", text, nil)
		if err != nil {
			wantError(t, err, "task f.yaml: ")
			return
		}
		for _, protocol := range Protocols {
			d, err := task.Protocol(protocol)
			if err != nil {
				t.Fatalf("it parses, but under %s: %v", protocol, err)
			}
			record := recordOf(map[string]any{"context": "a", "answers": "b"})
			if _, err := d.Prompt(Model{Tokenizer: newWords(), Family: "other", MaxPositions: 1000}, record, 100); err != nil {
				wantError(t, err)
			}
			if _, err := d.Score("a", record); err != nil {
				wantError(t, err, "data.jsonl:7: field ")
			}
		}
	})
}
