package tasks

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/datasets"
	"refreekv/metrics"
)

// readValue reads a JSON value the way that a record's values are read.
func readValue(t *testing.T, text string) any {
	t.Helper()
	switch text {
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	path := filepath.Join(t.TempDir(), "value.jsonl")
	if err := os.WriteFile(path, []byte(`{"v":`+text+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	records, err := datasets.Open(t.Context(), path, datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return records[0].Fields["v"]
}

// Values print as Python's str prints them (testdata/python_str.py).
func TestPythonPrinting(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "python_str.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct{ JSON, Str string }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 100 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		got, err := python(readValue(t, row.JSON))
		if err != nil || got != row.Str {
			t.Errorf("%s prints as %q, %v; Python prints %q", row.JSON, got, err, row.Str)
		}
	}
	for _, bad := range []any{map[string]any{}, []any{map[string]any{"a": 1}}} {
		_, err := python(bad)
		wantError(t, err, "an object")
	}
}

func TestReferences(t *testing.T) {
	plain := define(t, "standard", plainTask)
	classes := define(t, "standard", plainTask+"classes: all_classes\n")
	asPython := define(t, "standard", plainTask+"answers: Answer\nanswers_as: python\n")
	for _, c := range []struct {
		name   string
		d      *Definition
		fields map[string]any
		want   metrics.Refs
	}{
		{"texts", plain, map[string]any{"answers": []any{"a", "", "b"}}, metrics.Refs{Answers: []string{"a", "", "b"}}},
		{"one text", plain, map[string]any{"answers": "a"}, metrics.Refs{Answers: []string{"a"}}},
		{"numbers", plain, map[string]any{"answers": []any{int64(3), 0.5, true, json.Number("99999999999999999999")}}, metrics.Refs{Answers: []string{"3", "0.5", "True", "99999999999999999999"}}},
		{"classes", classes, map[string]any{"answers": "a", "all_classes": []any{"a", "b"}}, metrics.Refs{Answers: []string{"a"}, Classes: []string{"a", "b"}}},
		{"a list as Python prints it is one reference", asPython, map[string]any{"Answer": []any{int64(1), 2.0, "x"}}, metrics.Refs{Answers: []string{"[1, 2.0, 'x']"}}},
		{"a truth value as Python prints it", asPython, map[string]any{"Answer": false}, metrics.Refs{Answers: []string{"False"}}},
		{"an empty list as Python prints it", asPython, map[string]any{"Answer": []any{}}, metrics.Refs{Answers: []string{"[]"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.d.References(recordOf(c.fields))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
	for _, c := range []struct {
		name   string
		d      *Definition
		fields map[string]any
		want   string
	}{
		{"missing", plain, map[string]any{}, `data.jsonl:7: field "answers" is missing; task test scores against it (name another under answers: or classes:)`},
		{"null", plain, map[string]any{"answers": nil}, `data.jsonl:7: field "answers" is missing; task test scores against it (name another under answers: or classes:)`},
		{"no answers", plain, map[string]any{"answers": []any{}}, `data.jsonl:7: field "answers" holds no reference; task test scores against it`},
		{"a null among answers", plain, map[string]any{"answers": []any{"a", nil}}, `data.jsonl:7: field "answers" holds null; want texts`},
		{"lists in answers", plain, map[string]any{"answers": []any{[]any{"a"}}}, `data.jsonl:7: field "answers" holds a list; want texts`},
		{"an object", plain, map[string]any{"answers": map[string]any{"text": "a"}}, `data.jsonl:7: field "answers" holds an object; want texts`},
		{"missing classes", classes, map[string]any{"answers": "a"}, `data.jsonl:7: field "all_classes" is missing; task test scores against it (name another under answers: or classes:)`},
		{"no classes", classes, map[string]any{"answers": "a", "all_classes": []any{}}, `data.jsonl:7: field "all_classes" holds no reference; task test scores against it`},
		{"an object as Python prints it", asPython, map[string]any{"Answer": []any{map[string]any{}}}, `data.jsonl:7: field "Answer" holds an object; want texts, numbers, true, false or lists of them`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.d.References(recordOf(c.fields))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			if _, scoreErr := c.d.Score("a", recordOf(c.fields)); scoreErr == nil || scoreErr.Error() != err.Error() {
				t.Errorf("Score: %v", scoreErr)
			}
		})
	}
}

// Only what is asked for is scored: the first line where the task says so.
func TestScoreFirstLine(t *testing.T) {
	record := recordOf(map[string]any{"answers": []any{"red barn"}})
	first := define(t, "standard", plainTask+"first_line: true\n")
	whole := define(t, "standard", plainTask)
	for _, c := range []struct {
		text         string
		first, whole float64
	}{
		{"red barn", 1, 1},
		{"\n\n\nred barn\nblue\ngreen", 1, 2 * 0.5 / 1.5},
		{"blue\nred barn", 0, 2 * (2.0 / 3) / (5.0 / 3)},
		{"", 0, 0},
		{"\n\n", 0, 0},
		{" \nred barn", 0, 1}, // a line of a blank is a first line
	} {
		for _, s := range []struct {
			d    *Definition
			want float64
		}{{first, c.first}, {whole, c.whole}} {
			got, err := s.d.Score(c.text, record)
			if err != nil || math.Abs(got-s.want) > 1e-12 {
				t.Errorf("%q, first line %t: %g, %v; want %g", c.text, s.d.FirstLine, got, err, s.want)
			}
		}
	}
	// Under both protocols, the few-shot tasks of LongBench and no others.
	for _, task := range List() {
		want := slices.Contains([]string{"trec", "triviaqa", "samsum", "lsht"}, strings.TrimSuffix(task.Name, "_e"))
		for _, protocol := range Protocols {
			if d := protocolOf(t, task.Name, protocol); d.FirstLine != want {
				t.Errorf("%s, %s: first line %t", task.Name, protocol, d.FirstLine)
			}
		}
	}
}

// A real record of each kind of reference, scored with its own answer.
func TestScoreRealRecords(t *testing.T) {
	dir := sharedFolder(t, "data")
	tried := 0
	for _, task := range List() {
		records, err := datasets.Open(t.Context(), task.Dataset, datasets.Options{Dir: dir})
		if err != nil || !strings.HasPrefix(records[0].Source, dir) {
			continue // not in the folder, or our own
		}
		for _, protocol := range Protocols {
			d := protocolOf(t, task.Name, protocol)
			for _, r := range records {
				refs, err := d.References(r)
				if err != nil {
					t.Fatal(err)
				}
				text := slices.MaxFunc(refs.Answers, func(a, b string) int { return len(a) - len(b) })
				if d.Metric == "bleu_t5" && len(strings.Fields(text)) < 4 {
					continue // it has no four words in a row
				}
				if strings.HasPrefix(d.Metric, "theoremqa") {
					text = "Therefore, the answer is " + text
				}
				score, err := d.Score(text, r)
				if err != nil {
					t.Fatal(err)
				}
				// A line that is a comment is no code to LongBench's metric.
				least := 0.99
				if d.Metric == "coqa_f1" {
					least = 0.75 // one of four people, who may differ from the other three
				}
				if score < least && d.Metric != "code_sim" {
					t.Errorf("%s, %s: %s: its own answer scores %g", task.Name, protocol, r.Source, score)
				}
				tried++
			}
		}
	}
	if tried < 300 {
		t.Errorf("tried %d records", tried)
	}
}
