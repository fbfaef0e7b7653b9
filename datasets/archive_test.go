package datasets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func gzipped(t testing.TB, parts ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, part := range parts { // one gzip member each
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// zipped packs names and contents, in turn; a name that ends in / is a folder.
func zipped(t testing.TB, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(members[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const (
	twoLines = "{\"a\":\"x\"}\n{\"a\":\"y\"}\n"
	twoRows  = "a,b\nx,1\ny,2\n"
)

func TestReadArchives(t *testing.T) {
	want := []object{{"a": "x"}, {"a": "y"}}
	for _, c := range []struct {
		name    string
		content []byte
		limit   int
		want    []object
		sources []string
	}{
		{"gzip of JSON Lines", gzipped(t, twoLines), 0, want, []string{"f:1", "f:2"}},
		{"gzip of a JSON document", gzipped(t, `[{"a":"x"},{"a":"y"}]`), 0, want, []string{"f#0", "f#1"}},
		{"gzip of CSV", gzipped(t, twoRows), 0, []object{{"a": "x", "b": "1"}, {"a": "y", "b": "2"}}, []string{"f:2", "f:3"}},
		{"gzip in several members", gzipped(t, twoLines[:12], twoLines[12:]), 0, want, []string{"f:1", "f:2"}},
		{"gzip, limit", gzipped(t, twoLines), 1, want[:1], []string{"f:1"}},
		{"gzip, cut off behind the limit", gzipped(t, twoLines, strings.Repeat("x", 1000))[:45], 1, want[:1], []string{"f:1"}},
		{"zip of JSON Lines", zipped(t, "a.jsonl", twoLines), 0, want, []string{"f/a.jsonl:1", "f/a.jsonl:2"}},
		{"zip of JSON in a folder", zipped(t, "data/", "", "data/a.JSON", `[{"a":"x"},{"a":"y"}]`), 0, want, []string{"f/data/a.JSON#0", "f/data/a.JSON#1"}},
		{"zip beside other files", zipped(t, "README.md", "read me", "a.csv", twoRows, "__MACOSX/._a.csv", "junk", "b.jsonl/", ""), 1, []object{{"a": "x", "b": "1"}}, []string{"f/a.csv:2"}},
		{"zip of one file of another name", zipped(t, "data/", "", "data/a.txt", twoLines), 0, want, []string{"f/data/a.txt:1", "f/data/a.txt:2"}},
		{"zip of shards", zipped(t, "x-00001-of-00002.jsonl", twoLines[10:], "x-00000-of-00002.jsonl", twoLines[:10], "README", "x"), 0, want, []string{"f/x-00000-of-00002.jsonl:1", "f/x-00001-of-00002.jsonl:1"}},
		{"zip of shards, limit", zipped(t, "x-00000-of-00002.jsonl", twoLines, "x-00001-of-00002.jsonl", "no JSON"), 2, want, []string{"f/x-00000-of-00002.jsonl:1", "f/x-00000-of-00002.jsonl:2"}},
		{"zip with a hostile name", zipped(t, "../../etc/\n\x1b[31mcron.jsonl", twoLines), 1, want[:1], []string{"f/../../etc/??[31mcron.jsonl:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := testInput(c.limit).readBytes(c.content)
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

func TestReadArchiveErrors(t *testing.T) {
	long := gzipped(t, strings.Repeat(twoLines, 400))
	corrupt := zipped(t, "a.jsonl", strings.Repeat(twoLines, 400))
	corrupt[60] ^= 0xff
	lying := zipped(t, "a.jsonl", strings.Repeat(twoLines, 10))
	central := bytes.LastIndex(lying, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(lying[central+24:], 1<<31) // the uncompressed size
	for _, c := range []struct {
		name    string
		content []byte
		says    []string
	}{
		{"gzip header cut off", long[:6], []string{"f: damaged gzip file (unexpected EOF); fetch or make it again"}},
		{"gzip cut off", long[:len(long)-20], []string{"f:", "the file cannot be read on (unexpected EOF); fetch or make it again"}},
		{"gzip with a wrong checksum", append(append([]byte{}, long[:len(long)-8]...), 1, 2, 3, 4, 5, 6, 7, 8), []string{"f:", "gzip: invalid checksum"}},
		{"gzip of nothing", gzipped(t, ""), []string{"f is empty; it should hold records"}},
		{"gzip of gzip", gzipped(t, string(gzipped(t, twoLines))), []string{"f: there is a gzip file inside the archive; unpack it"}},
		{"gzip of Parquet", gzipped(t, "PAR1....PAR1"), []string{"f: damaged Parquet file ("}},
		{"zip cut off", zipped(t, "a.jsonl", twoLines)[:60], []string{"f: damaged zip file (zip: not a valid zip file); fetch or make it again"}},
		{"zip of nothing", zipped(t), []string{"f holds no file of records (.jsonl, .json, .csv, .parquet); unpack it and name the file with the records"}},
		{"zip of other files", zipped(t, "a.txt", twoLines, "b.txt", twoLines), []string{"f holds no file of records"}},
		{"zip of two", zipped(t, "a.jsonl", twoLines, "b.csv", twoRows), []string{"f holds 2 files of records; unpack it and name one"}},
		{"zip of shards, one missing", zipped(t, "x-00000-of-00003.jsonl", twoLines, "x-00002-of-00003.jsonl", twoLines), []string{"f holds 2 files of records; unpack it and name one"}},
		{"zip of shards of two sets", zipped(t, "x-00000-of-00002.jsonl", twoLines, "y-00001-of-00002.jsonl", twoLines), []string{"f holds 2 files of records; unpack it and name one"}},
		{"zip of an empty file", zipped(t, "a.jsonl", ""), []string{"f/a.jsonl is empty; it should hold records"}},
		{"zip of zip", zipped(t, "a.jsonl", string(zipped(t, "a.jsonl", twoLines))), []string{"f/a.jsonl: there is a zip file inside the archive; unpack it"}},
		{"zip with damaged content", corrupt, []string{"f/a.jsonl:", "fetch or make it again"}},
		{"zip that lies about a size", lying, []string{"f/a.jsonl:", "fetch or make it again"}},
		{"zip with a hostile name and bad content", zipped(t, "x\r\ny.jsonl", "{\n"), []string{"f/x??y.jsonl:1: no valid JSON"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := testInput(0).readBytes(c.content)
			if err == nil {
				t.Fatalf("read %d records", len(got))
			}
			wantError(t, err, c.says...)
		})
	}
}

// A file of a few kilobytes that unpacks to much more is refused while it is
// unpacked, whatever is in it.
func TestBombs(t *testing.T) {
	for name, text := range map[string]string{
		"records":             strings.Repeat("{}\n", 1<<17),
		"one line":            `{"a":"` + strings.Repeat("x", 1<<20) + `"}`,
		"long records":        strings.Repeat(`{"a":"`+strings.Repeat("x", 1<<15)+"\"}\n", 40),
		"blank lines":         strings.Repeat("\n", 2<<20),
		"a JSON document":     "[" + strings.Repeat("{},", 1<<18) + "{}]",
		"CSV, one value":      "a,b\n\"" + strings.Repeat("x", 1<<20),
		"CSV, a long header":  strings.Repeat("a", 1<<20) + ",b\n",
		"CSV, rows":           "a,b\n" + strings.Repeat("1,2\n", 1<<17),
		"CSV, many columns":   strings.Repeat(",", 1<<20),
		"CSV, blank rows":     "a,b\n" + strings.Repeat("\n", 2<<20),
		"nesting":             strings.Repeat(`{"a":`, 1<<18),
		"a name in the error": "a," + strings.Repeat("b", 1<<16) + "," + strings.Repeat("b", 1<<16) + "\n",
	} {
		for kind, content := range map[string][]byte{"gzip": gzipped(t, text), "zip": zipped(t, "a.jsonl", text)} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				in := input{path: "f", mostLine: 256 << 10, mostBytes: 512 << 10, mostRecords: 1000}
				got, err := in.readBytes(content)
				if err == nil {
					t.Fatalf("%d bytes gave %d records", len(content), len(got))
				}
				wantError(t, err, "f")
				if len(err.Error()) > 1000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			})
		}
	}
}

// LongBench comes as one archive with a file per task.
func TestArchiveOfSets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("REFREEKV_DATA", "")
	t.Setenv("REFREEKV_CACHE", t.TempDir())
	path := filepath.Join(dir, "data.zip")
	write := func(content []byte) {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(zipped(t, "data/", "", "qasper.jsonl/", "", "data/qasper_e.jsonl", "{}\n", "data/qasper.jsonl", twoLines, "data/lcc.jsonl", "{}"))
	got, err := Open(t.Context(), "qasper", Options{Dir: dir, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := []Record{{ID: "qasper:0", Source: path + "/data/qasper.jsonl:1", Fields: object{"a": "x"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got) %s", diff)
	}
	_, err = Open(t.Context(), "trec", Options{Dir: dir})
	wantError(t, err, path+" holds no file trec.jsonl; fetch it again, or give a folder that holds trec.jsonl")
	write(zipped(t, "a/qasper.jsonl", twoLines, "b/qasper.jsonl", twoLines))
	_, err = Open(t.Context(), "qasper", Options{Dir: dir})
	wantError(t, err, path+" holds 2 files of records")
	write([]byte("<html>not found</html>"))
	_, err = Open(t.Context(), "qasper", Options{Dir: dir})
	wantError(t, err, path+": damaged zip file")
}
