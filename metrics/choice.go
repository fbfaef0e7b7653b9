package metrics

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Choice scores a multiple choice of A to D by the letter that the prediction
// settles on, found by the first of these rules that finds one:
//
//   - the last "answer is C", "answer: (C)" or "answer (C)" (GPQA's own patterns,
//     arXiv 2311.12022, with or without parentheses);
//   - a letter that the text begins with: "C", "(C) text", "C: text";
//   - the only letter in parentheses;
//   - the only letter that stands alone.
//
// Only capitals that stand alone count, and no A that reads as an article.
func Choice(prediction, answer string) float64 {
	letter := chosen(prediction)
	if letter == "" {
		return 0
	}
	return equal(letter, answer)
}

// answerLetter needs a check of what follows the letter.
var answerLetter = regexp.MustCompile(`(?i:answer(?:\s+is)?)\s*:?\s*[*"'(\[]*([A-D])`)

func chosen(text string) string {
	told := ""
	for _, m := range answerLetter.FindAllStringSubmatchIndex(text, -1) {
		if next, size := utf8.DecodeRuneInString(text[m[3]:]); size == 0 || !isWord(next) {
			told = text[m[2]:m[3]]
		}
	}
	if told != "" {
		return told
	}
	alone := aloneLetters(text)
	if len(alone) > 0 && strings.Trim(text[:alone[0]], " \t\n\f\r*\"'([") == "" {
		return text[alone[0] : alone[0]+1]
	}
	var all, parenthesised []string
	for _, at := range alone {
		letter := text[at : at+1]
		all = append(all, letter)
		if strings.HasSuffix(text[:at], "(") && strings.HasPrefix(text[at+1:], ")") {
			parenthesised = append(parenthesised, letter)
		}
	}
	if letter := only(parenthesised); letter != "" || len(parenthesised) > 0 {
		return letter
	}
	return only(all)
}

// only is the one text of which a list consists, or "".
func only(list []string) string {
	for _, s := range list {
		if s != list[0] {
			return ""
		}
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// article begins with an A that is no letter of a choice.
var article = regexp.MustCompile(`^A +([a-z]+)`)

// aloneLetters finds the letters A to D that no letter, digit or underscore
// touches.
func aloneLetters(text string) []int {
	var out []int
	before := ' '
	for at, r := range text {
		if r >= 'A' && r <= 'D' && !isWord(before) {
			next, _ := utf8.DecodeRuneInString(text[at+1:])
			m := article.FindStringSubmatch(text[at:])
			if !isWord(next) && (m == nil || strings.Contains(" is was because since as and or ", " "+m[1]+" ")) {
				out = append(out, at)
			}
		}
		before = r
	}
	return out
}

// ChoicePaper scores a multiple choice as ReFreeKV's evaluation does (spec 6.4,
// GPQA): letters A to D count wherever they occur, inside words too. One
// letter: it must be the answer. Several: the first character decides, or,
// where that is no such letter, the only letter before the first colon.
func ChoicePaper(prediction, answer string) float64 {
	found := letters(prediction)
	switch {
	case len(found) == 0:
		return 0
	case len(found) == 1:
		return equal(found[0], answer)
	case strings.IndexByte("ABCD", prediction[0]) >= 0:
		return equal(prediction[:1], answer)
	}
	before, _, ok := strings.Cut(prediction, ":")
	if !ok {
		return 0
	}
	if found = letters(before); len(found) == 1 {
		return equal(found[0], answer)
	}
	return 0
}

// letters lists the distinct letters A to D of a text.
func letters(text string) []string {
	var out []string
	for _, letter := range []string{"A", "B", "C", "D"} {
		if strings.Contains(text, letter) {
			out = append(out, letter)
		}
	}
	return out
}
