package datasets

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// The tasks of RULER (arXiv 2404.06654), made anew from a seed; the templates
// are the tasks' business. length is the whole in tokens: context, RULER's
// template, the example where there is one, the answer, and a chat template.

// Options of RULER's tasks.
var (
	rulerHopsOption = option{name: "hops", otherwise: 4, least: 1, most: 20, whole: true}
	chainsOption    = option{name: "chains", otherwise: 1, least: 1, most: 20, whole: true}
	alphaOption     = option{name: "alpha", otherwise: 2, least: 1.1, most: 4}
)

// Tokens that RULER lets a model generate, and about those of its templates
// without what is filled in; an example has the template too.
const (
	niahOthers        = 128 + 90
	variablesTemplate = 90
	variablesOthers   = 30 + 2*variablesTemplate
	commonWordsOthers = 120 + 2*80
	frequentOthers    = 50 + 90
	qaOthers          = 32 + 80
)

// RULER's noise, a line that is repeated.
const noiseLine = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."

// Kinds of haystack; textHay is the zero value.
type hayKind int

const (
	textHay hayKind = iota
	noiseHay
	needleHay // other needles
)

// niahTask is a needle-in-a-haystack task of RULER.
type niahTask struct {
	hay                   hayKind
	key, value            string // "number", "uuid" or, the default of key, "word"
	keys, values, queries int    // of the needles; 0: one
}

// niah makes the generator of a task. Field input names the keys asked for, "a,
// b, and c"; value_type is the {type_needle_v} of RULER's template, singular
// where one value is asked for; depths are where the needles stand, 0 to 1.
func niah(t niahTask) generator {
	t.keys, t.values, t.queries = max(t.keys, 1), max(t.values, 1), max(t.queries, 1)
	return generator{prepare: readEssays, record: t.record}
}

// needle is RULER's sentence about a key.
func (t niahTask) needle(key, value string) string {
	return fmt.Sprintf("One of the special magic %ss for %s is: %s.", t.value, key, value)
}

func draw(rng *rand.Rand, kind string) string {
	switch kind {
	case "number":
		return digits(rng, 7)
	case "uuid":
		a, b := rng.Uint64(), rng.Uint64()
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
	}
	return wordPair(rng)
}

func (t niahTask) record(j *job, i int) (raw, error) {
	rng := j.rand(i)
	fresh := unused() // a key or value that stood twice could be found in the wrong place
	var keys, hidden []string
	values := map[string][]string{}
	for range t.keys {
		key := fresh(func() string { return draw(rng, t.key) })
		keys = append(keys, key)
		for range t.values {
			value := fresh(func() string { return draw(rng, t.value) })
			values[key] = append(values[key], value)
			hidden = append(hidden, t.needle(key, value))
		}
	}
	rng.Shuffle(len(hidden), func(a, b int) { hidden[a], hidden[b] = hidden[b], hidden[a] })
	var asked, answers []string
	for _, k := range rng.Perm(t.keys)[:t.queries] {
		asked = append(asked, keys[k])
		answers = append(answers, values[keys[k]]...)
	}
	input := asked[0]
	if last := len(asked) - 1; last > 0 {
		input = strings.Join(asked[:last], ", ") + ", and " + asked[last]
	}
	length := int(j.number("length"))
	budget := j.budget(length, niahOthers, append(hidden, input, input)...) // the template asks twice
	context, depths := t.context(j, rng, budget, hidden, fresh)
	if context == "" {
		return raw{}, tooShort(i, length, "anything beside the needles")
	}
	r := record(j.set, i, context, input, answers...)
	r.fields["value_type"] = t.value
	if t.queries*t.values > 1 {
		r.fields["value_type"] = t.value + "s"
	}
	r.fields["depths"] = depths
	return r, nil
}

// context hides the needles at different ones of 40 depths of a text, or between
// any lines of the other haystacks; "" where the budget is too small.
func (t niahTask) context(j *job, rng *rand.Rand, budget int, hidden []string, fresh func(func() string) string) (string, []any) {
	if t.hay == textHay {
		text := j.haystack(rng, budget)
		if len(text) == 0 {
			return "", nil
		}
		const steps = 39
		var at []float64
		for _, step := range rng.Perm(steps + 1)[:len(hidden)] {
			at = append(at, math.Round(float64(step)*100/steps)/100)
		}
		slices.Sort(at)
		return strings.Join(j.hide(text, hidden, at), " "), anys(at)
	}
	var lines []string
	line := func(n int) string { // the n-th; they are drawn once
		for len(lines) <= n {
			next := noiseLine
			if t.hay == needleHay {
				next = t.needle(fresh(func() string { return draw(rng, t.key) }), fresh(func() string { return draw(rng, t.value) }))
			}
			lines = append(lines, next)
		}
		return lines[n]
	}
	n := fit(budget, len(hidden), func(n int) int { line(n - 1); return j.tokens(strings.Join(lines[:n], "\n")) })
	if j.tokens(strings.Join(lines[:n], "\n")) > budget {
		return "", nil
	}
	places := rng.Perm(n)[:len(hidden)]
	slices.Sort(places)
	return strings.Join(insertAt(lines[:n], hidden, places), "\n"), shares(places, n)
}

// insertAt inserts lines before those that stand at the places, which ascend.
func insertAt(lines, insert []string, places []int) []string {
	out := slices.Clone(lines)
	for k := len(insert) - 1; k >= 0; k-- {
		out = slices.Insert(out, places[k], insert[k])
	}
	return out
}

func anys[T any](from []T) []any {
	out := make([]any, len(from))
	for i, x := range from {
		out[i] = x
	}
	return out
}

func shares(places []int, of int) []any {
	out := make([]any, len(places))
	for i, p := range places {
		out[i] = float64(p) / float64(of)
	}
	return out
}

// rulerVariables scatters chains of assignments over noise and asks for the
// variables of the first (field count: how many). The example is a short one of
// the same kind, solved: example_context, example_input, example_answer.
func rulerVariables(j *job, i int) (raw, error) {
	rng := j.rand(i)
	hops, chains := int(j.number("hops")), int(j.number("chains"))
	const exampleTokens, exampleName, name = 500, 3, 5
	exampleContext, exampleValue, exampleNames := assignments(j, rng, exampleTokens-variablesTemplate, exampleName, min(hops, 10), 1)
	exampleAnswer := strings.Join(exampleNames, " ")
	length := int(j.number("length"))
	budget := j.budget(length, variablesOthers, exampleContext, exampleValue, exampleAnswer)
	context, value, names := assignments(j, rng, budget, name, hops, chains)
	if j.tokens(context) > budget {
		return raw{}, tooShort(i, length, "the example and the chains")
	}
	r := record(j.set, i, context, value, names...)
	r.fields["count"] = int64(len(names))
	r.fields["example_context"], r.fields["example_input"], r.fields["example_answer"] = exampleContext, exampleValue, exampleAnswer
	r.fields["example_count"] = int64(len(exampleNames))
	return r, nil
}

// assignments are lines of noise with chains of assignments between them, and
// the first chain's value and variables, whose names have so many letters.
func assignments(j *job, rng *rand.Rand, budget, letters, hops, chains int) (context, value string, names []string) {
	fresh := unused()
	var all [][]string
	for c := range chains {
		start := fresh(func() string { return digits(rng, 5) })
		chain := []string{}
		before := start
		for range hops + 1 {
			name := fresh(func() string { return randomLetters(rng, 'A', letters) })
			chain = append(chain, fmt.Sprintf("VAR %s = %s", name, before))
			before = "VAR " + name
			if c == 0 {
				names = append(names, name)
			}
		}
		if c == 0 {
			value = start
		}
		all = append(all, chain)
	}
	for _, chain := range all {
		budget -= j.tokens(strings.Join(chain, "\n") + "\n")
	}
	n := fit(budget, hops+1, func(n int) int { return j.tokens(strings.Repeat(noiseLine+"\n", n)) })
	lines := slices.Repeat([]string{noiseLine}, n)
	// The places have a source of their own: how many are drawn from depends on
	// the tokenizer, which must not change the names.
	rng = rand.New(rand.NewPCG(rng.Uint64(), 0))
	for _, chain := range all {
		places := rng.Perm(len(lines))[:len(chain)]
		slices.Sort(places)
		lines = insertAt(lines, chain, places)
	}
	return strings.Join(lines, "\n"), value, names
}

// commonWords lists ten words often and others seldom. Below 4096 tokens RULER
// makes both less often. The example is a short list, solved: example_context,
// example_answer.
func commonWords(j *job, i int) (raw, error) {
	rng := j.rand(i)
	length := int(j.number("length"))
	const common = 10
	often, seldom, exampleWords, exampleOften, exampleSeldom := 30, 3, 40, 10, 3
	if length < 4096 {
		often, seldom, exampleWords, exampleOften, exampleSeldom = 6, 1, 20, 3, 1
	}
	example := distinctWords(rng, exampleWords)
	exampleContext := numbered(repeated(rng, example, common, exampleOften, exampleSeldom))
	exampleAnswer := numbered(example[:common])
	budget := j.budget(length, commonWordsOthers, exampleContext, exampleAnswer)
	var words []string
	seed := rng.Uint64() // every try draws the same words and orders
	list := func(n int) string {
		rng := rand.New(rand.NewPCG(seed, 0))
		words = distinctWords(rng, n)
		return numbered(repeated(rng, words, common, often, seldom))
	}
	n := fit(budget, common+1, func(n int) int { return j.tokens(list(n)) })
	context := list(n)
	if j.tokens(context) > budget {
		return raw{}, tooShort(i, length, "the example and eleven words")
	}
	r := record(j.set, i, context, "", words[:common]...)
	r.fields["example_context"], r.fields["example_answer"] = exampleContext, exampleAnswer
	return r, nil
}

// repeated repeats the first words often, the others seldom, and shuffles them.
func repeated(rng *rand.Rand, words []string, common, often, seldom int) []string {
	out := append(slices.Repeat(words[:common], often), slices.Repeat(words[common:], seldom)...)
	rng.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
	return out
}

// numbered writes "1. word 2. word".
func numbered(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d. %s", i+1, w)
	}
	return b.String()
}

// frequentWords is a text of made-up words whose frequencies fall as in a zeta
// distribution; the most frequent is replaced by "..." and the next three are
// asked for.
func frequentWords(j *job, i int) (raw, error) {
	rng := j.rand(i)
	length := int(j.number("length"))
	budget := j.budget(length, frequentOthers)
	fresh := unused()
	vocabulary := []string{"..."}
	for len(vocabulary) < max((length-50)/50, 5) {
		vocabulary = append(vocabulary, fresh(func() string { return randomLetters(rng, 'a', 6) }))
	}
	alpha := j.number("alpha")
	seed, total := rng.Uint64(), zeta(alpha)
	text := func(n int) string {
		var words []string
		for k, w := range vocabulary {
			times := float64(n) * math.Pow(float64(k+1), -alpha) / total
			words = append(words, slices.Repeat([]string{w}, int(times))...)
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		rng.Shuffle(len(words), func(a, b int) { words[a], words[b] = words[b], words[a] })
		return strings.Join(words, " ")
	}
	// So many words that the fourth is seen less often than the third.
	least := int(math.Ceil(total / (math.Pow(3, -alpha) - math.Pow(4, -alpha))))
	context := text(fit(budget, least, func(n int) int { return j.tokens(text(n)) }))
	if j.tokens(context) > budget {
		return raw{}, tooShort(i, length, "the words")
	}
	return record(j.set, i, context, "", vocabulary[1:4]...), nil
}

// zeta is Riemann's function for s > 1: the first terms and the integral of the
// others.
func zeta(s float64) float64 {
	const n = 1000
	sum := 0.0
	for k := 1; k < n; k++ {
		sum += math.Pow(float64(k), -s)
	}
	return sum + math.Pow(n, 1-s)/(s-1) + math.Pow(n, -s)/2 + s*math.Pow(n, -s-1)/12
}
