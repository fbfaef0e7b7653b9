package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dlclark/regexp2/v2"
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
	var k typeOnly
	if err := json.Unmarshal(raw, &k); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return k.Type, nil
}

func unsupported(what, name string, known ...string) error {
	slices.Sort(known)
	return fmt.Errorf("%s %q is not supported; supported: %s", what, name, strings.Join(known, ", "))
}

// in names the part that an error is about.
func in(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// sequence calls f for the parts of a Sequence, which stand under key.
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
			return fmt.Errorf("sequence: unknown field %q", name)
		}
	}
	for i, p := range parts {
		if err := f(p); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
	}
	return nil
}

// typeOnly is a part without options.
type typeOnly struct {
	Type string `json:"type"`
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
		return c, err
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
		return c, err
	}
	if len([]rune(c.Replacement)) != 1 {
		return c, fmt.Errorf("replacement is %q, want one character", c.Replacement)
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
		return c, unsupported("prepend_scheme", c.PrependScheme, "always", "first", "never")
	}
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace && scheme != prependNever {
		return c, fmt.Errorf("add_prefix_space is false, but prepend_scheme is %q", c.PrependScheme)
	}
	c.scheme = scheme
	return c, nil
}
