package tokenizer

import "unicode/utf8"

// Byte-level BPE writes every byte as a printable rune (GPT-2's alphabet):
// printable Latin-1 bytes stand for themselves, the rest for U+0100 upwards.
var (
	byteRune [256]rune
	runeByte = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(r >= '!' && r <= '~' || r >= '¡' && r <= '¬' || r >= '®' && r <= 'ÿ') {
			r = next
			next++
		}
		byteRune[b], runeByte[r] = r, byte(b)
	}
}

// toByteLevel rewrites text in the byte-level alphabet.
func toByteLevel(text string) string {
	out := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		out = utf8.AppendRune(out, byteRune[text[i]])
	}
	return string(out)
}

// appendBytes appends the bytes that a token stands for. A token with a rune
// outside the byte-level alphabet stands for itself.
func appendBytes(dst []byte, token string) []byte {
	start := len(dst)
	for _, r := range token {
		b, ok := runeByte[r]
		if !ok {
			return append(dst[:start], token...)
		}
		dst = append(dst, b)
	}
	return dst
}
