package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// A Tokenizer encodes and decodes text for one model. It is safe for use by
// several goroutines at once.
type Tokenizer struct {
	model       *bpe
	tokens      []string         // by id, added tokens included; "" where an id is free
	ids         map[string]int32 // of every token, added tokens included
	special     map[string]bool  // tokens that Decode may leave out
	raw         addedSet         // added tokens that are cut out of the text as it stands
	normalized  addedSet         // those that are cut out of the normalized text
	normalizers []normalizer
	splitters   []splitter
	templates   []template
	decoders    []decoder // nil: tokens are joined with blanks

	bos  int32 // -1: none
	eos  []int32
	chat *chat // nil: the model has no template
	hash string
}

// Encode returns the ids of text, as Hugging Face's tokenizers does: special
// tokens that stand in the text are recognised, and addSpecial adds what the
// model's post-processor adds (a BOS token, for most). Bytes that are no valid
// UTF-8 count as U+FFFD. It fails where a regular expression of the tokenizer takes
// too long to match.
func (t *Tokenizer) Encode(text string, addSpecial bool) (ids []int32, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case tooSlow:
			ids, err = nil, p
		default:
			panic(p)
		}
	}()
	if !utf8.ValidString(text) {
		text = lossy([]byte(text))
	}
	out := t.encode(text)
	if !addSpecial {
		return out, nil
	}
	for _, tpl := range t.templates {
		out = tpl.apply(out)
	}
	return out, nil
}

func (t *Tokenizer) encode(text string) []int32 {
	// English and code take about four bytes a token.
	out := make([]int32, 0, len(text)/4+8)
	e := encoder{}
	t.raw.split(text, func(part string, id int32, start bool) {
		if id >= 0 {
			out = append(out, id)
			return
		}
		for _, n := range t.normalizers {
			part = n(part)
		}
		t.normalized.split(part, func(part string, id int32, begins bool) {
			if id >= 0 {
				out = append(out, id)
				return
			}
			for _, p := range e.split(t.splitters, piece{part, start && begins}) {
				out = t.model.encode(out, p.text)
			}
		})
	})
	return out
}

// Decode returns the text of ids, as Hugging Face's decode without clean-up of
// blanks. Ids that the vocabulary lacks are left out; skipSpecial leaves out the
// special tokens too. Bytes that form no character become U+FFFD.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	parts := make([]string, 0, len(ids))
	for _, id := range ids {
		s := t.Token(id)
		if s == "" || skipSpecial && t.special[s] {
			continue
		}
		parts = append(parts, s)
	}
	if t.decoders == nil {
		return strings.Join(parts, " ")
	}
	for _, d := range t.decoders {
		parts = d(parts)
	}
	return strings.Join(parts, "")
}

// Size is one more than the largest id.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// BOS returns the id of the token that begins a sequence, if the model has one.
func (t *Tokenizer) BOS() (int32, bool) { return t.bos, t.bos >= 0 }

// EOS returns the ids that end a generation, none twice: the tokenizer's own
// first, then those of generation_config.json (or of the GGUF's end-of-turn
// keys).
func (t *Tokenizer) EOS() []int32 { return append([]int32(nil), t.eos...) }

// Token returns the vocabulary's entry for id, in the vocabulary's own spelling
// ("Ġthe", "▁the"); "" where there is none.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// ID returns the id of a token in the vocabulary's own spelling.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}
