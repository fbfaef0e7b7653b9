package datasets

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Options of the sets that hide something in a text of a number of tokens.
var (
	tokensOption   = option{name: "length", otherwise: 4096, least: 300, most: 2 << 20, whole: true, prompt: true}
	recordsOption  = option{name: "records", otherwise: generatedRecords, least: 1, most: 1e5, whole: true}
	haystackOption = option{name: "haystack", words: []string{"own", "essays"}}

	gridLengthOption = option{name: "length", least: 300, most: 2 << 20, whole: true, list: []float64{1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000}}
	gridDepthOption  = option{name: "depth", most: 1, list: []float64{0, 0.11, 0.22, 0.33, 0.44, 0.56, 0.67, 0.78, 0.89, 1}}
	perCellOption    = option{name: "records", otherwise: 1, least: 1, most: 1e4, whole: true}
	needleOption     = option{name: "needle", words: []string{"code", "sandwich"}}
)

// chatTokens is what is left free for a model's chat template.
const chatTokens = 40

// budget is how many tokens the context may have, so that with what else stands
// in the prompt and the answer it comes to the length asked for.
func (j *job) budget(length, others int, texts ...string) int {
	length -= others + chatTokens
	for _, text := range texts {
		length -= j.tokens(text)
	}
	return length
}

// tooShort is the error of a length that leaves no room.
func tooShort(i int, length int, what string) error {
	return fmt.Errorf("record %d: length=%d leaves no room for %s; ask for more", i, length, what)
}

// haystack gives sentences of at most that many tokens: the user's essays from
// their beginning, repeated as often as it takes, or a chronicle of our own.
func (j *job) haystack(rng *rand.Rand, budget int) []string {
	var out []string
	for used := 0; ; {
		var s string
		if j.sentences != nil {
			s = j.sentences[len(out)%len(j.sentences)]
		} else {
			s = haySentence(rng)
		}
		used += j.tokens(" " + s)
		if used > budget {
			break
		}
		out = append(out, s)
	}
	// A tokenizer may make more of the whole than of its sentences.
	for len(out) > 0 {
		all := j.tokens(strings.Join(out, " "))
		if all <= budget {
			break
		}
		out = out[:len(out)-max((all-budget)*len(out)/all, 1)]
	}
	return out
}

// hide puts sentences into a text, each where that share of the text's tokens
// stands before it; depths ascend.
func (j *job) hide(text, hidden []string, depths []float64) []string {
	sizes, all := make([]int, len(text)), 0
	for i, s := range text {
		sizes[i] = j.tokens(" " + s)
		all += sizes[i]
	}
	var out []string
	at, before := 0, 0
	for k, s := range hidden {
		for at < len(text) && float64(before+sizes[at]) <= depths[k]*float64(all) {
			out, before, at = append(out, text[at]), before+sizes[at], at+1
		}
		out = append(out, s)
	}
	return append(out, text[at:]...)
}

func gridRecords(o options) int {
	return len(o.numbers["length"]) * len(o.numbers["depth"]) * int(o.number("records"))
}

// gridNeedle hides a sentence in a text, for every length and depth of the two
// lists: fields target_length (tokens of the whole) and depth (0 the beginning,
// 1 the end) tell the cell. needle=sandwich hides the sentence of the original
// test (github.com/gkamradt/LLMTest_NeedleInAHaystack) in place of a number.
func gridNeedle(j *job, i int) (raw, error) {
	cell := i / int(j.number("records"))
	depths := j.numbers["depth"]
	length, depth := int(j.numbers["length"][cell/len(depths)]), depths[cell%len(depths)]
	rng := j.rand(i)
	who, where, code := pick(rng, officers), pick(rng, places), digits(rng, 5)
	hidden := fmt.Sprintf("The secret code of the %s of %s is %s.", who, where, code)
	ask, answer := fmt.Sprintf("What is the secret code of the %s of %s?", who, where), code
	if j.words["needle"] == "sandwich" {
		hidden = "The best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day."
		ask, answer = "What is the best thing to do in San Francisco?", "eat a sandwich and sit in Dolores Park on a sunny day"
	}
	sentences := j.haystack(rng, j.budget(length, 100, hidden, ask)) // a prompt's frame and the answer
	if len(sentences) == 0 {
		return raw{}, tooShort(i, length, "a sentence beside the needle")
	}
	r := record(j.set, i, strings.Join(j.hide(sentences, []string{hidden}, []float64{depth}), " "), ask, answer)
	r.fields["depth"], r.fields["target_length"] = depth, int64(length)
	return r, nil
}

// essayPlaces are where a data folder may hold the essays: RULER's file, or a
// folder of texts.
var essayPlaces = []string{"PaulGrahamEssays.json", "PaulGrahamEssays", "essays"}

// readEssays reads the user's essays (Paul Graham's, in the published tests)
// where they are the haystack.
func readEssays(i Info, o Options, j *job) error {
	if j.words["haystack"] != "essays" {
		return nil
	}
	dirs, err := dataFolders(i.Name, o.Dir)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		for _, name := range essayPlaces {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			text, err := essayText(path)
			if err != nil {
				return fmt.Errorf("data set %s: %w", i.Name, err)
			}
			if j.sentences = sentences(text); len(j.sentences) == 0 {
				return fmt.Errorf("data set %s: %s holds no text; put the essays there", i.Name, path)
			}
			return nil
		}
	}
	return fmt.Errorf("data set %s: haystack=essays wants %s with texts in the data folder (--data or $REFREEKV_DATA); leave the option out for a text of our own", i.Name, strings.Join(essayPlaces, " or "))
}

// essayText reads a folder's .txt files in the order of their names, or a JSON
// file with a "text".
func essayText(path string) (string, error) {
	if filepath.Ext(path) == ".json" {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading essays: %w", err)
		}
		var file struct{ Text string }
		if err := json.Unmarshal(content, &file); err != nil {
			return "", fmt.Errorf("%s: no valid JSON with a \"text\" (%w)", path, err)
		}
		return file.Text, nil
	}
	names, err := filepath.Glob(filepath.Join(globEscape(path), "*.txt"))
	if err != nil {
		return "", fmt.Errorf("reading essays: %w", err)
	}
	slices.Sort(names)
	var all []string
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading essays: %w", err)
		}
		if !utf8.Valid(content) {
			return "", fmt.Errorf("%s is no valid UTF-8; convert the file", name)
		}
		all = append(all, string(content))
	}
	return strings.Join(all, "\n"), nil
}

var sentenceEnd = regexp.MustCompile(`[.!?]["')\]]* `)

// sentences splits a text, its blanks made one.
func sentences(text string) []string {
	text = strings.Join(strings.Fields(text), " ")
	var out []string
	from := 0
	for _, at := range sentenceEnd.FindAllStringIndex(text, -1) {
		out, from = append(out, text[from:at[1]-1]), at[1]
	}
	if from < len(text) {
		out = append(out, text[from:])
	}
	return out
}

// question is a question on passages, for a set that hides them among others.
type question struct {
	text    string
	answers []string
	needed  []int // passages that hold the answer
	near    []int // of the same article, taken before others
}
