package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// byteChars spells the 256 bytes as printable characters, GPT-2's way: printable
// ones of Latin-1 stand for themselves, the others are numbered from U+0100.
// charBytes is its inverse; -1 where a character stands for no byte.
var byteChars, charBytes = byteTables()

func byteTables() (chars [256]string, bytes [324]int16) {
	for i := range bytes {
		bytes[i] = -1
	}
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		chars[b] = string(r)
		bytes[r] = int16(b)
	}
	return chars, bytes
}

// spellBytes writes text in GPT-2's characters.
func spellBytes(text string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/4 + 2)
	for i := range len(text) {
		b.WriteString(byteChars[text[i]])
	}
	return b.String()
}

// appendBytes appends the bytes that a token in GPT-2's spelling stands for; a
// token with any other character (an added one) stands for its own bytes.
func appendBytes(out []byte, token string) []byte {
	n := len(out)
	for _, r := range token {
		if int(r) >= len(charBytes) || charBytes[r] < 0 {
			return append(out[:n], token...)
		}
		out = append(out, byte(charBytes[r]))
	}
	return out
}

// lossy returns the bytes as text, with one U+FFFD for each longest prefix of a
// character that is cut short, and for each byte that begins none (the Unicode
// Standard's recommendation, section 3.9; Go's own conversion puts one per byte).
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b) + 8)
	for len(b) > 0 {
		if _, n := utf8.DecodeRune(b); n > 1 || b[0] < utf8.RuneSelf {
			out.Write(b[:n])
			b = b[n:]
			continue
		}
		out.WriteRune(utf8.RuneError)
		b = b[brokenPrefix(b):]
	}
	return out.String()
}

// brokenPrefix returns how many bytes of an invalid sequence could have begun a
// character, 1 at least.
func brokenPrefix(b []byte) int {
	want, low, high := 0, byte(0x80), byte(0xBF)
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		want = 2
	case c >= 0xE0 && c <= 0xEF:
		want = 3
		if c == 0xE0 {
			low = 0xA0 // below: overlong
		}
		if c == 0xED {
			high = 0x9F // above: surrogates
		}
	case c >= 0xF0 && c <= 0xF4:
		want = 4
		if c == 0xF0 {
			low = 0x90 // below: overlong
		}
		if c == 0xF4 {
			high = 0x8F // above: beyond U+10FFFF
		}
	}
	n := 1
	for n < want && n < len(b) && b[n] >= low && b[n] <= high {
		low, high = 0x80, 0xBF
		n++
	}
	return n
}
