package weights

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGGUF(t *testing.T) {
	for _, version := range []uint32{2, 3} {
		g := newGGUF(version, 3, 13)
		g.text("u8").u32(ggufU8).raw(200)
		g.text("i8").u32(ggufI8).raw(200)
		g.text("u16").u32(ggufU16).raw(0xFF, 0xFF)
		g.text("i16").u32(ggufI16).raw(0xFF, 0xFF)
		g.text("u32").u32(ggufU32, math.MaxUint32)
		g.text("i32").u32(ggufI32, math.MaxUint32)
		g.text("f32").u32(ggufF32, math.Float32bits(0.5))
		g.text("bool").u32(ggufBool).raw(1)
		g.text("u64").u32(ggufU64).u64(math.MaxUint64)
		g.text("i64").u32(ggufI64).u64(math.MaxUint64)
		g.text("f64").u32(ggufF64).u64(math.Float64bits(-0.25))
		g.text("texts").u32(ggufArray, ggufString).u64(2).text("a").text("Ġ")
		g.text("lists").u32(ggufArray, ggufArray).u64(2).u32(ggufI32).u64(1).u32(7).u32(ggufBool).u64(0)
		g.tensor("q", 8, 64, 32, 2)
		g.tensor("w", 0, 0, 3, 5)
		g.tensor("later", 16, 160, 256)
		f, err := Open(write(t, "m.gguf", g.data(200)))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"u8": int64(200), "i8": int64(-56), "u16": int64(65535), "i16": int64(-1), "u32": int64(math.MaxUint32), "i32": int64(-1),
			"f32": 0.5, "bool": true, "u64": uint64(math.MaxUint64), "i64": int64(-1), "f64": -0.25,
			"texts": []string{"a", "Ġ"}, "lists": []any{[]int64{7}, []bool{}},
		}
		if diff := cmp.Diff(want, f.Meta); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
		q, _ := f.Tensor("q")
		w, _ := f.Tensor("w")
		// The file names the innermost dimension first.
		if diff := cmp.Diff([]int{2, 32}, q.Shape); diff != "" || w.Rows() != 5 || w.Cols() != 3 || f.Format != "gguf" {
			t.Errorf("shape of q (-want +got): %s; w has %d rows of %d; format %s", diff, w.Rows(), w.Cols(), f.Format)
		}
		dst := make([]float32, 32)
		if err := q.Read(dst, 1, 1); err != nil {
			t.Fatal(err)
		}
		if d := half([]byte{98, 99}); dst[0] != d*100 || dst[31] != d*float32(int8(-125)) {
			t.Errorf("second row of q: %g … %g, want %g and %g", dst[0], dst[31], d*100, d*-125)
		}
		later, _ := f.Tensor("later")
		if err := later.Supported(); err == nil || !strings.Contains(err.Error(), "tensor later has type IQ2_XXS") {
			t.Errorf("a type that is not read: %v", err)
		}
		f.Close()
	}
}

func TestGGUFRefused(t *testing.T) {
	const huge = math.MaxUint64
	deep := newGGUF(3, 0, 1).text("k").u32(ggufArray)
	for range 20 {
		deep.u32(ggufArray).u64(1)
	}
	whole := newGGUF(3, 1, 1).text("k").u32(ggufU8).raw(1).tensor("w", 0, 0, 4).data(16)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"magic alone":               {[]byte("GGUF\x03\x00\x00\x00"), "ends in the middle of its header"},
		"cut behind a huge count":   {newGGUF(3, huge>>16, 0).Bytes()[:16], "ends in the middle of its header"},
		"version 1":                 {newGGUF(1, 0, 0).data(0), "version 1 is not supported"},
		"big-endian":                {newGGUF(3<<24, 0, 0).data(0), "little-endian"},
		"huge pair count":           {newGGUF(3, 0, huge).data(64), "more than the file can hold"},
		"huge tensor count":         {newGGUF(3, huge, 0).data(64), "more than the file can hold"},
		"more pairs than bytes":     {newGGUF(3, 0, 100).data(64), "more than the file can hold"},
		"cut in the metadata":       {newGGUF(3, 0, 2).text("k").u32(ggufU8).raw(1).text("the second key").Bytes(), "ends in the middle"},
		"cut in the tensors":        {newGGUF(3, 1, 0).tensor("w", 0, 0, 4).Bytes()[:50], "ends in the middle"},
		"cut in the data":           {whole[:len(whole)-1], `tensor "w": 15 bytes are left of the 16 it needs`},
		"huge key":                  {newGGUF(3, 0, 1).u64(huge).data(64), "ends in the middle"},
		"huge text":                 {newGGUF(3, 0, 1).text("k").u32(ggufString).u64(1 << 62).data(64), `metadata "k"`},
		"huge array":                {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufU8).u64(huge).data(64), `metadata "k"`},
		"huge array of texts":       {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufString).u64(1 << 60).data(64), `metadata "k"`},
		"array of 2^24 texts":       {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufString).u64(1 << 24).data(64), `metadata "k"`},
		"array of 2^24 numbers":     {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufU8).u64(1 << 24).data(64), `metadata "k"`},
		"2^20 tensors":              {newGGUF(3, 1<<20, 0).data(64), "more than the file can hold"},
		"texts without end":         {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufString).u64(8).data(64), `metadata "k"`},
		"deep arrays":               {deep.data(64), "nest too deeply"},
		"unknown value type":        {newGGUF(3, 0, 1).text("k").u32(13).data(64), `metadata "k": value type 13`},
		"unknown array type":        {newGGUF(3, 0, 1).text("k").u32(ggufArray, 99).u64(1).data(64), "value type 99"},
		"duplicate key":             {newGGUF(3, 0, 2).text("k").u32(ggufU8).raw(1).text("k").u32(ggufU8).raw(2).data(64), `metadata "k" stands in the file twice`},
		"duplicate tensor":          {newGGUF(3, 2, 0).tensor("w", 0, 0, 4).tensor("w", 0, 32, 4).data(64), `tensor "w" stands in the file twice`},
		"too many dimensions":       {newGGUF(3, 1, 0).tensor("w", 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1).data(64), "9 dimensions"},
		"2^32-1 dimensions":         {newGGUF(3, 1, 0).text("w").u32(math.MaxUint32).data(64), "dimensions"},
		"huge dimension":            {newGGUF(3, 1, 0).tensor("w", 0, 0, huge).data(64), "too large"},
		"dimensions that overflow":  {newGGUF(3, 1, 0).tensor("w", 0, 0, 1<<30, 1<<30, 1<<30).data(64), "too large"},
		"offset outside":            {newGGUF(3, 1, 0).tensor("w", 0, 1<<20, 4).data(64), `tensor "w": offset 1048576`},
		"offset that overflows":     {newGGUF(3, 1, 0).tensor("w", 0, huge&^31, 4).data(64), `tensor "w": offset`},
		"offset not aligned":        {newGGUF(3, 1, 0).tensor("w", 0, 4, 4).data(64), "not aligned"},
		"alignment 3":               {newGGUF(3, 0, 1).text("general.alignment").u32(ggufU32, 3).data(64), "alignment 3"},
		"alignment 0":               {newGGUF(3, 0, 1).text("general.alignment").u32(ggufU32, 0).data(64), "alignment 0"},
		"negative alignment":        {newGGUF(3, 0, 1).text("general.alignment").u32(ggufI32, math.MaxUint32).data(64), "no power of two"},
		"rows that are no blocks":   {newGGUF(3, 1, 0).tensor("w", 8, 0, 33).data(64), "do not divide into blocks of 32"},
		"overlap":                   {newGGUF(3, 2, 0).tensor("a", 0, 0, 16).tensor("b", 0, 32, 4).data(64), `tensor "b" begins at byte 32, inside tensor "a"`},
		"overlap, in another order": {newGGUF(3, 2, 0).tensor("b", 0, 32, 4).tensor("a", 0, 0, 16).data(64), `tensor "b" begins at byte 32, inside tensor "a"`},
		"over-long":                 {append(bytes.Clone(whole), make([]byte, 32)...), "32 bytes follow the last tensor"},
		"no tensor and a body":      {newGGUF(3, 0, 0).data(64), "64 bytes follow the last tensor"},
		"array of 2^63 texts":       {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufString).u64(1 << 63).data(64), "ends in the middle"},
		"text of 2^63 bytes":        {newGGUF(3, 0, 1).text("k").u32(ggufString).u64(1 << 63).data(64), "ends in the middle"},
		"tensor name of 2^63 bytes": {newGGUF(3, 1, 0).u64(1 << 63).data(64), "ends in the middle"},
		"the same bytes twice":      {newGGUF(3, 2, 0).tensor("a", 0, 0, 4).tensor("b", 0, 0, 4).data(64), `inside tensor "a"`},
	} {
		t.Run(name, func(t *testing.T) { refused(t, write(t, "m.gguf", c.data), "m.gguf", c.want) })
	}
}

// A sparse file costs nothing to make and may claim to hold anything: what its
// header speaks of is looked for in the first 100 MB alone.
func TestGGUFRefusedSparse(t *testing.T) {
	const size = 1 << 36
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"pairs":           {newGGUF(3, 0, size/13).Bytes(), "more than the file can hold"},
		"tensors":         {newGGUF(3, size/25, 0).Bytes(), "more than the file can hold"},
		"text":            {newGGUF(3, 0, 1).text("k").u32(ggufString).u64(size / 2).Bytes(), "the header is longer than 100 MB"},
		"array of bytes":  {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufU8).u64(size / 2).Bytes(), "the header is longer than 100 MB"},
		"array of texts":  {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufString).u64(size / 16).Bytes(), "the header is longer than 100 MB"},
		"array of arrays": {newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufArray).u64(size / 16).Bytes(), "the header is longer than 100 MB"},
		"no tensors":      {newGGUF(3, 0, 0).Bytes(), "bytes follow the last tensor"},
		"safetensors":     {binary.LittleEndian.AppendUint64(nil, mostHeader), "no JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "m.gguf", c.data)
			if err := os.Truncate(path, size); err != nil {
				t.Skipf("no sparse files here: %v", err)
			}
			refused(t, path, c.want)
		})
	}
}

// Wherever a right file is cut, the rest is refused or reads without a panic.
func TestGGUFCutAnywhere(t *testing.T) {
	g := newGGUF(3, 2, 2).text("general.alignment").u32(ggufU32, 32).text("names").u32(ggufArray, ggufString).u64(2).text("x").text("yy")
	whole := g.tensor("a", 0, 0, 4).tensor("b", 8, 32, 32).data(66)
	opened := 0
	for n := len(ggufMagic); n <= len(whole); n++ {
		f := &File{tensors: map[string]*Tensor{}}
		if f.readGGUF(whole[:n:n]) == nil {
			opened++
			readAll(t, f, n)
		}
	}
	if opened != 1 {
		t.Errorf("%d of the cut files were opened, want the whole one alone", opened)
	}
}

func FuzzGGUF(f *testing.F) {
	f.Add(newGGUF(3, 1, 1).text("k").u32(ggufArray, ggufString).u64(1).text("x").tensor("w", 8, 0, 32, 2).data(68))
	f.Add(newGGUF(2, 2, 1).text("general.alignment").u32(ggufU32, 64).tensor("a", 0, 0, 4).tensor("b", 14, 64, 256).data(300))
	f.Add(newGGUF(3, 0, 1).text("k").u32(ggufArray, ggufArray).u64(1).u32(ggufArray).u64(1).u32(ggufU8).u64(2).raw(1, 2).data(0))
	f.Add(newGGUF(3, 1, 0).tensor("w", 0, 0, 0, 1<<31-1, 1<<31-1, 1<<31-1).data(0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 8 || string(data[:4]) != ggufMagic {
			return
		}
		file := &File{tensors: map[string]*Tensor{}}
		if file.readGGUF(data) == nil {
			readAll(t, file, len(data))
		}
	})
}
