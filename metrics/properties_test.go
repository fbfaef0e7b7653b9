package metrics

import (
	"math"
	"strings"
	"testing"
)

// TestIdenticalTexts holds every metric to its definition's best score on the
// oracle's answers as predictions, and the symmetric ones to symmetry.
func TestIdenticalTexts(t *testing.T) {
	var scores struct{ Groups []textGroup }
	fixture(t, "scores.json.gz", &scores)
	check := func(name, text string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > tolerance {
			t.Errorf("%s of %.200q against itself = %.12g, want %.12g", name, text, got, want)
		}
	}
	full := map[string]int{}
	for _, group := range scores.Groups {
		for _, c := range group.Cases {
			for _, text := range c.refs.Answers {
				if len(text) > 1500 {
					continue // too long for rouge's recursion
				}
				check("exact", text, Exact(text, text), 1)
				check("contains", text, Contains(text, Refs{Answers: []string{text}}), 1)
				check("fuzz ratio", text, FuzzRatio(text, text), 1)
				for _, stem := range []bool{false, true} {
					want := 0.0
					if len(rougeWords(text, stem)) > 0 {
						want = 1
					}
					check("rouge_score_l", text, RougeScoreL(text, text, stem), want)
					check("rouge_score_lsum", text, RougeScoreLsum(text, text, stem), want)
					check("rouge_score_1", text, RougeScoreN(text, text, 1, stem), want)
				}
				if !strings.ContainsAny(text, "`#/\n") {
					check("code_sim", text, CodeSimilarity(text, text), 1)
					full["code_sim"]++
				}
				if strings.Trim(text, ".") != "" {
					check("rouge_l", text, RougeL(text, text), 2/(2+1e-8))
					full["rouge_l"]++
				} else {
					check("rouge_l", text, RougeL(text, text), 0)
				}
				if len(fields(normalize(text))) > 0 {
					check("qa_f1", text, F1(text, text), 1)
					full["qa_f1"]++
				} else {
					check("qa_f1", text, F1(text, text), 0)
				}
				if a, b := F1(c.prediction, text), F1(text, c.prediction); math.Abs(a-b) > tolerance {
					t.Errorf("qa_f1 of %q and %q depends on the order: %g, %g", c.prediction, text, a, b)
				}
				if len(c.prediction) > 1500 {
					continue
				}
				if a, b := FuzzRatio(c.prediction, text), FuzzRatio(text, c.prediction); a != b {
					t.Errorf("the fuzz ratio of %q and %q depends on the order: %g, %g", c.prediction, text, a, b)
				}
			}
		}
	}
	for _, name := range []string{"code_sim", "rouge_l", "qa_f1"} {
		if full[name] < 500 {
			t.Errorf("%s was tried on %d texts only", name, full[name])
		}
	}
}

// TestMoreAnswersNeverHurt adds an answer to each of the oracle's cases.
func TestMoreAnswersNeverHurt(t *testing.T) {
	var scores struct{ Groups []textGroup }
	fixture(t, "scores.json.gz", &scores)
	for _, group := range scores.Groups {
		for _, name := range group.Metrics {
			metric, _ := Get(name)
			switch name {
			case "contains", "coqa_f1":
				continue // a share of the answers, a mean over them
			case "bleu":
				continue // another answer may be nearer in length and so raise the brevity penalty
			}
			for i, c := range group.Cases {
				more := c.refs
				more.Answers = append([]string{group.Cases[(i+1)%len(group.Cases)].refs.Answers[0]}, more.Answers...)
				if before, after := metric(c.prediction, c.refs), metric(c.prediction, more); after < before {
					t.Errorf("%s of %.200q: %g with the answers %.200q, %g with one more", name, c.prediction, before, c.refs.Answers, after)
				}
			}
		}
	}
}

func FuzzMetrics(f *testing.F) {
	for _, seed := range [][3]string{
		{"The answer is: 18.0", "x = 18\n#### 18", "Food\nDate"},
		{"B: \xff\xc3", "\xc3(", "\n"},
		{"... . \x1c", "", ""},
		{"ΑΣ\u0301. İ Σ", "ας", "a\naa\na"},
		{"Paragraph ٣ and -.5", "Paragraph ٣", "red green\nred\ngreen"},
		{"the answer [1, 2]", "[1, 2]", ""},
		{"\n\n`x`\n# y\nz // z\nw", "w", "w"},
		{"+", "-.", "."},
		{"the answer is \\boxed{\\frac{1}{2}}", "[1, 2.5]", "(a)"},
		{"answer: x = (2^-1e5, .5) and -3/0", "0.5", "True"},
		{"他来到了网易杭研大厦。段落3", "段落3", "\n\n"},
		{"running -\n&amp;<skipped>1,000.5", "runs\nrunning", "sky"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, prediction, answer, classes string) {
		refs := Refs{Answers: []string{answer, classes}, Classes: strings.Split(classes, "\n")}
		for _, m := range List() {
			for _, text := range []string{prediction, answer} {
				// A NaN fails both comparisons.
				if score := m.Metric(text, refs); !(score >= 0 && score <= 1) {
					t.Errorf("%s of %q against %q scores %g", m.Name, text, refs, score)
				}
			}
		}
	})
}
