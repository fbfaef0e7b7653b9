package datasets

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// sharedData is the folder of real benchmark records, which are no part of the
// repository.
func sharedData(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	dir := filepath.Join(shared, "data")
	if _, err := os.Stat(filepath.Join(dir, "SOURCES.md")); err != nil {
		t.Skip("the real records are not here: ", err)
	}
	return dir
}

var sourceRow = regexp.MustCompile(`(?m)^\| (\S+) \| (\d+) \|`)

// realFields are the fields that a set's tasks read. LongBench's are the default.
var realFields = map[string][]string{
	"gsm8k":       {"question", "answer"},
	"theoremqa":   {"Question", "Answer", "id"},
	"truthfulqa":  {"Question", "Best Answer", "Correct Answers", "Incorrect Answers"},
	"coqa":        {"id", "story", "question", "answer"},
	"multi_news":  {"_id", "context", "answers", "dataset", "language"},
	"vcsum":       {"_id", "context", "answers", "dataset", "language"},
	"gov_report":  {"_id", "context", "answers", "dataset", "language"},
	"lcc":         {"_id", "context", "answers", "dataset", "language"},
	"repobench-p": {"_id", "context", "answers", "dataset", "language"},
	// A passage count has no question.
	"passage_count": {"_id", "context", "answers", "dataset", "language"},
	"trec":          {"_id", "context", "input", "answers", "all_classes"},
	"lsht":          {"_id", "context", "input", "answers", "all_classes"},
	"quality":       {"article", "question", "options", "A", "B", "C", "D", "answers"},
	"leval_qasper":  {"context", "input", "answers"},
	"leval_qmsum":   {"context", "input", "answers"},
}

// Every set of the registry that the shared folder holds opens from there, with
// the number of records that its SOURCES.md tells.
func TestRealRecords(t *testing.T) {
	dir := sharedData(t)
	t.Setenv("REFREEKV_CACHE", t.TempDir())
	t.Setenv("REFREEKV_DATA", dir)
	text, err := os.ReadFile(filepath.Join(dir, "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, row := range sourceRow.FindAllStringSubmatch(string(text), -1) {
		counts[row[1]], _ = strconv.Atoi(row[2])
	}
	opened := 0
	for _, info := range List() {
		file := presentFile(info.Files, counts)
		want := counts[file]
		if file == "" {
			continue
		}
		if questions, ok := realQuestions[info.Name]; ok {
			want = questions
		}
		opened++
		t.Run(info.Name, func(t *testing.T) {
			records, err := Open(t.Context(), info.Name, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(records) != want {
				t.Errorf("%d records, want %d", len(records), want)
			}
			fields := realFields[info.Name]
			if fields == nil {
				fields = []string{"_id", "context", "input", "answers", "dataset", "language"}
			}
			ids := map[string]bool{}
			for i, r := range records {
				if ids[r.ID] || r.ID == "" || r.Index != i || !strings.HasPrefix(r.Source, filepath.Join(dir, file)) {
					t.Errorf("record %d: id %q, index %d, source %s", i, r.ID, r.Index, r.Source)
				}
				ids[r.ID] = true
				for _, f := range fields {
					checkFilled(t, r, f)
				}
				for name, v := range r.Fields {
					checkValue(t, name, v)
				}
			}
			some, err := Open(t.Context(), info.Name, Options{Dir: dir, Limit: 2})
			if err != nil || len(some) != 2 || some[1].ID != records[1].ID {
				t.Errorf("limit 2: %d records, %v", len(some), err)
			}
		})
	}
	if opened != len(counts)-1 { // all but LongBench's own multi_news, whose name is taken
		t.Errorf("only %d sets of the registry are in %s", opened, dir)
	}
}

// realQuestions are the records of sets of which SOURCES.md counts the documents.
var realQuestions = map[string]int{"quality": 79, "leval_qasper": 83, "leval_qmsum": 86}

// presentFile is the first of the names that is there.
func presentFile(names []string, there map[string]int) string {
	for _, name := range names {
		if there[name] > 0 {
			return name
		}
	}
	return ""
}

func checkFilled(t *testing.T, r Record, name string) {
	t.Helper()
	switch v := r.Fields[name].(type) {
	case string:
		if strings.TrimSpace(v) == "" {
			t.Errorf("%s: field %q is empty", r.Source, name)
		}
	case []any:
		if len(v) == 0 {
			t.Errorf("%s: field %q is empty", r.Source, name)
		}
		for _, item := range v {
			if s, ok := item.(string); !ok && r.Fields["dataset"] != nil || ok && strings.TrimSpace(s) == "" {
				t.Errorf("%s: field %q holds %v", r.Source, name, item)
			}
		}
	case nil:
		t.Errorf("%s: field %q is missing", r.Source, name)
	}
}

// CoQA's questions keep their story's order and are asked of that story.
func TestRealCoQA(t *testing.T) {
	dir := sharedData(t)
	records, err := Open(t.Context(), "coqa", Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "coqa.json"))
	if err != nil {
		t.Fatal(err)
	}
	type turn struct {
		Text string `json:"input_text"`
		ID   int    `json:"turn_id"`
	}
	var file struct {
		Data []struct {
			ID, Story          string
			Questions, Answers []turn
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	i := 0
	for _, story := range file.Data {
		for k, q := range story.Questions {
			r := records[i]
			if r.Fields["story"] != story.Story || r.Fields["question"] != q.Text || r.Fields["answer"] != story.Answers[k].Text ||
				r.ID != story.ID+"-"+strconv.Itoa(q.ID) || q.ID != story.Answers[k].ID {
				t.Errorf("record %d is %v", i, r.Fields)
			}
			i++
		}
	}
	if i != len(records) {
		t.Errorf("%d records for %d questions", len(records), i)
	}
}

func adaptAll(adapt func(raw) ([]raw, error), in ...raw) ([]raw, error) {
	var out []raw
	for _, r := range in {
		adapted, err := adapt(r)
		if err != nil {
			return nil, err
		}
		out = append(out, adapted...)
	}
	return out, nil
}

func TestAdapt(t *testing.T) {
	story := func(id any, questions, answers string) raw {
		v, err := decodeJSON([]byte(`{"story":"s","questions":` + questions + `,"answers":` + answers + `}`))
		if err != nil {
			t.Fatal(err)
		}
		fields := v.(object)
		if id != nil {
			fields["id"] = id
		}
		return raw{fields, "f#0"}
	}
	q := `[{"input_text":"q1"},{"input_text":"q2"}]`
	// Made-up stories in CoQA's format, with and without an id.
	turns, err := adaptAll(eachTurn, story("x", q, q), story(nil, q, q), story(nil, q, q))
	if err != nil {
		t.Fatal(err)
	}
	records, err := finish("coqa", turns, Options{Limit: 3}, nil)
	if err != nil || len(records) != 3 || records[1].ID != "x-2" || records[2].ID != "coqa:2" || records[1].Source != "f#0, turn 2" || records[1].Fields["question"] != "q2" {
		t.Errorf("%+v, %v", records, err)
	}
	for _, bad := range []raw{{object{}, "f#0"}, story("x", q, `[{"input_text":"a"}]`), story("x", `"q"`, q), {object{"story": 3}, "f#0"}} {
		_, err := eachTurn(bad)
		wantError(t, err, "f#0: a CoQA record needs a story and as many questions as answers; fetch the file again")
	}
	for _, bad := range []string{`[{"input_text":"q"},{"text":"q"}]`, `[{"input_text":"q"},"q"]`, `[{"input_text":"q"},{"input_text":3}]`} {
		_, err := eachTurn(story("x", bad, q))
		wantError(t, err, "f#0, turn 2: question or answer has no input_text; fetch the file again")
	}
	pictures, err := adaptAll(withoutPictures,
		raw{object{"id": "no field"}, ""}, raw{object{"id": "null", "Picture": nil}, ""}, raw{object{"id": "NONE", "Picture": "NONE"}, ""}, raw{object{"id": "empty", "Picture": ""}, ""},
		raw{object{"id": "a picture", "Picture": "images/1.jpg"}, ""}, raw{object{"id": "a picture of Parquet", "Picture": object{"bytes": "x", "path": nil}}, ""},
	)
	if err != nil || len(pictures) != 4 || pictures[3].fields["id"] != "empty" {
		t.Errorf("%v, %v", pictures, err)
	}
}

// No sample holds a benchmark's text: no 60 letters in a row are shared, blanks,
// digits and punctuation left out.
func TestSamplesAreOurs(t *testing.T) {
	dir := sharedData(t)
	const window = 60
	ours := map[uint64]string{}
	for _, info := range List() {
		if info.embedded == "" {
			continue
		}
		text, err := samples.ReadFile("samples/" + info.embedded)
		if err != nil {
			t.Fatal(err)
		}
		eachWindow(letters(decoded(t, text)), window, func(hash uint64, at string) { ours[hash] = info.Name + ": " + at })
	}
	if len(ours) < 20000 {
		t.Fatalf("only %d windows of samples", len(ours))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		shown := 0
		eachWindow(letters(decoded(t, text)), window, func(hash uint64, at string) {
			if where, shared := ours[hash]; shared && strings.HasSuffix(where, ": "+at) && shown < 3 {
				shown++
				t.Errorf("%s shares %q with %s", e.Name(), at, where)
			}
		})
	}
}

// decoded takes JSON's escapes out, so that \n is no letter n.
func decoded(t *testing.T, text []byte) string {
	t.Helper()
	records, err := newInput("f", 0).readBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var add func(v any)
	add = func(v any) {
		switch v := v.(type) {
		case string:
			b.WriteString(v)
			b.WriteByte(' ')
		case []any:
			for _, item := range v {
				add(item)
			}
		case object:
			for _, item := range v {
				add(item)
			}
		}
	}
	for _, r := range records {
		add(r.fields)
	}
	return b.String()
}

func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// eachWindow calls f with the rolling hash of every window of that many bytes.
func eachWindow(text string, size int, f func(hash uint64, at string)) {
	const base = 1099511628211
	top := uint64(1)
	for range size - 1 {
		top *= base
	}
	hash := uint64(0)
	for i := range len(text) {
		if i >= size {
			hash -= uint64(text[i-size]) * top
		}
		hash = hash*base + uint64(text[i])
		if i >= size-1 {
			f(hash, text[i-size+1:i+1])
		}
	}
}
