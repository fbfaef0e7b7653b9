package reports

import (
	"fmt"

	"refreekv/runners/rows"
)

// result is what a variant of the hand-made rows scores on the tasks, and what it
// keeps.
type result struct {
	variant, pruner string
	budget          float64
	scores          []float64 // by task
}

var paper = []result{
	{"full", "full", 1, []float64{.42, .615, .30, .58}},
	{"refreekv", "refreekv", .63, []float64{.421, .611, .297, .57}},
	{"h2o budget=0.8", "h2o", .8, []float64{.40, .60, .29, .56}},
	{"h2o budget=0.5", "h2o", .5, []float64{.33, .55, .27, .51}},
	{"h2o budget=0.2", "h2o", .2, []float64{.10, .41, .22, .38}},
	{"snapkv budget=0.8", "snapkv", .8, []float64{.415, .61, .30, .575}},
	{"snapkv budget=0.5", "snapkv", .5, []float64{.39, .60, .285, .56}},
	{"snapkv budget=0.2", "snapkv", .2, []float64{.21, .56, .25, .49}},
	{"snapkv budget=0.8 window=16", "snapkv", .8, []float64{.414, .60, .30, .57}},
	{"snapkv budget=0.5 window=16", "snapkv", .5, []float64{.37, .58, .28, .54}},
	{"snapkv budget=0.2 window=16", "snapkv", .2, []float64{.19, .5, .23, .45}},
	{"streamingllm budget=0.8", "streamingllm", .8, []float64{.36, .55, .26, .5}},
	{"streamingllm budget=0.5", "streamingllm", .5, []float64{.2, .47, .23, .44}},
	{"streamingllm budget=0.2", "streamingllm", .2, []float64{.02, .31, .19, .3}},
}

// made makes the rows of results: records of each task that scatter about the
// given figures.
func made(model string, length, records int, tasks []string, results []result) []rows.Row {
	var out []rows.Row
	for k, task := range tasks {
		for i := range records {
			for _, r := range results {
				shift := (float64(i) - float64(records-1)/2) * 0.02
				row := rows.Row{
					Model: model, ContextLength: length, Task: task, Protocol: "standard", Record: fmt.Sprintf("%s-%d", task, i), Index: i,
					Variant: r.variant, Pruner: r.pruner, PromptTokens: 100 + i, PromptHash: fmt.Sprint(task, i),
					Budget: r.budget, Score: r.scores[k], KVBytes: int64(1000 * r.budget), FullKVBytes: 1000,
					Tokens: []int32{1, 2}, Text: "x", Stop: "eos", Timing: rows.Timing{Prefill: 1, Select: 0.5, Decode: 2},
				}
				if r.pruner == "refreekv" {
					row.Budget += shift
				}
				// The last of these tasks was run without fidelity.
				if model != nastyModel && task != tasks[len(tasks)-1] {
					row.Fidelity = &rows.Fidelity{Tokens: 9, KL: (1 - r.budget) / 3, Agreement: (2 + r.budget) / 3, Divergence: 4, ReferenceTokens: 5, Reference: -2 + r.budget}
				}
				out = append(out, row)
			}
		}
	}
	return out
}

var paperTasks = []string{"gsm8k", "qasper", "multi_news", "lcc"}

const nastyModel = `models\tiny_s {50%} & <co> #1|$x^2~` + "`" + `"q"`

// nasty rows have what goes wrong: names full of markup, wide letters, records
// that failed, a task that some variants lack, a full cache that scores nothing.
func nasty() []rows.Row {
	all := made(nastyModel, 512, 3, []string{"_multi_news_", "*zero*", "检索 任务"}, []result{
		{"full", "full", 1, []float64{.5, 0, 1}},
		{"h2o budget=0.5", "h2o", .5, []float64{.25, .1, .75}},
		{"odd|pruner budget=0.5 note=[a](b)_c_", "odd", .5, []float64{.5, .2, .5}},
	})
	var out []rows.Row
	for _, r := range all {
		if r.Pruner == "odd" && r.Task == "*zero*" {
			continue
		}
		if r.Task == "检索 任务" && r.Index == 1 {
			r.Score, r.Budget, r.KVBytes, r.FullKVBytes, r.Error = 0, 0, 0, 0, "prompt too long"
		}
		out = append(out, r)
	}
	// A model of which every record failed, and no full cache.
	for i := range 2 {
		out = append(out, rows.Row{Model: "org/broken", ContextLength: 512, Task: "recall", Protocol: "standard", Index: i, Variant: "h2o budget=0.5", Pruner: "h2o", Error: "no"})
	}
	return out
}
