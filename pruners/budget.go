package pruners

import (
	"fmt"
	"math"
)

// budgetOption is the budget of the fixed-budget methods.
var budgetOption = Option{Name: "budget", About: "kept share of the prompt (0 to 1), or, above 1, a number of tokens"}

// checkBudget refuses budgets that keep nothing or are neither a share nor a
// whole number of tokens.
func checkBudget(b float64) error {
	if b <= 0 || math.IsInf(b, 0) {
		return fmt.Errorf("budget %g keeps nothing; give a share above 0 and up to 1, or a number of tokens", b)
	}
	if b > 1 && b != math.Trunc(b) {
		return fmt.Errorf("budget %g is neither a share (up to 1) nor a whole number of tokens", b)
	}
	return nil
}

// capacity is how many of n entries a budget keeps: round(n·b) with halves to
// even as in Python (spec 4), at least 1 and at most n.
func capacity(n int, budget float64) int {
	c := budget
	if budget <= 1 {
		c = math.RoundToEven(float64(n) * budget)
	}
	return int(min(max(c, 1), float64(n)))
}

// allPositions lists 0..n-1.
func allPositions(n int) []int32 { return span(nil, 0, n) }

// span appends from..to-1.
func span(list []int32, from, to int) []int32 {
	for i := from; i < to; i++ {
		list = append(list, int32(i))
	}
	return list
}
