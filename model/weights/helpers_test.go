package weights

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// mostMemory is what opening a small hostile file may allocate at most: whatever
// it claims, it holds only a few hundred bytes.
const mostMemory = 1 << 20

// refused opens path and checks that the error is one line that names the file
// and says what is wrong, and that no more memory was taken than a small file
// deserves.
func refused(t *testing.T, path string, want ...string) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := Open(path)
	runtime.ReadMemStats(&after)
	if err == nil {
		f.Close()
		t.Fatal("the file was opened")
	}
	for _, w := range append(want, filepath.Dir(path)) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error %q has several lines", err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > mostMemory {
		t.Errorf("refusing the file took %d bytes of memory", took)
	}
}

// write makes a file in a fresh folder and returns its path.
func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// safetensors puts the length in front of a header and a body behind it.
func safetensors(header string, body int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(out, header...)
	for i := range body {
		out = append(out, byte(i))
	}
	return out
}

// A gguf builds a GGUF file, right or wrong, piece by piece.
type gguf struct{ bytes.Buffer }

func newGGUF(version uint32, tensors, pairs uint64) *gguf {
	g := &gguf{}
	g.WriteString("GGUF")
	return g.u32(version).u64(tensors).u64(pairs)
}

func (g *gguf) u32(v ...uint32) *gguf {
	for _, v := range v {
		g.Write(binary.LittleEndian.AppendUint32(nil, v))
	}
	return g
}

func (g *gguf) u64(v ...uint64) *gguf {
	for _, v := range v {
		g.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	return g
}

func (g *gguf) text(s string) *gguf {
	g.u64(uint64(len(s)))
	g.WriteString(s)
	return g
}

func (g *gguf) raw(b ...byte) *gguf {
	g.Write(b)
	return g
}

// tensor describes a tensor, its dimensions innermost first.
func (g *gguf) tensor(name string, kind uint32, offset uint64, dims ...uint64) *gguf {
	return g.text(name).u32(uint32(len(dims))).u64(dims...).u32(kind).u64(offset)
}

// data aligns to 32 bytes and appends a body of n bytes.
func (g *gguf) data(n int) []byte {
	for g.Len()%32 != 0 {
		g.WriteByte(0)
	}
	for i := range n {
		g.WriteByte(byte(i))
	}
	return g.Bytes()
}
