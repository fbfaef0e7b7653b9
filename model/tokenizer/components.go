package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dlclark/regexp2/v2"
	"golang.org/x/text/unicode/norm"
)

// maxNesting bounds how deeply a Sequence may hold others.
const maxNesting = 8

// absent tells that a part of tokenizer.json is missing or null.
func absent(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// strict decodes one object of tokenizer.json and refuses fields that v lacks:
// an option that we do not know may change the ids.
func strict(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// kind returns an object's type.
func kind(raw json.RawMessage) (string, error) {
	var k struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return k.Type, nil
}

func unsupported(what, name string, known ...string) error {
	slices.Sort(known)
	return fmt.Errorf("%s %q is not supported; supported: %s", what, name, strings.Join(known, ", "))
}

// sequence calls f for the parts of a Sequence, which stand under one of keys.
func sequence(raw json.RawMessage, key string, depth int, f func(json.RawMessage) error) error {
	if depth >= maxNesting {
		return errors.New("sequences nest too deeply")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	var parts []json.RawMessage
	for name, value := range fields {
		switch name {
		case "type":
		case key:
			if err := json.Unmarshal(value, &parts); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		default:
			return fmt.Errorf("Sequence: unknown field %q", name)
		}
	}
	for i, p := range parts {
		if err := f(p); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
	}
	return nil
}

// A pattern of tokenizer.json is a literal text or a regular expression.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

// compiled returns the expression, nil for a literal text.
func (p pattern) compiled() (*regexp2.Regexp, error) {
	switch {
	case p.String != nil && p.Regex == nil:
		return nil, nil
	case p.Regex != nil && p.String == nil:
		return compile(*p.Regex)
	}
	return nil, errors.New("pattern must hold either String or Regex")
}

func parseNormalizer(raw json.RawMessage, depth int) ([]normalizer, error) {
	if absent(raw) {
		return nil, nil
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	one := func(n normalizer) ([]normalizer, error) { return []normalizer{n}, nil }
	var only struct {
		Type string `json:"type"`
	}
	switch name {
	case "Sequence":
		var all []normalizer
		err := sequence(raw, "normalizers", depth, func(r json.RawMessage) error {
			n, err := parseNormalizer(r, depth+1)
			all = append(all, n...)
			return err
		})
		return all, err
	case "NFC", "NFD", "NFKC", "NFKD":
		form := map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}[name]
		if err := strict(raw, &only); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return one(normalForm(form))
	case "Prepend":
		var c struct {
			Type    string `json:"type"`
			Prepend string `json:"prepend"`
		}
		if err := strict(raw, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return one(prependText(c.Prepend))
	case "Replace":
		p, content, err := parseReplace(raw)
		if err != nil {
			return nil, err
		}
		re, err := p.compiled()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if re != nil {
			return one(replacePattern(re, content))
		}
		return one(replaceText(*p.String, content))
	}
	return nil, unsupported("type", name, "Sequence", "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace")
}

// parseReplace reads a Replace normalizer or decoder.
func parseReplace(raw json.RawMessage) (pattern, string, error) {
	var c struct {
		Type    string  `json:"type"`
		Pattern pattern `json:"pattern"`
		Content string  `json:"content"`
	}
	if err := strict(raw, &c); err != nil {
		return pattern{}, "", fmt.Errorf("Replace: %w", err)
	}
	if c.Pattern.String != nil && *c.Pattern.String == "" {
		return pattern{}, "", errors.New("Replace: the pattern is empty")
	}
	return c.Pattern, c.Content, nil
}

func parsePreTokenizer(raw json.RawMessage, depth int) ([]splitter, error) {
	if absent(raw) {
		return nil, nil
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	if name == "Sequence" {
		var all []splitter
		err := sequence(raw, "pretokenizers", depth, func(r json.RawMessage) error {
			s, err := parsePreTokenizer(r, depth+1)
			all = append(all, s...)
			return err
		})
		return all, err
	}
	s, err := parseSplitter(name, raw)
	if err != nil {
		return nil, err
	}
	return []splitter{s}, nil
}

func parseSplitter(name string, raw json.RawMessage) (splitter, error) {
	switch name {
	case "ByteLevel":
		c, err := parseByteLevel(raw)
		if err != nil {
			return nil, err
		}
		if !*c.UseRegex {
			return splitBytes(c.AddPrefixSpace, nil), nil
		}
		re, err := compile(gpt2Pattern)
		return splitBytes(c.AddPrefixSpace, re), err
	case "Digits":
		var c struct {
			Type       string `json:"type"`
			Individual bool   `json:"individual_digits"`
		}
		if err := strict(raw, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return splitDigits(c.Individual), nil
	case "Split":
		return parseSplit(raw)
	case "Metaspace":
		c, err := parseMetaspace(raw)
		if err != nil {
			return nil, err
		}
		return splitMetaspace(c.Replacement, c.scheme, *c.Split), nil
	}
	return nil, unsupported("type", name, "Sequence", "ByteLevel", "Digits", "Split", "Metaspace")
}

func parseSplit(raw json.RawMessage) (splitter, error) {
	var c struct {
		Type     string  `json:"type"`
		Pattern  pattern `json:"pattern"`
		Behavior string  `json:"behavior"`
		Invert   bool    `json:"invert"`
	}
	if err := strict(raw, &c); err != nil {
		return nil, fmt.Errorf("Split: %w", err)
	}
	how, ok := behaviors[c.Behavior]
	if !ok {
		return nil, fmt.Errorf("Split: %w", unsupported("behavior", c.Behavior, "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"))
	}
	re, err := c.Pattern.compiled()
	if err != nil {
		return nil, fmt.Errorf("Split: %w", err)
	}
	if re != nil {
		return splitPattern(re, how, c.Invert), nil
	}
	return splitText(*c.Pattern.String, how, c.Invert), nil
}

type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex"`
}

// parseByteLevel reads a ByteLevel part, which may be a pre-tokenizer, a
// post-processor or a decoder.
func parseByteLevel(raw json.RawMessage) (byteLevel, error) {
	var c byteLevel
	if err := strict(raw, &c); err != nil {
		return c, fmt.Errorf("ByteLevel: %w", err)
	}
	if c.UseRegex == nil {
		yes := true // files from before the option
		c.UseRegex = &yes
	}
	return c, nil
}

type metaspace struct {
	Type           string `json:"type"`
	Replacement    string `json:"replacement"`
	AddPrefixSpace *bool  `json:"add_prefix_space"` // files from before prepend_scheme
	PrependScheme  string `json:"prepend_scheme"`
	Split          *bool  `json:"split"`

	scheme prepend
}

// parseMetaspace reads a Metaspace pre-tokenizer or decoder.
func parseMetaspace(raw json.RawMessage) (metaspace, error) {
	var c metaspace
	if err := strict(raw, &c); err != nil {
		return c, fmt.Errorf("Metaspace: %w", err)
	}
	if len([]rune(c.Replacement)) != 1 {
		return c, fmt.Errorf("Metaspace: replacement is %q, want one character", c.Replacement)
	}
	if c.Split == nil {
		yes := true
		c.Split = &yes
	}
	if c.PrependScheme == "" {
		c.PrependScheme = "always"
		if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
			c.PrependScheme = "never"
		}
	}
	scheme, ok := prepends[c.PrependScheme]
	if !ok {
		return c, fmt.Errorf("Metaspace: %w", unsupported("prepend_scheme", c.PrependScheme, "always", "first", "never"))
	}
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace && scheme != prependNever {
		return c, fmt.Errorf("Metaspace: add_prefix_space is false, but prepend_scheme is %q", c.PrependScheme)
	}
	c.scheme = scheme
	return c, nil
}

func parseDecoder(raw json.RawMessage, depth int) ([]decoder, error) {
	if absent(raw) {
		return nil, nil
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	if name == "Sequence" {
		all := []decoder{} // not nil: an empty sequence joins without blanks
		err := sequence(raw, "decoders", depth, func(r json.RawMessage) error {
			d, err := parseDecoder(r, depth+1)
			all = append(all, d...)
			return err
		})
		return all, err
	}
	d, err := parseDecodeStep(name, raw)
	if err != nil {
		return nil, err
	}
	return []decoder{d}, nil
}

func parseDecodeStep(name string, raw json.RawMessage) (decoder, error) {
	var only struct {
		Type string `json:"type"`
	}
	switch name {
	case "ByteLevel":
		_, err := parseByteLevel(raw)
		return decodeBytes, err
	case "Metaspace":
		c, err := parseMetaspace(raw)
		return decodeMetaspace(c.Replacement, c.scheme), err
	case "ByteFallback", "Fuse":
		if err := strict(raw, &only); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if name == "Fuse" {
			return decodeFuse, nil
		}
		return decodeFallback, nil
	case "Strip":
		var c struct {
			Type    string `json:"type"`
			Content string `json:"content"`
			Start   int    `json:"start"`
			Stop    int    `json:"stop"`
		}
		if err := strict(raw, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len([]rune(c.Content)) != 1 || c.Start < 0 || c.Stop < 0 {
			return nil, fmt.Errorf("Strip: content %q, start %d, stop %d: want one character and counts from 0", c.Content, c.Start, c.Stop)
		}
		return decodeStrip(c.Content, c.Start, c.Stop), nil
	case "Replace":
		p, content, err := parseReplace(raw)
		if err != nil {
			return nil, err
		}
		re, err := p.compiled()
		if err != nil {
			return nil, fmt.Errorf("Replace: %w", err)
		}
		if re != nil {
			return decodeEach(replacePattern(re, content)), nil
		}
		return decodeEach(replaceText(*p.String, content)), nil
	}
	return nil, unsupported("type", name, "Sequence", "ByteLevel", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace")
}

// A template puts ids around the ids of a text.
type template []templatePart

type templatePart struct {
	text bool    // the ids of the text stand here
	ids  []int32 // otherwise these
}

func (t template) apply(ids []int32) []int32 {
	out := make([]int32, 0, len(ids)+len(t))
	for _, p := range t {
		if p.text {
			out = append(out, ids...)
			continue
		}
		out = append(out, p.ids...)
	}
	return out
}

func parsePostProcessor(raw json.RawMessage, depth int) ([]template, error) {
	if absent(raw) {
		return nil, nil
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	switch name {
	case "Sequence":
		var all []template
		err := sequence(raw, "processors", depth, func(r json.RawMessage) error {
			t, err := parsePostProcessor(r, depth+1)
			all = append(all, t...)
			return err
		})
		return all, err
	case "ByteLevel": // moves offsets only
		_, err := parseByteLevel(raw)
		return nil, err
	case "TemplateProcessing":
		t, err := parseTemplate(raw)
		if err != nil {
			return nil, fmt.Errorf("TemplateProcessing: %w", err)
		}
		return []template{t}, nil
	}
	return nil, unsupported("type", name, "Sequence", "ByteLevel", "TemplateProcessing")
}

func parseTemplate(raw json.RawMessage) (template, error) {
	var c struct {
		Type   string `json:"type"`
		Single []struct {
			Sequence *struct {
				ID     string `json:"id"`
				TypeID int    `json:"type_id"`
			} `json:"Sequence"`
			SpecialToken *struct {
				ID     string `json:"id"`
				TypeID int    `json:"type_id"`
			} `json:"SpecialToken"`
		} `json:"single"`
		Pair          json.RawMessage `json:"pair"`
		SpecialTokens map[string]struct {
			ID     string   `json:"id"`
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}
	if err := strict(raw, &c); err != nil {
		return nil, err
	}
	var t template
	for i, p := range c.Single {
		switch {
		case p.Sequence != nil && p.SpecialToken == nil:
			if p.Sequence.ID != "A" {
				return nil, fmt.Errorf("single part %d: sequence %q, want \"A\"", i, p.Sequence.ID)
			}
			t = append(t, templatePart{text: true})
		case p.SpecialToken != nil && p.Sequence == nil:
			s, ok := c.SpecialTokens[p.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("single part %d: special_tokens lacks %q", i, p.SpecialToken.ID)
			}
			t = append(t, templatePart{ids: s.IDs})
		default:
			return nil, fmt.Errorf("single part %d is neither a Sequence nor a SpecialToken", i)
		}
	}
	return t, nil
}
