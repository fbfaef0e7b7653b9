package pruners

import (
	"refreekv/model"
	"refreekv/model/tensor"
)

// keyTile is how many keys are multiplied at a time: they stay in the
// processor's cache.
const keyTile = 240

// eachKeyTile multiplies the keys of a KV head from position from on with a
// matrix, [headDim][width], a tile at a time: f gets the tile's first position,
// its keys, [rows][headDim], and their products, [rows][width].
func eachKeyTile(p *model.Prefix, layer, kv, from int, matrix []float32, f func(first int, keys, products []float32)) {
	d := p.Shape().HeadDim
	width := len(matrix) / d
	keys, products := make([]float32, keyTile*d), make([]float32, keyTile*width)
	for first := from; first < p.Len(); first += keyTile {
		rows := min(keyTile, p.Len()-first)
		for i := range rows {
			p.Key(layer, kv, first+i, keys[i*d:])
		}
		tensor.MulRows(products, width, keys, d, rows, matrix, width, d, width, false)
		f(first, keys[:rows*d], products[:rows*width])
	}
}
