package reports

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// keptAxis is the kept share of the cache in percent; wide where there is room
// for every tick.
func keptAxis(wide bool) axis {
	a := axis{label: "KV cache kept (%)", low: 0, high: 103}
	step := 25
	if wide {
		step = 20
	}
	for x := 0; x <= 100; x += step {
		a.ticks = append(a.ticks, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
	}
	return a
}

// A span is the least and the largest of values; the finite ones count.
type span struct {
	low, high float64
	any       bool
}

func (s *span) see(x float64) {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
	case !s.any:
		s.low, s.high, s.any = x, x, true
	default:
		s.low, s.high = min(s.low, x), max(s.high, x)
	}
}

// valueAxis holds the values of a span with ticks at round values, within floor
// and ceil. What differs by less than least does not fill it.
func (s span) valueAxis(label string, least, floor, ceil float64) axis {
	low, high := s.low, s.high
	if !s.any {
		low, high = max(floor, 0), min(ceil, 100)
	}
	from, to, ticks := scale(low, high, least, floor, ceil)
	return axis{label: label, low: from, high: to, ticks: ticks}
}

// scoreAxis is that of scores and other percentages.
func (s span) scoreAxis(label string) axis { return s.valueAxis(label, 5, 0, 100) }

// fromZero is the axis of amounts, which begins at 0.
func (s span) fromZero(label string) axis {
	s.see(0)
	if s.high <= 0 {
		s.high = 1
	}
	a := s.valueAxis(label, 0, 0, math.Inf(1))
	a.low = 0
	return a
}

// logAxis is logarithmic where the values, all above 0, differ much, else linear.
func (s span) logAxis(label string) axis {
	if !s.any || s.low <= 0 || s.high < 8*s.low {
		return s.fromZero(label)
	}
	return s.decades(label)
}

// decades is a logarithmic axis over values above 0.
func (s span) decades(label string) axis {
	a := axis{label: label, log: true, low: s.low / 1.25, high: s.high * 1.25}
	// Few decades have room for ticks between them.
	within := []float64{1}
	switch wide := math.Log10(a.high / a.low); {
	case wide < 1:
		within = []float64{1, 1.5, 2, 3, 5, 7}
	case wide < 2.2:
		within = []float64{1, 2, 5}
	}
	step := 1
	for math.Log10(a.high/a.low)/float64(step) > 6 {
		step++
	}
	for e := int(math.Floor(math.Log10(a.low))); e <= int(math.Ceil(math.Log10(a.high))); e += step {
		for _, m := range within {
			if x := m * math.Pow(10, float64(e)); x >= a.low && x <= a.high {
				a.ticks = append(a.ticks, plot.Tick{Value: x, Label: shortNumber(x)})
			}
		}
	}
	return a
}

// fitting are the ticks of a horizontal axis of that width less the labels for which
// it has no room: between decades first, then of every second tick, and so on.
func (a axis) fitting(style text.Style, width vg.Length) plot.ConstantTicks {
	for step := 0; step <= len(a.ticks); step++ {
		out := slices.Clone(a.ticks)
		end := vg.Length(math.Inf(-1))
		overlap := false
		at := 0
		for i, t := range out {
			if a.log && step > 0 && !strings.HasPrefix(strings.TrimLeft(t.Label, "0."), "1") {
				out[i].Label = ""
				continue
			}
			if at++; step > 1 && (at-1)%step > 0 {
				out[i].Label = ""
				continue
			}
			middle, half := width*vg.Length(a.norm(t.Value)), style.Width(t.Label)/2
			overlap = overlap || middle-half < end+3
			end = middle + half
		}
		if !overlap {
			return out
		}
	}
	return a.ticks
}

// norm is where a value stands on the axis, from 0 to 1.
func (a axis) norm(x float64) float64 {
	if a.log {
		return math.Log(x/a.low) / math.Log(a.high/a.low)
	}
	return (x - a.low) / (a.high - a.low)
}

// shortNumber writes 0.001, 25, 4k, 1.7B.
func shortNumber(x float64) string {
	for _, unit := range []struct {
		from, size float64
		name       string
	}{{1e9, 1e9, "B"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}} {
		if x >= unit.from {
			return strconv.FormatFloat(roundTo(x/unit.size, 3), 'f', -1, 64) + unit.name
		}
	}
	if x != 0 && math.Abs(x) < 1e-4 {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	return strconv.FormatFloat(roundTo(x, 3), 'f', -1, 64)
}

// roundTo rounds to so many significant digits.
func roundTo(x float64, digits int) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return out
}

// scale is the range of an axis with its ticks at round values. Ticks stay within
// floor and ceil; the axis goes a little further, so that marks there stay whole.
func scale(low, high, least, floor, ceil float64) (from, to float64, ticks plot.ConstantTicks) {
	if least <= 0 {
		least = max(math.Abs(high), math.Abs(low), 1e-9) * 0.05
	}
	if short := least - (high - low); short > 0 {
		low, high = low-short/2, high+short/2
	}
	low, high = max(low, floor), min(high, ceil)
	step := math.Pow(10, math.Floor(math.Log10((high-low)/2)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*m) <= 5 {
			step *= m
			break
		}
	}
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	digits := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	for i := first; i <= last; i++ {
		ticks = append(ticks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.*f", digits, i*step)})
	}
	from, to = first*step, last*step
	margin := 0.04 * (to - from)
	return from - margin, to + margin, ticks
}
