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
	{"qa_f1_zh", "token F1 over jieba's words, for Chinese (LongBench)", best(F1Chinese)},
	{"coqa_f1", "token F1 as CoQA scores people: mean over the answers of the best F1 against the others", coqaF1},
	{"rouge_l", "ROUGE-L F as the Python package rouge computes it, best over the answers", best(RougeL)},
	{"rouge_zh", "the same over jieba's words, for Chinese (LongBench)", best(RougeLChinese)},
	{"rouge_score_1", "ROUGE-1 F as the Python package rouge-score computes it", best(rougeScoreN(1, false))},
	{"rouge_score_2", "ROUGE-2 F of rouge-score", best(rougeScoreN(2, false))},
	{"rouge_score_l", "ROUGE-L F of rouge-score, over the whole text", best(rougeScore(RougeScoreL, false))},
	{"rouge_score_lsum", "ROUGE-Lsum F of rouge-score, line by line", best(rougeScore(RougeScoreLsum, false))},
	{"rouge_score_1_stem", "ROUGE-1 F of rouge-score with Porter stemming; times 10 it is the score of the needle scripts", best(rougeScoreN(1, true))},
	{"rouge_score_2_stem", "ROUGE-2 F of rouge-score with Porter stemming", best(rougeScoreN(2, true))},
	{"rouge_score_l_stem", "ROUGE-L F of rouge-score with Porter stemming", best(rougeScore(RougeScoreL, true))},
	{"rouge_score_lsum_stem", "ROUGE-Lsum F of rouge-score with Porter stemming", best(rougeScore(RougeScoreLsum, true))},
	{"bleu", "sentence BLEU of sacrebleu with its defaults, against all answers together", sentenceBLEU},
	{"bleu_t5", "BLEU as TruthfulQA's own evaluation computes it (t5: tokenizer intl, always four orders), best over the answers", best(BLEUT5)},
	{"code_sim", "edit similarity of the first line of code (LongBench; fuzzywuzzy with python-Levenshtein)", best(CodeSimilarity)},
	{"code_sim_difflib", "the same with fuzzywuzzy without python-Levenshtein", best(CodeSimilarityDifflib)},
	{"gsm8k", "GSM8K: the last number equals the gold number", best(GSM8K)},
	{"gsm8k_paper", "GSM8K as ReFreeKV's evaluation compares: as strings, after the last colon", best(GSM8KPaper)},
	{"theoremqa", "TheoremQA: numbers within its own tolerances, lists, True and False, options", best(TheoremQA)},
	{"theoremqa_paper", "TheoremQA as ReFreeKV's evaluation extracts and compares: gold text after the last \"answer\"", best(TheoremQAPaper)},
	{"choice", "letter of a multiple choice that the text settles on", best(Choice)},
	{"choice_paper", "letter of a multiple choice as ReFreeKV's evaluation extracts it: capitals A to D anywhere", best(ChoicePaper)},
	{"classification", "class name found in the text (LongBench)", classification},
	{"retrieval", "share of the numbers in the text that are the gold paragraph's (LongBench)", best(Retrieval)},
	{"retrieval_zh", "the same for \"段落\" and a number (LongBench)", best(RetrievalChinese)},
	{"count", "share of the numbers in the text that are the gold count (LongBench)", best(Count)},
	{"contains", "share of the answers that occur in the text (RULER's string_match_all)", Contains},
	{"string_match_part", "1 if any of the answers occurs in the text (RULER)", StringMatchPart},
	{"needle_recall", "share of the answer's words that occur in the text (needle in a haystack)", best(NeedleRecall)},
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

func coqaF1(prediction string, refs Refs) float64 { return CoQAF1(prediction, refs.Answers) }

func sentenceBLEU(prediction string, refs Refs) float64 { return BLEU(prediction, refs.Answers) }

func rougeScoreN(n int, stem bool) func(prediction, answer string) float64 {
	return func(prediction, answer string) float64 { return RougeScoreN(prediction, answer, n, stem) }
}

func rougeScore(score func(prediction, answer string, stem bool) float64, stem bool) func(prediction, answer string) float64 {
	return func(prediction, answer string) float64 { return score(prediction, answer, stem) }
}
