package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// allChars calls f for every character but surrogates, those of private use and
// planes without any.
func allChars(f func(r rune)) {
	for _, r := range [][2]rune{{0, 0xD800}, {0xF900, 0x33500}, {0xE0000, 0xE0200}} {
		for c := r[0]; c < r[1]; c++ {
			f(c)
		}
	}
}

func linesHash(lines []string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

// Every character belongs to the categories, is normalised and ends words as in
// Hugging Face's tokenizers (testdata/unicode.py), whatever version of Unicode its
// tables and ours are of.
func TestEveryCharacter(t *testing.T) {
	var want struct {
		Patterns      map[string]string
		Forms         map[string][2]string
		Digits, Words string
	}
	readFixture(t, "unicode.json", &want)
	var all, spaced, marked, words strings.Builder
	allChars(func(r rune) {
		all.WriteRune(r)
		if r > 0 {
			spaced.WriteByte(' ')
		}
		spaced.WriteRune(r)
		fmt.Fprintf(&marked, "a\u0301%c\u0316\u0345\u0327\u3099\u0323", r)
		fmt.Fprintf(&words, "yes%c %cyes ", r, r)
	})
	pieces := func(split splitter) string {
		var texts []string
		for _, p := range split(new(encoder), piece{all.String(), true}, nil) {
			texts = append(texts, p.text)
		}
		return linesHash(texts)
	}
	for pattern, hash := range want.Patterns {
		re, err := compile(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if pieces(splitPattern(re, removed, false)) != hash {
			t.Errorf("%s matches other characters", pattern)
		}
	}
	if pieces(splitDigits(true)) != want.Digits {
		t.Error("other characters are digits")
	}
	for name, hashes := range want.Forms {
		form := normalForm(normalForms[name])
		for i, text := range []string{spaced.String(), marked.String()} {
			if linesHash([]string{form(text)}) != hashes[i] {
				t.Errorf("%s of every character is another text (%d)", name, i)
			}
		}
	}
	tok, err := parse([]byte(`{"model":{"type":"BPE","unk_token":"?","vocab":{"?":0},"merges":[]},"added_tokens":[{"id":1,"content":"yes","single_word":true}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, id := range encoded(t, tok, words.String(), false) {
		ids = append(ids, fmt.Sprint(id))
	}
	if linesHash(ids) != want.Words {
		t.Error("other characters belong to words")
	}
}
