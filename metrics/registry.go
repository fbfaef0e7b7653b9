package metrics

// Refs are what a prediction is compared with.
type Refs struct {
	Answers []string // all accepted answers
	Classes []string // all class names, for classification
}

// A Metric scores a prediction, 0 to 1.
type Metric func(prediction string, refs Refs) float64

// Info names a metric for people.
type Info struct {
	Name   string
	About  string
	Metric Metric
}

var registry = []Info{
	{"qa_f1", "token F1 after LongBench's normalisation, best over the answers", best(F1)},
	{"rouge_l", "ROUGE-L F as the Python package rouge computes it, best over the answers", best(RougeL)},
	{"code_sim", "edit similarity of the first line of code (LongBench; fuzzywuzzy with python-Levenshtein)", best(CodeSimilarity)},
	{"gsm8k", "GSM8K: the last number equals the gold number", best(GSM8K)},
	{"gsm8k_paper", "GSM8K as ReFreeKV's evaluation compares: as strings, after the last colon", best(GSM8KPaper)},
	{"theoremqa", "TheoremQA as ReFreeKV's evaluation extracts and compares", best(TheoremQA)},
	{"choice", "letter of a multiple choice, as ReFreeKV's evaluation extracts it", best(Choice)},
	{"classification", "class name found in the text (LongBench)", classification},
	{"retrieval", "share of the numbers in the text that are the gold paragraph's (LongBench)", best(Retrieval)},
	{"count", "share of the numbers in the text that are the gold count (LongBench)", best(Count)},
	{"contains", "share of the answers that occur in the text", Contains},
	{"exact", "the trimmed text equals an answer", best(Exact)},
}

// List describes all metrics.
func List() []Info { return append([]Info(nil), registry...) }

// Get finds a metric by name.
func Get(name string) (Metric, bool) {
	for _, m := range registry {
		if m.Name == name {
			return m.Metric, true
		}
	}
	return nil, false
}

// best is the maximum over the answers.
func best(score func(prediction, answer string) float64) Metric {
	return func(prediction string, refs Refs) float64 {
		most := 0.0
		for _, answer := range refs.Answers {
			most = max(most, score(prediction, answer))
		}
		return most
	}
}

func classification(prediction string, refs Refs) float64 {
	return best(func(prediction, answer string) float64 {
		return Classification(prediction, answer, refs.Classes)
	})(prediction, refs)
}
