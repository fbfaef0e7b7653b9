package tasks

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"refreekv/datasets"
	"refreekv/model/tokenizer"
)

// A Tokenizer is what a prompt needs of a model's tokenizer.
type Tokenizer interface {
	Encode(text string, addSpecial bool) ([]int32, error)
	Decode(ids []int32, skipSpecial bool) string
	HasChat() bool
	Chat(msgs []tokenizer.Message, addGenerationPrompt bool) (string, error)
}

// A Model is what prompts depend on besides the record.
type Model struct {
	Tokenizer    Tokenizer
	Family       string // whose system text the paper's protocol takes: llama2, llama3, mistral, qwen2.5, other
	MaxPositions int    // longest sequence of the model in tokens; 0: unknown
}

// A Prompt is what the model is given.
type Prompt struct {
	Text      string // as it was tokenised
	Tokens    []int32
	Truncated bool // the middle was cut out
}

// wrapSlack is what is kept free, beside the chat template, of a model's
// positions when a bare text is truncated: cutting and joining may change the
// count of tokens by a few.
const wrapSlack = 8

// Prompt makes a record's prompt. contextLength bounds it in tokens: under
// "standard" the text before it is wrapped in the chat template, as LongBench's
// max_length does (less where the model's positions would not hold the wrapped
// text and the new tokens), under "paper" as the model's maximum length there
// (spec 6.2).
func (d *Definition) Prompt(m Model, rec datasets.Record, contextLength int) (Prompt, error) {
	text, prefix, err := d.texts(rec)
	if err != nil {
		return Prompt{}, err
	}
	if d.truncate == truncateAfterWrap {
		return d.wrapThenCut(m, text, prefix, contextLength)
	}
	cut := false
	if d.truncate == truncateBeforeWrap {
		limit, err := d.bareLimit(m, prefix, contextLength)
		if err != nil {
			return Prompt{}, err
		}
		if text, cut, err = cutMiddle(m.Tokenizer, text, true, limit); err != nil {
			return Prompt{}, err
		}
	}
	text, special, err := d.wrap(m, text, prefix)
	if err != nil {
		return Prompt{}, err
	}
	tokens, err := m.Tokenizer.Encode(text, special)
	return Prompt{Text: text, Tokens: tokens, Truncated: cut}, err
}

// Text is a record's prompt before truncation and chat template: what can be
// known of it without a model.
func (d *Definition) Text(rec datasets.Record) (string, error) {
	text, prefix, err := d.texts(rec)
	return text + prefix, err
}

// texts fills the templates of the prompt and of what the answer begins with.
func (d *Definition) texts(rec datasets.Record) (text, prefix string, err error) {
	if text, err = d.fill(d.prompt, rec); err != nil {
		return "", "", err
	}
	if prefix, err = d.fill(d.answerPrefix, rec); err != nil {
		return "", "", err
	}
	if d.collapseNewlines {
		for range 2 {
			text = strings.ReplaceAll(text, "\n\n\n", "\n\n")
		}
	}
	return text, prefix, nil
}

// Hash is the first 16 hex digits of the SHA-256 of the token ids as
// little-endian 32-bit integers.
func (p Prompt) Hash() string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, p.Tokens) // a hash takes every write
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// wrapThenCut is the order of ReFreeKV's evaluation.
func (d *Definition) wrapThenCut(m Model, text, prefix string, contextLength int) (Prompt, error) {
	text, special, err := d.wrap(m, text, prefix)
	if err != nil {
		return Prompt{}, err
	}
	limit := contextLength - d.MaxNewTokens - d.truncateMargin
	text, cut, err := cutMiddle(m.Tokenizer, text, special, limit)
	if err != nil {
		return Prompt{}, fmt.Errorf("context length %d less %d new tokens and a margin of %d leaves %d: %w", contextLength, d.MaxNewTokens, d.truncateMargin, limit, err)
	}
	tokens, err := m.Tokenizer.Encode(text, special)
	return Prompt{Text: text, Tokens: tokens, Truncated: cut}, err
}

// bareLimit is the context length less the margin, or what the model's positions
// leave of it.
func (d *Definition) bareLimit(m Model, prefix string, contextLength int) (int, error) {
	limit := contextLength - d.truncateMargin
	if m.MaxPositions <= 0 {
		return limit, nil
	}
	empty, special, err := d.wrap(m, "", prefix)
	if err != nil {
		return 0, err
	}
	ids, err := m.Tokenizer.Encode(empty, special)
	if err != nil {
		return 0, err
	}
	room := m.MaxPositions - d.MaxNewTokens - len(ids) - wrapSlack
	if room < 2 {
		return 0, fmt.Errorf("the model holds %d positions, which leaves no room for a prompt beside %d new tokens", m.MaxPositions, d.MaxNewTokens)
	}
	return min(limit, room), nil
}

// wrap puts a text into the model's chat template and the beginning of the answer
// behind it; special tells whether the result is to be tokenised with special
// tokens added.
func (d *Definition) wrap(m Model, text, prefix string) (wrapped string, special bool, err error) {
	if !d.chat || !m.Tokenizer.HasChat() {
		return text + prefix, true, nil
	}
	wrapped, err = d.turn(m, text)
	return wrapped + prefix, d.addSpecialTokens, err
}

// turn is the user's turn, with the system text and the head of the answer's turn.
func (d *Definition) turn(m Model, text string) (string, error) {
	system := d.systemText(m.Family)
	if d.llama2ByHand && m.Family == "llama2" {
		return fmt.Sprintf("[INST] <<SYS>>\n%s\n<</SYS>>\n\n%s [/INST]", system, strings.TrimSpace(text)), nil
	}
	user := tokenizer.Message{Role: "user", Content: text}
	if system == "" {
		return m.Tokenizer.Chat([]tokenizer.Message{user}, true)
	}
	wrapped, err := m.Tokenizer.Chat([]tokenizer.Message{{Role: "system", Content: system}, user}, true)
	if err == nil {
		return wrapped, nil
	}
	// Some templates refuse a system turn; its text then leads the user's.
	user.Content = system + "\n\n" + text
	return m.Tokenizer.Chat([]tokenizer.Message{user}, true)
}

func (d *Definition) systemText(family string) string {
	if d.system != "" {
		return d.system
	}
	if text, ok := d.systems[family]; ok {
		return text
	}
	return d.systems["other"]
}

// cutMiddle shortens a text of more than limit tokens to the texts of its first
// and last floor(limit/2) tokens without special ones, joined (LongBench's and
// the paper's rule).
func cutMiddle(t Tokenizer, text string, special bool, limit int) (string, bool, error) {
	if limit < 2 {
		return "", false, fmt.Errorf("a prompt of at most %d tokens cannot be made; raise context_lengths", limit)
	}
	ids, err := t.Encode(text, special)
	if err != nil {
		return "", false, err
	}
	if len(ids) <= limit {
		return text, false, nil
	}
	half := limit / 2
	return t.Decode(ids[:half], true) + t.Decode(ids[len(ids)-half:], true), true, nil
}
