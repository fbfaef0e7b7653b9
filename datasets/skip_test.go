package datasets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every kind of malformed record: one clear error by default, left out and
// counted with Options.Skip.
func TestSkip(t *testing.T) {
	good := "{\"id\":1,\"a\":\"x\"}\n"
	more := "{\"id\":2,\"a\":\"y\"}\n"
	whole := gzipped(t, strings.Repeat("{\"a\":\"some text\"}\n", 5000))
	const hasA = "has no text a"
	check := func(r Record) error {
		if _, ok := r.Fields["a"].(string); !ok {
			return fmt.Errorf("%s: %s", r.Source, hasA)
		}
		return nil
	}
	for _, c := range []struct {
		name, file, content string
		want                int    // good records; -1: some
		err                 string // without Skip
		reasons             []string
	}{
		{"nothing bad", "f.jsonl", good + more, 2, "", nil},
		{"missing field", "f.jsonl", good + "{\"id\":2}\n", 1, "f.jsonl:2: " + hasA, []string{"f.jsonl:2: " + hasA}},
		{"wrong type", "f.jsonl", "{\"id\":2,\"a\":[3]}\n" + good, 1, "f.jsonl:1: " + hasA, []string{"f.jsonl:1: " + hasA}},
		{"invalid UTF-8", "f.jsonl", good + "{\"a\":\"\xff\"}\n" + more, 2, "f.jsonl:2: the line is no valid UTF-8; convert the file", []string{"f.jsonl:2: the line is no valid UTF-8"}},
		{"no JSON", "f.jsonl", good + "{\"a\":\n" + more + "{\"a\"}}\n", 2, "f.jsonl:2: no valid JSON", []string{"f.jsonl:2: no valid JSON", "f.jsonl:4: no valid JSON"}},
		{"no object", "f.jsonl", good + "[1]\n" + more, 2, "f.jsonl:2: the line is no JSON object", []string{"f.jsonl:2: the line is no JSON object"}},
		{"the first line", "f.jsonl", "{\"a\":\n" + good + more, 2, "f.jsonl:1: no valid JSON", []string{"f.jsonl:1: no valid JSON"}},
		{"the first line, after a blank one", "f.jsonl", "\n{\"a\":\n" + good, 1, "f.jsonl:2: no valid JSON", []string{"f.jsonl:2: no valid JSON"}},
		{"garbage first", "f.jsonl", "garbage\n" + good, 1, "f.jsonl:1: no valid JSON", []string{"f.jsonl:1: no valid JSON"}},
		{"a repeated id", "f.jsonl", good + more + good, 2, "f.jsonl:3: record id \"1\" stands already in ", []string{"f.jsonl:3: record id \"1\" stands already in "}},
		{"items of a document", "f.json", `[{"a":"x"},3,{"a":"y"},"z"]`, 2, "f.json#1: the item is no JSON object", []string{"f.json#1: the item", "f.json#3: the item"}},
		{"rows of CSV", "f.csv", "a,b\nx,1\ny\nz,\xff\n\"q\"r,2\nw,3\n", 2, "f.csv:3: the row has not as many values as the header (2)",
			[]string{"f.csv:3: the row has not", "f.csv:4: column \"b\" is no valid UTF-8", "f.csv:5: no valid CSV"}},
		{"an open quote", "f.csv", "a,b\nx,1\n\"y,2\nz,3\n", 1, "no valid CSV", []string{"f.csv:4: no valid CSV"}},
		{"a row of Parquet", "f.parquet", string(writeParquet(t, []narrow{{A: "x"}, {A: "caf\xe9"}, {A: "y"}})), -1, "f.parquet#1: column \"A\" is no valid UTF-8", []string{"f.parquet#1: column \"A\" is no valid UTF-8"}},
		{"truncated gzip", "f.jsonl.gz", string(whole[:len(whole)-30]), -1, "the file cannot be read on (unexpected EOF)", []string{"the file cannot be read on (unexpected EOF); fetch or make it again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
			o := Options{Check: check}
			if c.want < 0 {
				o.Check = nil
			}
			_, err := Open(t.Context(), path, o)
			if c.err == "" && err != nil {
				t.Fatal(err)
			}
			if c.err != "" {
				wantError(t, err, c.err)
			}
			var skipped Skipped
			o.Skip = &skipped
			got, err := Open(t.Context(), path, o)
			if err != nil {
				t.Fatal(err)
			}
			if c.want >= 0 && len(got) != c.want || len(got) == 0 {
				t.Errorf("%d records, want %d", len(got), c.want)
			}
			for i, r := range got {
				if r.Index != i {
					t.Errorf("record %d has index %d", i, r.Index)
				}
			}
			if skipped.Records != len(c.reasons) || len(skipped.Reasons) != len(c.reasons) {
				t.Fatalf("skipped %+v, want %q", skipped, c.reasons)
			}
			for i, want := range c.reasons {
				if !strings.Contains(skipped.Reasons[i], want) || !strings.HasPrefix(skipped.Reasons[i], path) {
					t.Errorf("reason %q, want %q", skipped.Reasons[i], want)
				}
			}
		})
	}
}

// A limit counts good records, and only the first reasons are kept.
func TestSkipCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat("[]\n", 7)+"{\"a\":1}\n[]\n{\"a\":2}\n{\"a\":3}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var skipped Skipped
	if got := skipped.String(); got != "no record skipped" {
		t.Errorf("%q", got)
	}
	got, err := Open(t.Context(), path, Options{Limit: 2, Skip: &skipped})
	if err != nil || len(got) != 2 || got[1].Fields["a"] != int64(2) || got[1].Source != path+":10" {
		t.Errorf("%v, %v", got, err)
	}
	if skipped.Records != 8 || len(skipped.Reasons) != mostReasons {
		t.Errorf("%+v", skipped)
	}
	if text := skipped.String(); !strings.HasPrefix(text, "8 malformed records skipped: "+path+":1: ") || !strings.HasSuffix(text, "; …") || strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
}

// Where nothing good is left, or a file cannot be read at all, it is an error.
func TestSkipNothingLeft(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"f.jsonl":   {"[]\n[]\n", "holds no good record (2 malformed records skipped: "},
		"e.jsonl":   {"", "holds no good record (1 malformed records skipped: "},
		"f.json":    {`[{"a":1}`, "no valid JSON"},
		"d.json":    {"{\"data\":\n[1,]}", "no valid JSON"},
		"f.parquet": {"PAR1", "damaged Parquet file"},
		"f.zip":     {"PK\x03\x04", "damaged zip file"},
		"f.csv":     {"a,a\n1,2\n", "stands in the header twice"},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		var skipped Skipped
		_, err := Open(t.Context(), path, Options{Skip: &skipped})
		wantError(t, err, path, c.want)
	}
}

// Adapters refuse records one by one.
func TestSkipAdapted(t *testing.T) {
	pullCache(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "coqa.json")
	turn := `[{"input_text":"x"}]`
	if err := os.WriteFile(path, []byte(`{"data":[{"story":"s","questions":`+turn+`,"answers":`+turn+`},{"story":"s","questions":`+turn+`,"answers":[]},{"story":"t","questions":`+turn+`,"answers":`+turn+`}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	var skipped Skipped
	got, err := Open(t.Context(), "coqa", Options{Dir: dir, Skip: &skipped})
	if err != nil || len(got) != 2 || got[1].Fields["story"] != "t" || skipped.Records != 1 || !strings.HasPrefix(skipped.Reasons[0], path+"#1: ") {
		t.Errorf("%v, %v, %+v", got, err, skipped)
	}
}

// manyBytes is a text that is never in memory whole: a part, so many times a
// filling, another part.
func manyBytes(before string, size int64, after string) io.Reader {
	return io.MultiReader(strings.NewReader(before), io.LimitReader(endless{}, size), strings.NewReader(after))
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A line of 200 MB is refused, or skipped, without being held in memory.
func TestLongLine(t *testing.T) {
	const size = 200 << 20
	if usual := newInput("f", 0); usual.mostLine >= size {
		t.Errorf("a line of %d bytes is read", usual.mostLine)
	}
	for name, c := range map[string]struct {
		before, after string
		line          int
	}{
		"between others":        {"{\"a\":1}\n{\"a\":\"", "\"}\n{\"a\":2}\n", 2},
		"the first":             {"{\"a\":\"", "\"}\n{\"a\":1}\n{\"a\":2}\n", 1},
		"the last, cut off":     {"{\"a\":1}\n{\"a\":2}\n{\"a\":\"", "", 3},
		"the first, of garbage": {"", "\n{\"a\":1}\n{\"a\":2}\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			in := input{path: "f.jsonl", mostLine: 1 << 20, mostBytes: 1 << 30, mostRecords: 10}
			wantMessage := fmt.Sprintf("f.jsonl:%d: the file cannot be read on (the line is longer than 1 MB; a record should be a line of its own)", c.line)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := in.text(manyBytes(c.before, size, c.after))
			wantError(t, err, wantMessage)
			in.skipped = &Skipped{}
			got, err := in.text(manyBytes(c.before, size, c.after))
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]object{{"a": int64(1)}, {"a": int64(2)}}, fieldsOf(got)); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			if in.skipped.Records != 1 || !strings.HasPrefix(in.skipped.Reasons[0], wantMessage) {
				t.Errorf("skipped %+v", in.skipped)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
				t.Errorf("%d MB were allocated in all", used>>20)
			}
		})
	}
}

// A read error in the middle keeps what came before it.
func TestSkipReadError(t *testing.T) {
	in := testInput(0)
	in.skipped = &Skipped{}
	got, err := in.text(io.MultiReader(strings.NewReader(twoLines), failing{}))
	if err != nil || len(got) != 2 || in.skipped.Records != 1 {
		t.Errorf("%v, %v, %+v", got, err, in.skipped)
	}
	in.skipped = nil
	_, err = in.text(io.MultiReader(strings.NewReader(twoLines), failing{}))
	wantError(t, err, "f:3: the file cannot be read on (the disk is on fire)")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the disk is on fire") }

// Skipping never hides a good record: what can be read without it is read with it.
func FuzzSkip(f *testing.F) {
	textReader(f, string(gzipped(f, twoLines)), "{\"a\":\n{}\n", twoLines+"[]\n", "{\"data\":[\n{\"a\":1}\n]}")
	f.Fuzz(func(t *testing.T, content []byte) {
		in := input{path: "f", mostLine: 1 << 12, mostBytes: 1 << 16, mostRecords: 500}
		strict, strictErr := in.read(bytes.NewReader(content), int64(len(content)))
		in.skipped = &Skipped{}
		got, err := in.read(bytes.NewReader(content), int64(len(content)))
		if strictErr == nil && (err != nil || in.skipped.Records > 0 || !cmp.Equal(fieldsOf(strict), fieldsOf(got))) {
			t.Errorf("reads as %v, with skipping as %v, %v, %+v", fieldsOf(strict), fieldsOf(got), err, in.skipped)
		}
		if strictErr != nil && err == nil && in.skipped.Records == 0 {
			t.Errorf("%v was skipped without being counted", strictErr)
		}
		for _, reason := range in.skipped.Reasons {
			if !strings.HasPrefix(reason, "f") || strings.ContainsAny(reason, "\n\r") {
				t.Errorf("reason %q", reason)
			}
		}
	})
}
