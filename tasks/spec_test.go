package tasks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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

// withoutTask are data sets of the spec that have no task: they are not in the
// paper's tables, or their records may not be passed on.
var withoutTask = []string{"gpqa", "mmlu_stem", "quality"}

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
		if slices.Contains(withoutTask, name) {
			continue
		}
		compared++
		t.Run(name, func(t *testing.T) {
			standard, paper := protocolOf(t, name, "standard"), protocolOf(t, name, "paper")
			for _, d := range []*Definition{standard, paper} {
				if diff := cmp.Diff(want.Template, d.prompt); diff != "" {
					t.Errorf("%s: template (-spec +ours) %s", d.Protocol, diff)
				}
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
			if standard.MaxNewTokens != length["standard"] || paper.MaxNewTokens != length["paper"] {
				t.Errorf("%d new tokens, under paper %d; want %v", standard.MaxNewTokens, paper.MaxNewTokens, length)
			}
			if !paper.chat || standard.chat == slices.Contains(spec.NoChat, name) {
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
	if compared != 20 {
		t.Errorf("compared %d tasks", compared)
	}
}

// The facts of method.md, sections 5 and 6, that prompts.json does not hold.
func TestTaskFacts(t *testing.T) {
	type facts struct {
		Dataset, Answers, Classes, AnswersAs string
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
	want := map[string]facts{
		"gsm8k": with(longBench("gsm8k", "gsm8k"), func(f *facts) {
			f.Answers, f.PaperMetric, f.PaperTruncate = "answer", "gsm8k_paper", "never"
		}),
		"theoremqa":  with(longBench("theoremqa", "theoremqa"), func(f *facts) { f.Answers, f.AnswersAs = "Answer", "python" }),
		"truthfulqa": with(longBench("truthfulqa", "rouge_l"), func(f *facts) { f.Answers = "Best Answer" }),
		"coqa":       with(longBench("coqa", "qa_f1"), func(f *facts) { f.Answers, f.PaperTruncate = "answer", "never" }),
		"trec": with(longBench("trec", "classification"), func(f *facts) {
			f.Classes, f.FirstLine = "all_classes", true
		}),
		"triviaqa": with(longBench("triviaqa", "qa_f1"), firstLine),
		"samsum": with(longBench("samsum", "rouge_l"), func(f *facts) {
			f.FirstLine, f.StopAtNewline, f.FirstTokenNotEOS = true, true, true
		}),
	}
	for name, metric := range map[string]string{
		"narrativeqa": "qa_f1", "qasper": "qa_f1", "2wikimqa": "qa_f1", "musique": "qa_f1", "hotpotqa": "qa_f1", "multifieldqa_en": "qa_f1",
		"qmsum": "rouge_l", "multi_news": "rouge_l", "gov_report": "rouge_l", "lcc": "code_sim", "repobench-p": "code_sim",
		"passage_count": "count", "passage_retrieval_en": "retrieval",
	} {
		want[name] = longBench(name, metric)
	}
	got := map[string]facts{}
	for name := range want {
		task, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		s, p := protocolOf(t, name, "standard"), protocolOf(t, name, "paper")
		if s.FirstLine != p.FirstLine || s.answers != p.answers || s.classes != p.classes || s.answersAs != p.answersAs {
			t.Errorf("%s: the protocols differ in references or first line", name)
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
		if task.About == "" || !sets[task.Dataset] {
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
	if !slices.IsSortedFunc(all, func(a, b *Task) int { return cmpNames(a.Name, b.Name) }) || len(all) < 29 {
		t.Errorf("%d tasks, or not sorted", len(all))
	}
}

func cmpNames(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// Every record of our own sets makes a prompt and references under both
// protocols, and its own answer scores.
func TestOwnTasks(t *testing.T) {
	t.Setenv("REFREEKV_DATA", "")
	tried := 0
	for _, task := range List() {
		var records []datasets.Record
		switch task.Dataset {
		case "sample_qa", "sample_multihop", "sample_summary", "sample_math", "sample_code", "needle", "kv_retrieval", "variable_tracking", "recall":
			var err error
			if records, err = datasets.Open(t.Context(), task.Dataset, datasets.Options{}); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		for _, protocol := range Protocols {
			tried++
			d := protocolOf(t, task.Name, protocol)
			for _, r := range records {
				prompt, err := d.Prompt(Model{Tokenizer: newWords(), Family: "other", MaxPositions: 1 << 20}, r, 1<<20)
				if err != nil || prompt.Truncated || len(prompt.Tokens) < 5 {
					t.Fatalf("%s: %s: prompt %+v, %v", task.Name, r.Source, prompt, err)
				}
				refs, err := d.References(r)
				if err != nil {
					t.Fatal(err)
				}
				text := refs.Answers[0]
				if task.Name == "variable_tracking" {
					text = ""
					for _, a := range refs.Answers {
						text += a + ", "
					}
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
	if tried != 18 {
		t.Errorf("tried %d", tried)
	}
}
