package model

import (
	"fmt"
	"math"
)

// Kinds of rotary scaling, by the names that Hugging Face configs give them.
const (
	RopeDefault  = "default"
	RopeLinear   = "linear"   // positions divided by a factor
	RopeDynamic  = "dynamic"  // the base grows with the sequence beyond the trained length (NTK)
	RopeLlama3   = "llama3"   // low frequencies divided, a smooth band between (Llama 3.1)
	RopeYarn     = "yarn"     // arXiv 2309.00071
	RopeLongRope = "longrope" // arXiv 2402.13753: a divisor for every frequency
)

// Rope describes a rotary embedding (RoPE, arXiv 2104.09864) and how it is
// scaled to longer sequences.
type Rope struct {
	Kind   string
	Theta  float64 // base
	Dim    int     // how many of a head's values are rotated, from the first
	Factor float64 // of the scaled kinds
	// Trained is the sequence length before scaling.
	Trained int
	// LowFreq and HighFreq bound llama3's smooth band, in wavelengths per trained
	// length.
	LowFreq, HighFreq float64
	// BetaFast and BetaSlow bound yarn's ramp, in rotations over the trained
	// length; Truncate rounds the bounds to whole frequencies.
	BetaFast, BetaSlow float64
	Truncate           bool
	// Short and Long are longrope's divisors, [Dim/2] each, for sequences up to
	// and beyond the trained length. Another kind with Short divides by it always
	// (GGUF stores llama3's scaling so).
	Short, Long []float64
	// Scale multiplies cosines and sines; 0 means 1.
	Scale float64
}

// grows reports whether frequencies depend on the length of the sequence.
func (r Rope) grows() bool { return r.Kind == RopeDynamic || r.Kind == RopeLongRope }

// positions is how long a sequence the scaling is made for; 0: it does not say.
// Configs with these two kinds often give the trained length as the model's
// longest sequence, which would leave the scaling without use.
func (r Rope) positions() int {
	if r.Kind != RopeDynamic && r.Kind != RopeYarn {
		return 0
	}
	return int(min(r.Factor*float64(r.Trained), mostSize))
}

// frequencies are the angles per position of each pair, [Dim/2], for a sequence
// of n tokens. They follow transformers' modeling_rope_utils, rounded once to
// float32 where that rounds at every step.
func (r Rope) frequencies(n int) []float32 {
	dim, base := float64(r.Dim), r.Theta
	if r.Kind == RopeDynamic {
		if n > r.Trained {
			base *= math.Pow(r.Factor*float64(n)/float64(r.Trained)-(r.Factor-1), dim/(dim-2))
		}
	}
	divisors := r.Short
	if r.Kind == RopeLongRope && n > r.Trained {
		divisors = r.Long
	}
	out := make([]float32, r.Dim/2)
	for i := range out {
		// transformers takes the power in float32.
		f := 1 / float64(float32(math.Pow(base, float64(float32(2*i)/float32(r.Dim)))))
		switch r.Kind {
		case RopeLinear:
			f /= r.Factor
		case RopeLlama3:
			f = r.llama3(f)
		case RopeYarn:
			f = r.yarn(i, f)
		}
		if divisors != nil {
			f /= divisors[i]
		}
		out[i] = float32(f)
	}
	return out
}

func (r Rope) llama3(f float64) float64 {
	wavelengths := float64(r.Trained) * f / (2 * math.Pi) // per trained length
	switch {
	case wavelengths < r.LowFreq:
		return f / r.Factor
	case wavelengths > r.HighFreq:
		return f
	}
	smooth := (wavelengths - r.LowFreq) / (r.HighFreq - r.LowFreq)
	return (1-smooth)*f/r.Factor + smooth*f
}

// yarn blends frequency i between divided and whole: those that turn often over
// the trained length stay whole.
func (r Rope) yarn(i int, f float64) float64 {
	at := func(rotations float64) float64 {
		return float64(r.Dim) * math.Log(float64(r.Trained)/(rotations*2*math.Pi)) / (2 * math.Log(r.Theta))
	}
	low, high := at(r.BetaFast), at(r.BetaSlow)
	if r.Truncate {
		low, high = math.Floor(low), math.Ceil(high)
	}
	low, high = max(low, 0), min(high, float64(r.Dim-1))
	if low == high {
		high += 0.001
	}
	divided := min(max((float64(i)-low)/(high-low), 0), 1)
	return f/r.Factor*divided + f*(1-divided)
}

// check refuses settings that make no rotary embedding.
func (r Rope) check(headDim int) error {
	switch {
	case r.Dim <= 0 || r.Dim%2 != 0 || r.Dim > headDim:
		return fmt.Errorf("rotary embedding of %d of a head's %d values: want an even number of them", r.Dim, headDim)
	case !(r.Theta > 1) || math.IsInf(r.Theta, 0):
		return fmt.Errorf("rotary base %.6g (rope_theta, rope.freq_base) is not above 1", r.Theta)
	case r.Scale < 0 || math.IsNaN(r.Scale) || math.IsInf(r.Scale, 0):
		return fmt.Errorf("rotary attention_factor %g is no factor", r.Scale)
	}
	for _, divisors := range [][]float64{r.Short, r.Long} {
		if divisors != nil && len(divisors) != r.Dim/2 {
			return fmt.Errorf("%d rotary divisors (short_factor, long_factor, rope_freqs), want %d", len(divisors), r.Dim/2)
		}
		for _, d := range divisors {
			if !(d > 0) {
				return fmt.Errorf("rotary divisor %g (short_factor, long_factor, tensor rope_freqs.weight) is not positive", d)
			}
		}
	}
	switch r.Kind {
	case RopeDefault:
		return nil
	case RopeLinear, RopeDynamic, RopeLlama3, RopeYarn, RopeLongRope:
	default:
		return fmt.Errorf("rotary scaling %q is not supported; supported: default, linear, dynamic, llama3, yarn, longrope", r.Kind)
	}
	if r.Kind != RopeLongRope && !(r.Factor >= 1) {
		return fmt.Errorf("rotary scaling %q needs a factor of at least 1, has %g", r.Kind, r.Factor)
	}
	if r.Kind != RopeLinear && r.Trained < 1 {
		return fmt.Errorf("rotary scaling %q needs original_max_position_embeddings", r.Kind)
	}
	if r.Kind == RopeDynamic && r.Dim <= 2 {
		return fmt.Errorf("rotary scaling %q needs more than 2 rotated values", r.Kind)
	}
	if r.Kind == RopeLlama3 && !(r.LowFreq > 0 && r.HighFreq > r.LowFreq) {
		return fmt.Errorf("rotary scaling %q needs low_freq_factor below high_freq_factor, has %g and %g", r.Kind, r.LowFreq, r.HighFreq)
	}
	if r.Kind == RopeYarn && !(r.BetaSlow > 0 && r.BetaFast > r.BetaSlow) {
		return fmt.Errorf("rotary scaling %q needs beta_slow below beta_fast, has %g and %g", r.Kind, r.BetaSlow, r.BetaFast)
	}
	if r.Kind == RopeLongRope && (r.Short == nil || r.Long == nil) {
		return fmt.Errorf("rotary scaling %q needs short_factor and long_factor", r.Kind)
	}
	return nil
}

// ropeTable holds the cosines and sines of a rotary embedding, one row per
// position.
type ropeTable struct {
	rope     Rope
	cos, sin []float32 // [positions][Dim/2]
	length   int       // of the sequence that the rows are for, where that matters
}

// cover makes the table hold positions 0..n-1 as a sequence of n tokens sees
// them.
func (t *ropeTable) cover(n int) {
	if t.rope.grows() && t.length != n {
		t.cos, t.sin, t.length = t.cos[:0], t.sin[:0], n
	}
	half := t.rope.Dim / 2
	if len(t.cos) >= n*half {
		return
	}
	frequencies := t.rope.frequencies(n)
	for pos := len(t.cos) / half; pos < n; pos++ {
		t.cos, t.sin = t.rope.angles(t.cos, t.sin, frequencies, pos)
	}
}

// row returns the cosines and sines of a position that the table covers.
func (t *ropeTable) row(pos int) (cos, sin []float32) {
	half := t.rope.Dim / 2
	return t.cos[pos*half : (pos+1)*half], t.sin[pos*half : (pos+1)*half]
}

// next returns the cosines and sines of the last position of a sequence of n
// tokens. Keys of earlier positions keep the rotation they were stored with, as
// in transformers.
func (t *ropeTable) next(n int) (cos, sin []float32) {
	if t.rope.grows() {
		return t.rope.angles(nil, nil, t.rope.frequencies(n), n-1)
	}
	t.cover(n)
	return t.row(n - 1)
}

// angles appends one position's cosines and sines. Angles are rounded to
// float32 before the cosine is taken, as transformers does.
func (r Rope) angles(cos, sin, frequencies []float32, pos int) (_, _ []float32) {
	scale := r.Scale
	if scale == 0 {
		scale = 1
	}
	for _, f := range frequencies {
		s, c := math.Sincos(float64(float32(pos) * f))
		cos = append(cos, float32(c*scale))
		sin = append(sin, float32(s*scale))
	}
	return cos, sin
}

// rotate turns one head's vector in place; pairs stand half the rotated part
// apart. What is not rotated stays.
func rotate(x, cos, sin []float32) {
	half := len(cos)
	lo, hi := x[:half], x[half:2*half]
	for i, c := range cos {
		a, b, s := lo[i], hi[i], sin[i]
		lo[i] = float32(a*c) - float32(b*s)
		hi[i] = float32(b*c) + float32(a*s)
	}
}
