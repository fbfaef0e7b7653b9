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
	// SHA256 is the file's checksum in hex where it is known. Of other files the
	// checksum of the first fetch is kept beside them and holds from then on.
	SHA256 string
	// Files are the names that the file has in a data folder, best first. A name
	// with a * stands for several files, which are read together.
	Files []string

	split    string // of a folder of shards; empty: test
	group    string // the cache folder, where several sets share a file; empty: the set's own
	member   string // of a zip archive; empty: the only one
	password string // of a zip archive
	columns  []string
	adapt    func(raw) ([]raw, error) // reshapes a record, splits it or drops it; nil: as it is
	embedded string                   // file below samples/
	generate *generator               // makes the records
	options  []option                 // of generated sets
}

const (
	// The authors' own server has no https; this is the same file.
	hotpotURL        = "https://huggingface.co/datasets/namlh2004/hotpotqa/resolve/7e54db4656209750ff487f6fdf8e39a66dba136b/hotpot_dev_distractor_v1.json"
	longBenchURL     = "https://huggingface.co/datasets/THUDM/LongBench/resolve/main/data.zip"
	longBenchLicence = "MIT; texts under their own sets' terms"
)

// longBench is a task of LongBench (arXiv 2308.14508), one file in its archive.
func longBench(name, about string) Info {
	return Info{
		Name: name, About: "LongBench: " + about, Licence: longBenchLicence, URL: longBenchURL, group: "longbench", member: name + ".jsonl",
		Files: []string{name + ".jsonl", name + ".parquet", "data/" + name + ".jsonl"},
	}
}

// longBenchE is a task of LongBench-E: other records, evenly spread over three
// ranges of length. The range is the field length_bucket.
func longBenchE(name string) Info {
	i := longBench(name+"_e", "")
	i.About = "LongBench-E: as " + name + ", evenly spread over lengths of 0-4k, 4-8k and 8k+ words (field length_bucket)"
	i.adapt = lengthBucket
	return i
}

// lEval is a task of L-Eval (arXiv 2307.11088), which asks several questions on
// one document.
func lEval(name, file, about string) Info {
	folder, base, _ := strings.Cut(file, "/")
	return Info{
		Name: "leval_" + name, About: "L-Eval: " + about, Licence: "GPL-3.0", adapt: eachInstruction,
		Files: []string{"leval_" + name + ".jsonl", "leval." + name + ".jsonl", "LEval/" + folder + "/" + base},
		URL:   "https://huggingface.co/datasets/L4NLP/LEval/resolve/main/LEval/" + file,
	}
}

func sample(name, about string) Info {
	return Info{Name: name, About: "written for this program: " + about, Licence: "as the program", embedded: name + ".jsonl"}
}

func generated(name, about string, g generator, takes ...option) Info {
	var names []string
	for _, o := range takes {
		names = append(names, o.name)
	}
	about = fmt.Sprintf("generated from a seed: %s; options %s", about, strings.Join(names, ", "))
	return Info{Name: name, About: about, Licence: "as the program", generate: &g, options: takes}
}

// ruler is a task of RULER (arXiv 2404.06654), made anew from a seed.
func ruler(name, about string, g generator, takes ...option) Info {
	return generated(name, "RULER's "+about, g, append([]option{tokensOption, recordsOption, seedOption}, takes...)...)
}

// from gives a generated set the file that it is made of.
func (i Info) from(url, licence string, files ...string) Info {
	i.URL, i.Licence, i.Files = url, licence, files
	return i
}

var registry = []Info{
	sample("sample_qa", "questions on articles"),
	sample("sample_multihop", "questions that join two passages"),
	sample("sample_summary", "reports to summarise"),
	sample("sample_math", "word problems"),
	sample("sample_code", "code to continue by a line"),
	generated("needle", "a sentence hidden in a long text", generator{record: needle}, lengthOption, depthOption, seedOption),
	generated("kv_retrieval", "one of many key-value pairs", generator{record: keyValues}, lengthOption, seedOption),
	generated("variable_tracking", "a chain of assignments in a long text", generator{record: variables}, lengthOption, hopsOption, seedOption),
	generated("recall", "associative recall for the tiny test models", generator{record: recall, count: recallRecords}, pairsOption, seedOption),
	generated("needle_grid", "needle in a haystack, at every length and depth of two lists", generator{record: gridNeedle, count: gridRecords, prepare: readEssays},
		gridLengthOption, gridDepthOption, perCellOption, needleOption, haystackOption, seedOption),
	ruler("niah_single_1", "needle in repeated sentences, a word's number", niah(niahTask{hay: noiseHay, value: "number"})),
	ruler("niah_single_2", "needle in a text, a word's number", niah(niahTask{value: "number"}), haystackOption),
	ruler("niah_single_3", "needle in a text, a word's UUID", niah(niahTask{value: "uuid"}), haystackOption),
	ruler("niah_multikey_1", "four needles in a text, one asked for", niah(niahTask{value: "number", keys: 4}), haystackOption),
	ruler("niah_multikey_2", "needles all over, one word's number asked for", niah(niahTask{hay: needleHay, value: "number"})),
	ruler("niah_multikey_3", "needles all over, one UUID's UUID asked for", niah(niahTask{hay: needleHay, key: "uuid", value: "uuid"})),
	ruler("niah_multivalue", "four numbers of one word in a text", niah(niahTask{value: "number", values: 4}), haystackOption),
	ruler("niah_multiquery", "four words in a text, the numbers of all asked for", niah(niahTask{value: "number", keys: 4, queries: 4}), haystackOption),
	ruler("vt", "variable tracking, a chain of assignments in repeated sentences", generator{record: rulerVariables}, rulerHopsOption, chainsOption),
	ruler("cwe", "common words, the ten most frequent of a list", generator{record: commonWords}),
	ruler("fwe", "frequent words, the three most frequent of a coded text", generator{record: frequentWords}, alphaOption),
	ruler("qa_1", "questions of SQuAD among its passages", generator{record: rulerQA, prepare: readSQuAD}).
		from("https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v2.0.json", "CC BY-SA 4.0", "squad.json", "dev-v2.0.json"),
	ruler("qa_2", "questions of HotpotQA among its passages", generator{record: rulerQA, prepare: readHotpotQA}).
		from(hotpotURL, "CC BY-SA 4.0", "hotpotqa.json", "hotpot_dev_distractor_v1.json"),
	{Name: "gsm8k", About: "grade-school word problems (test)", Licence: "MIT", Files: []string{"gsm8k.jsonl", "test.jsonl"},
		URL: "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/test.jsonl"},
	// Its authors ask that the questions stand nowhere in plain text: they are
	// fetched and kept in the authors' encrypted archive, whose password they publish.
	{Name: "gpqa", About: "graduate-level science, four options in an order of a fixed seed (main set)", Licence: "CC BY 4.0; do not publish the questions in plain text", adapt: gpqaChoices,
		URL:   "https://raw.githubusercontent.com/idavidrein/gpqa/main/dataset.zip",
		Files: []string{"gpqa_main.csv", "gpqa.csv", "gpqa.jsonl", "gpqa.json", "dataset/gpqa_main.csv"}, member: "gpqa_main.csv", password: "deserted-untie-orchid"},
	{Name: "mmlu_stem", About: "multiple choice, the 18 STEM subjects of MMLU (test)", Licence: "MIT", adapt: mmluSTEM, columns: []string{"question", "A", "B", "C", "D", "answer"},
		URL:   "https://huggingface.co/datasets/cais/mmlu/resolve/main/all/test-00000-of-00001.parquet",
		Files: []string{"mmlu_stem.parquet", "mmlu_stem.jsonl", "mmlu_stem.csv", "mmlu/all/test-00000-of-00001.parquet", "all/test-00000-of-00001.parquet", "mmlu/test/*_test.csv", "data/test/*_test.csv"}},
	{Name: "quality", About: "multiple choice on a long article (dev)", Licence: "CC BY 4.0; articles under their own terms", adapt: qualityChoices,
		URL:   "https://raw.githubusercontent.com/nyu-mll/quality/main/data/v1.0.1/QuALITY.v1.0.1.zip",
		Files: []string{"quality.jsonl", "QuALITY.v1.0.1.htmlstripped.dev", "leval.quality.jsonl", "LEval/Exam/quality.jsonl"}, member: "QuALITY.v1.0.1.htmlstripped.dev"},
	{Name: "theoremqa", About: "university-level questions, those without a picture", Licence: "MIT", Files: []string{"theoremqa.json", "theoremqa_test.json"}, adapt: withoutPictures,
		URL: "https://raw.githubusercontent.com/wenhuchen/TheoremQA/main/theoremqa_test.json"},
	{Name: "truthfulqa", About: "questions that invite popular errors", Licence: "Apache-2.0", Files: []string{"truthfulqa.csv", "TruthfulQA.csv"}, split: "validation",
		URL: "https://raw.githubusercontent.com/sylinrl/TruthfulQA/main/TruthfulQA.csv"},
	{Name: "coqa", About: "conversational questions on a story (dev), each asked alone", Licence: "mixed, research use", Files: []string{"coqa.json", "coqa-dev-v1.0.json"}, split: "validation", adapt: eachTurn,
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
	longBench("multifieldqa_zh", "Chinese, questions on documents of many fields"),
	longBench("dureader", "Chinese, questions on search results"),
	longBench("vcsum", "Chinese, meeting summaries"),
	longBench("lsht", "Chinese, few-shot news classification"),
	longBench("passage_retrieval_zh", "Chinese, which passage an abstract is from"),
	longBenchE("qasper"),
	longBenchE("multifieldqa_en"),
	longBenchE("hotpotqa"),
	longBenchE("2wikimqa"),
	longBenchE("gov_report"),
	longBenchE("multi_news"),
	longBenchE("trec"),
	longBenchE("triviaqa"),
	longBenchE("samsum"),
	longBenchE("passage_count"),
	longBenchE("passage_retrieval_en"),
	longBenchE("lcc"),
	longBenchE("repobench-p"),
	lEval("qasper", "Generation/scientific_qa.jsonl", "questions on a paper"),
	lEval("qmsum", "Generation/meeting_summ.jsonl", "questions on a meeting"),
}

// List describes all data sets.
func List() []Info { return append([]Info(nil), registry...) }
