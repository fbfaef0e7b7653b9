package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Conversations come out as transformers renders them (testdata/chat.py).
func TestChatEqualsTransformers(t *testing.T) {
	raw, err := os.ReadFile("testdata/chat.json")
	if err != nil {
		t.Fatal(err)
	}
	var items []struct {
		Name, Source string
		Special      map[string]string
		Rendered     []struct {
			Messages []Message
			Prompt   bool `json:"add_generation_prompt"`
			Text     *string
		}
	}
	if err := json.Unmarshal(raw, &items); err != nil {
		t.Fatal(err)
	}
	if len(items) < 10 {
		t.Fatalf("%d templates, want 10", len(items))
	}
	for _, item := range items {
		t.Run(item.Name, func(t *testing.T) {
			tok := &Tokenizer{chat: newChat(item.Source, item.Special)}
			for i, want := range item.Rendered {
				got, err := tok.Chat(want.Messages, want.Prompt)
				if want.Text == nil {
					if err == nil {
						t.Errorf("conversation %d was rendered as %q, the template refuses it", i, got)
					}
					continue
				}
				if err != nil {
					t.Fatalf("conversation %d: %v", i, err)
				}
				if diff := cmp.Diff(*want.Text, got); diff != "" {
					t.Errorf("conversation %d, generation prompt %t (-want +got):\n%s", i, want.Prompt, diff)
				}
			}
		})
	}
}

// A template that cannot be read or run is one line of error, which neither
// repeats the template nor ends the program.
func TestChatErrors(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"unfinished loop":                          {"{% for m in messages %}\n{{ m.content }}\n", "Unexpected EOF"},
		"unfinished expression":                    {"{{ 'a'", "expected"},
		"stray end":                                {"a\nb{% endfor %}", "endfor"},
		"the template refuses":                     {"{{ raise_exception('only user, please') }}", "only user, please"},
		"number as a key (a limit of the library)": {"{{ {1: 2}[1] }}", "index"},
		"unknown function":                         {"{{ nothing() }}", "not callable"},
		"unknown filter":                           {"{{ messages | nofilter }}", "nofilter"},
		"unknown test":                             {"{% if x is notest %}{% endif %}", "notest"},
		"message that is absent":                   {"{{ messages[9].content }}", "messages[9]"},
		"a panic of the library":                   {"{{ 'x%sy' % 'q' }}", "template library failed"},
		"unknown date directive":                   {"{{ strftime_now('%Q') }}", "directive"},
		"tojson's arguments":                       {"{{ messages | tojson(sort_keys=true) }}", "sort_keys"},
		"file from elsewhere":                      {`{% include "/etc/passwd" %}`, "include"},
		"itself":                                   {`{% include "/chat" %}`, "include"},
		"itself, imported":                         {`{% import "/chat" as c %}`, "import"},
		"itself, extended":                         {`{% extends "/chat" %}`, "extends"},
		"endless text":                             {"{% for i in range(2000) %}{% for j in range(2000) %}" + strings.Repeat("x", 1000) + "{% endfor %}{% endfor %}", "writes more than"},
		"endless range":                            {"{% for i in range(1000000000000) %}{% endfor %}", "range of more than"},
		"endless backwards":                        {"{% for i in range(0, -1000000000000, -1) %}{% endfor %}", "range of more than"},
		"range without step":                       {"{% for i in range(0, 5, 0) %}{% endfor %}", "step of 0"},
		"range of texts":                           {"{% for i in range('a') %}{% endfor %}", "range takes integers"},
		"endless macro":                            {"{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "calls nest more than"},
		"macros in turn":                           {"{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}", "calls nest more than"},
		"macro that hides":                         {"{% set __macro_depth = 1 %}{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "overwritten"},
		"recursive loop":                           {"{% for m in messages recursive %}{{ loop(messages) }}{% endfor %}", "recursive loops are not supported"},
		"deep brackets":                            {"{{ " + strings.Repeat("(", 60_000) + " }}", "nest more than 100"},
		"deep lists":                               {"{{ " + strings.Repeat("[", 101) + strings.Repeat("]", 101) + " }}", "nest more than 100"},
		"deep statements":                          {strings.Repeat("{% if 1 %}", 6000), "EOF"},
		"long chain":                               {"{{ 1" + strings.Repeat(" if 1 else 1", 5000) + " }}", ""},
		"many nots":                                {"{{ " + strings.Repeat("not ", 16_000) + "1 }}", ""},
		"too long":                                 {strings.Repeat("x", 1<<16+1), "65537 bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			tok := &Tokenizer{chat: newChat(c.source, nil)}
			out, err := tok.Chat([]Message{{"user", "hi"}}, true)
			if c.want == "" { // may be right or wrong, but must end
				return
			}
			if err == nil {
				t.Fatalf("rendered as %.80q", out)
			}
			text := err.Error()
			if !strings.HasPrefix(text, "rendering the model's chat template: ") || !strings.Contains(text, c.want) ||
				strings.Contains(text, "\n") || len(text) > 1000 {
				t.Errorf("error %.2000q, want one line that says %q", text, c.want)
			}
		})
	}
}

// Recursion that ends is fine.
func TestChatRecursiveMacro(t *testing.T) {
	source := "{% macro down(n) %}{{ n }}{% if n > 0 %} {{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(10) }}{{ '|' }}{{ down(10) }}"
	got, err := newChat(source, nil).render(nil, false)
	if want := "10 9 8 7 6 5 4 3 2 1 0|10 9 8 7 6 5 4 3 2 1 0"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestChatOfTestModels(t *testing.T) {
	plain, err := Load("../testdata/tiny-s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Chat([]Message{{"user", "hi"}}, true); plain.HasChat() || plain.ChatTemplate() != "" ||
		err == nil || !strings.Contains(err.Error(), "no chat template") || !strings.Contains(err.Error(), "--raw") {
		t.Errorf("tiny-s: chat %t, %v", plain.HasChat(), err)
	}
	chats, err := Load("../testdata/tiny-m")
	if err != nil {
		t.Fatal(err)
	}
	got, err := chats.Chat([]Message{{"system", "s"}, {"user", " qz71\nqz "}, {"assistant", "71"}}, true)
	if want := "<s>s\nqz71\nqz71\n</s>"; err != nil || got != want {
		t.Errorf("tiny-m: %q, %v; want %q", got, err, want)
	}
	if ids := encoded(t, chats, got, false); ids[0] != 256 || ids[len(ids)-1] != 257 {
		t.Errorf("the special tokens of the text have ids %d and %d", ids[0], ids[len(ids)-1])
	}
	if _, err := chats.Chat([]Message{{"tool", "x"}}, true); err == nil || !strings.Contains(err.Error(), "unknown role tool") {
		t.Errorf("tiny-m and a role that it does not know: %v", err)
	}
}

// One tokenizer renders for several goroutines at once.
func TestChatTogether(t *testing.T) {
	tok := &Tokenizer{chat: newChat("{% macro show(x, n=3) %}{{ x }}{% if n > 0 %}{{ show(x, n - 1) }}{% endif %}{% endmacro %}{% for m in messages %}{{ show(m.content) }}{% endfor %}", nil)}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			text := strings.Repeat("x", i)
			for range 20 {
				got, err := tok.Chat([]Message{{"user", text}, {"user", "y"}}, false)
				if want := strings.Repeat(text, 4) + "yyyy"; err != nil || got != want {
					t.Errorf("%q, %v; want %q", got, err, want)
					return
				}
			}
		})
	}
	group.Wait()
}

// Where a model's files name a chat template, and what is wrong with them.
func TestChatTemplateFiles(t *testing.T) {
	tiny, err := os.ReadFile("../testdata/tiny-s/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  string // of the template
		err   string
	}{
		"none":           {nil, "", ""},
		"in the config":  {map[string]string{"tokenizer_config.json": `{"chat_template":"A"}`}, "A", ""},
		"null":           {map[string]string{"tokenizer_config.json": `{"chat_template":null}`}, "", ""},
		"of a list":      {map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}`}, "D", ""},
		"its own file":   {map[string]string{"tokenizer_config.json": `{"chat_template":"A"}`, "chat_template.jinja": "B"}, "B", ""},
		"no default":     {map[string]string{"tokenizer_config.json": `{"chat_template":[{"name":"rag","template":"T"}]}`}, "", `chat_template: none of the templates is named "default"`},
		"a number":       {map[string]string{"tokenizer_config.json": `{"chat_template":5}`}, "", "chat_template: want a template"},
		"broken JSON":    {map[string]string{"tokenizer_config.json": `{"chat_template":`}, "", "tokenizer_config.json"},
		"unknown BOS":    {map[string]string{"tokenizer_config.json": `{"bos_token":"<none>"}`}, "", `bos_token "<none>" is not in the vocabulary`},
		"unknown EOS":    {map[string]string{"special_tokens_map.json": `{"eos_token":{"content":"<none>"}}`}, "", `eos_token "<none>" is not in the vocabulary`},
		"a stop beyond":  {map[string]string{"generation_config.json": `{"eos_token_id":[257,128001]}`}, "", "generation_config.json: eos_token_id 128001 is beyond the 259 tokens"},
		"a stop, text":   {map[string]string{"config.json": `{"eos_token_id":65}`}, "", `config.json: eos_token_id 65 is "A" in tokenizer.json`},
		"a stop of two":  {map[string]string{"generation_config.json": `{"eos_token_id":[65,257]}`}, "", ""},
		"no stop":        {map[string]string{"generation_config.json": `{"eos_token_id":-1}`}, "", ""},
		"stops in words": {map[string]string{"generation_config.json": `{"eos_token_id":"</s>"}`}, "", "generation_config.json: eos_token_id"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), tiny, 0o600); err != nil {
				t.Fatal(err)
			}
			tok, err := Load(dir)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want one line that says %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tok.ChatTemplate() != c.want {
				t.Errorf("template %q, want %q", tok.ChatTemplate(), c.want)
			}
		})
	}
}

func TestStops(t *testing.T) {
	tok, err := Load("../testdata/tiny-m")
	if err != nil {
		t.Fatal(err)
	}
	eos := tok.EOS()
	eos[0] = -5 // the caller's own copy
	if bos, ok := tok.BOS(); bos != 256 || !ok || !slices.Equal(tok.EOS(), []int32{257}) {
		t.Errorf("BOS %d %t, EOS %v", bos, ok, tok.EOS())
	}
}
