package rows

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// parquetOf is a Parquet file with these rows.
func parquetOf(t *testing.T, all []Row, meta map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.parquet")
	if err := WriteParquet(path, all, meta); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParquetRoundTrip(t *testing.T) {
	for name, all := range map[string][]Row{"none": nil, "plain": groups(5), "odd": odd(), "many": groups(400)} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadParquet(parquetOf(t, all, nil))
			if err != nil {
				t.Fatal(err)
			}
			if diff := same(all, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A field that somebody adds to Row must reach the Parquet file: every field is
// set to a value of its own here and must come back.
func TestParquetHoldsEveryField(t *testing.T) {
	var r Row
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case reflect.String:
			v.SetString("text " + string(rune('a'+n)))
		case reflect.Int, reflect.Int64, reflect.Int32:
			v.SetInt(int64(1000 + n))
		case reflect.Float64:
			v.SetFloat(float64(n) + 0.25)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Map:
			v.Set(reflect.ValueOf(map[string]float64{"b": 0.25, "a": float64(n)}))
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0))
			fill(v.Index(1))
		default:
			t.Fatalf("a row holds a %s; teach this test and parquetRow", v.Kind())
		}
	}
	fill(reflect.ValueOf(&r).Elem())
	got, err := ReadParquet(parquetOf(t, []Row{r}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := same([]Row{r}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Both files of a run must say the same, also where a text is no UTF-8.
func TestParquetSaysWhatJSONLinesSay(t *testing.T) {
	all := append(odd(), group("re\xffcall", 4)...)
	all[1].Text, all[2].Error, all[3].Record = "\xff\xfe \xed\xa0\x80 \xf0\x9f\x98", "bad \xc3", "\x80"
	path := storeOf(t, all)
	lines, _, err := scan(bytes.NewReader(read(t, path)), path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadParquet(parquetOf(t, all, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := same(lines, got); diff != "" {
		t.Errorf("(-jsonl +parquet):\n%s", diff)
	}
}

func TestParquetBytesAndMetadata(t *testing.T) {
	meta := map[string]string{"run.yaml": "config:\n  name: ünï\n", "a": "1", "b": "2"}
	first := read(t, parquetOf(t, groups(3), meta))
	for range 5 {
		if !bytes.Equal(first, read(t, parquetOf(t, groups(3), meta))) {
			t.Fatal("the same rows gave other bytes")
		}
	}
	f, err := parquet.OpenFile(bytes.NewReader(first), int64(len(first)))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range meta {
		if got, ok := f.Lookup(key); !ok || got != want {
			t.Errorf("metadata %s is %q, want %q", key, got, want)
		}
	}
	// The columns that the documentation of the run's folder names.
	var names []string
	for _, field := range f.Schema().Fields() {
		names = append(names, field.Name())
	}
	const want = "model context_length task protocol record index variant pruner prompt_tokens prompt_hash truncated inputs kept budget kv_bytes full_kv_bytes tokens text stop score fidelity_tokens kl agreement divergence reference_tokens reference error prefill_seconds shared_tokens select_seconds decode_seconds peak_bytes parameters labels kv_bytes_layers released_kv_bytes dtype kept_density"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("columns\n%s\nwant\n%s", got, want)
	}
}

func TestParquetIsReplacedWholeOrNotAtAll(t *testing.T) {
	path := parquetOf(t, groups(3), nil)
	if err := WriteParquet(path, groups(1), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadParquet(path); err != nil || len(got) != 3 {
		t.Errorf("%d rows (%v), want 3", len(got), err)
	}
	missing := filepath.Join(t.TempDir(), "no", "rows.parquet")
	if err := WriteParquet(missing, groups(1), nil); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v does not name %s", err, missing)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("beside the file stand %v (%v)", names, err)
	}
}

func TestDamagedParquet(t *testing.T) {
	whole := read(t, parquetOf(t, groups(2), map[string]string{"run.yaml": "x"}))
	path := filepath.Join(t.TempDir(), "rows.parquet")
	for _, n := range []int{0, 1, 4, 8, 12, len(whole) / 3, len(whole) / 2, len(whole) - 9, len(whole) - 1} {
		write(t, path, whole[:n])
		if got, err := ReadParquet(path); err == nil {
			t.Errorf("the first %d bytes of %d were read as %d rows", n, len(whole), len(got))
		} else if !strings.Contains(err.Error(), path) {
			t.Errorf("error %v does not name the file", err)
		}
	}
	// A changed byte must never end the program, wherever it stands.
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= []byte{0x80, 0x01, 0xff}[i%3]
		// Some bytes are never read; no error is right for them.
		if got, err := readParquet(bytes.NewReader(damaged), int64(len(damaged))); err != nil && got != nil {
			t.Fatalf("byte %d: an error and %d rows", i, len(got))
		}
	}
	long := bytes.Clone(whole)
	long[len(long)-5] = 0xff // the top byte of the footer's length
	if _, err := readParquet(bytes.NewReader(long), int64(len(long))); err == nil || !strings.Contains(err.Error(), "longer than the file") {
		t.Errorf("a footer of 4 GiB: %v", err)
	}
	write(t, path, []byte("{\"model\":\"m\"}\n"))
	if _, err := ReadParquet(path); err == nil {
		t.Error("a JSON file was read as Parquet")
	}
	if err := parquet.WriteFile(path, []struct{ Model, Text string }{{"m", "x"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadParquet(path); err == nil || !strings.Contains(err.Error(), "its columns are not those of a run's rows") {
		t.Errorf("a table of something else: %v", err)
	}
	if _, err := ReadParquet(filepath.Join(t.TempDir(), "none.parquet")); err == nil {
		t.Error("a missing file was read")
	}
}
