package tokenizer

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// templateDate is what strftime_now tells a chat template: with the clock's date
// a Llama 3 prompt would be another one every day. It is the date those templates
// fall back to themselves.
var templateDate = time.Date(2024, time.July, 26, 0, 0, 0, 0, time.UTC)

// maxRendered bounds what a template may write beyond four times the length of
// the messages, in bytes.
const maxRendered = 1 << 20

// A Message is one turn of a conversation.
type Message struct {
	Role    string // system, user or assistant
	Content string
}

// HasChat tells whether the model comes with a chat template.
func (t *Tokenizer) HasChat() bool { return t.chat != nil }

// ChatTemplate returns the model's own Jinja template, "" if it has none.
func (t *Tokenizer) ChatTemplate() string {
	if t.chat == nil {
		return ""
	}
	return t.chat.source
}

// Chat renders a conversation with the model's own Jinja template, as
// transformers' apply_chat_template does without tools; addGenerationPrompt ends
// it with the beginning of the assistant's answer. The template may write special
// tokens, a BOS too: encode the result with addSpecial false. strftime_now always
// tells 26 July 2024. A template that cannot be rendered is an error, and so is one
// that takes more than a little time or memory: it runs in a process of its own.
func (t *Tokenizer) Chat(msgs []Message, addGenerationPrompt bool) (string, error) {
	if t.chat == nil {
		return "", errors.New("the model has no chat template; give it the text as it stands (--raw)")
	}
	out, err := templates.render(rendering{t.chat.source, t.chat.special, msgs, addGenerationPrompt})
	if err != nil {
		return "", fmt.Errorf("rendering the model's chat template: %w", err)
	}
	return out, nil
}

// chat is a model's chat template; it is parsed when first used, so that a model
// whose template we cannot read still serves plain prompts, and only in the process
// that renders it.
type chat struct {
	source  string
	special map[string]string // bos_token, eos_token, …
	parsed  func() (*exec.Template, error)
}

func newChat(source string, special map[string]string) *chat {
	c := &chat{source: source, special: special}
	c.parsed = sync.OnceValues(c.parse)
	return c
}

// Jinja's trim_blocks and lstrip_blocks, which transformers sets, are done on the
// text: the library's own lstrip also takes blanks that follow an expression. The
// tags of generation, which mark the assistant's part, write nothing.
var (
	leftStrip  = regexp.MustCompile(`(?m)^[ \t]+(\{[%#])([^+])`)
	trimBreak  = regexp.MustCompile(`([^+][%#]\})\n`)
	generation = regexp.MustCompile(`\{%(-?)\s*(end)?generation\s*(-?)%\}`)
)

func preprocess(source string) string {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	source = leftStrip.ReplaceAllString(source, "$1$2")
	source = trimBreak.ReplaceAllString(source, "$1")
	source = generation.ReplaceAllStringFunc(source, func(tag string) string {
		p := generation.FindStringSubmatch(tag)
		if p[2] == "" {
			return "{%" + p[1] + " if true " + p[3] + "%}"
		}
		return "{%" + p[1] + " endif " + p[3] + "%}"
	})
	return rewriteExpressions(source)
}

func (c *chat) parse() (t *exec.Template, err error) {
	defer recovered(&err)
	if err := checkSize(c.source); err != nil {
		return nil, err
	}
	// The loader holds nothing else: a template can include no file.
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": preprocess(c.source)})
	if err != nil {
		return nil, err
	}
	filters := exec.NewFilterSet(map[string]exec.FilterFunction{}).Update(builtins.Filters)
	for name, f := range map[string]exec.FilterFunction{"tojson": toJSON, "trim": trim} {
		if err := filters.Replace(name, f); err != nil {
			return nil, err
		}
	}
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("range", boundedRange)
	globals.Set("raise_exception", func(message string) (string, error) {
		return "", fmt.Errorf("the template refuses: %s", message)
	})
	globals.Set("strftime_now", func(format string) (string, error) {
		return strftime(templateDate, format)
	})
	cfg := config.New()
	cfg.AutoEscape = false
	return exec.NewTemplate("/chat", cfg, loader, &exec.Environment{
		Context:           globals,
		Filters:           filters,
		Tests:             builtins.Tests,
		ControlStructures: boundedStructures(),
		Methods:           pythonMethods(),
	})
}

func (c *chat) render(msgs []Message, addGenerationPrompt bool) (out string, err error) {
	defer recovered(&err)
	t, err := c.parsed()
	if err != nil {
		return "", err
	}
	limit := maxRendered
	messages := make([]any, len(msgs))
	for i, m := range msgs {
		messages[i] = map[string]any{"role": m.Role, "content": m.Content}
		limit += 4 * (len(m.Role) + len(m.Content))
	}
	data := exec.NewContext(map[string]any{
		"messages": messages, "add_generation_prompt": addGenerationPrompt, macroDepth: new(int),
	})
	for name, token := range c.special {
		data.Set(name, token)
	}
	w := &cappedWriter{limit: limit}
	if err := t.Execute(w, data); err != nil {
		return "", err
	}
	return w.text.String(), nil
}

// plainError is an error of the template library on one line, without the whole
// template that it quotes; of a long one the beginning and the end, which holds
// the cause.
func (c *chat) plainError(err error) string {
	text := strings.ReplaceAll(err.Error(), "template '"+preprocess(c.source)+"'", "it")
	runes := []rune(strings.Join(strings.Fields(text), " "))
	const head, tail = 100, 300
	if len(runes) <= head+tail {
		return string(runes)
	}
	return string(runes[:head]) + " … " + string(runes[len(runes)-tail:])
}

// recovered turns a panic of the template library into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the template library failed: %v", r)
	}
}

// cappedWriter keeps what is written to it, up to a limit.
type cappedWriter struct {
	text  strings.Builder
	limit int
}

func (w *cappedWriter) Write(p []byte) (int, error) {
	if w.text.Len()+len(p) > w.limit {
		return 0, fmt.Errorf("the template writes more than %d bytes", w.limit)
	}
	return w.text.Write(p)
}

// strftime formats a time as Python's strftime does in the C locale; it knows the
// directives that do not depend on a clock's zone.
func strftime(t time.Time, format string) (string, error) {
	layouts := map[byte]string{
		'd': "02", 'm': "01", 'y': "06", 'Y': "2006", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'e': "_2",
		'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04",
	}
	unpadded := map[byte]string{'d': "2", 'm': "1", 'I': "3", 'M': "4", 'S': "5"}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out.WriteByte(format[i])
			continue
		}
		i++
		table := layouts
		if i < len(format) && format[i] == '-' {
			table = unpadded
			i++
		}
		if i < len(format) && format[i] == '%' {
			out.WriteByte('%')
			continue
		}
		if i >= len(format) || table[format[i]] == "" {
			return "", fmt.Errorf("strftime_now(%q): a directive is not supported", format)
		}
		out.WriteString(t.Format(table[format[i]]))
	}
	return out.String(), nil
}
