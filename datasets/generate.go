package datasets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"refreekv/spelling"
)

// A generator makes the records of a set one by one.
type generator struct {
	record  func(j *job, i int) (raw, error)
	count   func(options) int               // how many records there are; nil: the option records, else generatedRecords
	prepare func(Info, Options, *job) error // reads the files that the records are made of; nil: none
}

// A job is what the records of a generated set are made from.
type job struct {
	options
	set       string
	tokens    func(text string) int
	sentences []string   // of the user's essays, where they are the haystack
	passages  []string   // of a question set
	questions []question // of a question set
}

// make generates the first records of a set, up to the limit.
func (i Info) make(settings []string, o Options) ([]raw, error) {
	chosen, err := i.settings(settings)
	if err != nil {
		return nil, err
	}
	j := &job{options: chosen, set: i.Name, tokens: o.CountTokens}
	if j.tokens == nil {
		j.tokens = estimateTokens
	}
	if i.generate.prepare != nil {
		if err := i.generate.prepare(i, o, j); err != nil {
			return nil, err
		}
	}
	count := generatedRecords
	switch {
	case i.generate.count != nil:
		count = i.generate.count(chosen)
	case len(j.numbers["records"]) > 0:
		count = int(j.number("records"))
	}
	if o.Limit > 0 {
		count = min(count, o.Limit)
	}
	out := make([]raw, count)
	for k := range out {
		if out[k], err = i.generate.record(j, k); err != nil {
			return nil, fmt.Errorf("data set %s: %w", i.Name, err)
		}
	}
	return out, nil
}

// options are the settings of a generated set, by name.
type options struct {
	numbers map[string][]float64
	words   map[string]string
}

// number is the value of an option that takes one number.
func (o options) number(name string) float64 { return o.numbers[name][0] }

// An option is a setting that a generated set takes: "length=2000".
type option struct {
	name        string
	otherwise   float64 // its value where it is not given
	least, most float64
	whole       bool      // a whole number
	prompt      bool      // counts the whole prompt's tokens
	list        []float64 // takes several, "1000,2000"; these where it is not given
	words       []string  // takes one of these words; the first where it is not given
}

// settings reads "name=value" words over the defaults.
func (i Info) settings(words []string) (options, error) {
	out, given := options{map[string][]float64{}, map[string]string{}}, map[string]bool{}
	var names []string
	for _, o := range i.options {
		switch {
		case o.words != nil:
			out.words[o.name] = o.words[0]
		case o.list != nil:
			out.numbers[o.name] = o.list
		default:
			out.numbers[o.name] = []float64{o.otherwise}
		}
		names = append(names, o.name)
	}
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		at := slices.IndexFunc(i.options, func(o option) bool { return o.name == name })
		switch {
		case !ok:
			return options{}, fmt.Errorf("data set %s: %q is no option; write name=value", i.Name, word)
		case at < 0:
			return options{}, fmt.Errorf("data set %s has no option %q%s", i.Name, name, spelling.Suggest(name, names, "it takes "+strings.Join(names, ", ")))
		case given[name]:
			return options{}, fmt.Errorf("data set %s: option %s is given twice; leave one out", i.Name, name)
		}
		given[name] = true
		if err := i.options[at].set(out, text); err != nil {
			return options{}, fmt.Errorf("data set %s: %w", i.Name, err)
		}
	}
	return out, nil
}

// set reads an option's text into the settings.
func (o option) set(out options, text string) error {
	if o.words != nil {
		if !slices.Contains(o.words, text) {
			return fmt.Errorf("option %s is %q; want %s", o.name, text, strings.Join(o.words, " or "))
		}
		out.words[o.name] = text
		return nil
	}
	parts := []string{text}
	if o.list != nil {
		parts = strings.Split(text, ",")
	}
	var values []float64
	for _, part := range parts {
		x, err := o.parse(part)
		if err != nil {
			return err
		}
		if slices.Contains(values, x) {
			return fmt.Errorf("option %s holds %s twice; leave one out", o.name, part)
		}
		values = append(values, x)
	}
	out.numbers[o.name] = values
	return nil
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

func recallRecords(options) int { return 4 * generatedRecords }

// Options of the generated sets. What is not given varies from record to record,
// save the seed.
var (
	lengthOption = option{name: "length", least: 1, most: 1e6, whole: true} // of the context in words, about 1.3 tokens each
	depthOption  = option{name: "depth", otherwise: -1, least: 0, most: 1}
	hopsOption   = option{name: "hops", otherwise: 3, least: 1, most: 50, whole: true}
	pairsOption  = option{name: "pairs", least: 1, most: 26 * 26, whole: true}
	seedOption   = option{name: "seed", otherwise: 1, least: 0, most: 1 << 53, whole: true}
)

// lengths are the context lengths of generated records where none is asked for;
// they repeat.
var lengths = []int{600, 1200, 1800, 2400, 2800}

func length(o options, i int) int {
	if asked := o.number("length"); asked > 0 {
		return int(asked)
	}
	return lengths[i%len(lengths)]
}

// rand is the source of a record's random choices.
func (j *job) rand(i int) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(int64(j.number("seed"))), uint64(i)))
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
func needle(j *job, i int) (raw, error) {
	depths := []float64{0.5, 0.1, 0.9, 0.3, 0.7}
	rng := j.rand(i)
	depth := j.number("depth")
	if depth < 0 {
		depth = depths[i%len(depths)]
	}
	who, where := pick(rng, officers), pick(rng, places)
	code := strconv.Itoa(10000 + rng.IntN(90000))
	hidden := fmt.Sprintf("The secret code of the %s of %s is %s.", who, where, code)
	sentences := hay(rng, length(j.options, i))
	at := min(int(depth*float64(len(sentences))), len(sentences))
	text := strings.Join(slices.Insert(sentences, at, hidden), " ")
	return record("needle", i, text, fmt.Sprintf("What is the secret code of the %s of %s?", who, where), code), nil
}

// keyValues lists made-up keys with numbers and asks for one.
func keyValues(j *job, i int) (raw, error) {
	rng := j.rand(i)
	// A line is worth about eleven words: its digits are a token each.
	count := max(length(j.options, i)/11, 2)
	// Keys and values are drawn until they are new, so there must be plenty;
	// a value has more digits than a key, so that it stands nowhere else.
	numbers, least := 100, 1000
	for len(adjectives)*len(nouns)*numbers < 2*count {
		numbers *= 10
	}
	for 9*least < 4*count {
		least *= 10
	}
	fresh := unused()
	var keys, values, lines []string
	for len(keys) < count {
		key := fresh(func() string {
			return pick(rng, adjectives) + "-" + pick(rng, nouns) + "-" + strconv.Itoa(rng.IntN(numbers))
		})
		value := fresh(func() string { return strconv.Itoa(least + rng.IntN(9*least)) })
		keys, values, lines = append(keys, key), append(values, value), append(lines, key+": "+value)
	}
	ask := rng.IntN(count)
	return record("kv_retrieval", i, strings.Join(lines, "\n"), keys[ask], values[ask]), nil
}

// variablesQuestion holds the words of the question on variables, as its task
// puts it.
const variablesQuestion = "which variables hold the value, directly or by way of other variables; answer with their names only"

// variables scatters a chain of assignments over a long text and asks which
// variables hold the first one's value (after RULER, arXiv 2404.06654).
func variables(j *job, i int) (raw, error) {
	rng := j.rand(i)
	sentences := hay(rng, length(j.options, i))
	// The metric ignores case: a name that a word of the text holds would be
	// found where it is not meant.
	words := strings.ToUpper(strings.Join(sentences, " ") + " " + variablesQuestion)
	var names []string
	for len(names) <= int(j.number("hops")) {
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
	return record("variable_tracking", i, strings.Join(sentences, " "), value, names...), nil
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
func recall(j *job, i int) (raw, error) {
	counts := []int{8, 16, 24, 32, 48, 64}
	rng := j.rand(i)
	count := int(j.number("pairs"))
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
	return record("recall", i, strings.Join(pairs, " "), keys[ask], pairs[ask][2:]), nil
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }
