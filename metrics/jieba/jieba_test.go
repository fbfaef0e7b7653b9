package jieba

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// The fixtures are made by testdata/oracle.py from the Python package.

func fixture(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(unzipped).Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type cutCase struct {
	text          string
	with, without []string
}

func (c *cutCase) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&c.text, &c.with, &c.without})
}

func TestCutIsJiebas(t *testing.T) {
	var cases []cutCase
	fixture(t, "cuts.json.gz", &cases)
	if len(cases) < 800 {
		t.Fatalf("only %d texts", len(cases))
	}
	for _, c := range cases {
		for useHMM, want := range map[bool][]string{true: c.with, false: c.without} {
			got := Cut(c.text, useHMM)
			if strings.Join(got, "\x00") != strings.Join(want, "\x00") {
				t.Errorf("%q, HMM %v:\n got %q\nwant %q", c.text, useHMM, got, want)
			}
		}
	}
}

type recordRow struct {
	file, field   string
	record, line  int
	with, without string
}

func (r *recordRow) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&r.file, &r.record, &r.field, &r.line, &r.with, &r.without})
}

func TestCutsOfRecordsAreJiebas(t *testing.T) {
	var rows []recordRow
	fixture(t, "records.json.gz", &rows)
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	files := map[string][]map[string]any{}
	for _, row := range rows {
		records, ok := files[row.file]
		if !ok {
			data, err := os.ReadFile(filepath.Join(shared, "data", row.file+".jsonl"))
			if os.IsNotExist(err) {
				t.Skipf("benchmark records are not here: %v (REFREEKV_SHARED names the folder that holds data/)", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			decoder := json.NewDecoder(strings.NewReader(string(data)))
			for decoder.More() {
				var record map[string]any
				if err := decoder.Decode(&record); err != nil {
					t.Fatal(err)
				}
				records = append(records, record)
			}
			files[row.file] = records
		}
		text := line(records[row.record][row.field], row.line)
		for useHMM, want := range map[bool]string{true: row.with, false: row.without} {
			sum := sha256.Sum256([]byte(strings.Join(Cut(text, useHMM), "\x00")))
			if got := hex.EncodeToString(sum[:5]); got != want {
				t.Errorf("%s, record %d, %s, line %d, HMM %v: the words differ from jieba's", row.file, row.record, row.field, row.line, useHMM)
			}
		}
	}
}

// line is a line of a field; a list of texts is joined by line breaks.
func line(field any, n int) string {
	text, ok := field.(string)
	if !ok {
		var parts []string
		for _, part := range field.([]any) {
			parts = append(parts, part.(string))
		}
		text = strings.Join(parts, "\n")
	}
	return strings.Split(text, "\n")[n]
}

func TestCutBadBytes(t *testing.T) {
	if diff := cmp.Diff([]string{"中国", "\ufffd", "人"}, Cut("中国\xff\xfe人", true)); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
}

// A megabyte of one run of characters goes through both the dictionary's path
// and the model's.
func TestCutLongRun(t *testing.T) {
	for _, part := range []string{"中华人民共和国", "蒹葭鼗鞞", "a", "。"} {
		text := strings.Repeat(part, 1<<20/len(part))
		if got := strings.Join(Cut(text, true), ""); got != text {
			t.Errorf("the words of repeated %q are not the text", part)
		}
	}
}

func FuzzCut(f *testing.F) {
	for _, seed := range []string{"他来到了网易杭研大厦", "γ射线 a-b%\r\n", "\xff中", "ＡＢ龥鿖", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		valid := strings.ToValidUTF8(text, "\ufffd")
		for _, useHMM := range []bool{true, false} {
			words := Cut(text, useHMM)
			if strings.Join(words, "") != valid {
				t.Errorf("HMM %v: the words %q are not the text %q", useHMM, words, valid)
			}
			for _, w := range words {
				if w == "" || !utf8.ValidString(w) {
					t.Errorf("HMM %v: word %q of %q", useHMM, w, text)
				}
			}
		}
	})
}
