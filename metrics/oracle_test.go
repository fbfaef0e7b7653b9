package metrics

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The fixtures are made by testdata/oracle.py from the Python programs.

const tolerance = 1e-9

func fixture(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := json.NewDecoder(unzipped).Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// textCase is a list in the fixture: prediction, answers, classes, scores.
type textCase struct {
	prediction string
	refs       Refs
	scores     []float64
}

func (c *textCase) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&c.prediction, &c.refs.Answers, &c.refs.Classes, &c.scores})
}

type textGroup struct {
	Metrics []string
	Cases   []textCase
}

func TestScoresAreTheOracles(t *testing.T) {
	var scores struct{ Groups []textGroup }
	fixture(t, "scores.json.gz", &scores)
	cases := map[string]int{}
	for _, group := range scores.Groups {
		for i, name := range group.Metrics {
			cases[name] += len(group.Cases)
			t.Run(name, func(t *testing.T) {
				metric, ok := Get(name)
				if !ok {
					t.Fatal("no such metric")
				}
				for at, c := range group.Cases {
					got, want := metric(c.prediction, c.refs), c.scores[i]
					if !(math.Abs(got-want) <= tolerance) {
						t.Errorf("case %d: %.12g, want %.12g\nprediction %.300q\nreferences %.300q", at, got, want, c.prediction, c.refs)
					}
				}
			})
		}
	}
	for _, m := range List() {
		if cases[m.Name] < 500 {
			t.Errorf("%s is held to %d cases of the oracle; want 500 at least", m.Name, cases[m.Name])
		}
	}
}

// recordRow is a list in the fixture: record, answer, seed, hash, scores.
type recordRow struct {
	record, answer int
	seed           uint64
	hash           string
	scores         []float64
}

func (r *recordRow) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&r.record, &r.answer, &r.seed, &r.hash, &r.scores})
}

func TestScoresOfRecordsAreTheOracles(t *testing.T) {
	var records struct {
		Files map[string]struct {
			Field   string
			Metrics []string
			Rows    []recordRow
		}
	}
	fixture(t, "records.json.gz", &records)
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	for name, file := range records.Files {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(shared, "data", name))
			if os.IsNotExist(err) {
				t.Skipf("benchmark records are not here: %v (REFREEKV_SHARED names the folder that holds data/)", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			listed := references(t, data, filepath.Ext(name), file.Field)
			spoil := mangle
			if slices.ContainsFunc(file.Metrics, func(m string) bool { return strings.HasSuffix(m, "_zh") }) {
				spoil = mangleChinese
			}
			for _, row := range file.Rows {
				refs := listed[row.record]
				prediction := spoil(refs.Answers[row.answer], refs.Classes, row.seed)
				hash := sha256.Sum256([]byte(prediction))
				if got := hex.EncodeToString(hash[:6]); got != row.hash {
					t.Fatalf("record %d, answer %d, seed %d: the mangled text differs from the oracle's; is the file another version?",
						row.record, row.answer, row.seed)
				}
				if file.Field == "letters" {
					refs.Answers = []string{refs.Answers[0][1:2]}
				}
				for i, metricName := range file.Metrics {
					metric, ok := Get(metricName)
					if !ok {
						t.Fatalf("no metric %s", metricName)
					}
					if got, want := metric(prediction, refs), row.scores[i]; !(math.Abs(got-want) <= tolerance) {
						t.Errorf("%s of record %d, answer %d, seed %d: %.12g, want %.12g",
							metricName, row.record, row.answer, row.seed, got, want)
					}
				}
			}
		})
	}
}

// references lists the references and class names of each record of a file.
func references(t *testing.T, data []byte, extension, field string) []Refs {
	t.Helper()
	var out []Refs
	if extension == ".csv" {
		rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff")))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			for i, name := range rows[0] {
				if name == field {
					out = append(out, Refs{Answers: []string{row[i]}})
				}
			}
		}
		return out
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var records []map[string]any
	switch {
	case field == "coqa":
		var coqa struct {
			Data []struct {
				Answers []struct {
					InputText string `json:"input_text"`
				}
			}
		}
		if err := decoder.Decode(&coqa); err != nil {
			t.Fatal(err)
		}
		for _, story := range coqa.Data {
			for _, answer := range story.Answers {
				out = append(out, Refs{Answers: []string{answer.InputText}})
			}
		}
		return out
	case extension == ".json":
		if err := decoder.Decode(&records); err != nil {
			t.Fatal(err)
		}
	default:
		for decoder.More() {
			var record map[string]any
			if err := decoder.Decode(&record); err != nil {
				t.Fatal(err)
			}
			records = append(records, record)
		}
	}
	for _, record := range records {
		if field == "letters" {
			for _, answer := range record["outputs"].([]any) {
				out = append(out, Refs{Answers: []string{answer.(string)}})
			}
			continue
		}
		refs := Refs{Answers: []string{pythonText(t, record[field])}}
		if list, ok := record[field].([]any); ok && field != "Answer" {
			refs.Answers = texts(list)
		}
		if classes, ok := record["all_classes"].([]any); ok {
			refs.Classes = texts(classes)
		}
		out = append(out, refs)
	}
	return out
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, item := range list {
		out[i] = item.(string)
	}
	return out
}

// pythonText is Python's str of a value read from JSON.
func pythonText(t *testing.T, value any) string {
	t.Helper()
	switch v := value.(type) {
	case string:
		return v
	case bool:
		if v {
			return "True"
		}
		return "False"
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
		x, err := v.Float64()
		if err != nil {
			t.Fatal(err)
		}
		return PythonFloat(x)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = pythonText(t, item)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	t.Fatalf("unexpected %T", value)
	return ""
}

// chance is the generator of testdata/oracle.py.
type chance uint64

func newChance(seed uint64) *chance {
	c := chance(seed)
	c.below(1)
	return &c
}

func (c *chance) below(n int) int {
	*c = *c*6364136223846793005 + 1442695040888963407
	return int(*c >> 33 % chance(n))
}

func (c *chance) of(items []string) string { return items[c.below(len(items))] }

var odd = []string{
	"the", "a", "An", "THE", "the_", "_a", "a-n", "a\u0301", "e\u0301t", "\u0130stanbul", "\u0131", "ΟΔΟΣ", "Σ", "ΑΣ.", "ΣΑΣ'Α",
	"ʰΣ", "中文", "東京は", "，", "。", "don't", "U.S.A.", "...", ". .", ".", "!?", "—", "\u00a0", "\x1c", "\x1f", "\u2028",
	"\u200b", "\ufeff", "12", "٣٤", "७", "１２", "²", "½", "Ⅷ", "3.5", ".5", "-7", "+7", "1,000", "18.0", "1e5", "ß", "ẞ", "ǅ",
	"ﬁ", "👩\u200d💻", "`", "#", "//", "A", "B:", "C", "D", ":", "answer", "Answer", "[", "(", "True", "Paragraph", "Paragraph 3",
}

var separators = []string{" ", " ", " ", "\n", "\u00a0", "\x1d", "  ", ". ", "\t", "\r\n"}

var prefixes = []string{"", "", "", "\n\n", "The answer is ", "The answer is: ", "Answer: ", "(", "So it is "}

func swapCase(word string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r ^ ' '
		}
		return r
	}, word)
}

// mangle spoils a text with the steps of testdata/oracle.py.
func mangle(text string, more []string, seed uint64) string {
	return manglePieces(text, strings.Split(text, " "), separators, more, seed)
}

// mangleChinese takes pieces of three characters for words.
func mangleChinese(text string, more []string, seed uint64) string {
	pieces := []string{}
	for piece := range slices.Chunk([]rune(text), 3) {
		pieces = append(pieces, string(piece))
	}
	if text == "" {
		pieces = append(pieces, "")
	}
	return manglePieces(text, pieces, []string{"", "", "", " ", "，", "。"}, more, seed)
}

func manglePieces(text string, pieces, separators, more []string, seed uint64) string {
	c := newChance(seed)
	switch c.below(24) {
	case 0:
		return text
	case 1:
		return ""
	case 2:
		return "...!?"
	case 3:
		return swapCase(text)
	}
	rate := 4 + c.below(40)
	var out []string
	for _, word := range pieces {
		step := c.below(rate)
		switch {
		case step == 0:
			continue
		case step == 1:
			word = c.of(odd)
		case step == 2:
			word = swapCase(word)
		case step == 3:
			word += "."
		case step == 4 && len(more) > 0:
			word += " " + c.of(more)
		}
		out = append(out, word)
		switch last := len(out) - 1; {
		case step == 5:
			out = append(out, word)
		case step == 6 && last > 0:
			out[last], out[last-1] = out[last-1], out[last]
		case step == 7:
			out = append(out, c.of(odd))
		}
	}
	prefix := c.of(prefixes)
	return prefix + strings.Join(out, c.of(separators))
}

type pythonFixture struct {
	Floats      [][2]string
	Lower       [][2]string
	LowerRunes  map[string]string `json:"lower_runes"`
	Sigma       map[string][]rune
	Assigned    []rune
	Space       []rune
	Word        []rune
	Digit       []rune
	DigitValues string `json:"digit_values"`
	Punctuation string
	Ratios      [][4]int
	Stems       map[string]string
}

func TestPythonFloat(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	for _, c := range python.Floats {
		bits, err := strconv.ParseUint(c[0], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := PythonFloat(math.Float64frombits(bits)); got != c[1] {
			t.Errorf("bits %s print as %s, want %s", c[0], got, c[1])
		}
	}
}

func TestLowerIsPythons(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	for _, c := range python.Lower {
		if got := lower(c[0]); got != c[1] {
			t.Errorf("lower(%+q) = %+q, want %+q", c[0], got, c[1])
		}
	}
	eachAssigned(python.Assigned, func(r rune) {
		s := string(r)
		want, ok := python.LowerRunes[s]
		if !ok {
			want = s
		}
		if got := lower(s); got != want {
			t.Errorf("lower(%U) = %+q, want %+q", r, got, want)
		}
	})
}

// TestFinalSigmaWithEveryCharacter puts every character before and after a Σ;
// the fixture lists those beside which it becomes ς.
func TestFinalSigmaWithEveryCharacter(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	if len(python.Sigma) != 3 {
		t.Fatalf("%d patterns; want 3", len(python.Sigma))
	}
	for pattern, list := range python.Sigma {
		want := map[rune]bool{}
		eachAssigned(list, func(r rune) { want[r] = true })
		eachAssigned(python.Assigned, func(r rune) {
			if r == 'Σ' || r == 'ς' {
				return
			}
			text := strings.Replace(pattern, "{}", string(r), 1)
			if got := strings.Contains(lower(text), "ς"); got != want[r] {
				t.Errorf("lower(%+q) has a final sigma: %v, want %v", text, got, want[r])
			}
		})
	}
}

// eachAssigned visits the characters that the oracle's Unicode version knows:
// Go's may know more.
func eachAssigned(assigned []rune, visit func(rune)) {
	for i := 0; i < len(assigned); i += 2 {
		for r := assigned[i]; r <= assigned[i+1]; r++ {
			if utf8.ValidRune(r) {
				visit(r)
			}
		}
	}
}

func TestCharacterClassesArePythons(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	isDigit := func(r rune) bool { return digits.MatchString(string(r)) }
	for _, class := range []struct {
		name string
		want []rune
		got  func(rune) bool
	}{
		{"space", python.Space, isSpace},
		{"word", python.Word, isWord},
		{"digit", python.Digit, isDigit},
	} {
		t.Run(class.name, func(t *testing.T) {
			want := map[rune]bool{}
			eachAssigned(class.want, func(r rune) { want[r] = true })
			eachAssigned(python.Assigned, func(r rune) {
				if got := class.got(r); got != want[r] {
					t.Errorf("%U %c: %v, want %v", r, r, got, want[r])
				}
			})
		})
	}
	t.Run("punctuation", func(t *testing.T) {
		eachAssigned(python.Assigned, func(r rune) {
			if got, want := isPunctuation(r), strings.ContainsRune(python.Punctuation, r); got != want {
				t.Errorf("%U %c: %v, want %v", r, r, got, want)
			}
		})
	})
	t.Run("digit values", func(t *testing.T) {
		var all strings.Builder
		eachAssigned(python.Digit, func(r rune) { all.WriteString(asciiDigits(string(r))) })
		if all.String() != python.DigitValues {
			t.Errorf("the digits of all scripts read\n%s, want\n%s", all.String(), python.DigitValues)
		}
	})
}

func TestFuzzRatioRoundsHalvesAsTheLibrary(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	if len(python.Ratios) < 500 {
		t.Fatalf("only %d ratios", len(python.Ratios))
	}
	for _, c := range python.Ratios {
		shared := strings.Repeat("s", c[0])
		got := FuzzRatio(shared+strings.Repeat("f", c[1]), shared+strings.Repeat("t", c[2]))
		if want := float64(c[3]) / 100; math.Abs(got-want) > tolerance {
			t.Errorf("%d letters shared, %d and %d not: %g, want %g", c[0], c[1], c[2], got, want)
		}
	}
}

func TestPorterStemIsNLTKs(t *testing.T) {
	var python pythonFixture
	fixture(t, "python.json.gz", &python)
	if len(python.Stems) < 5000 {
		t.Fatalf("only %d words", len(python.Stems))
	}
	for word, want := range python.Stems {
		if got := PorterStem(word); got != want {
			t.Errorf("PorterStem(%q) = %q, want %q", word, got, want)
		}
	}
}
