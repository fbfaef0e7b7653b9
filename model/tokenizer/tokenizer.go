package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Tokenizer is a byte-level BPE vocabulary with its added tokens. It may be
// used from several goroutines.
type Tokenizer struct {
	tokens []string         // by id; byte-level text for ordinary tokens
	ids    map[string]int32 // of every token
	bpe    *bpe
	split  splitter
	added  *addedTokens
	unk    int32 // -1: none

	prefix, suffix []int32 // what addSpecial puts around the text
	bos            int32   // -1: none
	eos            []int32
	chat           chatTemplate
	hash           string
}

// Size is the number of token ids: the highest one plus one.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// BOS returns the beginning-of-text token, if the model has one.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS returns the tokens that end a text: the tokenizer's own first, then those
// that the model's generation config adds.
func (t *Tokenizer) EOS() []int32 { return slices.Clone(t.eos) }

// ID finds a token by its text: byte-level for ordinary tokens, as it stands
// for added ones.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Token is the inverse of ID; it is empty for an unknown id.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Hash identifies everything that determines ids and prompts: SHA-256 in hex.
func (t *Tokenizer) Hash() string { return t.hash }

// Encode turns text into ids. Special tokens that stand in the text are
// recognised, as Hugging Face's tokenizers do; addSpecial adds those that the
// tokenizer itself puts around a text (a beginning-of-text token, say).
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	var out []int32
	if addSpecial {
		out = append(out, t.prefix...)
	}
	for _, part := range t.added.split(text) {
		if part.id >= 0 {
			out = append(out, part.id)
			continue
		}
		out = t.encodePlain(out, part.text)
	}
	if addSpecial {
		out = append(out, t.suffix...)
	}
	return out
}

func (t *Tokenizer) encodePlain(out []int32, text string) []int32 {
	// Bytes that are no UTF-8 become replacement characters, as in Python.
	text = strings.ToValidUTF8(text, "\uFFFD")
	for _, word := range t.split.words(text) {
		out = t.bpe.encode(out, word, t.unk)
	}
	return out
}

// Decode turns ids into text; with skipSpecial, special tokens are left out.
// Bytes that make no UTF-8 become replacement characters.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var out []byte
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.tokens) || skipSpecial && t.added.special[id] {
			continue
		}
		out = appendBytes(out, t.tokens[id])
	}
	return validUTF8(out)
}

// validUTF8 replaces every maximal invalid sequence by U+FFFD, as Rust and
// Python do.
func validUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r != utf8.RuneError || size > 1 {
			s.WriteRune(r)
			b = b[size:]
			continue
		}
		s.WriteRune(utf8.RuneError)
		b = b[invalidLength(b):]
	}
	return s.String()
}

// invalidLength is how many bytes at the start of b one replacement character
// stands for: the longest prefix of a well-formed sequence.
func invalidLength(b []byte) int {
	lo, hi, need := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		need = 1
	case c >= 0xE0 && c <= 0xEF:
		need = 2
		if c == 0xE0 {
			lo = 0xA0
		}
		if c == 0xED {
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		need = 3
		if c == 0xF0 {
			lo = 0x90
		}
		if c == 0xF4 {
			hi = 0x8F
		}
	}
	n := 1
	for n <= need && n < len(b) && b[n] >= lo && b[n] <= hi {
		lo, hi = 0x80, 0xBF
		n++
	}
	return n
}

// source is what the constructors gather from either file format.
type source struct {
	tokens         []string
	merges         []string // "left right", byte-level
	ignoreMerges   bool
	split          splitter
	added          []addedToken
	unk            int32
	prefix, suffix []int32
	bos            int32
	eos            []int32
	template       string
	vars           map[string]string // named special tokens for the template
}

func (s source) build() (*Tokenizer, error) {
	t := &Tokenizer{
		tokens: s.tokens, ids: make(map[string]int32, len(s.tokens)), split: s.split, unk: s.unk,
		prefix: s.prefix, suffix: s.suffix, bos: s.bos, eos: s.eos,
	}
	for id, token := range s.tokens {
		if token != "" {
			t.ids[token] = int32(id)
		}
	}
	var err error
	if t.bpe, err = newBPE(t.ids, s.merges, s.ignoreMerges); err != nil {
		return nil, err
	}
	if t.added, err = newAddedTokens(s.added); err != nil {
		return nil, err
	}
	t.chat = chatTemplate{text: s.template, vars: s.vars}
	facts, err := json.Marshal([]any{s.tokens, s.merges, s.ignoreMerges, s.split.String(), s.added, s.unk, s.prefix, s.suffix, s.bos, s.eos, s.template, s.vars})
	if err != nil {
		return nil, fmt.Errorf("hashing the tokenizer: %w", err)
	}
	sum := sha256.Sum256(facts)
	t.hash = hex.EncodeToString(sum[:])
	return t, nil
}
