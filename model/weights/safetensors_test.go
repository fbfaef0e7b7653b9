package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSafetensors(t *testing.T) {
	header := `{"__metadata__":{"format":"pt"},
		"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]},
		"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
		"none":{"dtype":"F16","shape":[0,3],"data_offsets":[8,8]},
		"c\u0041":{"dtype":"F16","shape":[],"data_offsets":[16,18]},
		"ids":{"dtype":"I64","shape":[1],"data_offsets":[18,26]},
		"f8":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[26,29]}}   `
	data := safetensors(header, 29)
	copy(data[8+len(header):], binary.LittleEndian.AppendUint32(nil, math.Float32bits(1.5)))
	copy(data[8+len(header)+12:], []byte{0x80, 0x3F, 0x00, 0xC0, 0x00, 0x3C})
	f, err := Open(write(t, "model.safetensors", data))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if diff := cmp.Diff([]string{"a", "b", "cA", "f8", "ids", "none"}, f.Names()); diff != "" {
		t.Error(diff)
	}
	if f.Format != "safetensors" || f.Meta != nil {
		t.Errorf("format %q, metadata %v", f.Format, f.Meta)
	}
	read := func(name string, row, rows int) []float32 {
		tensor, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("%s is missing", name)
		}
		if err := tensor.Supported(); err != nil {
			t.Fatal(err)
		}
		dst := make([]float32, rows*tensor.Cols())
		if err := tensor.Read(dst, row, rows); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	if got := read("a", 0, 1)[0]; got != 1.5 {
		t.Errorf("a[0] is %g, want 1.5", got)
	}
	if diff := cmp.Diff([]float32{1, -2}, read("b", 1, 1)); diff != "" {
		t.Errorf("second row of b (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float32{1}, read("cA", 0, 1)); diff != "" {
		t.Errorf("scalar (-want +got):\n%s", diff)
	}
	for _, name := range []string{"ids", "f8"} {
		tensor, _ := f.Tensor(name)
		if err := tensor.Supported(); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), tensor.Type) {
			t.Errorf("tensor %s of type %s: %v", name, tensor.Type, err)
		}
	}
}

func TestSafetensorsRefused(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"dtype":%q,"shape":%s,"data_offsets":%s}`, dtype, shape, offsets)
	}
	whole := safetensors(`{"a":`+entry("F32", "[4]", "[0,16]")+`}`, 16)
	withLength := func(n uint64) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, n), whole[8:]...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"zero length":             {nil, "0 bytes are neither"},
		"seven bytes":             {[]byte("{}     "), "7 bytes are neither"},
		"text":                    {[]byte("version https://git-lfs.github.com/spec/v1\n"), "no whole safetensors file"},
		"header longer than file": {withLength(uint64(len(whole) - 7)), "no whole safetensors file"},
		"header of 2^63 bytes":    {withLength(1 << 63), "no whole safetensors file"},
		"header of 2^64-1 bytes":  {withLength(math.MaxUint64), "no whole safetensors file"},
		"header of 100 MB":        {withLength(mostHeader), "no whole safetensors file"},
		"header too short":        {withLength(10), "header"},
		"cut in the data":         {whole[:len(whole)-1], `tensor "a" lies at bytes 0 to 16 of 15`},
		"over-long":               {append(append([]byte{}, whole...), 0), "end at byte 16 of 17"},
		"empty header":            {safetensors("", 0), "no JSON object"},
		"header is a list":        {safetensors("[]      ", 0), "no JSON object"},
		"header cut short":        {safetensors(`{"a":{"dtype":"F32"`, 0), "header"},
		"junk behind the header":  {safetensors(`{} {}`, 0), "2 bytes follow"},
		"entry is a number":       {safetensors(`{"a":1}`, 0), `tensor "a"`},
		"dtype is a number":       {safetensors(`{"a":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}`, 4), "dtype"},
		"no dtype":                {safetensors(`{"a":{"shape":[1],"data_offsets":[0,4]}}`, 4), "dtype or shape is missing"},
		"no shape":                {safetensors(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "dtype or shape is missing"},
		"no offsets":              {safetensors(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "0 numbers, want 2"},
		"three offsets":           {safetensors(`{"a":`+entry("F32", "[1]", "[0,2,4]")+`}`, 4), "3 numbers, want 2"},
		"negative offset":         {safetensors(`{"a":`+entry("F32", "[1]", "[-4,0]")+`}`, 4), "data_offsets"},
		"offset beyond 64 bits":   {safetensors(`{"a":`+entry("F32", "[1]", "[0,18446744073709551616]")+`}`, 4), "data_offsets"},
		"offset of 2^64-1":        {safetensors(`{"a":`+entry("F32", "[1]", "[0,18446744073709551615]")+`}`, 4), "lies at bytes"},
		"offsets swapped":         {safetensors(`{"a":`+entry("F32", "[1]", "[4,0]")+`}`, 4), "lies at bytes 4 to 0"},
		"wrong dtype":             {safetensors(`{"a":`+entry("F64", "[4]", "[0,16]")+`}`, 16), "4 elements of F64 need 32 bytes, the file gives it 16"},
		"wrong shape":             {safetensors(`{"a":`+entry("F32", "[5]", "[0,16]")+`}`, 16), "5 elements of F32 need 20 bytes"},
		"negative shape":          {safetensors(`{"a":`+entry("F32", "[-2,-2]", "[0,16]")+`}`, 16), "negative"},
		"fractional shape":        {safetensors(`{"a":`+entry("F32", "[1.5]", "[0,4]")+`}`, 4), "shape"},
		"overflowing shape":       {safetensors(`{"a":`+entry("F32", "[4294967296,4294967296,4294967296]", "[0,16]")+`}`, 16), "too large"},
		"shape that wraps to 4":   {safetensors(`{"a":`+entry("F32", "[4611686018427387905,4]", "[0,16]")+`}`, 16), "too large"},
		"hole": {safetensors(`{"a":`+entry("F32", "[1]", "[0,4]")+`,"b":`+entry("F32", "[1]", "[8,12]")+`}`, 12),
			`tensor "b" lies at bytes 8 to 12 of 12; the one before ends at 4`},
		"overlap": {safetensors(`{"a":`+entry("F32", "[2]", "[0,8]")+`,"b":`+entry("F32", "[1]", "[4,8]")+`}`, 8),
			`tensor "b" lies at bytes 4 to 8 of 8; the one before ends at 8`},
		"deep header":    {safetensors(`{"a":`+strings.Repeat(`{"b":`, 20000), 0), "header"},
		"long shape":     {safetensors(`{"a":`+entry("F32", "["+strings.Repeat("1,", 5000)+"1]", "[0,4]")+`}`, 8), "end at byte 4 of 8"},
		"shape of 2^63":  {safetensors(`{"a":`+entry("F32", "[9223372036854775808]", "[0,4]")+`}`, 4), "shape"},
		"duplicate name": {safetensors(`{"a":`+entry("F32", "[1]", "[0,4]")+`,"\u0061":`+entry("F32", "[1]", "[4,8]")+`}`, 8), `tensor "a" is described twice`},
	} {
		t.Run(name, func(t *testing.T) { refused(t, write(t, "model.safetensors", c.data), "model.safetensors", c.want) })
	}
}

// one is a safetensors file with one tensor of one number.
func one(name string) []byte {
	return safetensors(fmt.Sprintf(`{%q:{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, name), 4)
}

func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	// A name with the glob characters must be a folder like any other.
	dir := filepath.Join(t.TempDir(), "model [1] *")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFolder(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string][]byte
		want  []string
	}{
		"one file beside others": {map[string][]byte{"model.safetensors": one("a"), "other.safetensors": one("b")}, []string{"a"}},
		"files without index":    {map[string][]byte{"x.safetensors": one("a"), "y.safetensors": one("b"), "z.bin": nil}, []string{"a", "b"}},
		"index": {map[string][]byte{indexFile: []byte(`{"metadata":{},"weight_map":{"a":"x.safetensors","b":"y.safetensors","c":"x.safetensors"}}`),
			"x.safetensors": one("a"), "y.safetensors": one("b"), "model.safetensors": one("old")}, []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Open(folder(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if diff := cmp.Diff(c.want, f.Names()); diff != "" {
				t.Errorf("tensors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFolderRefused(t *testing.T) {
	index := func(shard string) map[string][]byte {
		return map[string][]byte{indexFile: fmt.Appendf(nil, `{"weight_map":{"a":%q}}`, shard), "x.safetensors": one("a")}
	}
	for name, c := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"empty folder":               {nil, "holds no *.safetensors file"},
		"missing shard":              {index("y.safetensors"), "y.safetensors: this file of the model is missing"},
		"shard above":                {index("../x.safetensors"), indexFile},
		"shard below":                {index("sub/x.safetensors"), indexFile},
		"absolute shard":             {index("/x.safetensors"), indexFile},
		"backslash":                  {index(`..\x.safetensors`), indexFile},
		"NUL":                        {index("x\x00.safetensors"), indexFile},
		"empty shard name":           {index(""), indexFile},
		"dots":                       {index(".."), indexFile},
		"index that names itself":    {index(indexFile), "no *.safetensors file"},
		"index is a list":            {map[string][]byte{indexFile: []byte("[]")}, indexFile},
		"index is cut":               {map[string][]byte{indexFile: []byte(`{"weight_map":{"a":`)}, indexFile},
		"zero-length index":          {map[string][]byte{indexFile: nil}, indexFile},
		"index names a tensor twice": {map[string][]byte{indexFile: []byte(`{"weight_map":{"a":"x.safetensors","a":"../y.safetensors"}}`), "x.safetensors": one("a")}, indexFile},
		"index nests":                {map[string][]byte{indexFile: []byte(`{"weight_map":` + strings.Repeat("[", 20000))}, indexFile},
		"shard in a list":            {map[string][]byte{indexFile: []byte(`{"weight_map":{"a":["x.safetensors"]}}`)}, indexFile},
		"weight_map is a list":       {map[string][]byte{indexFile: []byte(`{"weight_map":["x.safetensors"]}`)}, indexFile},
		"index names nothing":        {map[string][]byte{indexFile: []byte(`{}`), "model.safetensors": one("a")}, "weight_map names no file"},
		"zero-length shard":          {map[string][]byte{"model.safetensors": nil}, "0 bytes"},
		"tensor in two shards":       {map[string][]byte{"x.safetensors": one("a"), "y.safetensors": one("a")}, `tensor "a" stands in the file twice`},
		"GGUF among shards":          {map[string][]byte{"x.safetensors": one("a"), "y.safetensors": newGGUF(3, 0, 0).data(0)}, "a GGUF file cannot be a shard"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, folder(t, c.files), c.want) })
	}
	t.Run("sparse index", func(t *testing.T) {
		dir := folder(t, index("x.safetensors"))
		if err := os.Truncate(filepath.Join(dir, indexFile), 1<<36); err != nil {
			t.Skip(err)
		}
		refused(t, dir, "more than 100 MB")
	})
	t.Run("shard that is a link to itself", func(t *testing.T) {
		dir := folder(t, index("y.safetensors"))
		if err := os.Symlink("y.safetensors", filepath.Join(dir, "y.safetensors")); err != nil {
			t.Skip(err)
		}
		refused(t, dir, "y.safetensors")
	})
	t.Run("shard is a folder", func(t *testing.T) {
		dir := folder(t, nil)
		if err := os.Mkdir(filepath.Join(dir, "model.safetensors"), 0o700); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, "no regular file")
	})
	t.Run("no such path", func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), "x"), "no such file") })
}

func TestHashAndClose(t *testing.T) {
	alone, err := Open(write(t, "x.safetensors", one("a")))
	if err != nil {
		t.Fatal(err)
	}
	shards, err := Open(folder(t, map[string][]byte{"y.safetensors": one("b"), "x.safetensors": one("a")}))
	if err != nil {
		t.Fatal(err)
	}
	together, err := Open(write(t, "x.safetensors", one("a")))
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[string]int{}
	for _, f := range []*File{alone, shards, together} {
		h, err := f.Hash()
		if err != nil {
			t.Fatal(err)
		}
		hashes[h]++
		for range 2 {
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(hashes) != 2 {
		t.Errorf("hashes %v; want one for equal files and another for two shards", hashes)
	}
}

// A file that is cut short after it was opened gives an error, where the mapped
// bytes would raise a signal.
func TestCutWhileOpen(t *testing.T) {
	const n = 1 << 15
	for name, data := range map[string][]byte{
		"model.safetensors": safetensors(fmt.Sprintf(`{"w":{"dtype":"F32","shape":[%d,2],"data_offsets":[0,%d]}}`, n, 8*n), 8*n),
		"model.gguf":        newGGUF(3, 1, 0).tensor("w", 0, 0, 2, n).data(8 * n),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, data)
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w, _ := f.Tensor("w")
			if err := w.Read(make([]float32, 2*n), 0, n); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, int64(len(data)/2)); err != nil {
				t.Fatal(err)
			}
			if err := w.Read(make([]float32, 2), 0, 1); err != nil {
				t.Errorf("a row that is still there: %v", err)
			}
			_, hashErr := f.Hash()
			for what, err := range map[string]error{"Read": w.Read(make([]float32, 2), n-1, 1), "Hash": hashErr} {
				if err == nil || !strings.Contains(err.Error(), path+" can no longer be read") {
					t.Errorf("%s of a file that was cut short: %v", what, err)
				}
			}
		})
	}
}

// Other panics than that of a page that is gone stay panics.
func TestReadBeyondTensor(t *testing.T) {
	f, err := Open(write(t, "x.safetensors", one("a")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, _ := f.Tensor("a")
	defer func() {
		if recover() == nil {
			t.Error("a row that is not there was read")
		}
	}()
	t.Error(a.Read(make([]float32, 1), 1, 1))
}

func FuzzSafetensors(f *testing.F) {
	f.Add(one("a"))
	f.Add(safetensors(`{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"F16","shape":[0],"data_offsets":[12,12]}}`, 12))
	f.Add(safetensors(`{"__metadata__":{"x":"y"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1))
	f.Add(safetensors(`{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 8 { // Open refuses those itself
			return
		}
		file := &File{tensors: map[string]*Tensor{}}
		if file.readSafetensors(data) == nil {
			readAll(t, file, len(data))
		}
	})
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../a.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":null}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		names, err := indexShards("index.json", raw)
		if err == nil && len(names) == 0 {
			t.Error("neither names nor an error")
		}
		for _, name := range names {
			if filepath.Dir(filepath.Join("model", name)) != "model" || strings.ContainsAny(name, `/\`) {
				t.Errorf("the shard %q lies outside the model's folder", name)
			}
		}
	})
}

// readAll reads every tensor that can be read; no tensor can hold more than 256
// numbers for every byte of the file.
func readAll(t *testing.T, f *File, size int) {
	t.Helper()
	for _, name := range f.Names() {
		tensor, ok := f.Tensor(name)
		if !ok {
			t.Fatalf("tensor %q is listed and not there", name)
		}
		rows, cols := tensor.Rows(), tensor.Cols()
		if tensor.Supported() != nil || rows == 0 || cols == 0 {
			continue
		}
		if rows*cols > 256*size {
			t.Fatalf("tensor %q: %d rows of %d in a file of %d bytes", name, rows, cols, size)
		}
		if err := tensor.Read(make([]float32, rows*cols), 0, rows); err != nil {
			t.Fatal(err)
		}
	}
}
