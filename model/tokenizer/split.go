package tokenizer

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/dlclark/regexp2/v2"
	"golang.org/x/text/unicode/norm"
)

// A splitter cuts text into the words that BPE works on, in the byte-level
// alphabet.
type splitter struct {
	nfc    bool
	prefix bool // a blank goes in front of a text that begins with none
	steps  []splitStep
}

// splitStep cuts every piece further.
type splitStep struct {
	name string
	cut  func(text string) []string
}

// String describes the splitter, for hashing.
func (s splitter) String() string {
	var names []string
	for _, step := range s.steps {
		names = append(names, step.name)
	}
	return fmt.Sprintf("nfc=%t prefix=%t %s", s.nfc, s.prefix, strings.Join(names, " | "))
}

func (s splitter) words(text string) []string {
	if s.nfc {
		text = norm.NFC.String(text)
	}
	pieces := []string{text}
	for _, step := range s.steps {
		var cut []string
		for _, p := range pieces {
			cut = append(cut, step.cut(p)...)
		}
		pieces = cut
	}
	for i, p := range pieces {
		if s.prefix && !strings.HasPrefix(p, " ") {
			p = " " + p
		}
		pieces[i] = toByteLevel(p)
	}
	return pieces
}

// The families' pre-tokenizer patterns.
const (
	patternGPT2   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitDigits makes every digit a piece of its own, or every run of digits.
func splitDigits(individual bool) splitStep {
	return splitStep{fmt.Sprintf("digits %t", individual), func(text string) []string {
		var out []string
		start, digits := 0, false
		for at, r := range text {
			isDigit := unicode.IsNumber(r)
			if at > start && (isDigit != digits || isDigit && individual) {
				out = append(out, text[start:at])
				start = at
			}
			digits = isDigit
		}
		return append(out, text[start:])
	}}
}

// splitPattern makes every match a piece, and the text between matches too.
// With invert only that text would be kept apart; with removed the matches are
// dropped.
func splitPattern(pattern, behaviour string, invert bool) (splitStep, error) {
	re, err := regexp2.Compile(pattern, regexp2.None)
	if err != nil {
		return splitStep{}, fmt.Errorf("pre-tokenizer pattern %q: %w", pattern, err)
	}
	if behaviour != "Isolated" && !(behaviour == "Removed" && invert) {
		return splitStep{}, fmt.Errorf("pre-tokenizer Split with behaviour %q (invert %t) is not supported; supported: Isolated, Removed with invert", behaviour, invert)
	}
	keepBetween := behaviour == "Isolated"
	return splitStep{fmt.Sprintf("split %s %s %t", pattern, behaviour, invert), func(text string) []string {
		runes := []rune(text)
		var out []string
		end := 0
		m, err := re.FindRunesMatch(runes)
		for ; m != nil && err == nil; m, err = re.FindNextMatch(m) {
			if m.RuneLength == 0 {
				continue
			}
			if m.RuneIndex > end && keepBetween {
				out = append(out, string(runes[end:m.RuneIndex]))
			}
			out = append(out, m.String())
			end = m.RuneIndex + m.RuneLength
		}
		if end < len(runes) && keepBetween {
			out = append(out, string(runes[end:]))
		}
		return out
	}}, nil
}
