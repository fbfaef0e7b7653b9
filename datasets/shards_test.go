package datasets

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files of a record each, which says where it stands.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		place(t, filepath.Join(dir, name))
	}
	return dir
}

// at is where the records stand, below a folder.
func at(t *testing.T, dir string, records []Record) []string {
	t.Helper()
	var out []string
	for _, r := range records {
		name, err := filepath.Rel(dir, r.Fields["at"].(string))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}

// What a path means: a file, shards by their common beginning, a folder.
func TestOpenShards(t *testing.T) {
	named := []string{"data/test-00000-of-00002.jsonl", "data/test-00001-of-00002.jsonl"}
	numbered := []string{"default/train/0000.jsonl", "default/train/0001.jsonl"}
	for _, c := range []struct {
		name  string
		files []string
		path  string
		want  []string
		err   string
	}{
		{"a split by name", append([]string{"data/train-00000-of-00001.jsonl"}, named...), "data/test", named, ""},
		{"one shard by name", named, "data/test-00001-of-00002.jsonl", named[1:], ""},
		{"a folder of one split", named, "data", named, ""},
		{"a folder above it", named, ".", named, ""},
		{"a folder with other files", append([]string{"data/README.md", "data/.hidden/x.jsonl"}, named...), "data", named, ""},
		{"a folder of numbers", numbered, "default/train", numbered, ""},
		{"the same, from above", numbered, ".", numbered, ""},
		{"one of them", numbered, "default/train/0001.jsonl", numbered[1:], ""},
		{"a folder with a sign that patterns know", []string{"a[b]*/x-00000-of-00001.jsonl"}, "a[b]*/x", []string{"a[b]*/x-00000-of-00001.jsonl"}, ""},
		{"several splits", append([]string{"data/train-00000-of-00001.jsonl"}, named...), "data", nil, "/data holds several sets of records; name one of "},
		{"several files", []string{"a.jsonl", "b.csv"}, ".", nil, " holds several sets of records; name one of "},
		{"none", []string{"README.md"}, ".", nil, " holds no file of records (.jsonl, .json, .csv, .parquet); name a file"},
		{"a shard missing", []string{"test-00000-of-00003.jsonl", "test-00002-of-00003.jsonl"}, ".", nil, "test-00000-of-00003.jsonl: 2 shards are here, and this is number 0 of 3; put all of them there"},
		{"shards of two downloads", []string{"test-00000-of-00002.jsonl", "test-00000-of-00001.jsonl"}, "test", nil, "put all of them there, and those of one download only"},
		{"the same shard twice", []string{"test-00000-of-00002.jsonl", "test-00000-of-00002.json"}, "test", nil, "put all of them there"},
		{"a number missing", []string{"test/0000.jsonl", "test/0002.jsonl"}, "test", nil, "0002.jsonl: 2 shards are here, and this is number 2 of 3; put"},
		{"no such thing", named, "data/val", nil, "it is neither a file nor a name of refreekv list datasets"},
		{"no such folder", named, "none/test", nil, "it is neither a file nor a name of refreekv list datasets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files...)
			got, err := Open(t.Context(), filepath.Join(dir, c.path), Options{})
			if c.err != "" {
				wantError(t, err, c.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, at(t, dir, got)); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			some, err := Open(t.Context(), filepath.Join(dir, c.path), Options{Limit: 1})
			if err != nil || !cmp.Equal(at(t, dir, some), c.want[:1]) {
				t.Errorf("limit 1: %v, %v", some, err)
			}
		})
	}
}

// A named set is found in a folder of its name, as the Hugging Face hub lays it
// out, and there its own split.
func TestSetInShards(t *testing.T) {
	pullCache(t)
	for _, c := range []struct {
		set   string
		files []string
		want  []string
		err   string
	}{
		{"gsm8k", []string{"gsm8k/test-00000-of-00002.jsonl", "gsm8k/test-00001-of-00002.jsonl", "gsm8k/train-00000-of-00001.jsonl"}, []string{"gsm8k/test-00000-of-00002.jsonl", "gsm8k/test-00001-of-00002.jsonl"}, ""},
		{"gsm8k", []string{"gsm8k/main/test-00000-of-00001.jsonl", "gsm8k/main/train-00000-of-00001.jsonl"}, []string{"gsm8k/main/test-00000-of-00001.jsonl"}, ""},
		{"gsm8k", []string{"gsm8k/default/test/0000.jsonl", "gsm8k/default/train/0000.jsonl"}, []string{"gsm8k/default/test/0000.jsonl"}, ""},
		{"truthfulqa", []string{"truthfulqa/generation/validation-00000-of-00001.jsonl"}, []string{"truthfulqa/generation/validation-00000-of-00001.jsonl"}, ""},
		{"gsm8k", []string{"gsm8k.jsonl", "gsm8k/test-00000-of-00001.jsonl"}, []string{"gsm8k.jsonl"}, ""},
		{"gsm8k", []string{"gsm8k/main/test-00000-of-00001.jsonl", "gsm8k/socratic/test-00000-of-00001.jsonl"}, nil, "data set gsm8k: there are several splits test: "},
		{"gsm8k", []string{"gsm8k/test-00000-of-00002.jsonl"}, nil, "put all of them there"},
		{"gsm8k", []string{"gsm8k/train-00000-of-00001.jsonl"}, nil, "data set gsm8k is neither in "},
	} {
		dir := tree(t, c.files...)
		got, err := Open(t.Context(), c.set, Options{Dir: dir})
		if c.err != "" {
			wantError(t, err, c.err)
			continue
		}
		if err != nil {
			t.Errorf("%s of %s: %v", c.set, c.files, err)
			continue
		}
		if diff := cmp.Diff(c.want, at(t, dir, got)); diff != "" {
			t.Errorf("%s (-want +got) %s", c.set, diff)
		}
	}
}

// Parquet in archives is read as it is outside of them.
func TestPackedParquet(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	want, err := newInput(filepath.Join("testdata", "snappy.parquet"), 0).file()
	if err != nil {
		t.Fatal(err)
	}
	content := string(readTestdata(t, "snappy.parquet"))
	first, second := string(readTestdata(t, "shards/test-00000-of-00003.parquet")), string(readTestdata(t, "shards/test-00001-of-00003.parquet"))
	third := string(readTestdata(t, "shards/test-00002-of-00003.parquet"))
	for name, packed := range map[string][]byte{
		"gzip":              gzipped(t, content),
		"zip":               zipped(t, "README.md", "read me", "data/x.parquet", content),
		"zip, another name": zipped(t, "x.bin", content),
		"zip of shards": zipped(t, "data/test-00000-of-00003.parquet", first, "data/test-00001-of-00003.parquet", second,
			"data/test-00002-of-00003.parquet", third),
	} {
		got, err := testInput(0).readBytes(packed)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(fieldsOf(want), fieldsOf(got)); diff != "" {
			t.Errorf("%s (-want +got) %s", name, diff)
		}
	}
	in := testInput(0)
	in.mostBytes = 1000
	_, err = in.readBytes(gzipped(t, content))
	wantError(t, err, "f: the archive cannot be unpacked (there are more than 0 MB in it; split it into several files)")
	cut := gzipped(t, content)
	_, err = testInput(0).readBytes(cut[:len(cut)-20])
	wantError(t, err, "f: the archive cannot be unpacked (unexpected EOF); fetch or make it again")
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}
