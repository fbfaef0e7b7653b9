package reports

import (
	"fmt"
	"math"
	"slices"

	"refreekv/reports/stats"
)

// A Comparison is how a variant differs from the full cache on the records that
// both were scored on. docs/statistics.md explains the figures.
type Comparison struct {
	Records    int            `json:"records"`    // that both were scored on
	Difference float64        `json:"difference"` // variant less full cache, in points of the score
	Interval   stats.Interval `json:"interval"`   // of the difference, 95 %, paired bootstrap
	// P is the two-sided p-value of the paired sign-flip test, Adjusted the same
	// after Holm's correction for the number of comparisons of the table.
	P        float64 `json:"p"`
	Adjusted float64 `json:"p_adjusted"`
	// Exact: all choices of signs were tried, not a sample of them.
	Exact bool `json:"exact"`
	// Unseen is the loss in points that so few records may fail to show: that of the
	// largest share of records which may be lost though none was drawn.
	Unseen  float64 `json:"unseen"`
	Verdict Verdict `json:"verdict"`
	// Needed is about how many records would settle what is unclear; 0 where
	// nothing is, or where no number can be told.
	Needed int `json:"records_needed,omitempty"`
}

// A Verdict says what a comparison shows.
type Verdict string

// The verdicts. Lossless: even the lower end of the difference's interval, and
// the loss that so few records may fail to show, are within the margin. Worse:
// the difference is below 0 and significant after correction. Unclear: neither;
// more records would tell, unless the full cache itself scores no more than the
// margin.
const (
	Lossless Verdict = "lossless"
	Worse    Verdict = "worse"
	Unclear  Verdict = "unclear"
)

// significant is the level of the corrected tests.
const significant = 0.05

// judge sets the verdict of a comparison whose other figures stand. level is the
// full cache's score in points, seen the number of records from which Unseen is
// within the margin, comparisons how many the p-value was corrected for.
func (c *Comparison) judge(margin, level, seen float64, comparisons int) {
	const slack = 1e-9 // of rounding
	switch {
	case level <= margin && c.Interval.Low <= slack:
		c.Verdict = Unclear // where nothing can be lost, keeping it shows nothing
	case c.Interval.Low >= -margin-slack && c.Unseen <= margin+slack:
		c.Verdict = Lossless
	case c.Difference < 0 && c.Adjusted < significant:
		c.Verdict = Worse
	default:
		c.Verdict = Unclear
		c.Needed = c.needed(margin, seen, comparisons)
	}
}

// needed is about how many records would make a comparison lossless or worse,
// whichever comes first, if the difference and the scatter stay as they are.
func (c *Comparison) needed(margin, seen float64, comparisons int) int {
	below := c.Difference - c.Interval.Low // the half that must clear the margin
	lossless := max(stats.Needed(c.Records, below, margin+c.Difference), seen)
	worse := c.neededWorse(significant / float64(comparisons))
	n := min(lossless, worse)
	if math.IsInf(n, 0) || math.IsNaN(n) || n > 1e9 {
		return 0
	}
	return roundUp(max(n, float64(c.Records+1)))
}

// neededWorse is about how many records would make a loss significant at a level.
func (c *Comparison) neededWorse(level float64) float64 {
	z := math.Sqrt2 * math.Erfinv(1-level)
	standardError := c.Interval.Width() / (2 * 1.96)
	// k records that all lose have a p-value of 2/2^k.
	return max(stats.Needed(c.Records, z*standardError, -c.Difference), 1-math.Log2(level))
}

// roundUp rounds up to two digits: an estimate has no more.
func roundUp(n float64) int {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(n))-1))
	return int(math.Ceil(n/unit-1e-9) * unit)
}

// verdict is the verdict in two short lines.
func (c *Comparison) verdict() (word, detail string) {
	if c == nil {
		return noResult, ""
	}
	switch c.Verdict {
	case Worse:
		return fmt.Sprintf("worse by %.1f", -c.Difference), "p " + pValue(c.Adjusted)
	case Unclear:
		if c.Needed == 0 {
			return string(Unclear), "n ?"
		}
		return string(Unclear), "n ≈ " + thousands(c.Needed)
	}
	return string(c.Verdict), ""
}

// difference is the difference to the full cache with its interval.
func (c *Comparison) difference() string {
	if c == nil {
		return noResult
	}
	return fmt.Sprintf("%+.1f [%+.1f, %+.1f]", c.Difference, c.Interval.Low, c.Interval.High)
}

// tested tells whether a table compares variants with the full cache.
func (t Table) tested() bool {
	return slices.ContainsFunc(t.Lines, func(l Line) bool { return l.Average.Against != nil })
}

// versus are the lines that are compared.
func (t Table) versus() []Line {
	return slices.DeleteFunc(slices.Clone(t.Lines), func(l Line) bool { return l.Average.Against == nil })
}

// words are the verdict in one line.
func (c *Comparison) words() string {
	word, detail := c.verdict()
	if detail != "" {
		word += ", " + detail
	}
	return word
}

// pValue is a p-value to two digits behind zeros.
func pValue(p float64) string {
	switch {
	case p < 0.001:
		return "< 0.001"
	case p < 0.0995:
		return fmt.Sprintf("%.3f", p)
	}
	return fmt.Sprintf("%.2f", p)
}

// thousands writes a count with commas.
func thousands(n int) string {
	if n < 10_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousandsAbove(n/1000), n%1000)
}

func thousandsAbove(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousandsAbove(n/1000), n%1000)
}
