package reports

import (
	"strings"
	"testing"

	"refreekv/pruners"
)

func TestPaperCells(t *testing.T) {
	cells, err := PaperCells()
	if err != nil {
		t.Fatal(err)
	}
	find := func(model, variant, task string) PaperCell {
		for _, c := range cells {
			if c.Model == model && c.Variant == variant && c.Task == task {
				return c
			}
		}
		t.Fatalf("no cell of %s, %s, %s", model, variant, task)
		return PaperCell{}
	}
	for _, want := range []PaperCell{ // spec 7
		{Model: "llama-3-8b-instruct", Variant: "refreekv", Task: "gsm8k", Score: 76.50, Budget: 93.2},
		{Model: "llama-3-8b-instruct", Variant: "full", Task: "qmsum", Score: 22.27, Budget: 100},
		{Model: "mistral-7b-instruct-v0.3", Variant: "refreekv", Task: "gsm8k", Score: 31.54, Budget: 89.6},
		{Model: "qwen2.5-7b-instruct", Variant: "refreekv", Task: "qmsum", Score: 22.64, Budget: 70.6},
	} {
		if got := find(want.Model, want.Variant, want.Task); got.Score != want.Score || got.Budget != want.Budget {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if find("llama-3-8b-instruct", "h2o budget=0.5", "coqa").Note == "" {
		t.Error("a doubtful cell has no note")
	}
	// The average of ReFreeKV over the 13 sets is the paper's.
	for model, want := range map[string]float64{"llama-3-8b-instruct": 0.12, "mistral-7b-instruct-v0.3": -1.50, "qwen2.5-7b-instruct": 2.63} {
		sum, n := 0.0, 0.0
		for _, c := range cells {
			if c.Model == model && c.Variant == "refreekv" && c.Table == "Table 2" {
				sum += c.Score/find(model, "full", c.Task).Score - 1
				n++
			}
		}
		if got := 100 * sum / n; n != 13 || got < want-0.005 || got > want+0.005 {
			t.Errorf("%s: %.3f over %g sets, want %g over 13", model, got, n, want)
		}
	}
	for _, c := range cells {
		spec, err := pruners.Parse(c.Variant)
		if err != nil || spec.String() != c.Variant {
			t.Fatalf("%q is not how rows write a variant (%v)", c.Variant, err)
		}
	}
}

func TestAgainstPaper(t *testing.T) {
	all := made("llama-3-8b-instruct", 8192, 20, []string{"gsm8k", "coqa", "own"}, paper)
	// Records that all say the same give an interval without width, which holds no
	// other figure: it tells nothing.
	alike, err := summarize(t, all).AgainstPaper()
	if err != nil || len(alike.Lines) == 0 {
		t.Fatalf("%d lines, %v", len(alike.Lines), err)
	}
	for _, l := range alike.Lines {
		if l.Within != nil || l.Interval == nil {
			t.Errorf("records alike: %+v", l)
		}
	}
	if _, err := alike.Render("md"); err != nil {
		t.Error(err)
	}
	for i := range all {
		all[i].Score += 0.02 * float64(all[i].Index%2)
	}
	s := summarize(t, all)
	a, err := s.AgainstPaper()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range a.Lines {
		if l.Task == "own" || l.PaperModel != "llama-3-8b-instruct" || l.Relative() {
			t.Errorf("%+v", l)
		}
		if l.Interval == nil || l.Within == nil || *l.Within != l.Interval.Holds(l.Paper) || l.Difference != l.Ours-l.Paper {
			t.Errorf("%+v", l)
		}
	}
	all = made("smollm2-135m-instruct", 2048, 20, []string{"gsm8k"}, paper)
	if a, err = summarize(t, all).AgainstPaper(); err != nil || len(a.Notes) == 0 || !strings.Contains(a.Notes[0], "no figures of smollm2") {
		t.Fatalf("%+v, %v", a.Notes, err)
	}
	models := map[string]bool{}
	for _, l := range a.Lines {
		models[l.PaperModel] = true
		if !l.Relative() || l.Variant == "full" {
			t.Errorf("%+v", l)
		}
	}
	if len(models) < 3 {
		t.Errorf("beside %d of the paper's models", len(models))
	}
	for _, format := range []string{"md", "csv", "json"} {
		if text, err := a.Render(format); err != nil || !strings.Contains(string(text), "mistral-7b-instruct-v0.3") {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := a.Render("tex"); err == nil {
		t.Error("a format that there is not")
	}
	if _, err := summarize(t, made("m", 512, 2, []string{"own"}, paper)).AgainstPaper(); err == nil {
		t.Error("nothing to compare is no error")
	}
}
