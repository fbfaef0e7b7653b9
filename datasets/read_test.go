package datasets

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type object = map[string]any

// testInput reads from something called "f", with small bounds.
func testInput(limit int) input {
	return input{path: "f", limit: limit, mostLine: 4 << 20, mostBytes: 8 << 20, mostRecords: 1000}
}

func (in input) readBytes(content []byte) ([]raw, error) {
	return in.read(bytes.NewReader(content), int64(len(content)))
}

func fieldsOf(records []raw) []object {
	var out []object
	for _, r := range records {
		out = append(out, r.fields)
	}
	return out
}

func sourcesOf(records []raw) []string {
	var out []string
	for _, r := range records {
		out = append(out, r.source)
	}
	return out
}

// wantError wants an error of one line that says all of that.
func wantError(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", says)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("the error has several lines: %q", err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q; want it to say %q", err, s)
		}
	}
}

func TestReadText(t *testing.T) {
	ab := []object{{"a": "x"}, {"a": "y"}}
	for _, c := range []struct {
		name, text string
		limit      int
		want       []object
		sources    []string
	}{
		{"JSON Lines", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n", 0, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, last line without newline", "{\"a\":\"x\"}\n{\"a\":\"y\"}", 0, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, CRLF", "{\"a\":\"x\"}\r\n{\"a\":\"y\"}\r\n", 0, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, byte-order mark", "\ufeff{\"a\":\"x\"}\n{\"a\":\"y\"}\n", 0, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, blank lines anywhere", "\n \t\r\n{\"a\":\"x\"}\n\n\n{\"a\":\"y\"}\n  \n\n", 0, ab, []string{"f:3", "f:6"}},
		{"JSON Lines, blanks around the object", "  {\"a\":\"x\"} \n\t{\"a\":\"y\"}\t", 0, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, limit", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n{\"a\":\"z\"}\n", 2, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, limit above what there is", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n", 9, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, what is behind the limit is not read", "{\"a\":\"x\"}\n{\"a\":\"y\"}\n{broken", 2, ab, []string{"f:1", "f:2"}},
		{"JSON Lines, one record", `{"a":"x"}`, 0, ab[:1], []string{"f:1"}},
		{"JSON Lines, a record with a list of objects under data", "{\"data\":[{\"b\":1}]}\n{\"data\":[]}", 0, []object{{"data": []any{object{"b": int64(1)}}}, {"data": []any{}}}, []string{"f:1", "f:2"}},
		{"JSON Lines, one record with a list of texts under data", `{"data":["b"]}`, 0, []object{{"data": []any{"b"}}}, []string{"f:1"}},
		{"JSON Lines, values of every kind", `{"i":3,"n":-0,"f":3.0,"e":1e3,"s":"3","t":true,"z":null,"l":[1,2.5,"q",[]],"o":{"p":{"q":7}},"big":9223372036854775807,"bigger":9223372036854775808,"huge":1e999}`, 0, []object{{
			"i": int64(3), "n": int64(0), "f": 3.0, "e": 1000.0, "s": "3", "t": true, "z": nil, "l": []any{int64(1), 2.5, "q", []any{}},
			"o": object{"p": object{"q": int64(7)}}, "big": int64(9223372036854775807), "bigger": json.Number("9223372036854775808"), "huge": json.Number("1e999"),
		}}, []string{"f:1"}},
		{"JSON Lines, escapes", `{"a":"\u00e9\n\"\ud83d\ude00 \u2028"}`, 0, []object{{"a": "é\n\"😀 \u2028"}}, []string{"f:1"}},
		{"JSON Lines, a line separator inside a text is no end of line", "{\"a\":\"x\u2028y\u0085\"}\n", 0, []object{{"a": "x\u2028y\u0085"}}, []string{"f:1"}},
		{"JSON array", `[{"a":"x"},{"a":"y"}]`, 0, ab, []string{"f#0", "f#1"}},
		{"JSON array over lines, byte-order mark, blank lines", "\ufeff\n\r\n[\r\n {\"a\": \"x\"},\n\n {\"a\": \"y\"}\n]\n\n", 0, ab, []string{"f#0", "f#1"}},
		{"JSON array, limit", `[{"a":"x"},{"a":"y"},3]`, 2, ab, []string{"f#0", "f#1"}},
		{"JSON object with data, over lines", "{\n \"version\": 1,\n \"data\": [{\"a\":\"x\"},{\"a\":\"y\"}]\n}", 0, ab, []string{"f#0", "f#1"}},
		{"JSON object with data, on one line", "{\"version\": 1, \"data\": [{\"a\":\"x\"},{\"a\":\"y\"}]}\n \n", 0, ab, []string{"f#0", "f#1"}},
		{"JSON object with data, on one line, limit", `{"data": [{"a":"x"},{"a":"y"},{"a":"z"}]}`, 2, ab, []string{"f#0", "f#1"}},
		{"CSV", "a,b\nx,1\ny,2\n", 0, []object{{"a": "x", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:2", "f:3"}},
		{"CSV, byte-order mark, CRLF, last line without newline", "\ufeffa,b\r\nx,1\r\ny,2", 0, []object{{"a": "x", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:2", "f:3"}},
		{"CSV, blank lines anywhere", "\n\na,b\n\nx,1\n\n\ny,2\n\n", 0, []object{{"a": "x", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:5", "f:8"}},
		{"CSV, quotes", "a,\"b c\"\n\"x, \"\"y\"\"\nz\",\"\"\n", 0, []object{{"a": "x, \"y\"\nz", "b c": ""}}, []string{"f:2"}},
		{"CSV, rows over several lines count lines", "a,b\n\"x\n\n\",1\ny,2\n", 0, []object{{"a": "x\n\n", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:2", "f:5"}},
		{"CSV, blanks kept", "a,b\n x , {[1]} \n", 0, []object{{"a": " x ", "b": " {[1]} "}}, []string{"f:2"}},
		{"CSV, limit", "a,b\nx,1\ny,2\nz\n", 2, []object{{"a": "x", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:2", "f:3"}},
		{"CSV, header only", "a,b\n", 0, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := testInput(c.limit).readBytes([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, fieldsOf(got)); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			if diff := cmp.Diff(c.sources, sourcesOf(got)); diff != "" {
				t.Errorf("sources (-want +got) %s", diff)
			}
		})
	}
}

func TestReadTextErrors(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"nothing", "", "f is empty; it should hold records"},
		{"blanks", " \n\r\n\t\n", "f is empty; it should hold records"},
		{"byte-order mark only", "\ufeff", "f is empty; it should hold records"},
		{"JSON Lines broken off", "{\"a\":1}\n{\"a\":", "f:2: no valid JSON (unexpected end of JSON input); mend the line"},
		{"JSON Lines with garbage", "{\"a\":1}\n\n{\"a\":1}}\n", "f:3: no valid JSON (invalid character '}' after top-level value); mend the line"},
		{"JSON Lines with two objects a line", "{\"a\":1}\n{\"a\":1} {\"a\":2}\n", "f:2: no valid JSON (invalid character '{' after top-level value); mend the line"},
		{"JSON Lines with NaN", "{\"a\":1}\n{\"a\":NaN}\n", "f:2: no valid JSON (invalid character 'N' looking for beginning of value); mend the line"},
		{"JSON Lines with a list", "{\"a\":1}\n[1]\n", "f:2: the line is no JSON object; a record must be one"},
		{"JSON Lines with null", "{\"a\":1}\nnull\n", "f:2: the line is no JSON object; a record must be one"},
		{"JSON Lines in Latin-1", "{\"a\":1}\n{\"a\":\"\xe9\"}\n", "f:2: the line is no valid UTF-8; convert the file"},
		{"first line broken", "{\"a\":1\n{\"a\":2}\n", "f:2: no valid JSON (invalid character '{' after object key:value pair); mend it or fetch it again"},
		{"first line broken, below blank lines", "\n\n{\"a\":1\n{\"a\":2}\n", "f:4: no valid JSON (invalid character '{' after object key:value pair); mend it or fetch it again"},
		{"two objects on the only line", `{"a":1} {"a":2}`, "f:1: no valid JSON (invalid character '{' after top-level value); mend it or fetch it again"},
		{"JSON array broken off", "[\n{\"a\":1},\n", "f:2: no valid JSON (unexpected end of JSON input); mend it or fetch it again"},
		{"JSON array with more behind", "[{\"a\":1}]\n[2]", "f:2: no valid JSON (invalid character '[' after top-level value); mend it or fetch it again"},
		{"JSON array in Latin-1", "[{\"a\":\"\xe9\"}]", "f is no valid UTF-8; convert the file"},
		{"JSON array of texts", `[{"a":1},"b"]`, "f#1: the item is no JSON object; a record must be one"},
		{"JSON object without data", "{\n\"a\":1}", `f: neither a list of records nor an object with the records under "data", nor JSON Lines with a record a line`},
		{"JSON object with text under data", "{\n\"data\":\"a\"}", `f: neither a list of records nor an object with the records under "data", nor JSON Lines with a record a line`},
		{"plain text", "Call me Ishmael.\n", "f: neither JSON, Parquet nor CSV with several columns"},
		{"a JSON number", "3\n", "f: neither JSON, Parquet nor CSV with several columns"},
		{"CSV with a column twice", "\na,b,a\n1,2,3\n", `f:2: column "a" stands in the header twice; rename one`},
		{"CSV with short rows", "\n\na,b\n1,2\n\n3\n", "f:6: the row has not as many values as the header (2); mend the row"},
		{"CSV with long rows", "a,b\n1,2,3\n", "f:2: the row has not as many values as the header (2); mend the row"},
		{"CSV with an open quote", "\na,b\n1,2\n\"3,4\n5,6\n", "f:5: no valid CSV (extraneous or missing \" in quoted-field); mend the row that starts at line 4"},
		{"CSV with a bare quote", "a,b\n1,2 \"q\"\n", "f:2: no valid CSV (bare \" in non-quoted-field); mend the row that starts at line 2"},
		{"CSV with an open quote in the header", "\"a,b\n1,2\n", "f: neither JSON, Parquet nor CSV with a header (extraneous or missing \" in quoted-field)"},
		{"CSV in Latin-1", "a,b\n1,\xe9\n", `f:2: column "b" is no valid UTF-8; convert the file`},
		{"CSV with a header in Latin-1", "a,\xe9\n1,2\n", "f:1: the header is no valid UTF-8; convert the file"},
		{"UTF-16", "\xff\xfea\x00,\x00b\x00\n\x00", "f:1: the header is no valid UTF-8; convert the file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := testInput(0).readBytes([]byte(c.text))
			if err == nil {
				t.Fatalf("read %v", fieldsOf(got))
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}

// The bounds that keep a file from filling the memory, made small.
func TestReadBounds(t *testing.T) {
	long := strings.Repeat("x", 100)
	in := input{path: "f", mostLine: 64, mostBytes: 1 << 20, mostRecords: 3}
	for _, c := range []struct {
		name string
		in   input
		text string
		want string
	}{
		{"a line", in, "{\"a\":1}\n{\"a\":\"" + long + "\"}\n", "f:2: the file cannot be read on (the line is longer than 0 MB; a record should be a line of its own); fetch or make it again"},
		{"the first line", in, "{\"a\":\"" + long + "\"}\n", "f:1: the file cannot be read on (the line is longer than 0 MB; a record should be a line of its own); fetch or make it again"},
		{"a JSON document", in, "[" + strings.Repeat("{\"a\":1},\n", 50) + "{}]", "f: the document cannot be read (it is longer than 0 MB; use JSON Lines)"},
		{"a CSV row with an open quote", in, "a,b\n\"" + strings.Repeat("x,y\n", 50), "f: the file cannot be read on (a row is longer than 0 MB; is a quote missing?); fetch or make it again"},
		{"records of JSON Lines", in, strings.Repeat("{}\n", 4), "f holds more than 3 records; split it, or read fewer"},
		{"records of a JSON document", in, "[{},{},{},{}]", "f holds more than 3 records; split it, or read fewer"},
		{"records of CSV", in, "a,b\n" + strings.Repeat("1,2\n", 4), "f holds more than 3 records; split it, or read fewer"},
		{"bytes", input{path: "f", mostLine: 64, mostBytes: 200, mostRecords: 99}, strings.Repeat("{\"a\":1}\n", 40), "f:26: the file cannot be read on (there are more than 0 MB in it; split it into several files); fetch or make it again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.readBytes([]byte(c.text))
			if err == nil {
				t.Fatalf("read %d records", len(got))
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
	for _, c := range []struct {
		name string
		in   input
		text string
		want int
	}{
		{"as many records as may be", in, strings.Repeat("{}\n", 3), 3},
		{"a line as long as may be", in, `{"a":"` + strings.Repeat("x", 55) + "\"}\n", 1},
		{"as many bytes as may be", input{path: "f", mostLine: 64, mostBytes: 8 * 20, mostRecords: 99}, strings.Repeat("{\"a\":1}\n", 20), 20},
		{"short rows of a long CSV file", in, "a,b\n" + strings.Repeat("1,22222222222222222222222222222\n", 3), 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.readBytes([]byte(c.text))
			if err != nil || len(got) != c.want {
				t.Errorf("%d records, %v; want %d", len(got), err, c.want)
			}
		})
	}
	usual := newInput("f", 0)
	if usual.mostLine < 64<<20 || usual.mostBytes < 1<<30 || usual.mostRecords < 1<<20 {
		t.Errorf("a large data set would be refused: %+v", usual)
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a b.jsonl")
	if err := os.WriteFile(path, []byte("{\"a\":1}\n{\"a\":2}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), path, Options{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{{ID: "a b.jsonl:0", Index: 0, Source: path + ":1", Fields: object{"a": int64(1)}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	if got, err := Open(t.Context(), dir, Options{Limit: 1}); err != nil || len(got) != 1 || got[0].Source != path+":1" {
		t.Errorf("the folder of one file: %v, %v", got, err)
	}
	for name, content := range map[string]string{"empty.jsonl": "", "one": "x", "three": "abc"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), path, Options{})
		wantError(t, err, path)
	}
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
		err        string
	}{
		{"own ids", `[{"_id":"p","id":"q"},{"id":"r"},{"id":7},{"_id":8}]`, []string{"p", "r", "7", "8"}, ""},
		{"no ids", `[{},{"id":null},{"id":1.5},{"_id":""}]`, []string{"set:0", "set:1", "set:2", "set:3"}, ""},
		{"an id twice", `[{"id":"p"},{"id":"q"},{"id":"p"}]`, nil, `f#2: record id "p" stands already in f#0; ids must differ`},
		{"an id twice, as text and number", `[{"id":"1"},{"id":1}]`, nil, `f#1: record id "1" stands already in f#0; ids must differ`},
		{"an id with a line break, twice", `[{"id":"p\nq"},{"id":"p\nq"}]`, nil, `f#1: record id "p\nq" stands already in f#0; ids must differ`},
		{"no record", `[]`, nil, "data set set holds no record; name a file that does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			records, err := testInput(0).readBytes([]byte(c.text))
			got, err := finish("set", records, Options{}, err)
			if c.err != "" {
				wantError(t, err, c.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for i, r := range got {
				ids = append(ids, r.ID)
				if r.Index != i {
					t.Errorf("record %d has index %d", i, r.Index)
				}
			}
			if diff := cmp.Diff(c.want, ids); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}
