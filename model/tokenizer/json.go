package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// jsonTokenizer is the part of tokenizer.json that is understood.
type jsonTokenizer struct {
	Added         []addedToken    `json:"added_tokens"`
	Normalizer    *jsonPart       `json:"normalizer"`
	PreTokenizer  *jsonPart       `json:"pre_tokenizer"`
	PostProcessor *jsonPart       `json:"post_processor"`
	Model         jsonModel       `json:"model"`
	Decoder       json.RawMessage `json:"decoder"`
}

type jsonModel struct {
	Type         string            `json:"type"`
	Vocab        map[string]int32  `json:"vocab"`
	Merges       []json.RawMessage `json:"merges"`
	Unk          *string           `json:"unk_token"`
	IgnoreMerges bool              `json:"ignore_merges"`
	ByteFallback bool              `json:"byte_fallback"`
	Dropout      *float64          `json:"dropout"`
	Subword      *string           `json:"continuing_subword_prefix"`
	Suffix       *string           `json:"end_of_word_suffix"`
}

// jsonPart is a normalizer, pre-tokenizer or post-processor, or a sequence of
// them.
type jsonPart struct {
	Type             string     `json:"type"`
	Normalizers      []jsonPart `json:"normalizers"`
	PreTokenizers    []jsonPart `json:"pretokenizers"`
	Processors       []jsonPart `json:"processors"`
	AddPrefixSpace   bool       `json:"add_prefix_space"`
	UseRegex         *bool      `json:"use_regex"`
	IndividualDigits bool       `json:"individual_digits"`
	Behavior         string     `json:"behavior"`
	Invert           bool       `json:"invert"`
	Pattern          struct {
		Regex  string
		String string
	} `json:"pattern"`
	Single        []map[string]templateItem `json:"single"`
	SpecialTokens map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

type templateItem struct {
	ID string `json:"id"`
}

// jsonConfig is the part of tokenizer_config.json that is understood. Tokens
// are texts or objects with a content.
type jsonConfig struct {
	BOS      json.RawMessage `json:"bos_token"`
	EOS      json.RawMessage `json:"eos_token"`
	Pad      json.RawMessage `json:"pad_token"`
	Unk      json.RawMessage `json:"unk_token"`
	Template json.RawMessage `json:"chat_template"`
}

// Load reads a model folder's tokenizer.json, and, where they are there,
// tokenizer_config.json, chat_template.jinja and generation_config.json.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	var file jsonTokenizer
	if err := readJSON(path, &file); err != nil {
		return nil, fmt.Errorf("reading the tokenizer: %w", err)
	}
	s, err := file.source()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.configure(dir); err != nil {
		return nil, err
	}
	t, err := s.build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (f *jsonTokenizer) source() (source, error) {
	s := source{unk: -1, bos: -1, ignoreMerges: f.Model.IgnoreMerges, added: f.Added, vars: map[string]string{}}
	if err := f.Model.check(); err != nil {
		return s, err
	}
	if err := s.place(f.Model.Vocab, f.Added); err != nil {
		return s, err
	}
	for i, raw := range f.Model.Merges {
		m, err := mergeText(raw)
		if err != nil {
			return s, fmt.Errorf("merge %d: %w", i, err)
		}
		s.merges = append(s.merges, m)
	}
	if f.Model.Unk != nil {
		id, ok := f.Model.Vocab[*f.Model.Unk]
		if !ok {
			return s, fmt.Errorf("unk_token %q is not in the vocabulary", *f.Model.Unk)
		}
		s.unk = id
	}
	if err := s.normalize(f.Normalizer); err != nil {
		return s, err
	}
	byteLevel := false
	if err := s.preTokenize(f.PreTokenizer, &byteLevel); err != nil {
		return s, err
	}
	if !byteLevel {
		return s, errors.New("the pre-tokenizer is not byte-level, which is the only kind supported")
	}
	return s, s.postProcess(f.PostProcessor)
}

func (m jsonModel) check() error {
	switch {
	case m.Type != "" && m.Type != "BPE":
		return fmt.Errorf("model type %q is not supported; supported: BPE", m.Type)
	case len(m.Vocab) == 0:
		return errors.New("model.vocab is missing or empty")
	case m.ByteFallback:
		return errors.New("byte_fallback (SentencePiece BPE) is not supported; supported: byte-level BPE")
	case m.Subword != nil && *m.Subword != "", m.Suffix != nil && *m.Suffix != "":
		return errors.New("continuing_subword_prefix and end_of_word_suffix are not supported")
	case m.Dropout != nil && *m.Dropout != 0:
		return errors.New("dropout is not supported")
	}
	return nil
}

// place puts vocabulary and added tokens at their ids.
func (s *source) place(vocab map[string]int32, added []addedToken) error {
	const most = 1 << 24
	put := func(id int32, token string) error {
		if id < 0 || id >= most {
			return fmt.Errorf("token %q has id %d", token, id)
		}
		for int(id) >= len(s.tokens) {
			s.tokens = append(s.tokens, make([]string, int(id)+1-len(s.tokens))...)
		}
		if before := s.tokens[id]; before != "" && before != token {
			return fmt.Errorf("tokens %q and %q both have id %d", before, token, id)
		}
		s.tokens[id] = token
		return nil
	}
	for token, id := range vocab {
		if err := put(id, token); err != nil {
			return err
		}
	}
	for _, a := range added {
		if err := put(a.ID, a.Content); err != nil {
			return err
		}
	}
	return nil
}

// mergeText reads a merge written as "a b" or ["a", "b"].
func mergeText(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var two []string
	if err := json.Unmarshal(raw, &two); err != nil || len(two) != 2 {
		return "", fmt.Errorf("%s is neither \"a b\" nor [\"a\", \"b\"]", raw)
	}
	return two[0] + " " + two[1], nil
}

func (s *source) normalize(p *jsonPart) error {
	if p == nil {
		return nil
	}
	switch p.Type {
	case "NFC":
		s.split.nfc = true
	case "Sequence":
		for _, n := range p.Normalizers {
			if err := s.normalize(&n); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("normalizer %q is not supported; supported: NFC", p.Type)
	}
	return nil
}

func (s *source) preTokenize(p *jsonPart, byteLevel *bool) error {
	if p == nil {
		return nil
	}
	switch p.Type {
	case "Sequence":
		for _, n := range p.PreTokenizers {
			if err := s.preTokenize(&n, byteLevel); err != nil {
				return err
			}
		}
		return nil
	case "Digits":
		s.split.steps = append(s.split.steps, splitDigits(p.IndividualDigits))
		return nil
	case "Split":
		if p.Pattern.Regex == "" {
			return errors.New("pre-tokenizer Split without a Regex pattern is not supported")
		}
		step, err := splitPattern(p.Pattern.Regex, p.Behavior, p.Invert)
		s.split.steps = append(s.split.steps, step)
		return err
	case "ByteLevel":
		*byteLevel = true
		s.split.prefix = p.AddPrefixSpace
		if p.UseRegex != nil && !*p.UseRegex {
			return nil
		}
		step, err := splitPattern(patternGPT2, "Isolated", false)
		s.split.steps = append(s.split.steps, step)
		return err
	}
	return fmt.Errorf("pre-tokenizer %q is not supported; supported: Sequence, Digits, Split, ByteLevel", p.Type)
}

func (s *source) postProcess(p *jsonPart) error {
	if p == nil {
		return nil
	}
	switch p.Type {
	case "ByteLevel":
		return nil
	case "Sequence":
		for _, n := range p.Processors {
			if err := s.postProcess(&n); err != nil {
				return err
			}
		}
		return nil
	case "TemplateProcessing":
		return s.surround(p)
	}
	return fmt.Errorf("post-processor %q is not supported; supported: ByteLevel, TemplateProcessing", p.Type)
}

// surround reads the special tokens that a TemplateProcessing puts before and
// after a single text.
func (s *source) surround(p *jsonPart) error {
	to := &s.prefix
	for _, item := range p.Single {
		if _, ok := item["Sequence"]; ok {
			to = &s.suffix
			continue
		}
		special, ok := p.SpecialTokens[item["SpecialToken"].ID]
		if !ok {
			return fmt.Errorf("post-processor: special token %q has no ids", item["SpecialToken"].ID)
		}
		*to = append(*to, special.IDs...)
	}
	return nil
}

// configure reads the files beside tokenizer.json.
func (s *source) configure(dir string) error {
	var c jsonConfig
	if err := readJSON(filepath.Join(dir, "tokenizer_config.json"), &c); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the tokenizer's config: %w", err)
	}
	ids := map[string]int32{}
	for id, token := range s.tokens {
		ids[token] = int32(id)
	}
	for name, raw := range map[string]json.RawMessage{"bos_token": c.BOS, "eos_token": c.EOS, "pad_token": c.Pad, "unk_token": c.Unk} {
		text := tokenText(raw)
		if text == "" {
			continue
		}
		id, ok := ids[text]
		if !ok {
			return fmt.Errorf("%s: %s %q is not in the vocabulary", filepath.Join(dir, "tokenizer_config.json"), name, text)
		}
		s.vars[name] = text
		switch name {
		case "bos_token":
			s.bos = id
		case "eos_token":
			s.eos = append(s.eos, id)
		}
	}
	if err := s.readTemplate(dir, c.Template); err != nil {
		return err
	}
	return s.readGeneration(dir)
}

// tokenText reads a token written as text or as {"content": text}.
func tokenText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return object.Content
	}
	return ""
}

// readTemplate finds the chat template: a file of its own, a text in the
// config, or the one named default among several.
func (s *source) readTemplate(dir string, raw json.RawMessage) error {
	text, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err == nil {
		s.template = string(text)
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the chat template: %w", err)
	}
	if len(raw) == 0 || string(raw) == "null" || json.Unmarshal(raw, &s.template) == nil {
		return nil
	}
	var several []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &several); err != nil {
		return fmt.Errorf("%s: chat_template is neither a text nor a list of named templates", filepath.Join(dir, "tokenizer_config.json"))
	}
	for _, t := range several {
		if t.Name == "default" {
			s.template = t.Template
		}
	}
	return nil
}

// readGeneration adds the stop tokens of generation_config.json.
func (s *source) readGeneration(dir string) error {
	var c struct {
		EOS json.RawMessage `json:"eos_token_id"`
	}
	path := filepath.Join(dir, "generation_config.json")
	if err := readJSON(path, &c); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("reading the generation config: %w", err)
	}
	text := strings.TrimSpace(string(c.EOS))
	if text == "" || text == "null" {
		return nil
	}
	var ids []int32
	var id int32
	switch {
	case json.Unmarshal(c.EOS, &id) == nil:
		ids = []int32{id}
	case json.Unmarshal(c.EOS, &ids) != nil:
		return fmt.Errorf("%s: eos_token_id is neither an id nor a list of ids", path)
	}
	s.addEOS(ids...)
	return nil
}

func (s *source) addEOS(ids ...int32) {
	for _, id := range ids {
		known := false
		for _, have := range s.eos {
			known = known || have == id
		}
		if !known {
			s.eos = append(s.eos, id)
		}
	}
}
