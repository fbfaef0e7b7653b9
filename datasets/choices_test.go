package datasets

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// optionsOf are the four options of a multiple-choice record, checked against
// its lines.
func optionsOf(t *testing.T, r Record) []string {
	t.Helper()
	var out, lines []string
	for _, name := range optionNames {
		text, ok := r.Fields[name].(string)
		if !ok {
			t.Fatalf("%s: option %s is %v", r.Source, name, r.Fields[name])
		}
		out, lines = append(out, text), append(lines, name+": "+text)
	}
	if want := strings.Join(lines, "\n"); r.Fields["options"] != want {
		t.Errorf("%s: options %q, want %q", r.Source, r.Fields["options"], want)
	}
	return out
}

// rightOption is the text of the gold letter.
func rightOption(t *testing.T, r Record) string {
	t.Helper()
	answers := answersOf(r)
	if len(answers) != 1 || !slices.Contains(optionNames, answers[0]) {
		t.Fatalf("%s: answers %v", r.Source, answers)
	}
	return optionsOf(t, r)[slices.Index(optionNames, answers[0])]
}

// GPQA's encrypted archive, as its authors publish it, from the cache and from a
// folder, and the plain file of a user's own. The questions are made up.
func TestGPQA(t *testing.T) {
	cache := pullCache(t)
	put := func(path string, content []byte) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	archive := readTestdata(t, "gpqa/gpqa.zip")
	put(filepath.Join(cache, "datasets", "gpqa", "dataset.zip"), archive)
	want, err := Open(t.Context(), "gpqa", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 3 {
		t.Fatalf("%d records", len(want))
	}
	columns := [][]string{
		{"80 kg m/s", "20 kg m/s", "160 J", "40 kg m/s"}, {"level", "lever", "revel; or, so", "label"}, {"seven\n", "eight\n", "nine\n", "none\n"},
	}
	for i, r := range want {
		if right := rightOption(t, r); right != columns[i][0] {
			t.Errorf("%s: the right option is %q, want %q", r.Source, right, columns[i][0])
		}
		var inOrder []string
		for _, column := range r.Fields["option_order"].([]any) {
			inOrder = append(inOrder, columns[i][column.(int64)])
		}
		if diff := cmp.Diff(inOrder, optionsOf(t, r)); diff != "" {
			t.Errorf("%s: options (-option_order +got) %s", r.Source, diff)
		}
		if r.Fields["option_seed"] != int64(gpqaSeed) {
			t.Errorf("%s: seed %v", r.Source, r.Fields["option_seed"])
		}
	}
	if r := want[2]; r.ID != "recC3" || r.Fields["question"] != "How many bridges cross the river Ünne?\n\n\n" || r.Fields["domain"] != "Chemistry" || r.Fields["subdomain"] != "Rivers (made up)" {
		t.Errorf("record %v", r)
	}
	// The order is a fact of the benchmark: it may never change.
	var letters string
	for _, r := range want {
		letters += answersOf(r)[0]
	}
	if letters != "DCA" {
		t.Errorf("gold letters %s", letters)
	}

	text := memberText(t, archive)
	for name, dir := range map[string]string{
		"archive":          put(filepath.Join(t.TempDir(), "dataset.zip"), archive),
		"not compressed":   put(filepath.Join(t.TempDir(), "dataset.zip"), readTestdata(t, "gpqa/stored.zip")),
		"plain CSV":        put(filepath.Join(t.TempDir(), "gpqa_main.csv"), text),
		"plain, packed":    put(filepath.Join(t.TempDir(), "gpqa.csv"), gzipped(t, string(text))),
		"JSON, by columns": put(filepath.Join(t.TempDir(), "gpqa.json"), csvAsJSON(t, text)),
	} {
		got, err := Open(t.Context(), "gpqa", Options{Dir: dir})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i := range got {
			if diff := cmp.Diff(want[i].Fields, got[i].Fields); diff != "" {
				t.Errorf("%s: (-want +got) %s", name, diff)
			}
		}
	}
	some, err := Open(t.Context(), "gpqa", Options{Limit: 2})
	if err != nil || len(some) != 2 || !cmp.Equal(some[1].Fields, want[1].Fields) {
		t.Errorf("limit 2: %v, %v", some, err)
	}
}

// memberText decrypts the main set.
func memberText(t *testing.T, archive []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range z.File {
		if filepath.Base(m.Name) == "gpqa_main.csv" {
			content, err := decrypted(m, "deserted-untie-orchid")
			if err != nil {
				t.Fatal(err)
			}
			defer content.Close()
			var b bytes.Buffer
			if _, err := b.ReadFrom(content); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
	}
	t.Fatal("no such member")
	return nil
}

func csvAsJSON(t *testing.T, text []byte) []byte {
	t.Helper()
	records, err := testInput(0).readBytes(text)
	if err != nil {
		t.Fatal(err)
	}
	return []byte("[" + strings.ReplaceAll(strings.TrimSuffix(writeLines(t, records), "\n"), "\n", ",") + "]")
}

func TestEncryptedZip(t *testing.T) {
	whole := readTestdata(t, "gpqa/streamed.zip")
	in := testInput(0)
	in.password = "deserted-untie-orchid"
	if got, err := in.readBytes(whole); err != nil || len(got) != 3 || got[0].source != "f/-:2" {
		t.Errorf("packed from a pipe: %v, %v", got, err)
	}
	_, err := testInput(0).readBytes(whole)
	wantError(t, err, "f/- is encrypted; unpack it and name the file")
	in.password = "another"
	for name, want := range map[string]string{"gpqa/streamed.zip": "f/-: damaged zip file (the password is wrong); fetch or make it again", "gpqa/gpqa.zip": "the password is wrong"} {
		in.member = map[string]string{"gpqa/gpqa.zip": "gpqa_main.csv"}[name]
		_, err = in.readBytes(readTestdata(t, name))
		wantError(t, err, want)
	}
	// No damage passes unseen, and none makes the reader panic.
	in.password, in.member = "deserted-untie-orchid", "-"
	want, err := in.readBytes(whole)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		got, err := in.readBytes(damaged)
		if err == nil && !cmp.Equal(fieldsOf(got), fieldsOf(want)) {
			t.Errorf("bit of byte %d: other records", i)
		}
		if err == nil {
			passed++
		}
	}
	if passed > len(whole)/3 { // times, names and headers that stand twice
		t.Errorf("%d of %d damaged files still read", passed, len(whole))
	}
	for _, c := range []struct {
		name  string
		spoil func(m *zip.FileHeader)
		want  string
	}{
		{"AES", func(m *zip.FileHeader) { m.Method = 99 }, "method 99"},
		{"a header cut off", func(m *zip.FileHeader) { m.CompressedSize64 = 5 }, "its encryption header is cut off"},
	} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		m := &zip.FileHeader{Name: "a.csv", Flags: encryptedFlag, CompressedSize64: 40, UncompressedSize64: 28, Method: zip.Store}
		c.spoil(m)
		w, err := z.CreateRaw(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, m.CompressedSize64)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		in.member = ""
		_, err = in.readBytes(b.Bytes())
		wantError(t, err, "f/a.csv: damaged zip file (", c.want)
	}
}

func TestMMLU(t *testing.T) {
	pullCache(t)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The authors' files: no header, a subject each. The questions are made up.
	write("mmlu/test/astronomy_test.csv", "\"How far, about, is the mill?\",near,far,farther,not at all,C\nWhat is bright?,a,b,c,d,A\n")
	write("mmlu/test/abstract_algebra_test.csv", "What is 1+1?,1,2,3,4,B\n")
	write("mmlu/test/anatomy_test.csv", "Not STEM?,a,b,c,d,A\n")
	read := func() []Record {
		t.Helper()
		got, err := Open(t.Context(), "mmlu_stem", Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := read()
	var facts []string
	for _, r := range got {
		facts = append(facts, fmt.Sprint(r.Fields["subject"], "|", r.Fields["question"], "|", rightOption(t, r)))
	}
	want := []string{"abstract_algebra|What is 1+1?|2", "astronomy|How far, about, is the mill?|farther", "astronomy|What is bright?|a"}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	// The hub's columns.
	write("mmlu_stem.jsonl", `{"question":"What is 1+1?","subject":"abstract_algebra","choices":["1","2","3","4"],"answer":1}
{"question":"Not STEM?","subject":"anatomy","choices":["a","b","c","d"],"answer":0}
{"question":"How far, about, is the mill?","subject":"astronomy","choices":["near","far","farther","not at all"],"answer":2}
{"question":"What is bright?","subject":"astronomy","choices":["a","b","c","d"],"answer":0}
`)
	again := read()
	for i := range got {
		if diff := cmp.Diff(got[i].Fields, again[i].Fields); diff != "" {
			t.Errorf("(-CSV +JSON) %s", diff)
		}
	}
	for _, c := range []struct{ fields, want string }{
		{`{"question":"q","subject":"astronomy","choices":["a","b","c"],"answer":1}`, "four choices"},
		{`{"question":"q","subject":"astronomy","choices":["a","b","c","d"],"answer":4}`, "answer (0 to 3"},
		{`{"question":"q","subject":"astronomy","choices":["a","b","c","d"],"answer":-1}`, "answer (0 to 3"},
		{`{"question":"q","subject":"astronomy","choices":["a","b","c","d"],"answer":"E"}`, "answer (0 to 3"},
		{`{"question":3,"subject":"astronomy","choices":["a","b","c","d"],"answer":1}`, "an MMLU record needs question"},
		{`{"question":"q","choices":["a","b","c","d"],"answer":1}`, `field "subject" is missing, and the file is not named SUBJECT_test.csv`},
	} {
		write("mmlu_stem.jsonl", c.fields+"\n")
		_, err := Open(t.Context(), "mmlu_stem", Options{Dir: dir})
		wantError(t, err, filepath.Join(dir, "mmlu_stem.jsonl")+":1: ", c.want)
	}
	if len(stemSubjects) != 18 || !slices.IsSorted(stemSubjects) {
		t.Errorf("subjects %v", stemSubjects)
	}
}

// QuALITY's own lines; the article is made up.
func TestQuality(t *testing.T) {
	pullCache(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "QuALITY.v1.0.1.htmlstripped.dev")
	line := func(set, question, label string) string {
		return `{"article_id":"1","set_unique_id":"` + set + `","article":"The mill stood.","questions":[{"question":"` + question + `","question_unique_id":"` + set + `_1","options":["w","x","y","z"],"gold_label":` + label + `,"difficult":1},{"question":"second","question_unique_id":"` + set + `_2","options":["1","2","3","4"],"gold_label":4,"difficult":0}]}` + "\n"
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(line("a", "first", "2") + line("b", "third", "1"))
	got, err := Open(t.Context(), "quality", Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var facts []string
	for _, r := range got {
		facts = append(facts, fmt.Sprint(r.ID, "|", r.Fields["article"], "|", r.Fields["question"], "|", rightOption(t, r), "|", r.Fields["difficult"]))
	}
	want := []string{"a_1|The mill stood.|first|x|1", "a_2|The mill stood.|second|4|0", "b_1|The mill stood.|third|w|1", "b_2|The mill stood.|second|4|0"}
	if diff := cmp.Diff(want, facts); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	if got[1].Source != path+":1, question 2" {
		t.Errorf("source %s", got[1].Source)
	}
	for label, want := range map[string]string{"0": "gold_label (1 to 4", "5": "gold_label (1 to 4", `"2"`: "gold_label (1 to 4", "null": "the test split has none"} {
		write(line("a", "first", label))
		_, err := Open(t.Context(), "quality", Options{Dir: dir})
		wantError(t, err, path+":1, question 1: it needs question, four options and "+"gold_label", want)
	}
	for _, text := range []string{`{"article":3,"questions":[]}`, `{"article":"a"}`, `{"article":"a","questions":"q"}`} {
		write(text + "\n")
		_, err := Open(t.Context(), "quality", Options{Dir: dir})
		wantError(t, err, path+":1: a QuALITY record needs an article and questions; fetch the file again")
	}
}

func TestLEval(t *testing.T) {
	instruction := "Why?\n\n (A) one \n (B) two \n (C) three; (A) again \n (D) four. "
	record := func(instructions, outputs []any) raw {
		return raw{object{"input": "d", "instructions": instructions, "outputs": outputs, "evaluation": "exam"}, "f:1"}
	}
	got, err := qualityChoices(record([]any{instruction, instruction}, []any{"(B) two", "(D) four."}))
	if err != nil {
		t.Fatal(err)
	}
	want := choices("Why?", []string{"one", "two", "three; (A) again", "four."}, 1)
	want["article"] = "d"
	if diff := cmp.Diff(want, got[0].fields); diff != "" || len(got) != 2 || got[1].source != "f:1, question 2" || !cmp.Equal(got[1].fields["answers"], []any{"D"}) {
		t.Errorf("(-want +got) %s%v", diff, got[1])
	}
	for name, r := range map[string]raw{
		"three options": record([]any{"Why?\n (A) one\n (B) two\n (C) three"}, []any{"(B) two"}),
		"no letter":     record([]any{instruction}, []any{"two"}),
		"E":             record([]any{instruction}, []any{"(E) two"}),
	} {
		_, err := qualityChoices(r)
		if err == nil {
			t.Errorf("%s passes", name)
			continue
		}
		wantError(t, err, "f:1, question 1: it needs four options")
	}
	_, err = qualityChoices(record([]any{"Why?\n (A) one\n (C) two\n (B) three\n (D) four"}, []any{"(B) two"}))
	wantError(t, err, "f:1, question 1: option 2 is not B")
	for name, r := range map[string]raw{
		"fewer outputs": record([]any{"a", "b"}, []any{"x"}),
		"a number":      record([]any{"a", int64(3)}, []any{"x", "y"}),
		"no document":   {object{"instructions": []any{"a"}, "outputs": []any{"x"}}, "f:1"},
	} {
		for _, adapt := range []func(raw) ([]raw, error){qualityChoices, eachInstruction} {
			_, err := adapt(r)
			if err == nil {
				t.Errorf("%s passes", name)
				continue
			}
			wantError(t, err, "f:1: an L-Eval record needs input (the document) and as many instructions as outputs; fetch the file again")
		}
	}
	questions, err := eachInstruction(record([]any{"a", "b"}, []any{"x", "y"}))
	if err != nil || len(questions) != 2 || !cmp.Equal(questions[1].fields, object{"context": "d", "input": "b", "answers": []any{"y"}}) {
		t.Errorf("%v, %v", questions, err)
	}
}

func TestLengthBuckets(t *testing.T) {
	for length, want := range map[int64]string{0: "0-4k", 3999: "0-4k", 4000: "4-8k", 7999: "4-8k", 8000: "8k+", 60000: "8k+"} {
		got, err := lengthBucket(raw{object{"length": length}, "f:1"})
		if err != nil || got[0].fields["length_bucket"] != want || got[0].fields["length"] != length {
			t.Errorf("length %d: %v, %v", length, got, err)
		}
	}
	for _, fields := range []object{{}, {"length": "5"}, {"length": 1.5}} {
		_, err := lengthBucket(raw{fields, "f:1"})
		wantError(t, err, `f:1: field "length" is no whole number`)
	}
}
