package datasets

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// options are the settings of a generated set: "length=2000 depth=0.5".
type options map[string]float64

func parseName(name string) (string, options, error) {
	words := strings.Fields(name)
	if len(words) == 0 {
		return "", nil, fmt.Errorf("no data set is named")
	}
	if len(words) == 1 {
		return words[0], nil, nil
	}
	o := options{}
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		x, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			// A path may hold blanks.
			return name, nil, nil
		}
		o[key] = x
	}
	return words[0], o, nil
}

// settings are options over their defaults; unknown names are refused.
func (o options) settings(set string, defaults options) (options, error) {
	out := options{}
	for key, value := range defaults {
		out[key] = value
	}
	for key, value := range o {
		if _, ok := defaults[key]; !ok {
			return nil, fmt.Errorf("data set %s has no option %q", set, key)
		}
		out[key] = value
	}
	return out, nil
}

// generatedRecords is how many records a generated set holds.
const generatedRecords = 20

// lengths are the default context lengths of generated records in words, about
// 1.3 tokens each; they repeat.
var lengths = []int{600, 1200, 1800, 2400, 2800}

func length(o options, i int) int {
	if o["length"] > 0 {
		return int(o["length"])
	}
	return lengths[i%len(lengths)]
}

func newRand(seed float64, i int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(int64(seed)), uint64(i)))
}

// record makes a record with LongBench's fields.
func record(set string, i int, context, input string, answers ...string) raw {
	list := make([]any, len(answers))
	for k, a := range answers {
		list[k] = a
	}
	return raw{
		fields: map[string]any{
			"_id": fmt.Sprintf("%s-%d", set, i), "dataset": set, "language": "en", "all_classes": nil,
			"context": context, "input": input, "answers": list, "length": int64(len(strings.Fields(context))),
		},
		source: fmt.Sprintf("%s#%d", set, i),
	}
}

// needle hides a sentence at a depth of a long text and asks for its number
// (after the needle-in-a-haystack test).
func needle(o options) ([]raw, error) {
	o, err := o.settings("needle", options{"length": 0, "depth": -1, "seed": 1})
	if err != nil {
		return nil, err
	}
	depths := []float64{0.5, 0.1, 0.9, 0.3, 0.7}
	var out []raw
	for i := range generatedRecords {
		rng := newRand(o["seed"], i)
		depth := o["depth"]
		if depth < 0 {
			depth = depths[i%len(depths)]
		}
		who, where := pick(rng, officers), pick(rng, places)
		code := strconv.Itoa(10000 + rng.IntN(90000))
		hidden := fmt.Sprintf("The secret code of the %s of %s is %s.", who, where, code)
		sentences := hay(rng, length(o, i))
		at := min(int(depth*float64(len(sentences))), len(sentences))
		text := strings.Join(slices.Insert(sentences, at, hidden), " ")
		out = append(out, record("needle", i, text, fmt.Sprintf("What is the secret code of the %s of %s?", who, where), code))
	}
	return out, nil
}

// keyValues lists made-up keys with numbers and asks for one.
func keyValues(o options) ([]raw, error) {
	o, err := o.settings("kv_retrieval", options{"length": 0, "seed": 1})
	if err != nil {
		return nil, err
	}
	var out []raw
	for i := range generatedRecords {
		rng := newRand(o["seed"], i)
		// A line is worth about eight words: its digits are a token each.
		count := max(length(o, i)/8, 2)
		seen := map[string]bool{}
		var keys, lines []string
		var values []string
		for len(keys) < count {
			key := pick(rng, adjectives) + "-" + pick(rng, nouns) + "-" + strconv.Itoa(rng.IntN(100))
			if seen[key] {
				continue
			}
			seen[key] = true
			keys = append(keys, key)
			values = append(values, strconv.Itoa(1000+rng.IntN(9000)))
			lines = append(lines, key+": "+values[len(values)-1])
		}
		ask := rng.IntN(count)
		out = append(out, record("kv_retrieval", i, strings.Join(lines, "\n"), keys[ask], values[ask]))
	}
	return out, nil
}

// variables scatters a chain of assignments over a long text and asks which
// variables hold the first one's value (after RULER, arXiv 2404.06654).
func variables(o options) ([]raw, error) {
	o, err := o.settings("variable_tracking", options{"length": 0, "hops": 3, "seed": 1})
	if err != nil {
		return nil, err
	}
	var out []raw
	for i := range generatedRecords {
		rng := newRand(o["seed"], i)
		sentences := hay(rng, length(o, i))
		var names []string
		for len(names) <= max(int(o["hops"]), 1) {
			name := string([]byte{byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26))})
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		value := strconv.Itoa(10000 + rng.IntN(90000))
		chain := []string{fmt.Sprintf("VAR %s = %s.", names[0], value)}
		for k := 1; k < len(names); k++ {
			chain = append(chain, fmt.Sprintf("VAR %s = VAR %s.", names[k], names[k-1]))
		}
		sentences = scatter(rng, sentences, chain)
		out = append(out, record("variable_tracking", i, strings.Join(sentences, " "), value, names...))
	}
	return out, nil
}

// scatter inserts sentences into a text at random places, in their order.
func scatter(rng *rand.Rand, text, insert []string) []string {
	at := make([]int, len(insert))
	for k := range at {
		at[k] = rng.IntN(len(text) + 1)
	}
	slices.Sort(at)
	for k := len(insert) - 1; k >= 0; k-- {
		text = slices.Insert(text, at[k], insert[k])
	}
	return text
}

// recall is the task that the tiny test models are trained on: pairs of a
// two-letter key and a two-digit value, then a key.
func recall(o options) ([]raw, error) {
	o, err := o.settings("recall", options{"pairs": 0, "seed": 1})
	if err != nil {
		return nil, err
	}
	counts := []int{8, 16, 24, 32, 48, 64}
	var out []raw
	for i := range 4 * generatedRecords {
		rng := newRand(o["seed"], i)
		count := int(o["pairs"])
		if count <= 0 {
			count = counts[i%len(counts)]
		}
		count = min(count, 26*26)
		var keys, pairs []string
		for _, k := range rng.Perm(26 * 26)[:count] {
			key := string([]byte{byte('a' + k/26), byte('a' + k%26)})
			keys = append(keys, key)
			pairs = append(pairs, fmt.Sprintf("%s%02d", key, rng.IntN(100)))
		}
		ask := rng.IntN(count)
		out = append(out, record("recall", i, strings.Join(pairs, " "), keys[ask], pairs[ask][2:]))
	}
	return out, nil
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }
