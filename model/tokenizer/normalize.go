package tokenizer

import (
	"strings"

	"github.com/dlclark/regexp2/v2"
	"golang.org/x/text/unicode/norm"
)

// A normalizer rewrites a piece of text between added tokens.
type normalizer func(string) string

func normalForm(f norm.Form) normalizer { return f.String }

// prependText puts text in front of every piece that is not empty.
func prependText(text string) normalizer {
	return func(s string) string {
		if s == "" {
			return s
		}
		return text + s
	}
}

func replaceText(from, to string) normalizer {
	return func(s string) string { return strings.ReplaceAll(s, from, to) }
}

// replacePattern puts the text to, taken literally, where re matches.
func replacePattern(re *regexp2.Regexp, to string) normalizer {
	return func(s string) string {
		runes := []rune(s)
		var out strings.Builder
		done := 0
		each(re, runes, func(from, upto int) {
			out.WriteString(string(runes[done:from]))
			out.WriteString(to)
			done = upto
		})
		out.WriteString(string(runes[done:]))
		return out.String()
	}
}
