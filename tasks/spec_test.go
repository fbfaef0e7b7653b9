package tasks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/datasets"
)

// prompts are the parts of the spec's prompts.json that are compared with.
type prompts struct {
	Datasets map[string]struct {
		Template  string
		Paper     *int `json:"max_new_tokens_released_code"`
		LongBench *int `json:"max_new_tokens_longbench"`
	}
	System map[string]json.RawMessage `json:"system_prompts"`
	NoChat []string                   `json:"longbench_no_chat_datasets_official"`
}

func readPrompts(t *testing.T) prompts {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sharedFolder(t, "spec"), "prompts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p prompts
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// ownTemplates are standard templates that are the benchmark's own where those of
// the paper's evaluation differ.
var ownTemplates = map[string]func(string) string{
	"coqa": func(paper string) string {
		return strings.Replace(paper, "Question: {input}", "{history}Question: {input}", 1)
	},
	"truthfulqa": func(paper string) string { return strings.Replace(paper, "Q:{question}\n\nA:", "Q: {question}\nA:", 1) },
}

// Templates, generation lengths, system texts and chat wrapping are the spec's,
// byte for byte.
func TestTasksAgainstSpec(t *testing.T) {
	spec := readPrompts(t)
	systemOf := func(key string) string {
		var text string
		if err := json.Unmarshal(spec.System[key], &text); err != nil {
			t.Fatalf("system text %q: %v", key, err)
		}
		return text
	}
	var others map[string]string
	if err := json.Unmarshal(spec.System["every other dataset"], &others); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for name, want := range spec.Datasets {
		compared++
		t.Run(name, func(t *testing.T) {
			standard, paper := protocolOf(t, name, "standard"), protocolOf(t, name, "paper")
			if diff := cmp.Diff(want.Template, paper.prompt); diff != "" {
				t.Errorf("paper: template (-spec +ours) %s", diff)
			}
			template := want.Template
			if own := ownTemplates[name]; own != nil {
				template = own(template)
			}
			if diff := cmp.Diff(template, standard.prompt); diff != "" {
				t.Errorf("standard: template (-spec +ours) %s", diff)
			}
			// What one of the two does not tell, the other does.
			length := map[string]int{}
			for _, l := range []*int{want.Paper, want.LongBench} {
				if l != nil {
					length["paper"], length["standard"] = *l, *l
				}
			}
			if want.Paper != nil {
				length["paper"] = *want.Paper
			}
			if name == "truthfulqa" {
				length["standard"] = 50 // TruthfulQA's own
			}
			if standard.MaxNewTokens != length["standard"] || paper.MaxNewTokens != length["paper"] {
				t.Errorf("%d new tokens, under paper %d; want %v", standard.MaxNewTokens, paper.MaxNewTokens, length)
			}
			if !paper.chat || standard.chat == (slices.Contains(spec.NoChat, name) || name == "truthfulqa") {
				t.Errorf("chat wrapping %t, under paper %t", standard.chat, paper.chat)
			}
			own := map[string]string{"gsm8k": "gsm8k (all models)", "theoremqa": "theoremqa (all models)"}[name]
			for family, text := range others {
				if own != "" {
					text = systemOf(own)
				}
				if family == "qwen2.5" || family == "llama2" || family == "llama3" || family == "mistral" {
					if got := paper.systemText(family); got != text {
						t.Errorf("system text for %s (-spec +ours) %s", family, cmp.Diff(text, got))
					}
				} else {
					t.Errorf("the spec tells of a family %s", family)
				}
			}
			if name == "theoremqa" {
				if got := standard.systemText("other"); got != systemOf(own) {
					t.Errorf("standard: system text %q", got)
				}
			} else if got := standard.systemText("mistral"); got != "" {
				t.Errorf("standard: system text %q", got)
			}
		})
	}
	if compared != 23 {
		t.Errorf("compared %d tasks", compared)
	}
}

// longBenchE are the 13 sets of LongBench-E.
var longBenchE = []string{
	"qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "gov_report", "multi_news", "trec", "triviaqa", "samsum",
	"passage_count", "passage_retrieval_en", "lcc", "repobench-p",
}

// The facts of method.md, sections 5 and 6, that prompts.json does not hold.
func TestTaskFacts(t *testing.T) {
	type facts struct {
		Dataset, Answers, Classes, AnswersAs string // standard
		Metric, PaperMetric                  string
		FirstLine                            bool
		Truncate, PaperTruncate              string
		StopAtNewline, FirstTokenNotEOS      bool // standard
	}
	longBench := func(name, metric string) facts {
		return facts{Dataset: name, Answers: "answers", Metric: metric, PaperMetric: metric, Truncate: "before_wrap", PaperTruncate: "after_wrap"}
	}
	with := func(f facts, change func(*facts)) facts { change(&f); return f }
	firstLine := func(f *facts) { f.FirstLine = true }
	classes := func(f *facts) { f.Classes, f.FirstLine = "all_classes", true }
	want := map[string]facts{
		"gsm8k": with(longBench("gsm8k", "gsm8k"), func(f *facts) {
			f.Answers, f.PaperMetric, f.PaperTruncate = "answer", "gsm8k_paper", "never"
		}),
		"theoremqa": with(longBench("theoremqa", "theoremqa"), func(f *facts) {
			f.Answers, f.AnswersAs, f.PaperMetric = "Answer", "python", "theoremqa_paper"
		}),
		"truthfulqa": with(longBench("truthfulqa", "bleu_t5"), func(f *facts) {
			f.Answers, f.AnswersAs, f.PaperMetric = "Correct Answers", "semicolons", "rouge_l"
			f.StopAtNewline, f.FirstTokenNotEOS = true, true
		}),
		"coqa": with(longBench("coqa", "coqa_f1"), func(f *facts) {
			f.PaperMetric, f.PaperTruncate = "qa_f1", "never"
		}),
		"trec":     with(longBench("trec", "classification"), classes),
		"lsht":     with(longBench("lsht", "classification"), classes),
		"triviaqa": with(longBench("triviaqa", "qa_f1"), firstLine),
		"samsum": with(longBench("samsum", "rouge_l"), func(f *facts) {
			f.FirstLine, f.StopAtNewline, f.FirstTokenNotEOS = true, true, true
		}),
	}
	for name, metric := range map[string]string{
		"narrativeqa": "qa_f1", "qasper": "qa_f1", "2wikimqa": "qa_f1", "musique": "qa_f1", "hotpotqa": "qa_f1", "multifieldqa_en": "qa_f1",
		"qmsum": "rouge_l", "multi_news": "rouge_l", "gov_report": "rouge_l", "lcc": "code_sim", "repobench-p": "code_sim",
		"passage_count": "count", "passage_retrieval_en": "retrieval", "passage_retrieval_zh": "retrieval_zh",
		"multifieldqa_zh": "qa_f1_zh", "dureader": "rouge_zh", "vcsum": "rouge_zh", "leval_qasper": "qa_f1", "leval_qmsum": "rouge_l",
	} {
		want[name] = longBench(name, metric)
	}
	for _, name := range []string{"gpqa", "mmlu_stem", "quality"} {
		want[name] = with(longBench(name, "choice"), func(f *facts) { f.PaperMetric = "choice_paper" })
	}
	// LongBench-E asks as LongBench does.
	for _, name := range longBenchE {
		want[name+"_e"] = with(want[name], func(f *facts) { f.Dataset += "_e" })
	}
	got := map[string]facts{}
	for name := range want {
		task, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		s, p := protocolOf(t, name, "standard"), protocolOf(t, name, "paper")
		if s.FirstLine != p.FirstLine || s.classes != p.classes || (s.answers != p.answers || s.answersAs != p.answersAs) && ownTemplates[name] == nil {
			t.Errorf("%s: the protocols differ in references or first line", name)
		}
		if want := map[bool]int{true: 2000}[name == "coqa"]; p.Records != want || s.Records != 0 {
			t.Errorf("%s: %d records, under paper %d", name, s.Records, p.Records)
		}
		got[name] = facts{task.Dataset, s.answers, s.classes, s.answersAs, s.Metric, p.Metric, s.FirstLine, s.truncate, p.truncate, s.StopAtNewline, s.FirstTokenNotEOS}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-spec +ours) %s", diff)
	}
}

// What is true of every built-in task, our own among them.
func TestEveryTask(t *testing.T) {
	sets := map[string]bool{}
	for _, d := range datasets.List() {
		sets[d.Name] = true
	}
	all := List()
	for _, task := range all {
		set, _, _ := strings.Cut(task.Dataset, " ")
		if task.About == "" || !sets[set] {
			t.Errorf("%s: about %q, data set %q", task.Name, task.About, task.Dataset)
		}
		if again, err := Load(task.Name); err != nil || again.Name != task.Name {
			t.Errorf("%s does not load by its name: %v", task.Name, err)
		}
		standard, paper := protocolOf(t, task.Name, "standard"), protocolOf(t, task.Name, "paper")
		if standard.addSpecialTokens || standard.TokenizerEOSOnly || standard.Protocol != "standard" || standard.Task != task.Name {
			t.Errorf("%s: standard is %+v", task.Name, standard)
		}
		// Released code: everything wrapped, a second BOS, no newline stop, only the
		// tokenizer's EOS, never EOS first (spec 5, 6.2, 6.3).
		if !paper.chat || !paper.addSpecialTokens || !paper.TokenizerEOSOnly || !paper.FirstTokenNotEOS || paper.StopAtNewline || paper.truncateMargin != 20 {
			t.Errorf("%s: paper is %+v", task.Name, paper)
		}
	}
	if !slices.IsSortedFunc(all, func(a, b *Task) int { return strings.Compare(a.Name, b.Name) }) || len(all) < 67 {
		t.Errorf("%d tasks, or not sorted", len(all))
	}
	// And the other way round: every data set has a task.
	for name := range sets {
		if !slices.ContainsFunc(all, func(task *Task) bool { return strings.Fields(task.Dataset)[0] == name }) {
			t.Errorf("data set %s has no task", name)
		}
	}
}

// The records of our own and of generated sets make a prompt and references under
// both protocols, and their own answers score.
func TestOwnTasks(t *testing.T) {
	t.Setenv("REFREEKV_DATA", "")
	t.Setenv("REFREEKV_CACHE", t.TempDir())
	var tried []string
	for _, task := range List() {
		records, err := datasets.Open(t.Context(), task.Dataset, datasets.Options{Limit: 10})
		if err != nil {
			wantError(t, err, "is not in the cache")
			continue
		}
		tried = append(tried, task.Name)
		for _, protocol := range Protocols {
			d := protocolOf(t, task.Name, protocol)
			for _, r := range records {
				prompt, err := d.Prompt(Model{Tokenizer: newWords(), Family: "other", MaxPositions: 1 << 20}, r, 1<<20)
				if err != nil || prompt.Truncated || len(prompt.Tokens) < 5 {
					t.Fatalf("%s: %s: prompt %+v, %v", task.Name, r.Source, prompt, err)
				}
				if err := d.Check(r); err != nil {
					t.Errorf("%s: %v", task.Name, err)
				}
				refs, err := d.References(r)
				if err != nil {
					t.Fatal(err)
				}
				text := refs.Answers[0]
				if d.Metric == "contains" {
					text = strings.Join(refs.Answers, ", ") // all of them are asked for
				}
				if score, err := d.Score(text, r); err != nil || score < 0.99 {
					t.Errorf("%s: %s: its own answer %q scores %g, %v", task.Name, r.Source, text, score, err)
				}
				if score, err := d.Score("zzzz", r); err != nil || score > 0.2 {
					t.Errorf("%s: %s: nonsense scores %g, %v", task.Name, r.Source, score, err)
				}
			}
		}
	}
	want := []string{
		"cwe", "fwe", "kv_retrieval", "needle", "needle_grid", "needle_sandwich",
		"niah_multikey_1", "niah_multikey_2", "niah_multikey_3", "niah_multiquery", "niah_multivalue", "niah_single_1", "niah_single_2", "niah_single_3",
		"recall", "sample_code", "sample_math", "sample_multihop", "sample_qa", "sample_summary", "variable_tracking", "vt",
	}
	if diff := cmp.Diff(want, tried); diff != "" {
		t.Errorf("tasks that need no file (-want +got) %s", diff)
	}
}
