package tokenizer

import (
	"sort"
	"unicode"
)

// Hugging Face's tokenizers matches patterns with the categories of Unicode 16.
// Go's tables, and those of the pattern library, are of Unicode 15; to them the
// characters that came later have no category. laterChars lists these by category,
// in order, with a character of Unicode 15 that matches in their place: one of the
// same category that no tokenizer's pattern names.
var laterChars = []charRange{
	{0x0897, 0x0897, standMark}, {0x1B4E, 0x1B4F, standPunct}, {0x1B7F, 0x1B7F, standPunct}, {0x1C89, 0x1C89, standUpper},
	{0x1C8A, 0x1C8A, standLower}, {0x2427, 0x2429, standSymbol}, {0x2FFC, 0x2FFF, standSymbol}, {0x31E4, 0x31E5, standSymbol},
	{0x31EF, 0x31EF, standSymbol}, {0xA7CB, 0xA7CC, standUpper}, {0xA7CD, 0xA7CD, standLower}, {0xA7DA, 0xA7DA, standUpper},
	{0xA7DB, 0xA7DB, standLower}, {0xA7DC, 0xA7DC, standUpper}, {0x105C0, 0x105F3, standLetter}, {0x10D40, 0x10D49, standDigit},
	{0x10D4A, 0x10D4D, standLetter}, {0x10D4E, 0x10D4E, standModifier}, {0x10D4F, 0x10D4F, standLetter}, {0x10D50, 0x10D65, standUpper},
	{0x10D69, 0x10D6D, standMark}, {0x10D6E, 0x10D6E, standPunct}, {0x10D6F, 0x10D6F, standModifier}, {0x10D70, 0x10D85, standLower},
	{0x10D8E, 0x10D8F, standSymbol}, {0x10EC2, 0x10EC4, standLetter}, {0x10EFC, 0x10EFC, standMark}, {0x11380, 0x11389, standLetter},
	{0x1138B, 0x1138B, standLetter}, {0x1138E, 0x1138E, standLetter}, {0x11390, 0x113B5, standLetter}, {0x113B7, 0x113B7, standLetter},
	{0x113B8, 0x113C0, standMark}, {0x113C2, 0x113C2, standMark}, {0x113C5, 0x113C5, standMark}, {0x113C7, 0x113CA, standMark},
	{0x113CC, 0x113D0, standMark}, {0x113D1, 0x113D1, standLetter}, {0x113D2, 0x113D2, standMark}, {0x113D3, 0x113D3, standLetter},
	{0x113D4, 0x113D5, standPunct}, {0x113D7, 0x113D8, standPunct}, {0x113E1, 0x113E2, standMark}, {0x116D0, 0x116E3, standDigit},
	{0x11BC0, 0x11BE0, standLetter}, {0x11BE1, 0x11BE1, standPunct}, {0x11BF0, 0x11BF9, standDigit}, {0x11F5A, 0x11F5A, standMark},
	{0x13460, 0x143FA, standLetter}, {0x16100, 0x1611D, standLetter}, {0x1611E, 0x1612F, standMark}, {0x16130, 0x16139, standDigit},
	{0x16D40, 0x16D42, standModifier}, {0x16D43, 0x16D6A, standLetter}, {0x16D6B, 0x16D6C, standModifier}, {0x16D6D, 0x16D6F, standPunct},
	{0x16D70, 0x16D79, standDigit}, {0x18CFF, 0x18CFF, standLetter}, {0x1CC00, 0x1CCEF, standSymbol}, {0x1CCF0, 0x1CCF9, standDigit},
	{0x1CD00, 0x1CEB3, standSymbol}, {0x1E5D0, 0x1E5ED, standLetter}, {0x1E5EE, 0x1E5EF, standMark}, {0x1E5F0, 0x1E5F0, standLetter},
	{0x1E5F1, 0x1E5FA, standDigit}, {0x1E5FF, 0x1E5FF, standPunct}, {0x1F8B2, 0x1F8BB, standSymbol}, {0x1F8C0, 0x1F8C1, standSymbol},
	{0x1FA89, 0x1FA89, standSymbol}, {0x1FA8F, 0x1FA8F, standSymbol}, {0x1FABE, 0x1FABE, standSymbol}, {0x1FAC6, 0x1FAC6, standSymbol},
	{0x1FADC, 0x1FADC, standSymbol}, {0x1FADF, 0x1FADF, standSymbol}, {0x1FAE9, 0x1FAE9, standSymbol}, {0x1FBCB, 0x1FBEF, standSymbol},
	{0x2EBF0, 0x2EE5D, standLetter},
}

type charRange struct{ low, high, stand rune }

const (
	standUpper    = '\U00010400' // Lu
	standLower    = '\U00010428' // Ll
	standModifier = '\U00016B40' // Lm
	standLetter   = '\U00010450' // Lo
	standMark     = '\U000101FD' // Mn
	standDigit    = '\U000104A0' // Nd
	standPunct    = '\U00010100' // Po
	standSymbol   = '\U00010137' // So
)

// standIn returns the character that is matched in place of r.
func standIn(r rune) rune {
	if r < laterChars[0].low || r > 0x31EF && r < 0xA7CB { // most texts, Chinese among them
		return r
	}
	i := sort.Search(len(laterChars), func(i int) bool { return laterChars[i].high >= r })
	if i < len(laterChars) && laterChars[i].low <= r {
		return laterChars[i].stand
	}
	return r
}

// isNumber is Rust's char::is_numeric, which knows Unicode 17.
func isNumber(r rune) bool {
	return unicode.IsNumber(standIn(r)) || r >= 0x11DE0 && r <= 0x11DE9 || r >= 0x16FF4 && r <= 0x16FF6
}

// isWord is \w of Unicode Technical Standard 18, annex C.
func isWord(r rune) bool {
	r = standIn(r)
	return unicode.IsLetter(r) ||
		unicode.In(r, unicode.M, unicode.Nd, unicode.Nl, unicode.Pc, unicode.Other_Alphabetic, unicode.Join_Control)
}
