package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func generatedSet(t *testing.T, name string) []Record {
	t.Helper()
	records, err := Open(t.Context(), name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func hashOf(t *testing.T, records []Record) string {
	t.Helper()
	text, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Generated records are the same on every machine and in every release: results
// are compared by them. A change of these hashes is a change of the benchmark.
func TestGeneratedGolden(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{
		"needle": "765f69c0bd173bf1", "needle seed=2 length=500 depth=0.25": "04c77bfb9d1cccc4",
		"kv_retrieval": "00a274b306afb632", "kv_retrieval seed=2 length=500": "66bc703e4dbf8ef7",
		"variable_tracking": "320ef2cab0eed750", "variable_tracking seed=2 length=500 hops=6": "1befb2ac54f9b618",
		"recall": "220a62da5bfc9973", "recall seed=2 pairs=5": "16a8c89d575531fe",
	}
	for name := range want {
		records := generatedSet(t, name)
		got[name] = hashOf(t, records)
		if again := hashOf(t, generatedSet(t, name)); again != got[name] {
			t.Errorf("%s: other records the second time", name)
		}
		set, rest, _ := strings.Cut(name, " ")
		if rest == "" {
			// The defaults may be written out, and another seed gives other records.
			if other := hashOf(t, generatedSet(t, set+" seed=1")); other != got[name] {
				t.Errorf("%s: seed=1 is not the default", set)
			}
			if other := hashOf(t, generatedSet(t, set+" seed=3")); other == got[name] {
				t.Errorf("%s: seed=3 changes nothing", set)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
}

// What is true of every generated set.
func TestGeneratedRecords(t *testing.T) {
	for _, name := range []string{"needle", "kv_retrieval", "variable_tracking", "recall", "needle length=1", "kv_retrieval length=1", "variable_tracking length=1 hops=1", "recall pairs=1", "recall pairs=676"} {
		set, _, _ := strings.Cut(name, " ")
		all := generatedSet(t, name)
		if want := map[string]int{"needle": 20, "kv_retrieval": 20, "variable_tracking": 20, "recall": 80}[set]; len(all) != want {
			t.Errorf("%s: %d records, want %d", name, len(all), want)
		}
		contexts := map[string]bool{}
		for i, r := range all {
			if r.Index != i || r.ID != fmt.Sprintf("%s-%d", set, i) || r.Source != fmt.Sprintf("%s#%d", set, i) {
				t.Errorf("%s: record %d is %s, %d, %s", name, i, r.ID, r.Index, r.Source)
			}
			text := r.Fields["context"].(string)
			if contexts[text] && !strings.HasSuffix(name, "=1") {
				t.Errorf("%s: record %d repeats a context", name, i)
			}
			contexts[text] = true
			if r.Fields["length"] != int64(len(strings.Fields(text))) {
				t.Errorf("%s: record %d has length %v", name, i, r.Fields["length"])
			}
			if len(answersOf(r)) == 0 || r.Fields["input"] == "" {
				t.Errorf("%s: record %d: %v", name, i, r.Fields)
			}
		}
		some, err := Open(t.Context(), name, Options{Limit: 3})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all[:3], some); diff != "" {
			t.Errorf("%s: limit 3 (-want +got) %s", name, diff)
		}
	}
}

func answersOf(r Record) []string {
	var out []string
	for _, a := range r.Fields["answers"].([]any) {
		out = append(out, a.(string))
	}
	return out
}

var (
	hiddenSentence = regexp.MustCompile(`The secret code of the [a-z ]+ of [A-Z][A-Za-z ]+ is (\d{5})\.`)
	askedSentence  = regexp.MustCompile(`^What is the secret code of the ([a-z ]+ of [A-Z][A-Za-z ]+)\?$`)
)

// The needle stands at its depth, once, and the question asks for it.
func TestNeedle(t *testing.T) {
	for _, length := range []int{1, 50, 300, 3000} {
		for _, depth := range []float64{-1, 0, 0.1, 0.5, 0.77, 1} {
			name := fmt.Sprintf("needle length=%d", length)
			if depth >= 0 {
				name += fmt.Sprintf(" depth=%g", depth)
			}
			depths := map[float64]bool{}
			for i, r := range generatedSet(t, name) {
				text, answer := r.Fields["context"].(string), answersOf(r)
				found := hiddenSentence.FindAllStringSubmatchIndex(text, -1)
				if len(found) != 1 || len(answer) != 1 || text[found[0][2]:found[0][3]] != answer[0] || strings.Count(text, answer[0]) != 1 {
					t.Fatalf("%s: record %d: answer %v, found at %v", name, i, answer, found)
				}
				asked := askedSentence.FindStringSubmatch(r.Fields["input"].(string))
				if asked == nil || !strings.Contains(text, "The secret code of the "+asked[1]+" is "+answer[0]+".") {
					t.Errorf("%s: record %d: asks %q", name, i, r.Fields["input"])
				}
				if regexp.MustCompile(`\d`).MatchString(strings.Replace(text, answer[0], "", 1)) {
					t.Errorf("%s: record %d has another number in its text", name, i)
				}
				want := depth
				if depth < 0 {
					want = []float64{0.5, 0.1, 0.9, 0.3, 0.7}[i%5]
				}
				// Sentences before it, of all but itself.
				before := strings.Count(text[:found[0][0]], ". ")
				all := strings.Count(text, ". ") // one less than there are sentences
				if all > 0 && math.Abs(float64(before)-want*float64(all)) > 1 {
					t.Errorf("%s: record %d: %d of %d sentences stand before the needle, want the share %g", name, i, before, all, want)
				}
				// And by characters, which is what a long context's depth means.
				if share := float64(found[0][0]) / float64(len(text)-(found[0][1]-found[0][0])); length >= 3000 && math.Abs(share-want) > 0.05 {
					t.Errorf("%s: record %d: the needle is at %.3f of the text, want %g", name, i, share, want)
				}
				depths[want] = true
			}
			if depth < 0 && len(depths) != 5 {
				t.Errorf("%s: depths %v", name, depths)
			}
		}
	}
}

// A length is that of the context in words, within a sentence; a list of keys is
// as long in tokens as a text of so many words.
func TestGeneratedLength(t *testing.T) {
	for _, length := range []int{1, 10, 100, 1000, 20000} {
		for _, set := range []string{"needle", "variable_tracking", "kv_retrieval"} {
			for i, r := range generatedSet(t, fmt.Sprintf("%s length=%d", set, length)) {
				text := r.Fields["context"].(string)
				words := len(strings.Fields(text))
				low, high := length, length+60 // a sentence more, the needle or the chain
				if set == "kv_retrieval" {
					words, low, high = strings.Count(text, "\n")+1, max(length/11, 2), max(length/11, 2)
				}
				if words < low || words > high {
					t.Errorf("%s: record %d: %d, want %d to %d", set, i, words, low, high)
				}
			}
		}
	}
	for i, r := range generatedSet(t, "needle") {
		want := []int{600, 1200, 1800, 2400, 2800}[i%5]
		if n := len(strings.Fields(r.Fields["context"].(string))); n < want || n > want+60 {
			t.Errorf("record %d has %d words, want about %d", i, n, want)
		}
	}
}

func TestKeyValues(t *testing.T) {
	line := regexp.MustCompile(`^([a-z]+-[a-z]+-\d+): (\d{4,})$`)
	// The last has more lines than keys and values of the usual sizes.
	for _, name := range []string{"kv_retrieval", "kv_retrieval length=22", "kv_retrieval length=20000 seed=4", "kv_retrieval length=290000"} {
		some, err := Open(t.Context(), name, Options{Limit: 20})
		if err != nil {
			t.Fatal(err)
		}
		places := map[bool]int{}
		for i, r := range some {
			text, ask, answer := r.Fields["context"].(string), r.Fields["input"].(string), answersOf(r)
			keys, values := map[string]bool{}, map[string]bool{}
			lines := strings.Split(text, "\n")
			for at, l := range lines {
				m := line.FindStringSubmatch(l)
				if m == nil || keys[m[1]] || values[m[2]] {
					t.Fatalf("%s: record %d: line %q is malformed or repeats a key or value", name, i, l)
				}
				keys[m[1]], values[m[2]] = true, true
				if m[1] == ask {
					if !slices.Equal(answer, []string{m[2]}) {
						t.Errorf("%s: record %d: the answer is %v, the text says %s", name, i, answer, m[2])
					}
					places[at < len(lines)/2]++
				}
			}
			if !keys[ask] || strings.Count(text, answer[0]) != 1 {
				t.Errorf("%s: record %d asks %q; its value stands there %d times", name, i, ask, strings.Count(text, answer[0]))
			}
		}
		if len(places) != 2 {
			t.Errorf("%s: all questions ask for one half: %v", name, places)
		}
	}
}

func TestVariables(t *testing.T) {
	statement := regexp.MustCompile(`VAR ([A-Z]{3}) = (VAR [A-Z]{3}|\d{5})\.`)
	for _, c := range []struct {
		name string
		hops int
	}{{"variable_tracking", 3}, {"variable_tracking hops=1", 1}, {"variable_tracking hops=50 length=1", 50}, {"variable_tracking hops=9 length=2000 seed=3", 9}} {
		for i, r := range generatedSet(t, c.name) {
			text, value, names := r.Fields["context"].(string), r.Fields["input"].(string), answersOf(r)
			if len(names) != c.hops+1 {
				t.Fatalf("%s: record %d: %d variables for %d hops", c.name, i, len(names), c.hops)
			}
			// Following the assignments from the value gives the answers.
			holds := map[string]bool{}
			var order []string
			found := statement.FindAllStringSubmatch(text, -1)
			for _, m := range found {
				if m[2] == value || holds[strings.TrimPrefix(m[2], "VAR ")] {
					holds[m[1]] = true
					order = append(order, m[1])
				}
			}
			if diff := cmp.Diff(names, order); diff != "" || len(found) != len(names) {
				t.Errorf("%s: record %d: %d assignments (-answers +text) %s", c.name, i, len(found), diff)
			}
			if strings.Count(text, value) != 1 {
				t.Errorf("%s: record %d: the value stands there %d times", c.name, i, strings.Count(text, value))
			}
			// No name hides in a word of the text or the question, in any case.
			rest := strings.ToLower(statement.ReplaceAllString(text, "")) + " which variables hold the value"
			for _, n := range names {
				if strings.Contains(rest, strings.ToLower(n)) {
					t.Errorf("%s: record %d: the name %s hides in its text", c.name, i, n)
				}
			}
		}
	}
}

func TestRecall(t *testing.T) {
	pair := regexp.MustCompile(`^([a-z]{2})(\d{2})$`)
	for name, count := range map[string]int{"recall": 0, "recall pairs=1": 1, "recall pairs=676": 676} {
		for i, r := range generatedSet(t, name) {
			want := count
			if want == 0 {
				want = []int{8, 16, 24, 32, 48, 64}[i%6]
			}
			held := map[string]string{}
			words := strings.Split(r.Fields["context"].(string), " ")
			for _, w := range words {
				m := pair.FindStringSubmatch(w)
				if m == nil || held[m[1]] != "" {
					t.Fatalf("%s: record %d: pair %q is malformed or repeats a key", name, i, w)
				}
				held[m[1]] = m[2]
			}
			if len(words) != want || !slices.Equal(answersOf(r), []string{held[r.Fields["input"].(string)]}) {
				t.Errorf("%s: record %d: %d pairs, asks %q, answers %v", name, i, len(words), r.Fields["input"], r.Fields["answers"])
			}
		}
	}
}

// No option is taken silently that does not mean what it says.
func TestGeneratedOptions(t *testing.T) {
	for name, want := range map[string]string{
		"needle length":                   `data set needle: "length" is no option; write name=value`,
		"needle 2000":                     `data set needle: "2000" is no option; write name=value`,
		"needle lenght=2000":              `data set needle has no option "lenght"; did you mean "length"?`,
		"needle hops=2":                   `data set needle has no option "hops"; it takes length, depth, seed`,
		"kv_retrieval depth=0.5":          `data set kv_retrieval has no option "depth"; it takes length, seed`,
		"variable_tracking pairs=2":       `data set variable_tracking has no option "pairs"; it takes length, hops, seed`,
		"recall length=2":                 `data set recall has no option "length"; it takes pairs, seed`,
		"needle =2":                       `data set needle has no option ""; it takes length, depth, seed`,
		"needle length=5 seed=2 length=6": `data set needle: option length is given twice; leave one out`,
		"needle length=":                  `data set needle: option length is ""; want a whole number from 1 to 1000000`,
		"needle length=long":              `data set needle: option length is "long"; want a whole number from 1 to 1000000`,
		"needle length=0":                 `data set needle: option length is "0"; want a whole number from 1 to 1000000`,
		"needle length=-1":                `data set needle: option length is "-1"; want a whole number from 1 to 1000000`,
		"needle length=1.5":               `data set needle: option length is "1.5"; want a whole number from 1 to 1000000`,
		"needle length=1e7":               `data set needle: option length is "1e7"; want a whole number from 1 to 1000000`,
		"needle length=nan":               `data set needle: option length is "nan"; want a whole number from 1 to 1000000`,
		"needle length=+Inf":              `data set needle: option length is "+Inf"; want a whole number from 1 to 1000000`,
		"needle depth=1.01":               `data set needle: option depth is "1.01"; want a number from 0 to 1`,
		"needle depth=-0.5":               `data set needle: option depth is "-0.5"; want a number from 0 to 1`,
		"needle depth=50%":                `data set needle: option depth is "50%"; want a number from 0 to 1`,
		"variable_tracking hops=0":        `data set variable_tracking: option hops is "0"; want a whole number from 1 to 50`,
		"variable_tracking hops=51":       `data set variable_tracking: option hops is "51"; want a whole number from 1 to 50`,
		"recall pairs=0":                  `data set recall: option pairs is "0"; want a whole number from 1 to 676`,
		"recall pairs=677":                `data set recall: option pairs is "677"; want a whole number from 1 to 676`,
		"recall seed=-1":                  `data set recall: option seed is "-1"; want a whole number from 0 to 9007199254740992`,
		"recall seed=0.5":                 `data set recall: option seed is "0.5"; want a whole number from 0 to 9007199254740992`,
	} {
		_, err := Open(t.Context(), name, Options{})
		if err == nil {
			t.Errorf("%s is accepted", name)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got) %s", name, diff)
		}
	}
	if !cmp.Equal(hashOf(t, generatedSet(t, "  needle   length=1e2  depth=.5 ")), hashOf(t, generatedSet(t, "needle depth=0.50 length=100"))) {
		t.Error("the spelling of options changes the records")
	}
}

// Every embedded sample is a record that its task can use.
func TestSamples(t *testing.T) {
	ids := map[string]string{}
	sets := 0
	for _, info := range List() {
		if info.embedded == "" {
			continue
		}
		sets++
		records, err := Open(t.Context(), info.Name, Options{Dir: "no such folder"})
		if err != nil {
			t.Fatal(err)
		}
		if len(records) < 5 {
			t.Errorf("%s has %d records", info.Name, len(records))
		}
		texts := map[string]bool{}
		for _, r := range records {
			if other, twice := ids[r.ID]; twice {
				t.Errorf("%s: id %s stands in %s too", r.Source, r.ID, other)
			}
			ids[r.ID] = info.Name
			if info.Name == "sample_math" {
				checkFilled(t, r, "question")
				if !regexp.MustCompile(`(?s)\S.*\n#### -?\d+$`).MatchString(fmt.Sprint(r.Fields["answer"])) {
					t.Errorf("%s: answer %q", r.Source, r.Fields["answer"])
				}
				continue
			}
			checkFilled(t, r, "context")
			checkFilled(t, r, "answers")
			if _, ok := r.Fields["input"].(string); !ok {
				t.Errorf("%s: input %v", r.Source, r.Fields["input"])
			}
			key := fmt.Sprint(r.Fields["input"], r.Fields["context"])
			if texts[key] {
				t.Errorf("%s repeats a record", r.Source)
			}
			texts[key] = true
		}
	}
	if sets != 5 {
		t.Errorf("%d sets of samples", sets)
	}
}
