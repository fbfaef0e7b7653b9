package datasets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// options are the settings of a generated set, by name.
type options map[string]float64

// An option is a setting that a generated set takes: "length=2000".
type option struct {
	name        string
	otherwise   float64 // its value where it is not given
	least, most float64
	whole       bool // a whole number
}

// settings reads "name=value" words over the defaults.
func (i Info) settings(words []string) (options, error) {
	out, given := options{}, map[string]bool{}
	var names []string
	for _, o := range i.options {
		out[o.name] = o.otherwise
		names = append(names, o.name)
	}
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		at := slices.IndexFunc(i.options, func(o option) bool { return o.name == name })
		switch {
		case !ok:
			return nil, fmt.Errorf("data set %s: %q is no option; write name=value", i.Name, word)
		case at < 0:
			return nil, fmt.Errorf("data set %s has no option %q; it takes %s", i.Name, name, strings.Join(names, ", "))
		case given[name]:
			return nil, fmt.Errorf("data set %s: option %s is given twice; leave one out", i.Name, name)
		}
		value, err := i.options[at].parse(text)
		if err != nil {
			return nil, fmt.Errorf("data set %s: %w", i.Name, err)
		}
		out[name], given[name] = value, true
	}
	return out, nil
}

func (o option) parse(text string) (float64, error) {
	kind := "number"
	if o.whole {
		kind = "whole number"
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= o.least && x <= o.most) || o.whole && x != math.Trunc(x) {
		return 0, fmt.Errorf("option %s is %q; want a %s from %.0f to %.0f", o.name, text, kind, o.least, o.most)
	}
	return x, nil
}

// generatedRecords is how many records a generated set holds.
const generatedRecords = 20

// Options of the generated sets. What is not given varies from record to record,
// save the seed.
var (
	lengthOption = option{"length", 0, 1, 1e6, true} // of the context in words, about 1.3 tokens each
	depthOption  = option{"depth", -1, 0, 1, false}
	hopsOption   = option{"hops", 3, 1, 50, true}
	pairsOption  = option{"pairs", 0, 1, 26 * 26, true}
	seedOption   = option{"seed", 1, 0, 1 << 53, true}
)

// lengths are the context lengths of generated records where none is asked for;
// they repeat.
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
	var out []raw
	for i := range generatedRecords {
		rng := newRand(o["seed"], i)
		// A line is worth about eleven words: its digits are a token each.
		count := max(length(o, i)/11, 2)
		// Keys and values are drawn until they are new, so there must be plenty;
		// a value has more digits than a key, so that it stands nowhere else.
		numbers, least := 100, 1000
		for len(adjectives)*len(nouns)*numbers < 2*count {
			numbers *= 10
		}
		for 9*least < 4*count {
			least *= 10
		}
		seen := map[string]bool{}
		fresh := func(draw func() string) string {
			for {
				if s := draw(); !seen[s] {
					seen[s] = true
					return s
				}
			}
		}
		var keys, values, lines []string
		for len(keys) < count {
			key := fresh(func() string {
				return pick(rng, adjectives) + "-" + pick(rng, nouns) + "-" + strconv.Itoa(rng.IntN(numbers))
			})
			value := fresh(func() string { return strconv.Itoa(least + rng.IntN(9*least)) })
			keys, values, lines = append(keys, key), append(values, value), append(lines, key+": "+value)
		}
		ask := rng.IntN(count)
		out = append(out, record("kv_retrieval", i, strings.Join(lines, "\n"), keys[ask], values[ask]))
	}
	return out, nil
}

// variablesQuestion holds the words of the question on variables, as its task
// puts it.
const variablesQuestion = "which variables hold the value, directly or by way of other variables; answer with their names only"

// variables scatters a chain of assignments over a long text and asks which
// variables hold the first one's value (after RULER, arXiv 2404.06654).
func variables(o options) ([]raw, error) {
	var out []raw
	for i := range generatedRecords {
		rng := newRand(o["seed"], i)
		sentences := hay(rng, length(o, i))
		// The metric ignores case: a name that a word of the text holds would be
		// found where it is not meant.
		words := strings.ToUpper(strings.Join(sentences, " ") + " " + variablesQuestion)
		var names []string
		for len(names) <= int(o["hops"]) {
			name := string([]byte{byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26)), byte('A' + rng.IntN(26))})
			if !slices.Contains(names, name) && !strings.Contains(words, name) {
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
	counts := []int{8, 16, 24, 32, 48, 64}
	var out []raw
	for i := range 4 * generatedRecords {
		rng := newRand(o["seed"], i)
		count := int(o["pairs"])
		if count <= 0 {
			count = counts[i%len(counts)]
		}
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
