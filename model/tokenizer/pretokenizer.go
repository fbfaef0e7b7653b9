package tokenizer

import "encoding/json"

// parsePreTokenizer reads the pre_tokenizer of a tokenizer.json.
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
		return nil, in(name, err)
	}
	return []splitter{s}, nil
}

func parseSplitter(name string, raw json.RawMessage) (splitter, error) {
	switch name {
	case "ByteLevel":
		c, err := parseByteLevel(raw)
		if err != nil || !*c.UseRegex {
			return splitBytes(c.AddPrefixSpace, nil), err
		}
		re, err := compile(gpt2Pattern)
		return splitBytes(c.AddPrefixSpace, re), err
	case "Digits":
		var c struct {
			Type       string `json:"type"`
			Individual bool   `json:"individual_digits"`
		}
		err := strict(raw, &c)
		return splitDigits(c.Individual), err
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
		return nil, err
	}
	how, ok := behaviors[c.Behavior]
	if !ok {
		return nil, unsupported("behavior", c.Behavior, "Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
	}
	re, err := c.Pattern.compiled()
	if err != nil {
		return nil, err
	}
	if re != nil {
		return splitPattern(re, how, c.Invert), nil
	}
	return splitText(*c.Pattern.String, how, c.Invert), nil
}
