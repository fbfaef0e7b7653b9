package datasets

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Every file that testdata/make_parquet.py made, against what pyarrow reads from
// it: dictionaries, lists, nulls, several row groups and pages, and the codecs.
func TestReadParquet(t *testing.T) {
	value, err := decodeJSON(readTestdata(t, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, rows := range value.(object) {
		t.Run(name, func(t *testing.T) {
			var want []object
			for _, row := range rows.([]any) {
				if digits, ok := row.(object)["long"].(string); ok {
					row.(object)["long"] = json.Number(digits)
				}
				want = append(want, row.(object))
			}
			path := filepath.Join("testdata", name)
			paths, err := shardsAt(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Info{}.readAll(paths, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, fieldsOf(got)); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
			if sources := sourcesOf(got); len(sources) > 0 && (sources[0] != paths[0]+"#0" || !strings.HasPrefix(sources[len(sources)-1], paths[len(paths)-1]+"#")) {
				t.Errorf("sources %s of %s", sources, paths)
			}
			for limit := 1; limit <= len(want)+1; limit++ {
				some, err := Info{}.readAll(paths, Options{Limit: limit})
				if err != nil || len(some) != min(limit, len(want)) {
					t.Fatalf("limit %d: %d records, %v", limit, len(some), err)
				}
			}
		})
	}
}

// A Parquet file works wherever the registry looks for a set.
func TestOpenParquet(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("REFREEKV_DATA", dir)
	path := filepath.Join(dir, "qasper.parquet")
	if err := os.WriteFile(path, readTestdata(t, "snappy.parquet"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Open(t.Context(), "qasper", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 || got[6].ID != "p6" || got[6].Source != path+"#6" || !cmp.Equal(got[6].Fields["answers"], []any{"red", "RED"}) {
		t.Errorf("%d records, the last %v", len(got), got[len(got)-1])
	}
	_, err = Open(t.Context(), filepath.Join("testdata", "none.parquet"), Options{})
	wantError(t, err, "none.parquet holds no record")
}

// No damage makes the reader panic, and every error names the file.
func TestDamagedParquet(t *testing.T) {
	whole := readTestdata(t, "plain.parquet")
	check := func(name string, content []byte) {
		_, err := testInput(0).readBytes(content)
		if err != nil && (!strings.HasPrefix(err.Error(), "f: damaged Parquet file (") || !strings.HasSuffix(err.Error(), "); fetch or make it again")) &&
			!strings.Contains(err.Error(), "is no valid UTF-8; make the file again") && !strings.Contains(err.Error(), "which are not read; write them") {
			t.Errorf("%s: error %q", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has several lines: %q", name, err)
		}
	}
	for n := 4; n < len(whole); n += 3 {
		cut := whole[:n:n]
		if _, err := testInput(0).readBytes(cut); err == nil {
			t.Errorf("cut to %d of %d bytes, it still reads", n, len(whole))
		}
		check(fmt.Sprintf("cut to %d", n), cut)
		check(fmt.Sprintf("cut to %d, with an end", n), append(cut, whole[len(whole)-8:]...))
	}
	for i := 4; i < len(whole); i++ {
		damaged := slices.Clone(whole)
		damaged[i] ^= byte(1 << (i % 8))
		check(fmt.Sprintf("bit of byte %d", i), damaged)
	}
}

type narrow struct {
	A string
	B []string `parquet:",list"`
}

func writeParquet[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParquetText(t *testing.T) {
	_, err := testInput(0).readBytes(writeParquet(t, []narrow{{A: "x"}, {A: "caf\xe9"}}))
	wantError(t, err, `f#1: column "A" is no valid UTF-8; make the file again`)
	_, err = testInput(0).readBytes(writeParquet(t, []narrow{{B: []string{"x", "\xff"}}}))
	wantError(t, err, `f#0: column "B" is no valid UTF-8; make the file again`)
	got, err := testInput(0).readBytes(writeParquet(t, []struct{ A []byte }{{A: []byte("\x89PNG\xff")}}))
	if err != nil || got[0].fields["A"] != "\x89PNG\xff" {
		t.Errorf("binary: %v, %v", got, err)
	}
}

func TestParquetBounds(t *testing.T) {
	rows := slices.Repeat([]narrow{{A: strings.Repeat("x", 1000)}}, 5000)
	content := writeParquet(t, rows, parquet.Compression(&parquet.Zstd))
	in := input{path: "f", mostLine: 1 << 20, mostBytes: 1 << 20, mostRecords: 1 << 20}
	if len(content) > 1<<18 {
		t.Fatalf("%d bytes are no bomb", len(content))
	}
	_, err := in.readBytes(content)
	wantError(t, err, "f#", "there are more than 1 MB in it")
	in.mostBytes, in.mostRecords = 1<<30, 4999
	_, err = in.readBytes(content)
	wantError(t, err, "f holds more than 4999 records")
	in.mostRecords = 5000
	if got, err := in.readBytes(content); err != nil || len(got) != 5000 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

// A footer of nothing but lists within lists would exhaust the stack, which no
// recover can catch.
func TestParquetNesting(t *testing.T) {
	for _, depth := range []int{1000, 4 << 20} {
		footer := append([]byte{0xa9}, bytes.Repeat([]byte{0x19}, depth)...)
		content := slices.Concat([]byte("PAR1"), footer, binary.LittleEndian.AppendUint32(nil, uint32(len(footer))), []byte("PAR1"))
		_, err := testInput(0).readBytes(content)
		wantError(t, err, "f: damaged Parquet file (", "); fetch or make it again")
		if len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}
