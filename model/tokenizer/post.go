package tokenizer

import (
	"encoding/json"
	"fmt"
)

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

// parsePostProcessor reads the post_processor of a tokenizer.json.
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
		return nil, in(name, err)
	case "TemplateProcessing":
		t, err := parseTemplate(raw)
		return []template{t}, in(name, err)
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
