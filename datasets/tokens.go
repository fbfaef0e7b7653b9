package datasets

import (
	"unicode"
	"unicode/utf8"
)

// estimateTokens is about how many tokens a text has, for generated sets whose
// caller has no tokenizer: a word is a token per five letters begun, any other
// sign but a blank is one. Of English text it is within about a tenth of what a
// vocabulary of 50,000 and more gives.
func estimateTokens(text string) int {
	n, run := 0, 0
	for _, r := range text {
		switch {
		case r == ' ':
			run = 0
		case r < utf8.RuneSelf && unicode.IsLetter(r):
			if run%5 == 0 {
				n++
			}
			run++
		default:
			n, run = n+1, 0
		}
	}
	return n
}

// fit is the largest n of least or more with size(n) <= budget, where size grows
// about evenly with n; least if none has.
func fit(budget, least int, size func(n int) int) int {
	low, high, at := least, 0, size(least) // low fits, high does not (0: not found yet)
	if at > budget {
		return least
	}
	for high == 0 {
		// The share of the budget used tells about how far it is, which saves
		// looking at many sizes: each means tokenising a text.
		next := low + max(low*(budget-at)/max(at, 1), low/16, 1)
		if got := size(next); got <= budget {
			low, at = next, got
		} else {
			high = next
		}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; size(middle) <= budget {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
