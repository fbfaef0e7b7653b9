package weights

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blockFixture is testdata/blocks.json.gz, which blocks.py makes.
type blockFixture struct {
	Types map[string]struct {
		Blocks, Values string // base64
	}
	F16SHA256 string `json:"f16_sha256"`
}

func readBlocks(t *testing.T) blockFixture {
	t.Helper()
	f, err := os.Open("testdata/blocks.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b blockFixture
	if err := json.NewDecoder(unpacked).Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

// floatBits are the bytes of float32 values, every NaN written alike.
func floatBits(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b := math.Float32bits(v)
		if math.IsNaN(float64(v)) {
			b = 0x7FC00000
		}
		out = binary.LittleEndian.AppendUint32(out, b)
	}
	return out
}

func fromBase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every type is dequantised to the very bits that the gguf Python package gives,
// infinite, subnormal and NaN scales included.
func TestCodecsEqualGGUFPackage(t *testing.T) {
	fixture := readBlocks(t)
	known := slices.Sorted(maps.Keys(codecs))
	if diff := cmp.Diff(known, slices.Sorted(maps.Keys(fixture.Types))); diff != "" {
		t.Errorf("types without a record (-read +recorded):\n%s", diff)
	}
	for name, want := range fixture.Types {
		t.Run(name, func(t *testing.T) {
			c, blocks, values := codecs[name], fromBase64(t, want.Blocks), fromBase64(t, want.Values)
			n := len(blocks) / c.bytes
			if n < 16 || len(values) != 4*n*c.values {
				t.Fatalf("%d bytes of blocks of %d and %d bytes of values do not fit", len(blocks), c.bytes, len(values))
			}
			tensor := &Tensor{Name: name, Shape: []int{n, c.values}, Type: name, codec: c, data: blocks}
			dst := make([]float32, n*c.values)
			if err := tensor.Read(dst, 0, n); err != nil {
				t.Fatal(err)
			}
			got := floatBits(dst)
			for i := 0; i < len(got); i += 4 {
				if want, is := values[i:i+4], got[i:i+4]; string(want) != string(is) {
					block := i / 4 / c.values
					t.Fatalf("block %d (% x), value %d: bits % x, want % x", block, blocks[block*c.bytes:(block+1)*c.bytes], i/4%c.values, is, want)
				}
			}
			// One row alone must be the row of the whole.
			row := make([]float32, c.values)
			if err := tensor.Read(row, n-1, 1); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(floatBits(row), got[len(got)-4*c.values:]) {
				t.Error("the last row read alone differs")
			}
		})
	}
}

func TestEveryHalf(t *testing.T) {
	values := make([]float32, 1<<16)
	for i := range values {
		values[i] = half(binary.LittleEndian.AppendUint16(nil, uint16(i)))
	}
	sum := sha256.Sum256(floatBits(values))
	if got, want := hex.EncodeToString(sum[:]), readBlocks(t).F16SHA256; got != want {
		t.Errorf("the 65,536 half-precision numbers have hash %s, want %s", got, want)
	}
}
