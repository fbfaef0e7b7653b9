package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/weights"
)

const smollm2File = "SmolLM2-135M-Instruct.Q4_1.gguf"

// findSmolLM2 looks for the model in the program's cache.
var findSmolLM2 = sync.OnceValues(func() (string, error) {
	cache := os.Getenv("REFREEKV_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "refreekv")
	}
	found := ""
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == smollm2File {
			found = path
			return filepath.SkipAll
		}
		return nil
	})
	if err == nil && found == "" {
		err = errors.New(smollm2File + " is not in the cache " + cache + "; refreekv pull model smollm2-135m-instruct fetches it")
	}
	return found, err
})

var openSmolLM2 = sync.OnceValues(func() (*Tokenizer, error) {
	path, err := findSmolLM2()
	if err != nil {
		return nil, err
	}
	f, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return FromGGUF(f.Meta)
})

func smolLM2(t *testing.T) *Tokenizer {
	t.Helper()
	if _, err := findSmolLM2(); err != nil {
		t.Skip(err)
	}
	tok, err := openSmolLM2()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readFixture(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func TestSmolLM2Facts(t *testing.T) {
	tok := smolLM2(t)
	bos, ok := tok.BOS()
	if bos != 1 || !ok {
		t.Errorf("BOS is %d, %t", bos, ok)
	}
	if diff := cmp.Diff([]int32{2}, tok.EOS()); diff != "" {
		t.Error(diff)
	}
	if tok.Size() != 49152 || !tok.HasChat() || tok.Token(2) != "<|im_end|>" || len(tok.Hash()) != 64 {
		t.Errorf("size %d, chat %t, token 2 %q, hash %q", tok.Size(), tok.HasChat(), tok.Token(2), tok.Hash())
	}
	if id, ok := tok.ID("Ġthe"); !ok || tok.Token(id) != "Ġthe" {
		t.Errorf("Ġthe has id %d, %t", id, ok)
	}
	if diff := cmp.Diff(encoded(t, tok, "hi", false), encoded(t, tok, "hi", true)); diff != "" {
		t.Errorf("add_bos_token is false, but addSpecial changes the ids: %s", diff)
	}
}

// The ids and texts that Hugging Face's tokenizers gives (testdata/smollm2.py).
func TestSmolLM2NastyTexts(t *testing.T) {
	tok := smolLM2(t)
	var want []struct {
		IDs        []int32
		Text, Full string
	}
	readFixture(t, "smollm2.json", &want)
	texts := nastyTexts(t)
	if len(texts) != len(want) {
		t.Fatalf("%d texts, %d answers: run testdata/smollm2.py again", len(texts), len(want))
	}
	for i, text := range texts {
		ids := encoded(t, tok, text, false)
		if !slices.Equal(ids, want[i].IDs) {
			t.Errorf("text %d %.80q: ids (-want +got) %s", i, text, cmp.Diff(want[i].IDs, ids))
		}
		if got := tok.Decode(ids, true); got != want[i].Text {
			t.Errorf("text %d: decoded %q, want %q", i, got, want[i].Text)
		}
		if got := tok.Decode(ids, false); got != want[i].Full {
			t.Errorf("text %d: decoded with special tokens %q, want %q", i, got, want[i].Full)
		}
	}
}

// The ids of every text of the real records, as one hash per file.
func TestSmolLM2RealRecords(t *testing.T) {
	tok := smolLM2(t)
	dir := dataFolder()
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the real records are not here: ", err)
	}
	var files []struct {
		File      string
		SHA256    string
		Records   int
		IDs       int
		IDsSHA256 string `json:"ids_sha256"`
	}
	readFixture(t, "records.json", &files)
	for _, f := range files {
		t.Run(f.File, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(filepath.Join(dir, f.File))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
				t.Skip("the file is another one than the fixture was made from")
			}
			records := readRecords(t, f.File, data)
			if len(records) != f.Records {
				t.Errorf("%d records, want %d", len(records), f.Records)
			}
			h, count := sha256.New(), 0
			for _, r := range records {
				eachText(r, func(s string) {
					ids := encoded(t, tok, s, false)
					count += len(ids)
					if err := binary.Write(h, binary.LittleEndian, ids); err != nil {
						t.Fatal(err)
					}
					if back := tok.Decode(ids, false); back != s && !strings.ContainsAny(s, "\x04\x06\x13\x14\x16\x1d") {
						t.Errorf("a text of %d bytes does not come back", len(s))
					}
				})
			}
			if got := hex.EncodeToString(h.Sum(nil)); got != f.IDsSHA256 || count != f.IDs {
				t.Errorf("%d ids with hash %s, want %d with %s", count, got, f.IDs, f.IDsSHA256)
			}
		})
	}
}

// readRecords and eachText do what testdata/smollm2.py does.
func readRecords(t testing.TB, name string, data []byte) []any {
	t.Helper()
	var records []any
	add := func(doc string) {
		var v any
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		records = append(records, v)
	}
	switch filepath.Ext(name) {
	case ".json":
		add(string(data))
	case ".jsonl":
		for line := range strings.SplitSeq(string(data), "\n") {
			if strings.TrimSpace(line) != "" {
				add(line)
			}
		}
	case ".csv":
		rows, err := csv.NewReader(strings.NewReader(string(data))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			var fields []any
			for _, f := range row {
				fields = append(fields, f)
			}
			records = append(records, fields)
		}
	}
	return records
}

func eachText(v any, f func(string)) {
	switch v := v.(type) {
	case string:
		f(v)
	case []any:
		for _, x := range v {
			eachText(x, f)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			eachText(v[k], f)
		}
	}
}
