package tokenizer

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/dlclark/regexp2/v2"
	"golang.org/x/text/unicode/norm"
)

// A normalizer rewrites a piece of text between added tokens.
type normalizer func(string) string

// prependText puts text in front of every piece that is not empty.
func prependText(text string) normalizer {
	return func(s string) string {
		if s == "" {
			return s
		}
		return text + s
	}
}

func replaceText(from, to string) normalizer {
	return func(s string) string { return strings.ReplaceAll(s, from, to) }
}

// replacePattern puts the text with, taken literally, where re matches.
func replacePattern(re *regexp2.Regexp, with string) normalizer {
	return func(s string) string {
		var out strings.Builder
		done := 0
		new(encoder).each(re, s, func(from, to int) {
			out.WriteString(s[done:from])
			out.WriteString(with)
			done = to
		})
		out.WriteString(s[done:])
		return out.String()
	}
}

// parseNormalizer reads the normalizer of a tokenizer.json.
func parseNormalizer(raw json.RawMessage, depth int) ([]normalizer, error) {
	if absent(raw) {
		return nil, nil
	}
	name, err := kind(raw)
	if err != nil {
		return nil, err
	}
	if name == "Sequence" {
		var all []normalizer
		err := sequence(raw, "normalizers", depth, func(r json.RawMessage) error {
			n, err := parseNormalizer(r, depth+1)
			all = append(all, n...)
			return err
		})
		return all, err
	}
	n, err := parseOneNormalizer(name, raw)
	if err != nil {
		return nil, in(name, err)
	}
	return []normalizer{n}, nil
}

var normalForms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

func parseOneNormalizer(name string, raw json.RawMessage) (normalizer, error) {
	switch name {
	case "NFC", "NFD", "NFKC", "NFKD":
		return normalForm(normalForms[name]), strict(raw, &typeOnly{})
	case "Prepend":
		var c struct {
			Type    string `json:"type"`
			Prepend string `json:"prepend"`
		}
		err := strict(raw, &c)
		return prependText(c.Prepend), err
	case "Replace":
		return parseReplace(raw)
	}
	return nil, unsupported("type", name, "Sequence", "NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace")
}

// parseReplace reads a Replace, which may be a normalizer or a decoder.
func parseReplace(raw json.RawMessage) (normalizer, error) {
	var c struct {
		Type    string  `json:"type"`
		Pattern pattern `json:"pattern"`
		Content string  `json:"content"`
	}
	if err := strict(raw, &c); err != nil {
		return nil, err
	}
	re, err := c.Pattern.compiled()
	if err != nil {
		return nil, err
	}
	if re != nil {
		return replacePattern(re, c.Content), nil
	}
	if *c.Pattern.String == "" {
		return nil, errors.New("the pattern is empty")
	}
	return replaceText(*c.Pattern.String, c.Content), nil
}
