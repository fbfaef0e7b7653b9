package pruners

import (
	"fmt"

	"refreekv/model"
)

// Options of the methods that take the attention of the prompt's last queries
// together.
var (
	lastRowsOption  = Option{Name: "last_rows", Default: 1, About: "how many last queries make the attention row (equation 2 of ReFreeKV)"}
	rowShareOption  = Option{Name: "row_share", Default: 0.0, About: "the last queries as a share of the prompt, rounded down but at least one, in place of last_rows; 0: off"}
	normalizeOption = Option{Name: "normalize", Default: true, About: "a key's attention is the mean of the rows that can see it; false: the sum"}
)

// lastRows says which of the last queries' attention rows make one.
type lastRows struct {
	count int
	share float64 // of the prompt, in place of count; 0: off
	mean  bool    // over the rows that can see a key; else their sum
}

func newLastRows(o options) lastRows {
	return lastRows{count: o.int("last_rows"), share: o.float("row_share"), mean: o.bool("normalize")}
}

func (r lastRows) check() error {
	switch {
	case r.count < 1:
		return fmt.Errorf("last_rows %d is below 1", r.count)
	case r.share < 0 || r.share > 1:
		return fmt.Errorf("row_share %g is no share from 0 to 1", r.share)
	case r.share > 0 && r.count > 1:
		return fmt.Errorf("last_rows and row_share are two ways to say one thing; give one")
	}
	return nil
}

func (r lastRows) needs() model.Needs { return model.Needs{LastRows: r.count, RowShare: r.share} }

// of is the number of rows in a prompt of n tokens.
func (r lastRows) of(n int) int { return r.needs().Rows(n) }

// sum sets dst to the attention that the keys received from the rows, and
// refuses what is not finite.
func (r lastRows) sum(dst []float64, p *model.Prefix, layer, head int) error {
	n := p.Len()
	rows := r.of(n)
	if err := sumRows(dst, p, layer, head, rows); err != nil || rows == 1 || !r.mean {
		return err
	}
	for j := range dst {
		// Queries n-rows…n-1; those from j on see key j.
		dst[j] /= float64(n - max(j, n-rows))
	}
	return nil
}
