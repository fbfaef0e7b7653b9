package model

// RecordBytes estimates what running a prompt of n tokens holds beside the
// weights, in bytes: the full KV cache, what needs asks to record, the new
// tokens of every variant, and the scratch of prefill.
func (c Config) RecordBytes(n int, needs Needs, variants, newTokens int) int64 {
	layers, heads, tokens := int64(c.Layers), int64(c.Heads), int64(n)
	floats := layers * heads * tokens * int64(needs.Rows(n))
	if needs.ColumnSums {
		floats += 2 * layers * heads * tokens // they are gathered a task at a time
	}
	if needs.Queries {
		floats += layers * heads * tokens * int64(c.HeadDim)
	}
	chunk := int64(min(n, chunkTokens()))
	floats += chunk * int64(c.Hidden+2*c.Heads*c.HeadDim)
	return 4*floats + (tokens+int64(variants)*int64(newTokens))*c.KVBytesPerToken()
}

// WeightBytes is what the weights occupy that are held for the kernels; the rest
// is read from the mapped files.
func (m *Model) WeightBytes() int64 {
	weights := int64(m.head.N) * int64(m.head.K)
	for _, l := range m.layers {
		weights += int64(l.qkv.N)*int64(l.qkv.K) + int64(l.out.N)*int64(l.out.K) +
			int64(l.gateUp.N)*int64(l.gateUp.K) + int64(l.down.N)*int64(l.down.K)
	}
	return int64(float64(weights) * m.DType.BytesPerWeight())
}
