package model

import (
	"context"
	"testing"

	"refreekv/model/tensor"
)

func TestDescribe(t *testing.T) {
	d, err := Describe(context.Background(), "testdata/tiny-m", nil)
	if err != nil {
		t.Fatal(err)
	}
	m := openTiny(t, "tiny-m")
	c := m.Config
	perLayer := 2*c.Hidden + c.Hidden*(c.Heads+2*c.KVHeads)*c.HeadDim + c.Heads*c.HeadDim*c.Hidden + 3*c.Hidden*c.FFN
	want := int64(c.Vocab*c.Hidden + c.Hidden + c.Layers*perLayer)
	if d.Parameters != want || d.Types["BF16"] != want {
		t.Errorf("%d parameters, %v; want %d in BF16", d.Parameters, d.Types, want)
	}
	// A token more costs its keys and values and, within a chunk, its scratch.
	if got := d.Memory(3*chunkTokens()+1, tensor.Int8) - d.Memory(3*chunkTokens(), tensor.Int8); got != c.KVBytesPerToken() {
		t.Errorf("a token beyond the first chunk costs %d bytes, want %d", got, c.KVBytesPerToken())
	}
	if d.Memory(1, tensor.Float32) < 4*want {
		t.Errorf("%d bytes do not hold %d float32 weights", d.Memory(1, tensor.Float32), want)
	}
}
