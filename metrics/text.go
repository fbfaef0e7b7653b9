package metrics

import (
	"strings"
	"unicode"
)

// isSpace is Python's str.isspace for one character.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

// fields is Python's str.split().
func fields(s string) []string { return strings.FieldsFunc(s, isSpace) }

// trim is Python's str.strip().
func trim(s string) string { return strings.TrimFunc(s, isSpace) }

// lower is Python's str.lower. It differs from strings.ToLower in two letters:
// İ becomes i and a dot above, and Σ at the end of a word becomes ς.
func lower(s string) string {
	if !strings.ContainsAny(s, "Σİ") {
		return strings.ToLower(s)
	}
	runes := []rune(s)
	var out strings.Builder
	for i, r := range runes {
		switch {
		case r == 'İ':
			out.WriteString("i\u0307")
		case r == 'Σ' && endsWord(runes[:i], runes[i+1:]):
			out.WriteRune('ς')
		default:
			out.WriteRune(unicode.ToLower(r))
		}
	}
	return out.String()
}

// endsWord is Unicode's condition Final_Sigma as Python tests it: past the
// case-ignorable characters on each side, a cased one stands before and none
// after. Modifier letters are both cased and ignorable; Python ignores them.
func endsWord(before, after []rune) bool {
	for len(before) > 0 && isCaseIgnorable(before[len(before)-1]) {
		before = before[:len(before)-1]
	}
	for len(after) > 0 && isCaseIgnorable(after[0]) {
		after = after[1:]
	}
	return len(before) > 0 && isCased(before[len(before)-1]) && (len(after) == 0 || !isCased(after[0]))
}

// isCased is Unicode's property Cased.
func isCased(r rune) bool {
	return unicode.In(r, unicode.Lower, unicode.Upper, unicode.Title, unicode.Other_Lowercase, unicode.Other_Uppercase)
}

// midWord are the characters that do not break a word between two letters
// (Word_Break MidLetter, MidNumLet and Single_Quote).
const midWord = "'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a"

// isCaseIgnorable is Unicode's property Case_Ignorable.
func isCaseIgnorable(r rune) bool {
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune(midWord, r)
}

// isWord tells what \w matches in Python.
func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
}

// isPunctuation is membership in Python's string.punctuation.
func isPunctuation(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r))
}
