package tokenizer

import (
	"errors"
	"fmt"
)

// Token types of GGUF.
const (
	ggufControl     = 3
	ggufUserDefined = 4
)

// FromGGUF builds the tokenizer that a GGUF file's metadata describes
// (weights.File.Meta).
func FromGGUF(meta map[string]any) (*Tokenizer, error) {
	if kind, _ := meta["tokenizer.ggml.model"].(string); kind != "gpt2" {
		return nil, fmt.Errorf("GGUF tokenizer %q is not supported; supported: gpt2 (byte-level BPE)", kind)
	}
	tokens, ok := meta["tokenizer.ggml.tokens"].([]string)
	if !ok || len(tokens) == 0 {
		return nil, errors.New("GGUF metadata tokenizer.ggml.tokens is missing")
	}
	merges, ok := meta["tokenizer.ggml.merges"].([]string)
	if !ok {
		return nil, errors.New("GGUF metadata tokenizer.ggml.merges is missing")
	}
	s := source{tokens: tokens, merges: merges, unk: -1, bos: -1, vars: map[string]string{}}
	if err := s.ggufAdded(meta); err != nil {
		return nil, err
	}
	if err := s.ggufSplit(meta); err != nil {
		return nil, err
	}
	if err := s.ggufSpecials(meta); err != nil {
		return nil, err
	}
	s.template, _ = meta["tokenizer.chat_template"].(string)
	return s.build()
}

// ggufAdded takes control and user-defined tokens as added tokens.
func (s *source) ggufAdded(meta map[string]any) error {
	types, ok := meta["tokenizer.ggml.token_type"].([]int64)
	if !ok {
		return nil
	}
	if len(types) != len(s.tokens) {
		return fmt.Errorf("GGUF metadata: %d token types for %d tokens", len(types), len(s.tokens))
	}
	for id, kind := range types {
		if (kind == ggufControl || kind == ggufUserDefined) && s.tokens[id] != "" {
			s.added = append(s.added, addedToken{ID: int32(id), Content: s.tokens[id], Special: kind == ggufControl})
		}
	}
	return nil
}

// ggufSplit picks the pre-tokenizer by the name that llama.cpp gives it.
func (s *source) ggufSplit(meta map[string]any) error {
	name, _ := meta["tokenizer.ggml.pre"].(string)
	pattern := patternGPT2
	switch name {
	case "smollm":
		s.split.steps = append(s.split.steps, splitDigits(true))
	case "gpt-2", "gpt2":
	case "llama-bpe", "llama3", "llama-v3":
		pattern, s.ignoreMerges = patternLlama3, true
	case "qwen2":
		pattern, s.split.nfc = patternQwen2, true
	default:
		return fmt.Errorf("GGUF pre-tokenizer %q is not supported; supported: smollm, gpt-2, llama-bpe, qwen2", name)
	}
	step, err := splitPattern(pattern, "Isolated", false)
	s.split.steps = append(s.split.steps, step)
	return err
}

func (s *source) ggufSpecials(meta map[string]any) error {
	for _, special := range []struct {
		key, name string
		set       func(id int32)
	}{
		{"tokenizer.ggml.bos_token_id", "bos_token", func(id int32) { s.bos = id }},
		{"tokenizer.ggml.eos_token_id", "eos_token", func(id int32) { s.addEOS(id) }},
		{"tokenizer.ggml.eot_token_id", "", func(id int32) { s.addEOS(id) }},
		{"tokenizer.ggml.padding_token_id", "pad_token", func(int32) {}},
		{"tokenizer.ggml.unknown_token_id", "unk_token", func(id int32) { s.unk = id }},
	} {
		id, ok := meta[special.key].(int64)
		if !ok {
			continue
		}
		if id < 0 || id >= int64(len(s.tokens)) {
			return fmt.Errorf("GGUF metadata %s is %d, outside the vocabulary of %d", special.key, id, len(s.tokens))
		}
		special.set(int32(id))
		if special.name != "" {
			s.vars[special.name] = s.tokens[id]
		}
	}
	if add, _ := meta["tokenizer.ggml.add_bos_token"].(bool); add && s.bos >= 0 {
		s.prefix = append(s.prefix, s.bos)
	}
	if add, _ := meta["tokenizer.ggml.add_eos_token"].(bool); add && len(s.eos) > 0 {
		s.suffix = append(s.suffix, s.eos[0])
	}
	return nil
}
