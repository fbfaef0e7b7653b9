package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// A Message is one turn of a conversation.
type Message struct {
	Role    string // system, user or assistant
	Content string
}

// chatTemplate is a model's Jinja template and the special tokens it names.
type chatTemplate struct {
	text string
	vars map[string]string
}

// templateDate is the date that templates see: a clock would change prompts
// from day to day.
const templateDate = "26 Jul 2024"

// mostPrompt bounds what a template may write, in bytes.
const mostPrompt = 64 << 20

// HasChat reports whether the model comes with a chat template.
func (t *Tokenizer) HasChat() bool { return t.chat.text != "" }

// ChatTemplate is the model's Jinja template; empty if it has none.
func (t *Tokenizer) ChatTemplate() string { return t.chat.text }

// Chat renders a conversation with the model's own template, as transformers'
// apply_chat_template does; addGenerationPrompt opens the assistant's turn. The
// text holds the special tokens: encode it without adding more.
func (t *Tokenizer) Chat(messages []Message, addGenerationPrompt bool) (string, error) {
	if !t.HasChat() {
		return "", errors.New("the model has no chat template")
	}
	text, err := t.chat.render(messages, addGenerationPrompt)
	if err != nil {
		return "", fmt.Errorf("rendering the chat template: %w", err)
	}
	return text, nil
}

// Jinja's trim_blocks and lstrip_blocks, done on the template's text, and the
// generation tag of transformers, which marks but changes nothing.
var (
	lstripBlocks  = regexp.MustCompile(`(?m)^[ \t]+(\{[%#])([^+])`)
	trimBlocks    = regexp.MustCompile(`([%#]\})\n`)
	generationTag = regexp.MustCompile(`\{%(-?)\s*(end)?generation\s*(-?)%\}`)
)

func (c chatTemplate) render(messages []Message, addGenerationPrompt bool) (text string, err error) {
	// A template is input: whatever it makes the library do must not end the
	// program.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the template failed: %v", r)
		}
	}()
	source := lstripBlocks.ReplaceAllString(c.text, "$1$2")
	source = trimBlocks.ReplaceAllString(source, "$1")
	source = generationTag.ReplaceAllStringFunc(source, func(tag string) string {
		parts := generationTag.FindStringSubmatch(tag)
		if parts[2] == "end" {
			return "{%" + parts[1] + " endif " + parts[3] + "%}"
		}
		return "{%" + parts[1] + " if true " + parts[3] + "%}"
	})
	template, err := compile(source)
	if err != nil {
		return "", err
	}
	out := &bounded{most: mostPrompt}
	if err := template.Execute(out, exec.NewContext(c.context(messages, addGenerationPrompt))); err != nil {
		return "", err
	}
	return out.String(), nil
}

func (c chatTemplate) context(messages []Message, addGenerationPrompt bool) map[string]any {
	var list []map[string]any
	for _, m := range messages {
		list = append(list, map[string]any{"role": m.Role, "content": m.Content})
	}
	vars := map[string]any{
		"messages": list, "add_generation_prompt": addGenerationPrompt, "tools": nil,
		"strftime_now":    func(string) string { return templateDate },
		"raise_exception": func(text string) (string, error) { return "", errors.New(text) },
	}
	for name, token := range c.vars {
		vars[name] = token
	}
	return vars
}

func compile(source string) (*exec.Template, error) {
	conf := config.New()
	conf.AutoEscape = false
	conf.KeepTrailingNewline = false
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	if err := filters.Replace("tojson", toJSON); err != nil {
		return nil, err
	}
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": source})
	if err != nil {
		return nil, err
	}
	return exec.NewTemplate("/chat", conf, loader, &exec.Environment{
		Context: builtins.GlobalFunctions, Filters: filters, Tests: builtins.Tests,
		ControlStructures: builtins.ControlStructures, Methods: builtins.Methods,
	})
}

// toJSON writes JSON as Python does: a blank after commas and colons, no HTML
// escapes.
func toJSON(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(in.Interface()); err != nil {
		return exec.AsValue(err)
	}
	var out strings.Builder
	inString := false
	for i, b := range bytes.TrimRight(raw.Bytes(), "\n") {
		if b == '"' && (i == 0 || raw.Bytes()[i-1] != '\\') {
			inString = !inString
		}
		out.WriteByte(b)
		if !inString && (b == ',' || b == ':') {
			out.WriteByte(' ')
		}
	}
	return exec.AsSafeValue(out.String())
}

// bounded is a buffer that refuses to grow beyond a size.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, fmt.Errorf("it writes more than %d bytes", b.most)
	}
	return b.Buffer.Write(p)
}
