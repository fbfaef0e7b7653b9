package datasets

import (
	"fmt"
	"strings"
)

// Info is a row of the registry.
type Info struct {
	Name    string
	About   string
	Licence string
	// URL is the public source of the file; empty for what comes with the
	// program.
	URL string
	// Files are the names that the file has in a data folder, best first.
	Files []string

	adapt    func(Info, []raw) ([]raw, error) // reshapes records; nil: as they are
	embedded string                           // file below samples/
	generate func(options) ([]raw, error)     // makes the records
	options  []option                         // of generated sets
}

const longBenchURL = "https://huggingface.co/datasets/THUDM/LongBench/resolve/main/data.zip"

// longBench is a task of LongBench (arXiv 2308.14508), one file in its archive.
func longBench(name, about string) Info {
	return Info{
		Name: name, About: "LongBench: " + about, Licence: "MIT; texts under their own sets' terms", URL: longBenchURL,
		Files: []string{name + ".jsonl", name + ".parquet", "data/" + name + ".jsonl"},
	}
}

func sample(name, about string) Info {
	return Info{Name: name, About: "written for this program: " + about, Licence: "as the program", embedded: name + ".jsonl"}
}

func generated(name, about string, make func(options) ([]raw, error), takes ...option) Info {
	var names []string
	for _, o := range takes {
		names = append(names, o.name)
	}
	about = fmt.Sprintf("generated from a seed: %s; options %s", about, strings.Join(names, ", "))
	return Info{Name: name, About: about, Licence: "as the program", generate: make, options: takes}
}

var registry = []Info{
	sample("sample_qa", "questions on articles"),
	sample("sample_multihop", "questions that join two passages"),
	sample("sample_summary", "reports to summarise"),
	sample("sample_math", "word problems"),
	sample("sample_code", "code to continue by a line"),
	generated("needle", "a sentence hidden in a long text", needle, lengthOption, depthOption, seedOption),
	generated("kv_retrieval", "one of many key-value pairs", keyValues, lengthOption, seedOption),
	generated("variable_tracking", "a chain of assignments in a long text", variables, lengthOption, hopsOption, seedOption),
	generated("recall", "associative recall for the tiny test models", recall, pairsOption, seedOption),
	{Name: "gsm8k", About: "grade-school word problems (test)", Licence: "MIT", Files: []string{"gsm8k.jsonl", "test.jsonl"},
		URL: "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/test.jsonl"},
	{Name: "theoremqa", About: "university-level questions, those without a picture", Licence: "MIT", Files: []string{"theoremqa.json", "theoremqa_test.json"}, adapt: withoutPictures,
		URL: "https://raw.githubusercontent.com/wenhuchen/TheoremQA/main/theoremqa_test.json"},
	{Name: "truthfulqa", About: "questions that invite popular errors", Licence: "Apache-2.0", Files: []string{"truthfulqa.csv", "TruthfulQA.csv"},
		URL: "https://raw.githubusercontent.com/sylinrl/TruthfulQA/main/TruthfulQA.csv"},
	{Name: "coqa", About: "conversational questions on a story (dev), each asked alone", Licence: "mixed, research use", Files: []string{"coqa.json", "coqa-dev-v1.0.json"}, adapt: eachTurn,
		URL: "https://nlp.stanford.edu/data/coqa/coqa-dev-v1.0.json"},
	longBench("narrativeqa", "questions on a novel or film script"),
	longBench("qasper", "questions on a paper"),
	longBench("2wikimqa", "multi-hop questions on Wikipedia"),
	longBench("musique", "multi-hop questions on Wikipedia"),
	longBench("qmsum", "query-based meeting summaries"),
	longBench("multi_news", "summaries of several news articles"),
	longBench("triviaqa", "few-shot trivia"),
	longBench("lcc", "next line of code"),
	longBench("hotpotqa", "multi-hop questions on Wikipedia"),
	longBench("multifieldqa_en", "questions on documents of many fields"),
	longBench("gov_report", "summaries of government reports"),
	longBench("trec", "few-shot question classification"),
	longBench("samsum", "few-shot dialogue summaries"),
	longBench("passage_count", "how many passages differ"),
	longBench("passage_retrieval_en", "which passage an abstract is from"),
	longBench("repobench-p", "next line of code from a repository"),
}

// List describes all data sets.
func List() []Info { return append([]Info(nil), registry...) }
