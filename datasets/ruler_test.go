package datasets

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func openSome(t *testing.T, name string, o Options) []Record {
	t.Helper()
	records, err := Open(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// As the goldens of the other generated sets: a change is one of the benchmark.
func TestRulerGolden(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{
		"needle_grid length=1000,2000 depth=0,0.5": "2254c946859c7540", "needle_grid length=1000 depth=1 needle=sandwich records=2 seed=2": "f4f836e3353f4d87",
		"niah_single_1 length=1000": "42fda782a35c3a60", "niah_single_2 length=1000": "8188f8051a5a3756", "niah_single_3 length=1000": "1360b06cf7456e29", "niah_multikey_1 length=1000": "dc53639df8cfabb3",
		"niah_multikey_2 length=1000": "7d35a7d1b1eedc70", "niah_multikey_3 length=1000": "89873ef000bb0fbb", "niah_multivalue length=1000": "c16635f85d4ef2cc", "niah_multiquery length=1000": "e4257728de2f1450",
		"vt length=1000": "2ac9cb0c5249ec05", "vt length=2000 chains=3 hops=2 seed=2": "6ca9680c34a247ff", "cwe length=1000": "ba27fe9cc9de4b4b", "cwe length=4096 records=2": "1c2b444da3d8c794", "fwe length=1000": "87cc14b8dc3651ac", "fwe length=4096 records=2 alpha=3": "6e4e27a3e76c7aae",
	}
	for name := range want {
		records := openSome(t, name, Options{})
		got[name] = hashOf(t, records)
		set, _, _ := strings.Cut(name, " ")
		if other := hashOf(t, openSome(t, strings.Replace(name, "seed=2", "", 1)+" seed=9", Options{})); other == got[name] {
			t.Errorf("%s: seed=9 changes nothing", name)
		}
		if diff := cmp.Diff(records[:1], openSome(t, name, Options{Limit: 1})); diff != "" {
			t.Errorf("%s: limit 1 (-want +got) %s", name, diff)
		}
		for i, r := range records {
			if r.ID != fmt.Sprintf("%s-%d", set, i) || r.Index != i {
				t.Errorf("%s: record %d is %s, %d", name, i, r.ID, r.Index)
			}
			for field, v := range r.Fields {
				checkValue(t, field, v)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
}

// As many records as are asked for.
func TestRulerRecords(t *testing.T) {
	for name, want := range map[string]int{
		"niah_single_1 length=500": 20, "niah_single_1 length=500 records=3": 3, "needle_grid": 80, "needle_grid length=1000,2000 depth=0,0.5,1 records=4": 24,
	} {
		if got := len(openSome(t, name, Options{})); got != want {
			t.Errorf("%s: %d records, want %d", name, got, want)
		}
	}
}

// The whole of a prompt fits the length asked for and nearly fills it, by
// whatever counts the tokens.
func TestRulerLength(t *testing.T) {
	for counter, count := range map[string]func(string) int{"estimate": nil, "bytes": func(s string) int { return len(s) }, "words": func(s string) int { return len(strings.Fields(s)) }} {
		measure := count
		if measure == nil {
			measure = estimateTokens
		}
		for _, length := range []int{3000, 20000} {
			for _, set := range []string{
				"needle_grid", "niah_single_1", "niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multikey_2", "niah_multikey_3",
				"niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe",
			} {
				if counter == "bytes" && length == 3000 && (set == "cwe" || set == "vt") {
					continue // their examples alone are longer
				}
				for _, r := range openSome(t, fmt.Sprintf("%s length=%d", set, length), Options{Limit: 2, CountTokens: count}) {
					got := measure(r.Fields["context"].(string))
					for _, name := range []string{"example_context", "example_answer", "input"} {
						text, _ := r.Fields[name].(string)
						got += measure(text)
					}
					if got > length-50 || float64(got) < 0.82*float64(length)-400 {
						t.Errorf("%s length=%d by %s: %d", set, length, counter, got)
					}
				}
			}
		}
	}
	for name, want := range map[string]string{
		"niah_multikey_3 length=300": "data set niah_multikey_3: record 0: length=300 leaves no room for anything beside the needles; ask for more",
		"niah_single_2 length=300":   "length=300 leaves no room",
		"vt length=500":              "data set vt: record 0: length=500 leaves no room for the example and the chains; ask for more",
		"cwe length=500":             "data set cwe: record 0: length=500 leaves no room for the example and eleven words; ask for more",
	} {
		_, err := Open(t.Context(), name, Options{})
		wantError(t, err, want)
	}
	_, err := Open(t.Context(), "needle_grid length=300", Options{CountTokens: func(s string) int { return len(s) }})
	wantError(t, err, "length=300 leaves no room for a sentence beside the needle")
}

var magic = regexp.MustCompile(`One of the special magic (numbers|uuids) for (\S+) is: (\S+)\.`)

var (
	pairKey     = regexp.MustCompile(`^[a-z]+-[a-z]+$`)
	sevenDigits = regexp.MustCompile(`^[1-9]\d{6}$`)
	uuidText    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
)

// Every key asked for has its values in the text, and no other key has them.
func TestRulerNeedles(t *testing.T) {
	for name, c := range map[string]struct {
		needles, answers int // needles 0: as many as fit
		value            string
		key, values      *regexp.Regexp
		hay              string
	}{
		"niah_single_1":   {1, 1, "number", pairKey, sevenDigits, noiseLine + "\n"},
		"niah_single_2":   {1, 1, "number", pairKey, sevenDigits, " "},
		"niah_single_3":   {1, 1, "uuid", pairKey, uuidText, " "},
		"niah_multikey_1": {4, 1, "number", pairKey, sevenDigits, " "},
		"niah_multikey_2": {0, 1, "number", pairKey, sevenDigits, "\nOne of the"},
		"niah_multikey_3": {0, 1, "uuid", uuidText, uuidText, "\nOne of the"},
		"niah_multivalue": {4, 4, "numbers", pairKey, sevenDigits, " "},
		"niah_multiquery": {4, 4, "numbers", pairKey, sevenDigits, " "},
	} {
		depths := map[string]bool{}
		for _, r := range openSome(t, name+" length=3000", Options{}) {
			text, answers := r.Fields["context"].(string), answersOf(r)
			found := magic.FindAllStringSubmatch(text, -1)
			if c.needles > 0 && len(found) != c.needles || c.needles == 0 && (len(found) < 20 || strings.Count(text, "\n")+1 != len(found)) {
				t.Errorf("%s: %s: %d needles", name, r.ID, len(found))
			}
			asked := strings.Split(strings.Replace(r.Fields["input"].(string), ", and ", ", ", 1), ", ")
			var values []string
			for _, key := range asked {
				for _, m := range found {
					if m[2] == key {
						values = append(values, m[3])
					}
				}
			}
			slices.Sort(values)
			if diff := cmp.Diff(slices.Sorted(slices.Values(answers)), values); diff != "" || len(answers) != c.answers {
				t.Errorf("%s: %s: asks %q (-answers +text) %s", name, r.ID, r.Fields["input"], diff)
			}
			for _, m := range found {
				if !c.key.MatchString(m[2]) || !c.values.MatchString(m[3]) || m[1] != strings.TrimSuffix(c.value, "s")+"s" || strings.Count(text, m[3]) != 1 {
					t.Errorf("%s: %s: needle %q", name, r.ID, m[0])
				}
			}
			if r.Fields["value_type"] != c.value || !strings.Contains(text, c.hay) {
				t.Errorf("%s: %s: value_type %v", name, r.ID, r.Fields["value_type"])
			}
			at := r.Fields["depths"].([]any)
			if want := max(c.needles, 1); len(at) != want {
				t.Errorf("%s: %s: depths %v", name, r.ID, at)
			}
			depths[fmt.Sprint(at)] = true
			if share := at[0].(float64); c.needles == 1 && math.Abs(float64(strings.Index(text, found[0][0]))/float64(len(text))-share) > 0.06 {
				t.Errorf("%s: %s: the needle is not at %g", name, r.ID, share)
			}
		}
		if len(depths) < 10 {
			t.Errorf("%s: only %d places", name, len(depths))
		}
	}
}

// Following the assignments from the value gives the answers, and so it does in
// the example.
func TestRulerVariables(t *testing.T) {
	statement := regexp.MustCompile(`(?m)^VAR ([A-Z]+) = (VAR [A-Z]+|\d{5})$`)
	follow := func(text, value string) (names []string, all int) {
		holds := map[string]bool{value: true}
		found := statement.FindAllStringSubmatch(text, -1)
		for _, m := range found {
			if holds[m[2]] {
				holds["VAR "+m[1]] = true
				names = append(names, m[1])
			}
		}
		return names, len(found)
	}
	for name, c := range map[string]struct{ hops, chains int }{"vt length=2000": {4, 1}, "vt length=3000 hops=20 chains=2": {20, 2}, "vt length=2000 hops=1 chains=20": {1, 20}} {
		for _, r := range openSome(t, name, Options{}) {
			text, value := r.Fields["context"].(string), r.Fields["input"].(string)
			names, all := follow(text, value)
			if diff := cmp.Diff(answersOf(r), names); diff != "" || len(names) != c.hops+1 || all != len(names)*c.chains || r.Fields["count"] != int64(len(names)) {
				t.Errorf("%s: %s: %d assignments, count %v (-answers +text) %s", name, r.ID, all, r.Fields["count"], diff)
			}
			if strings.Count(text, value) != 1 || len(names[0]) != 5 {
				t.Errorf("%s: %s: value %s, names %s", name, r.ID, value, names)
			}
			example, _ := follow(r.Fields["example_context"].(string), r.Fields["example_input"].(string))
			if r.Fields["example_answer"] != strings.Join(example, " ") || len(example) != min(c.hops, 10)+1 || r.Fields["example_count"] != int64(len(example)) || len(example[0]) != 3 {
				t.Errorf("%s: %s: example %v, %v", name, r.ID, example, r.Fields["example_answer"])
			}
		}
	}
	// A tokenizer changes how much noise there is, not what is asked.
	byWords := openSome(t, "vt length=2000", Options{CountTokens: func(s string) int { return len(strings.Fields(s)) }})
	for i, r := range openSome(t, "vt length=2000", Options{}) {
		if !cmp.Equal(answersOf(r), answersOf(byWords[i])) || r.Fields["input"] != byWords[i].Fields["input"] {
			t.Errorf("%s: other variables by another tokenizer", r.ID)
		}
	}
}

// wordCounts reads "1. word 2. word".
func wordCounts(t *testing.T, text string) map[string]int {
	t.Helper()
	out := map[string]int{}
	words := strings.Fields(text)
	for i := 0; i < len(words); i += 2 {
		if words[i] != fmt.Sprintf("%d.", i/2+1) {
			t.Fatalf("number %s at %d", words[i], i/2)
		}
		out[words[i+1]]++
	}
	return out
}

func TestCommonWords(t *testing.T) {
	for name, c := range map[string]struct{ often, seldom, exampleOften, exampleSeldom, exampleWords int }{
		"cwe length=1000": {6, 1, 3, 1, 20}, "cwe length=4096": {30, 3, 10, 3, 40}, "cwe length=300000 records=1": {30, 3, 10, 3, 40},
	} {
		for _, r := range openSome(t, name, Options{Limit: 3}) {
			answers := answersOf(r)
			counts := wordCounts(t, r.Fields["context"].(string))
			for word, n := range counts {
				if want := map[bool]int{true: c.often, false: c.seldom}[slices.Contains(answers, word)]; n != want {
					t.Fatalf("%s: %q stands there %d times, want %d", name, word, n, want)
				}
			}
			if len(answers) != 10 || len(counts) < 11 {
				t.Errorf("%s: answers %v of %d words", name, answers, len(counts))
			}
			example := wordCounts(t, r.Fields["example_context"].(string))
			solution := wordCounts(t, r.Fields["example_answer"].(string))
			for word, n := range example {
				if want := map[bool]int{true: c.exampleOften, false: c.exampleSeldom}[solution[word] > 0]; n != want {
					t.Errorf("%s: example: %q stands there %d times, want %d", name, word, n, want)
				}
			}
			if len(solution) != 10 || len(example) != c.exampleWords {
				t.Errorf("%s: example of %d words, answer %v", name, len(example), solution)
			}
		}
	}
}

func TestFrequentWords(t *testing.T) {
	for _, name := range []string{"fwe length=500", "fwe length=4096", "fwe length=8000 alpha=1.1", "fwe length=4096 alpha=4"} {
		for _, r := range openSome(t, name, Options{Limit: 5}) {
			counts := map[string]int{}
			words := strings.Fields(r.Fields["context"].(string))
			for _, w := range words {
				counts[w]++
			}
			answers := answersOf(r)
			rest := 0
			for w, n := range counts {
				if w != "..." && !slices.Contains(answers, w) {
					rest = max(rest, n)
				}
			}
			if !(counts["..."] >= counts[answers[0]] && counts[answers[0]] >= counts[answers[1]] && counts[answers[1]] >= counts[answers[2]] && counts[answers[2]] > rest) || len(answers) != 3 {
				t.Errorf("%s: %d dots, answers %v %d %d %d, the next %d", name, counts["..."], answers, counts[answers[0]], counts[answers[1]], counts[answers[2]], rest)
			}
			if share := float64(counts["..."]) / float64(len(words)); name == "fwe length=4096" && math.Abs(share-6/(math.Pi*math.Pi)) > 0.05 {
				t.Errorf("%s: %g of the words are dots", name, share)
			}
		}
	}
	for s, want := range map[float64]float64{2: math.Pi * math.Pi / 6, 4: math.Pow(math.Pi, 4) / 90, 1.1: 10.584448464950809} {
		if got := zeta(s); math.Abs(got-want) > 1e-9 {
			t.Errorf("zeta(%g) is %g, want %g", s, got, want)
		}
	}
}

// Every cell of the grid, in its place.
func TestNeedleGrid(t *testing.T) {
	lengths, depths := []int{1000, 3000}, []float64{0, 0.25, 0.5, 1}
	records := openSome(t, "needle_grid length=1000,3000 depth=0,0.25,0.5,1 records=2", Options{})
	for i, r := range records {
		length, depth := lengths[i/8], depths[i/2%4]
		text := r.Fields["context"].(string)
		found := hiddenSentence.FindStringIndex(text)
		if r.Fields["target_length"] != int64(length) || r.Fields["depth"] != depth || found == nil {
			t.Fatalf("record %d: %v, %v, %v", i, r.Fields["target_length"], r.Fields["depth"], found)
		}
		before := float64(estimateTokens(text[:found[0]])) / float64(estimateTokens(text)-estimateTokens(text[found[0]:found[1]]))
		if math.Abs(before-depth) > 0.05 || depth == 0 && found[0] != 0 || depth == 1 && found[1] != len(text) {
			t.Errorf("record %d: the needle is at %.3f, want %g", i, before, depth)
		}
		if !strings.Contains(text[found[0]:found[1]], answersOf(r)[0]) {
			t.Errorf("record %d: answer %v", i, answersOf(r))
		}
	}
	r := openSome(t, "needle_grid length=1000 depth=0.5 needle=sandwich", Options{})[0]
	if !strings.Contains(r.Fields["context"].(string), "The best thing to do in San Francisco is "+answersOf(r)[0]+".") || r.Fields["input"] != "What is the best thing to do in San Francisco?" {
		t.Errorf("%v", r.Fields)
	}
	for name, want := range map[string]string{
		"needle_grid length=1000,":       `option length is ""; want a whole number from 300 to 2097152`,
		"needle_grid length=1000,x":      `option length is "x"; want a whole number`,
		"needle_grid length=1000,1e3":    "option length holds 1e3 twice; leave one out",
		"needle_grid depth=0.5,2":        `option depth is "2"; want a number from 0 to 1`,
		"needle_grid needle=pin":         `option needle is "pin"; want code or sandwich`,
		"needle_grid haystack=":          `option haystack is ""; want own or essays`,
		"niah_single_1 haystack=essays":  `data set niah_single_1 has no option "haystack"; it takes length, records, seed`,
		"niah_single_2 length=1000,2000": `option length is "1000,2000"; want a whole number`,
	} {
		_, err := Open(t.Context(), name, Options{})
		wantError(t, err, want)
	}
}

// The user's essays, in RULER's file or as a folder of texts.
func TestEssays(t *testing.T) {
	t.Setenv("REFREEKV_DATA", "")
	text := strings.Repeat("Is the mill old? It is (they say.) The brook runs by! A cart came. ", 40)
	content, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"RULER's file": {"PaulGrahamEssays.json": string(content)},
		"a folder":     {"PaulGrahamEssays/a.txt": text[:67], "PaulGrahamEssays/b.txt": text[67:], "PaulGrahamEssays/notes.md": "not this"},
		"other folder": {"essays/all.txt": strings.ReplaceAll(text, " ", "\n\n\t")},
	} {
		dir := t.TempDir()
		for file, content := range files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, set := range []string{"needle_grid length=1500 depth=0.5", "niah_single_2 length=1500", "niah_multikey_1 length=6000"} {
			r := openSome(t, set+" haystack=essays", Options{Dir: dir, Limit: 1})[0]
			rest := magic.ReplaceAllString(hiddenSentence.ReplaceAllString(r.Fields["context"].(string), ""), "")
			rest = strings.Join(strings.Fields(rest), " ")
			if whole := strings.Repeat(strings.TrimSpace(text)+" ", 10); !strings.HasPrefix(whole, rest) || len(rest) < 1000 {
				t.Errorf("%s: %s: the text is %.200q", name, set, rest)
			}
		}
	}
	_, err = Open(t.Context(), "niah_single_2 haystack=essays", Options{Dir: t.TempDir()})
	wantError(t, err, "data set niah_single_2: haystack=essays wants PaulGrahamEssays.json or PaulGrahamEssays or essays with texts in the data folder")
	for file, content := range map[string]string{"PaulGrahamEssays.json": "{", "essays/a.txt": " \n", "PaulGrahamEssays/a.txt": "\xff"} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), "needle_grid haystack=essays", Options{Dir: dir})
		wantError(t, err, "data set needle_grid: "+dir)
	}
	if diff := cmp.Diff([]string{"Is it?", "Yes.", `"No!"`, "3.5 pears"}, sentences(" Is it?  Yes.\n\"No!\" 3.5 pears")); diff != "" {
		t.Errorf("sentences (-want +got) %s", diff)
	}
}

// Made-up files in the formats of SQuAD and HotpotQA.
func questionFiles(t *testing.T) string {
	t.Helper()
	var articles, questions []any
	for a := range 6 {
		var paragraphs []any
		for p := range 4 {
			text := fmt.Sprintf("Passage %d of article %d. ", p, a) + strings.Repeat("The mill stood by the brook. ", 8)
			qas := []any{
				object{"question": fmt.Sprintf("Which is passage %d of %d?", p, a), "id": fmt.Sprint(a, p), "is_impossible": false, "answers": []any{object{"text": fmt.Sprintf("Passage %d of article %d", p, a), "answer_start": 0}, object{"text": "that one"}}},
				object{"question": "Who knows?", "is_impossible": true, "answers": []any{}},
			}
			paragraphs = append(paragraphs, object{"context": text, "qas": qas})
		}
		articles = append(articles, object{"title": fmt.Sprint(a), "paragraphs": paragraphs})
		var passages []any
		for p := range 4 {
			passages = append(passages, []any{fmt.Sprint("Title ", a, p), []any{fmt.Sprintf("Passage %d of article %d. ", p, a), strings.Repeat("The mill stood by the brook. ", 8)}})
		}
		questions = append(questions, object{"_id": fmt.Sprint(a), "question": fmt.Sprintf("Which is passage 0 of %d?", a), "answer": fmt.Sprintf("Passage 0 of article %d", a), "context": passages})
	}
	dir := t.TempDir()
	for name, v := range map[string]any{"squad.json": object{"version": "v2.0", "data": articles}, "hotpotqa.json": questions} {
		content, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRulerQuestions(t *testing.T) {
	pullCache(t)
	dir := questionFiles(t)
	numbered := regexp.MustCompile(`(?m)^Document (\d+):$`)
	for _, c := range []struct {
		name    string
		records int
		least   int // documents
	}{{"qa_1 length=2000", 20, 10}, {"qa_1 length=1000 records=24", 24, 5}, {"qa_1 length=100000 records=1", 1, 24}, {"qa_2 length=2000 records=6", 6, 10}, {"qa_2 length=100000 records=6", 6, 24}} {
		records := openSome(t, c.name, Options{Dir: dir})
		if len(records) != c.records {
			t.Errorf("%s: %d records", c.name, len(records))
		}
		first := map[string]bool{}
		for _, r := range records {
			text := r.Fields["context"].(string)
			documents := numbered.FindAllStringSubmatch(text, -1)
			for i, d := range documents {
				if d[1] != fmt.Sprint(i+1) {
					t.Errorf("%s: %s: document %s is number %d", c.name, r.ID, d[1], i+1)
				}
			}
			if len(documents) < c.least || len(documents) != strings.Count(text, "Passage ") || strings.Count(text, answersOf(r)[0]+".") != 1 {
				t.Errorf("%s: %s: %d documents, answers %v", c.name, r.ID, len(documents), answersOf(r))
			}
			first[text[:60]] = true
		}
		if len(records) > 3 && len(first) < 3 {
			t.Errorf("%s: the passages are not shuffled", c.name)
		}
	}
	if r := openSome(t, "qa_1 length=1000", Options{Dir: dir, Limit: 1})[0]; !cmp.Equal(answersOf(r), []string{"Passage 0 of article 0", "that one"}) || r.Fields["input"] != "Which is passage 0 of 0?" {
		t.Errorf("%v", r.Fields)
	}
	// The nearest passages are of the same article.
	if r := openSome(t, "qa_1 length=600", Options{Dir: dir, Limit: 1})[0]; strings.Count(r.Fields["context"].(string), "of article 0") < 3 {
		t.Errorf("%v", r.Fields["context"])
	}
	for name, want := range map[string]string{
		"qa_1 records=25":            "data set qa_1: the file holds 24 questions that can be answered, not 25; set the option records to fewer",
		"qa_2 length=300 records=1":  "data set qa_2: record 0: length=300 leaves no room for the passages that its question needs; ask for more",
		"qa_2 length=1000 records=7": "data set qa_2: the file holds 6 questions",
	} {
		_, err := Open(t.Context(), name, Options{Dir: dir})
		wantError(t, err, want)
	}
	_, err := Open(t.Context(), "qa_1", Options{})
	wantError(t, err, "data set qa_1 is not in the cache (", "give a folder that holds squad.json with --data", "fetch it with: refreekv pull dataset qa_1")
	for name, content := range map[string]string{
		"squad.json": `{"data":[{"paragraphs":[{"context":"c","qas":[{"question":"q","answers":[]}]}]}]}`, "hotpotqa.json": `[{"question":"q","answer":"a","context":[["t"]]}]`,
	} {
		bad := t.TempDir()
		if err := os.WriteFile(filepath.Join(bad, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		set := map[string]string{"squad.json": "qa_1", "hotpotqa.json": "qa_2"}[name]
		_, err := Open(t.Context(), set, Options{Dir: bad})
		wantError(t, err, filepath.Join(bad, name)+"#0: a ", "fetch the file again")
	}
	// The hub's columns of HotpotQA.
	got, ok := hotpotPassages(object{"title": []any{"t", "u"}, "sentences": []any{[]any{"a", "b"}, []any{"c"}}})
	if !ok || !cmp.Equal(got, []string{"t\nab", "u\nc"}) {
		t.Errorf("%v, %t", got, ok)
	}
	if _, ok := hotpotPassages(object{"title": []any{"t"}, "sentences": []any{}}); ok {
		t.Error("a title without sentences passes")
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct{ budget, least, per, want int }{{100, 1, 7, 14}, {98, 1, 7, 14}, {97, 1, 7, 13}, {3, 1, 7, 1}, {7, 1, 7, 1}, {1 << 20, 1, 3, 349525}, {0, 5, 1, 5}} {
		looked := 0
		got := fit(c.budget, c.least, func(n int) int { looked++; return n * c.per })
		if got != c.want || looked > 45 {
			t.Errorf("%+v: %d after %d looks", c, got, looked)
		}
	}
}

func TestEstimateTokens(t *testing.T) {
	for text, want := range map[string]int{"": 0, "The grass is green.": 5, "12345": 5, "understanding": 3, "a b": 2, "段落5": 3, "x\ny": 3} {
		if got := estimateTokens(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestLexicon(t *testing.T) {
	l := lexicon()
	if len(l.adjectives) < 800 || len(l.nouns) < 6000 || len(l.all) < 8000 {
		t.Errorf("%d adjectives, %d nouns, %d words", len(l.adjectives), len(l.nouns), len(l.all))
	}
	for _, w := range l.all {
		if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("word %q", w)
		}
	}
}
