package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads the tokenizer of a model folder: tokenizer.json, and where they are
// there tokenizer_config.json and special_tokens_map.json (special tokens, chat
// template), chat_template.jinja, generation_config.json or config.json (ids that
// end a generation). Errors name the file, the field and what is supported.
func Load(dir string) (*Tokenizer, error) {
	path := filepath.Join(dir, "tokenizer.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; a model folder needs one (tokenizer.model and vocab.txt are not read)", path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tokenizer: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := t.readConfigs(dir); err != nil {
		return nil, err
	}
	d := newDigest()
	d.add("tokenizer.json", string(data))
	d.finish(t)
	return t, nil
}

// readJSON decodes dir/name into v; a file that is not there leaves v as it is.
func readJSON(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the tokenizer: %w", err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (t *Tokenizer) readConfigs(dir string) error {
	special := map[string]string{}
	source := ""
	for _, name := range []string{"special_tokens_map.json", "tokenizer_config.json"} {
		var config map[string]json.RawMessage
		if err := readJSON(dir, name, &config); err != nil {
			return err
		}
		for key, raw := range config {
			if token, ok := tokenText(raw); ok && strings.HasSuffix(key, "_token") {
				special[key] = token
			}
		}
		if raw, ok := config["chat_template"]; ok && !absent(raw) {
			s, err := defaultTemplate(raw)
			if err != nil {
				return fmt.Errorf("%s: chat_template: %w", filepath.Join(dir, name), err)
			}
			source = s
		}
	}
	own, err := os.ReadFile(filepath.Join(dir, "chat_template.jinja"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the chat template: %w", err)
	}
	if err == nil {
		source = string(own)
	}
	for _, key := range []string{"bos_token", "eos_token"} {
		token, named := special[key]
		id, ok := t.ids[token]
		if named && !ok {
			return fmt.Errorf("%s: %s %q is not in the vocabulary of tokenizer.json", filepath.Join(dir, "tokenizer_config.json"), key, token)
		}
		switch {
		case !named:
		case key == "bos_token":
			t.bos = id
		default:
			t.addEOS(id)
		}
	}
	if err := t.readStops(dir); err != nil {
		return err
	}
	if source != "" {
		t.chat = newChat(source, special)
	}
	return nil
}

// readStops adds the ids that end a generation; config.json is asked where there
// is no generation_config.json, as transformers does.
func (t *Tokenizer) readStops(dir string) error {
	for _, name := range []string{"generation_config.json", "config.json"} {
		var config struct {
			BOS json.RawMessage `json:"bos_token_id"`
			EOS json.RawMessage `json:"eos_token_id"`
		}
		if err := readJSON(dir, name, &config); err != nil {
			return err
		}
		stops, err := idList(config.EOS)
		if err != nil {
			return fmt.Errorf("%s: eos_token_id: %w", filepath.Join(dir, name), err)
		}
		if t.bos < 0 && !absent(config.BOS) {
			first, err := idList(config.BOS)
			if err != nil {
				return fmt.Errorf("%s: bos_token_id: %w", filepath.Join(dir, name), err)
			}
			if len(first) > 0 && t.Token(first[0]) != "" {
				t.bos = first[0]
			}
		}
		if err := t.checkStops(stops); err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
		}
		for _, id := range stops {
			t.addEOS(id)
		}
		if len(stops) > 0 {
			return nil
		}
	}
	return nil
}

// checkStops refuses stop tokens that show another model's tokenizer: ids beyond
// its last token, or none among them that is more than a piece of text.
func (t *Tokenizer) checkStops(stops []int32) error {
	for _, id := range stops {
		if int(id) >= len(t.tokens) {
			return fmt.Errorf("eos_token_id %d is beyond the %d tokens of tokenizer.json: they do not belong together", id, len(t.tokens))
		}
	}
	if len(stops) == 0 || slices.ContainsFunc(stops, func(id int32) bool { return id < 0 || t.isAdded(id) }) {
		return nil
	}
	return fmt.Errorf("eos_token_id %d is %q in tokenizer.json, an ordinary piece of text: they do not belong together", stops[0], t.tokens[stops[0]])
}

// isAdded tells whether a token is one of those that are cut out of a text before
// it is split, as special ones are.
func (t *Tokenizer) isAdded(id int32) bool {
	for _, set := range []addedSet{t.raw, t.normalized} {
		for _, a := range set.tokens {
			if a.ID == id {
				return true
			}
		}
	}
	return false
}

func (t *Tokenizer) addEOS(id int32) {
	if id >= 0 && int(id) < len(t.tokens) && !slices.Contains(t.eos, id) {
		t.eos = append(t.eos, id)
	}
}

// idList reads one id, a list of ids, or null.
func idList(raw json.RawMessage) ([]int32, error) {
	if absent(raw) {
		return nil, nil
	}
	var one int32
	if json.Unmarshal(raw, &one) == nil {
		return []int32{one}, nil
	}
	var many []int32
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil, errors.New("want an id or a list of ids")
	}
	return many, nil
}

// tokenText reads a token given as text or as an object with its content.
func tokenText(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, s != ""
	}
	var o struct {
		Content string `json:"content"`
	}
	if json.Unmarshal(raw, &o) == nil {
		return o.Content, o.Content != ""
	}
	return "", false
}

// defaultTemplate reads a chat_template: text, or a list of named ones.
func defaultTemplate(raw json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, nil
	}
	var named []struct{ Name, Template string }
	if err := json.Unmarshal(raw, &named); err != nil {
		return "", errors.New("want a template or a list of templates with names")
	}
	for _, n := range named {
		if n.Name == "default" {
			return n.Template, nil
		}
	}
	return "", errors.New(`none of the templates is named "default"`)
}
