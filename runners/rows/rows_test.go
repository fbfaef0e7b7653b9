package rows

import (
	"fmt"
	"math"
)

var variants = []string{"full", "snapkv budget=0.5", "h2o budget=0.2"}

// group is the rows of one record.
func group(task string, index int) []Row {
	var out []Row
	for i, v := range variants {
		pruner := []string{"full", "snapkv", "h2o"}[i]
		out = append(out, Row{
			Model: "tiny", ContextLength: 512, Task: task, Protocol: "standard", Record: fmt.Sprintf("%s-%d", task, index), Index: index,
			Variant: v, Pruner: pruner, PromptTokens: 42 + index, PromptHash: "9db39f27de341890", Truncated: index%2 == 1,
			Kept: []float64{42, 20.5 + float64(i)}, Budget: 1 / float64(i+1), KVBytes: 1 << 33, FullKVBytes: 1<<33 + int64(i),
			Tokens: []int32{53, 50, int32(index)}, Text: "52", Stop: "eos", Score: 1 / 3.0,
			Timing: Timing{Prefill: 0.001, Select: 1e-9, Decode: 2.5},
		})
	}
	return out
}

// groups is several records, one after the other.
func groups(n int) (all []Row) {
	for i := range n {
		all = append(all, group("recall", i)...)
	}
	return all
}

// odd is rows with every value that a file format is likely to mangle.
func odd() []Row {
	empty := group("recall", 0)[0]
	empty.Kept, empty.Tokens, empty.Text, empty.Stop = nil, nil, "", ""
	lists := group("recall", 1)[0]
	lists.Kept, lists.Tokens = []float64{}, []int32{}
	failed := Row{
		Model: "m", ContextLength: 16, Task: "t", Protocol: "paper", Record: "r", Variant: "full", Pruner: "full",
		Error: "prompt of 2000 tokens\nand \"4\" new ones",
	}
	unicode := group("测试 \u2028", 2)[0]
	unicode.Text = "żółć 日本語 👩‍👩‍👧 <b>&amp;</b> \x00\x1f\t\r\n\\ \u2028 \uFFFD"
	unicode.Record, unicode.Model = "日本/🦜", "org/модель"
	extremes := group("recall", 3)[0]
	extremes.Kept = []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1 + 0.2, math.Copysign(0, -1), 1e-7, 123456789.123456789}
	extremes.Tokens = []int32{math.MaxInt32, math.MinInt32, 0, -1}
	extremes.KVBytes, extremes.FullKVBytes, extremes.Index = math.MaxInt64, math.MinInt64, math.MaxInt32
	extremes.Fidelity = &Fidelity{Tokens: 3, KL: math.SmallestNonzeroFloat64, Agreement: 1 / 3.0, Divergence: -1, ReferenceTokens: 7, Reference: -12.25}
	extremes.Score, extremes.Budget = math.Nextafter(1, 0), math.Nextafter(0, 1)
	return []Row{empty, lists, failed, unicode, extremes}
}
