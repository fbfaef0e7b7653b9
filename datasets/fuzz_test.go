package datasets

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// seedTexts are texts that the text readers' fuzz tests begin with.
var seedTexts = []string{
	"", "\n", "\ufeff", twoLines, twoRows, "{\"a\":1}\r\n\r\n{\"a\":1.5,\"b\":[null,{\"c\":true}]}", `[{"a":"x"},{"a":[]}]`, "{\n\"data\":[{}]}",
	`{"data":[{"a":1},{"id":3}]}`, `{"a":9223372036854775808,"b":1e999,"c":-0.0}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}", "{}\n{}}\n", "[[1]]", "[{},3]",
	"a,b\r\n\"x\r\ny\",\"\"\"\"\r\n", "a,b\n\"", "a,b\n1,2,3", ",\n,", "a,a\n1,2", "\x1f\x8b", "PK\x03\x04", "PAR1PAR1", "\xff\xfea\x00",
}

// checkRead holds what is true of every reader and content: an error is one
// line that begins with the file, records are decoded, and a limit gives the
// first of them.
func checkRead(t *testing.T, read func(input) ([]raw, error)) {
	t.Helper()
	in := input{path: "f", mostLine: 64 << 10, mostBytes: 1 << 20, mostRecords: 500}
	all, err := read(in)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "f") || strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 2000 {
			t.Errorf("error %q", err)
		}
		return
	}
	for i, r := range all {
		if r.fields == nil || !strings.HasPrefix(r.source, "f") {
			t.Fatalf("record %d: %+v", i, r)
		}
		for name, v := range r.fields {
			checkValue(t, name, v)
		}
	}
	for limit := 1; limit <= min(3, len(all)); limit++ {
		in.limit = limit
		some, err := read(in)
		if err != nil {
			t.Fatalf("all can be read, but not the first %d: %v", limit, err)
		}
		if diff := cmp.Diff(fieldsOf(all[:limit]), fieldsOf(some)); diff != "" {
			t.Errorf("limit %d (-want +got) %s", limit, diff)
		}
	}
}

// checkValue holds a value to the types that Record promises.
func checkValue(t *testing.T, name string, v any) {
	t.Helper()
	switch v := v.(type) {
	case nil, bool, int64, float64, json.Number, string:
	case []any:
		for _, item := range v {
			checkValue(t, name, item)
		}
	case map[string]any:
		for _, item := range v {
			checkValue(t, name, item)
		}
	default:
		t.Fatalf("field %q holds a %T", name, v)
	}
}

func textReader(f *testing.F, seeds ...string) {
	for _, s := range append(seeds, seedTexts...) {
		f.Add([]byte(s))
	}
}

func FuzzReadLines(f *testing.F) {
	textReader(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		var got []raw
		checkRead(t, func(in input) ([]raw, error) {
			records, err := in.lines(newLines(bytes.NewReader(content), in.mostLine))
			if err == nil && in.limit == 0 {
				got = records
			}
			return records, err
		})
		if bytes.Contains(content, []byte("-0")) {
			return // the float -0.0 is written as the integer -0
		}
		// What was read comes back when it is written again, a record a line.
		once := writeLines(t, got)
		back, err := input{path: "f", mostLine: 1 << 20, mostBytes: 8 << 20, mostRecords: 500}.lines(newLines(strings.NewReader(once), 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, writeLines(t, back)); diff != "" {
			t.Errorf("(-first +again) %s", diff)
		}
	})
}

func writeLines(t *testing.T, records []raw) string {
	t.Helper()
	var out strings.Builder
	for _, r := range records {
		line, err := json.Marshal(r.fields)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	return out.String()
}

func FuzzReadJSON(f *testing.F) {
	textReader(f, `{"data":[{"story":"s","questions":[{"input_text":"q"}],"answers":[{"input_text":"a"}]}]}`,
		`[{"Question":"q","Correct Answer":"a","Incorrect Answer 1":"b","Incorrect Answer 2":"c","Incorrect Answer 3":"d","Record ID":"r"}]`,
		`[{"question":"q","subject":"astronomy","choices":["a","b","c","d"],"answer":1},{"question":"q","subject":"astronomy","A":"a","B":"b","C":"c","D":"d","answer":"D"}]`,
		`[{"article":"a","questions":[{"question":"q","options":["a","b","c","d"],"gold_label":4,"question_unique_id":"u"}]}]`,
		`[{"input":"d","instructions":["q\n (A) a\n (B) b\n (C) c\n (D) d"],"outputs":["(C) c"]},{"length":4000}]`)
	f.Fuzz(func(t *testing.T, content []byte) {
		checkRead(t, func(in input) ([]raw, error) {
			return in.json(newLines(bytes.NewReader(content), in.mostLine))
		})
		// The adapters get whatever the file holds.
		records, err := input{path: "f", mostLine: 64 << 10, mostBytes: 1 << 20, mostRecords: 500}.json(newLines(bytes.NewReader(content), 64<<10))
		if err != nil {
			return
		}
		for _, info := range registry {
			if info.adapt == nil {
				continue
			}
			var skipped Skipped
			for _, r := range records {
				fields := maps.Clone(r.fields)
				adapted, err := info.adapt(raw{fields, r.source})
				if err != nil {
					wantError(t, err, "f#")
					continue
				}
				if _, err := finish("set", adapted, Options{Skip: &skipped}, nil); err != nil {
					wantError(t, err)
				}
			}
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	textReader(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		checkRead(t, func(in input) ([]raw, error) {
			records, err := in.csv(newLines(bytes.NewReader(content), in.mostLine))
			for _, r := range records {
				for name, v := range r.fields {
					if s, ok := v.(string); !ok || !utf8.ValidString(s) || !utf8.ValidString(name) {
						t.Fatalf("field %q holds %q", name, v)
					}
				}
				if len(r.fields) != len(records[0].fields) {
					t.Fatalf("%s has other fields than the first record", r.source)
				}
			}
			return records, err
		})
	})
}

// FuzzReadText takes the way that a file takes: format by content.
func FuzzReadText(f *testing.F) {
	textReader(f, string(gzipped(f, twoLines)), string(zipped(f, "a.jsonl", twoLines)))
	f.Fuzz(func(t *testing.T, content []byte) {
		checkRead(t, func(in input) ([]raw, error) { return in.readBytes(content) })
	})
}

func FuzzReadZip(f *testing.F) {
	f.Add(zipped(f, "a.jsonl", twoLines), "")
	f.Add(zipped(f, "data/", "", "data/qasper.jsonl", twoLines, "data/b.csv", twoRows), "qasper.jsonl")
	f.Add(zipped(f, "../\n.json", "[{}]"), "")
	f.Add(zipped(f), "")
	f.Add(zipped(f, "a.jsonl", twoLines)[:70], "a.jsonl")
	f.Add(readTestdata(f, "gpqa/streamed.zip"), "-") // encrypted
	f.Add(readTestdata(f, "gpqa/stored.zip"), "gpqa_main.csv")
	f.Add(zipped(f, "x-00000-of-00002.csv", twoRows, "x-00001-of-00002.csv", twoRows), "")
	f.Fuzz(func(t *testing.T, content []byte, member string) {
		if !utf8.ValidString(member) || strings.ContainsAny(member, "\n\r") {
			return // a member's name is ours
		}
		checkRead(t, func(in input) ([]raw, error) {
			in.member, in.password = member, "deserted-untie-orchid"
			return in.zip(bytes.NewReader(content), int64(len(content)))
		})
	})
}

func FuzzReadParquet(f *testing.F) {
	for _, name := range []string{"plain.parquet", "gzip.parquet", "none.parquet", "kinds.parquet", "more.parquet"} {
		f.Add(readTestdata(f, name))
	}
	f.Add(readTestdata(f, "snappy.parquet")[:400])
	f.Add([]byte("PAR1\x15\x04\x10\x00\x00\x00PAR1"))
	f.Fuzz(func(t *testing.T, content []byte) {
		checkRead(t, func(in input) ([]raw, error) {
			return in.parquet(bytes.NewReader(content), int64(len(content)))
		})
	})
}

// FuzzOpenName: no name makes Open panic, and options are taken or refused.
func FuzzOpenName(f *testing.F) {
	for _, s := range []string{"", " ", "needle", "needle length=10 depth=1", "recall pairs=3 seed=2", "needle length=nan", "needle_grid length=1000,2000 depth=0,1 needle=sandwich haystack=own", "vt hops=3 chains=2", "needle =", "gsm8k x=1", "no such set", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		words := strings.Fields(name)
		if len(words) < 2 {
			return
		}
		at := slices.IndexFunc(registry, func(i Info) bool { return i.Name == words[0] })
		if at < 0 {
			return
		}
		chosen, err := registry[at].settings(words[1:])
		if err != nil {
			wantError(t, err, "data set "+words[0])
			return
		}
		for _, o := range registry[at].options {
			if o.words != nil && !slices.Contains(o.words, chosen.words[o.name]) || o.words == nil && len(chosen.numbers[o.name]) == 0 {
				t.Errorf("%s: %s is %q, %v", name, o.name, chosen.words[o.name], chosen.numbers[o.name])
			}
			for _, x := range chosen.numbers[o.name] {
				if x != o.otherwise && !(x >= o.least && x <= o.most) {
					t.Errorf("%s: %s is %g", name, o.name, x)
				}
			}
		}
	})
}
