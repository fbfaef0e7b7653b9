package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A decoder is one step from tokens to text; the results of the last are joined.
type decoder func([]string) []string

// decodeBytes reads tokens in GPT-2's spelling of bytes.
func decodeBytes(tokens []string) []string {
	var b []byte
	for _, t := range tokens {
		b = appendBytes(b, t)
	}
	return []string{lossy(b)}
}

// decodeFallback reads tokens <0x00>…<0xFF>: a run of them becomes the text of
// its bytes, or one U+FFFD for each where they are no valid text.
func decodeFallback(tokens []string) []string {
	out := make([]string, 0, len(tokens))
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			out = append(out, strings.Repeat("\uFFFD", len(run)))
		}
		run = run[:0]
	}
	for _, t := range tokens {
		if b, ok := byteToken(t); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out
}

func byteToken(t string) (byte, bool) {
	if len(t) != 6 || !strings.HasPrefix(t, "<0x") || t[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(t[3:5], 16, 8)
	return byte(b), err == nil
}

func decodeFuse(tokens []string) []string { return []string{strings.Join(tokens, "")} }

// decodeEach applies f to every token.
func decodeEach(f func(string) string) decoder {
	return func(tokens []string) []string {
		for i, t := range tokens {
			tokens[i] = f(t)
		}
		return tokens
	}
}

// decodeStrip cuts up to start copies of content from a token's beginning and up
// to stop from its end.
func decodeStrip(content string, start, stop int) decoder {
	return decodeEach(func(t string) string {
		for range start {
			rest, found := strings.CutPrefix(t, content)
			if !found {
				break
			}
			t = rest
		}
		for range stop {
			rest, found := strings.CutSuffix(t, content)
			if !found {
				break
			}
			t = rest
		}
		return t
	})
}

// decodeMetaspace writes marks as blanks; those of the first token are dropped
// unless no mark is ever put in front.
func decodeMetaspace(mark string, scheme prepend) decoder {
	return func(tokens []string) []string {
		for i, t := range tokens {
			blank := " "
			if i == 0 && scheme != prependNever {
				blank = ""
			}
			tokens[i] = strings.ReplaceAll(t, mark, blank)
		}
		return tokens
	}
}

// parseDecoder reads the decoder of a tokenizer.json.
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
	d, err := parseOneDecoder(name, raw)
	if err != nil {
		return nil, in(name, err)
	}
	return []decoder{d}, nil
}

func parseOneDecoder(name string, raw json.RawMessage) (decoder, error) {
	switch name {
	case "ByteLevel":
		_, err := parseByteLevel(raw)
		return decodeBytes, err
	case "Metaspace":
		c, err := parseMetaspace(raw)
		return decodeMetaspace(c.Replacement, c.scheme), err
	case "ByteFallback":
		return decodeFallback, strict(raw, &typeOnly{})
	case "Fuse":
		return decodeFuse, strict(raw, &typeOnly{})
	case "Strip":
		return parseStrip(raw)
	case "Replace":
		replace, err := parseReplace(raw)
		return decodeEach(replace), err
	}
	return nil, unsupported("type", name, "Sequence", "ByteLevel", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace")
}

func parseStrip(raw json.RawMessage) (decoder, error) {
	var c struct {
		Type    string `json:"type"`
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	if err := strict(raw, &c); err != nil {
		return nil, err
	}
	if utf8.RuneCountInString(c.Content) != 1 || c.Start < 0 || c.Stop < 0 {
		return nil, fmt.Errorf("content %q, start %d, stop %d: want one character and counts from 0", c.Content, c.Start, c.Stop)
	}
	return decodeStrip(c.Content, c.Start, c.Stop), nil
}
