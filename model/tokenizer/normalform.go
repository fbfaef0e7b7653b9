package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// normalised are the characters that Hugging Face's tokenizers normalises: its
// tables are of Unicode 9. Later ones are left as they are, and so is what
// stands around them.
var normalised = rangetable.Assigned("9.0.0")

// mostMarks is how many combining marks in a row the library normalises as the
// Unicode Standard defines it. Into longer runs (from 30 on, decomposed) it puts
// U+034F, for the sake of streams, and the ids would be others than Hugging
// Face's.
const mostMarks = 9

// normalForm returns a normalizer to one of the Unicode normal forms.
func normalForm(f norm.Form) normalizer {
	return func(s string) string {
		done := 0
		var out strings.Builder
		for i, r := range s {
			if r >= utf8.RuneSelf && !unicode.Is(normalised, r) {
				out.WriteString(normalizeKnown(f, s[done:i]))
				out.WriteRune(r)
				done = i + utf8.RuneLen(r)
			}
		}
		if done == 0 {
			return normalizeKnown(f, s)
		}
		return out.String() + normalizeKnown(f, s[done:])
	}
}

func normalizeKnown(f norm.Form, s string) string {
	if hasLongMarks(s) {
		return normalizeMarks(f, s)
	}
	return f.String(s)
}

func hasLongMarks(s string) bool {
	run := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r < 0x300: // no mark stands below
			run = 0
		case norm.NFKD.PropertiesString(s[i:i+size]).LeadCCC() != 0:
			run++
		default:
			run = 0
		}
		if run > mostMarks {
			return true
		}
		i += size
	}
	return false
}

func markClass(r rune) uint8 {
	var b [utf8.UTFMax]byte
	return norm.NFD.Properties(b[:utf8.EncodeRune(b[:], r)]).CCC()
}

// normalizeMarks is the definition (Unicode Standard, section 3.11): decompose
// every character, order the marks by their class, compose again.
func normalizeMarks(f norm.Form, s string) string {
	decompose := norm.NFD
	if f == norm.NFKC || f == norm.NFKD {
		decompose = norm.NFKD
	}
	var runes []rune
	for _, r := range s {
		runes = append(runes, []rune(decompose.String(string(r)))...)
	}
	for from := 0; from < len(runes); from++ {
		to := from
		for to < len(runes) && markClass(runes[to]) != 0 {
			to++
		}
		slices.SortStableFunc(runes[from:to], func(a, b rune) int { return int(markClass(a)) - int(markClass(b)) })
		from = to
	}
	if f == norm.NFD || f == norm.NFKD {
		return string(runes)
	}
	return string(compose(runes))
}

// compose joins every starter with the marks, and the starters, that are not
// blocked from it.
func compose(runes []rune) []rune {
	out := runes[:0]
	starter, last := -1, 0 // place in out; class of what stands behind it, -1: nothing
	for _, r := range runes {
		class := int(markClass(r))
		if starter >= 0 && last < class {
			if joined := []rune(norm.NFC.String(string([]rune{out[starter], r}))); len(joined) == 1 {
				out[starter] = joined[0]
				continue
			}
		}
		out = append(out, r)
		if last = class; class == 0 {
			starter, last = len(out)-1, -1
		}
	}
	return out
}
