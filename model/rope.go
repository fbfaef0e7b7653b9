package model

import "math"

// ropeTable holds the cosines and sines of the rotary embedding (RoPE, arXiv
// 2104.09864), one row per position, grown as needed.
type ropeTable struct {
	cos, sin []float32 // [positions][headDim/2]
	half     int
	freq     []float32 // [headDim/2] radians per position
}

// grow makes the table cover positions 0..n-1. Angles are rounded to float32
// before the cosine is taken, as transformers does.
func (t *ropeTable) grow(c Config, n int) {
	if t.freq == nil {
		t.half = c.HeadDim / 2
		t.freq = make([]float32, t.half)
		for i := range t.freq {
			exponent := float32(2*i) / float32(c.HeadDim)
			t.freq[i] = 1 / float32(math.Pow(c.RopeTheta, float64(exponent)))
		}
	}
	for pos := len(t.cos) / t.half; pos < n; pos++ {
		for _, f := range t.freq {
			sin, cos := math.Sincos(float64(float32(pos) * f))
			t.cos = append(t.cos, float32(cos))
			t.sin = append(t.sin, float32(sin))
		}
	}
}

// rotate turns one head's vector in place to its position; pairs stand half a
// head apart.
func (t *ropeTable) rotate(x []float32, pos int) {
	cos, sin := t.cos[pos*t.half:(pos+1)*t.half], t.sin[pos*t.half:(pos+1)*t.half]
	lo, hi := x[:t.half], x[t.half:2*t.half]
	for i, c := range cos {
		a, b, s := lo[i], hi[i], sin[i]
		lo[i] = float32(a*c) - float32(b*s)
		hi[i] = float32(b*c) + float32(a*s)
	}
}
