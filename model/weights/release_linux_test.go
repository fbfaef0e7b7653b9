package weights

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

// Bytes that were read are given back, and can be read again.
func TestRelease(t *testing.T) {
	const n = 1 << 20 // floats, 4 MiB
	header := fmt.Sprintf(`{"w":{"dtype":"F32","shape":[%d,1024],"data_offsets":[0,%d]}}`, n/1024, 4*n)
	path := write(t, "model.safetensors", safetensors(header, 4*n))
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, _ := f.Tensor("w")
	read := func() []float32 {
		x := make([]float32, n)
		if err := w.Read(x, 0, n/1024); err != nil {
			t.Fatal(err)
		}
		return x
	}
	want := read()
	before := residentFile(t)
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	if after := residentFile(t); before-after < 4*n/2 {
		t.Errorf("%d bytes of files are resident, %d were before 4 MiB were given back", after, before)
	}
	same := func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
	if !slices.EqualFunc(want, read(), same) {
		t.Error("the bytes have changed")
	}
}

// residentFile is how many bytes of mapped files count as the process's memory.
func residentFile(t *testing.T) int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var kB int64
		if _, err := fmt.Sscanf(string(line), "RssFile: %d kB", &kB); err == nil {
			return kB << 10
		}
	}
	t.Skip("the system does not tell what is resident of files")
	return 0
}
