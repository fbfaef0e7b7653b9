package jieba

import (
	"iter"
	"strings"
	"unicode/utf8"
)

// Cut splits a text into words; together they are the text. useHMM finds words
// that the dictionary lacks with a hidden Markov model, as jieba does by
// default. The tables are read at the first call (a tenth of a second, 10 MB).
// Bytes that are not UTF-8 become U+FFFD.
func Cut(text string, useHMM bool) []string {
	var out []string
	for run, words := range runs(strings.ToValidUTF8(text, "\ufffd"), isWordCharacter) {
		switch {
		case words && useHMM:
			out = cutWithHMM(out, run)
		case words:
			out = cutWithout(out, run)
		default:
			out = cutRest(out, run)
		}
	}
	return out
}

// runs yields the longest pieces of characters that all are in a class or all
// are not.
func runs(text string, in func(rune) bool) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for text != "" {
			first, _ := utf8.DecodeRuneInString(text)
			is := in(first)
			end := strings.IndexFunc(text, func(r rune) bool { return in(r) != is })
			if end < 0 {
				end = len(text)
			}
			if !yield(text[:end], is) {
				return
			}
			text = text[end:]
		}
	}
}

// isWordCharacter tells which characters words are made of.
func isWordCharacter(r rune) bool {
	return isHan(r) || isAlphanumeric(r) || strings.ContainsRune("+#&._%-", r)
}

func isHan(r rune) bool { return r >= 0x4e00 && r <= 0x9fd5 }

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// cutRest makes every character a word of its own, but for "\r\n".
func cutRest(out []string, text string) []string {
	for text != "" {
		_, size := utf8.DecodeRuneInString(text)
		if strings.HasPrefix(text, "\r\n") {
			size = 2
		}
		out = append(out, text[:size])
		text = text[size:]
	}
	return out
}

// likeliest splits a text into words of the dictionary and single characters:
// the path of the greatest sum of log probabilities, the longer word in a tie. A
// character that is no word counts as one seen once.
func (d *dictionary) likeliest(text string) []string {
	// By the byte where each piece begins: the best sum from there on, and where
	// the piece ends.
	best, end := make([]float64, len(text)+1), make([]int, len(text)+1)
	for at := len(text); at > 0; {
		_, size := utf8.DecodeLastRuneInString(text[:at])
		at -= size
		end[at], best[at] = at+size, d.weights[0]+best[at+size]
		d.words(text[at:], func(length int, weight float64) {
			if sum := weight + best[at+length]; length == size || sum >= best[at] {
				end[at], best[at] = at+length, sum
			}
		})
	}
	var out []string
	for at := 0; at < len(text); at = end[at] {
		out = append(out, text[at:end[at]])
	}
	return out
}

// cutWithHMM hands what the dictionary leaves as single characters to the model.
func cutWithHMM(out []string, text string) []string {
	d := loadDictionary()
	at, singles := 0, 0 // singles is where the single characters before at begin
	flush := func() {
		switch gathered := text[singles:at]; {
		case utf8.RuneCountInString(gathered) <= 1, d.has(gathered):
			out = append(out, strings.Split(gathered, "")...)
		default:
			out = loadHMM().cut(out, gathered)
		}
	}
	for _, word := range d.likeliest(text) {
		if utf8.RuneCountInString(word) > 1 {
			flush()
			out = append(out, word)
			singles = at + len(word)
		}
		at += len(word)
	}
	flush()
	return out
}

// cutWithout joins single letters and digits.
func cutWithout(out []string, text string) []string {
	joined := false
	for _, word := range loadDictionary().likeliest(text) {
		letter := len(word) == 1 && isAlphanumeric(rune(word[0]))
		if letter && joined {
			out[len(out)-1] += word
		} else {
			out = append(out, word)
		}
		joined = letter
	}
	return out
}
