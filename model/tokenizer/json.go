package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// maxFreeIDs bounds how many ids below the largest may be without a token, so
// that one wild id does not ask for gigabytes.
const maxFreeIDs = 1 << 16

// tokenizerJSON is the file tokenizer.json. Its truncation and padding are not
// applied, as transformers does not apply them either unless asked.
type tokenizerJSON struct {
	Version       string          `json:"version"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// modelJSON is its model, of type BPE.
type modelJSON struct {
	Type          string           `json:"type"`
	Dropout       *float64         `json:"dropout"`
	Unk           *string          `json:"unk_token"`
	SubwordPrefix *string          `json:"continuing_subword_prefix"`
	WordSuffix    *string          `json:"end_of_word_suffix"`
	FuseUnk       bool             `json:"fuse_unk"`
	ByteFallback  bool             `json:"byte_fallback"`
	IgnoreMerges  bool             `json:"ignore_merges"`
	Vocab         map[string]int32 `json:"vocab"`
	Merges        json.RawMessage  `json:"merges"`
}

// parse reads the bytes of a tokenizer.json. Errors name the field.
func parse(data []byte) (*Tokenizer, error) {
	var f tokenizerJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, err
	}
	if f.Version != "" && f.Version != "1.0" {
		return nil, unsupported("version", f.Version, "1.0")
	}
	model, err := parseModel(f.Model)
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	t := &Tokenizer{model: model, bos: -1}
	if t.normalizers, err = parseNormalizer(f.Normalizer, 0); err != nil {
		return nil, fmt.Errorf("normalizer: %w", err)
	}
	if t.splitters, err = parsePreTokenizer(f.PreTokenizer, 0); err != nil {
		return nil, fmt.Errorf("pre_tokenizer: %w", err)
	}
	if t.templates, err = parsePostProcessor(f.PostProcessor, 0); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	if t.decoders, err = parseDecoder(f.Decoder, 0); err != nil {
		return nil, fmt.Errorf("decoder: %w", err)
	}
	if err := t.setTokens(model.vocab, f.AddedTokens); err != nil {
		return nil, err
	}
	for _, tpl := range t.templates {
		for _, p := range tpl {
			for _, id := range p.ids {
				if t.Token(id) == "" {
					return nil, fmt.Errorf("post_processor: special_tokens: the vocabulary lacks id %d", id)
				}
			}
		}
	}
	return t, nil
}

func parseModel(raw json.RawMessage) (*bpe, error) {
	if absent(raw) {
		return nil, errors.New("it is missing")
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	if name != "BPE" && name != "" { // the oldest files do not say
		return nil, unsupported("type", name, "BPE")
	}
	var c modelJSON
	if err := strict(raw, &c); err != nil {
		return nil, err
	}
	switch {
	case len(c.Vocab) == 0:
		return nil, errors.New("vocab is missing or empty")
	case c.Dropout != nil && *c.Dropout != 0:
		return nil, fmt.Errorf("dropout %v is not supported: it makes ids random", *c.Dropout)
	case c.SubwordPrefix != nil && *c.SubwordPrefix != "":
		return nil, fmt.Errorf("continuing_subword_prefix %q is not supported", *c.SubwordPrefix)
	case c.WordSuffix != nil && *c.WordSuffix != "":
		return nil, fmt.Errorf("end_of_word_suffix %q is not supported", *c.WordSuffix)
	}
	pairs, err := parseMerges(c.Merges)
	if err != nil {
		return nil, fmt.Errorf("merges: %w", err)
	}
	m := &bpe{
		vocab: c.Vocab, merges: make(map[uint64]merge, len(pairs)), unk: -1,
		fuseUnk: c.FuseUnk, byteFallback: c.ByteFallback, ignoreMerges: c.IgnoreMerges,
	}
	for i, p := range pairs {
		if err := m.addMerge(i, p[0], p[1]); err != nil {
			return nil, err
		}
	}
	if c.Unk != nil {
		id, ok := c.Vocab[*c.Unk]
		if !ok {
			return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *c.Unk)
		}
		m.unk = id
	}
	return m, nil
}

// parseMerges reads a list of "a b" or of ["a","b"].
func parseMerges(raw json.RawMessage) ([][2]string, error) {
	if absent(raw) {
		return nil, errors.New("the list is missing")
	}
	const blanks = " \t\r\n"
	list := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(raw, blanks), []byte("[")), blanks)
	var pairs [][2]string
	if len(list) > 0 && list[0] == '"' {
		var lines []string
		if err := json.Unmarshal(raw, &lines); err != nil {
			return nil, err
		}
		for i, l := range lines {
			p, err := splitMerge(l)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", i, err)
			}
			pairs = append(pairs, p)
		}
		return pairs, nil
	}
	var lists [][]string
	if err := json.Unmarshal(raw, &lists); err != nil {
		return nil, err
	}
	for i, l := range lists {
		if len(l) != 2 {
			return nil, fmt.Errorf("entry %d has %d parts, want 2", i, len(l))
		}
		pairs = append(pairs, [2]string{l[0], l[1]})
	}
	return pairs, nil
}

// splitMerge reads "a b".
func splitMerge(line string) ([2]string, error) {
	a, b, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(b, " ") {
		return [2]string{}, fmt.Errorf("%q is not two tokens with a blank between them", line)
	}
	return [2]string{a, b}, nil
}

// setTokens fills the tables from ids to tokens and back, and the sets of added
// tokens.
func (t *Tokenizer) setTokens(vocab map[string]int32, added []addedToken) error {
	largest := int32(-1)
	check := func(token string, id int32) error {
		if id < 0 || int(id) > len(vocab)+len(added)+maxFreeIDs {
			return fmt.Errorf("token %q has id %d, but there are only %d tokens", token, id, len(vocab)+len(added))
		}
		largest = max(largest, id)
		return nil
	}
	for token, id := range vocab {
		if err := check(token, id); err != nil {
			return fmt.Errorf("model: vocab: %w", err)
		}
	}
	for _, a := range added {
		if err := check(a.Content, a.ID); err != nil {
			return fmt.Errorf("added_tokens: %w", err)
		}
	}
	t.tokens = make([]string, largest+1)
	t.ids = make(map[string]int32, len(vocab)+len(added))
	t.special = make(map[string]bool)
	for token, id := range vocab {
		if other := t.tokens[id]; other != "" {
			return fmt.Errorf("model: vocab: %q and %q share the id %d", min(token, other), max(token, other), id)
		}
		t.tokens[id], t.ids[token] = token, id
	}
	return t.setAdded(added)
}

func (t *Tokenizer) setAdded(added []addedToken) error {
	// Special tokens go first: of two with one text the first is found.
	for _, special := range []bool{true, false} {
		for _, a := range added {
			if a.Special != special || a.Content == "" {
				continue
			}
			if id, ok := t.ids[a.Content]; ok && id != a.ID {
				return fmt.Errorf("added_tokens: %q has id %d here and %d in the vocabulary", a.Content, a.ID, id)
			}
			if other := t.tokens[a.ID]; other != "" && other != a.Content {
				return fmt.Errorf("added_tokens: %q and %q share the id %d", a.Content, other, a.ID)
			}
			t.tokens[a.ID], t.ids[a.Content] = a.Content, a.ID
			if a.Special {
				t.special[a.Content] = true
			}
			if !a.Normalized {
				t.raw.add(a.Content, a)
				continue
			}
			text := a.Content
			for _, n := range t.normalizers {
				text = n(text)
			}
			t.normalized.add(text, a)
		}
	}
	return nil
}
