package tasks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tokenizer"
)

const plainTask = "dataset: x\nprompt: '{context}'\nmax_new_tokens: 3\nmetric: qa_f1\n"

// count gives a text of n words, "0 1 2 … ".
func count(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d ", i)
	}
	return b.String()
}

func textRecord(text string) map[string]any { return map[string]any{"context": text} }

// The middle is cut out of what is longer than the limit, half a limit stays at
// either end, and the BOS counts (spec 6.2).
func TestCutMiddle(t *testing.T) {
	for _, c := range []struct {
		words, limit int
		want         string // the text; "": whole
	}{
		{9, 10, ""}, // with the BOS just at the limit
		{10, 10, "0 1 2 3 5 6 7 8 9 "},
		{10, 11, ""},
		{20, 10, "0 1 2 3 15 16 17 18 19 "},
		{20, 11, "0 1 2 3 15 16 17 18 19 "}, // odd: floor
		{20, 2, "19 "},                      // the first half is the BOS alone
		{20, 3, "19 "},
		{20, 4, "0 18 19 "},
		{1, 2, ""},
		{0, 2, ""},
		{2, 2, "1 "},
	} {
		text, cut, err := cutMiddle(newWords(), count(c.words), true, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		if want := c.want; want == "" && (cut || text != count(c.words)) || want != "" && (!cut || text != want) {
			t.Errorf("%d words, limit %d: cut %t to %q, want %q", c.words, c.limit, cut, text, want)
		}
	}
	// Without the BOS there is room for one more.
	if _, cut, err := cutMiddle(newWords(), count(10), false, 10); cut || err != nil {
		t.Errorf("without a BOS: cut %t, %v", cut, err)
	}
	for _, limit := range []int{1, 0, -3} {
		_, _, err := cutMiddle(newWords(), "a", true, limit)
		wantError(t, err, fmt.Sprintf("a prompt of at most %d tokens cannot be made; raise context_lengths", limit))
	}
}

func TestStandardPrompt(t *testing.T) {
	chat := define(t, "standard", plainTask)
	bare := define(t, "standard", plainTask+"chat: false\n")
	for _, c := range []struct {
		name   string
		d      *Definition
		model  Model
		length int
		words  int
		want   string
		tokens int // with special ones
		cut    bool
	}{
		{"wrapped, one BOS", chat, Model{Tokenizer: newWords()}, 100, 3, "<s>[user]0 1 2 [/user] [assistant]", 6, false},
		{"bare, one BOS", bare, Model{Tokenizer: newWords()}, 100, 3, "0 1 2 ", 4, false},
		{"no chat template, one BOS", chat, Model{Tokenizer: &words{ids: map[string]int32{}, noChat: true}}, 100, 3, "0 1 2 ", 4, false},
		{"the wrapping is kept and not counted", chat, Model{Tokenizer: newWords()}, 6, 20, "<s>[user]0 1 17 18 19 [/user] [assistant]", 8, true},
		{"a bare text just as long as the context", bare, Model{Tokenizer: newWords()}, 4, 3, "0 1 2 ", 4, false},
		{"a bare text one too long", bare, Model{Tokenizer: newWords()}, 4, 4, "0 2 3 ", 4, true},
		{"the model's positions bound it", bare, Model{Tokenizer: newWords(), MaxPositions: 4 + 3 + 1 + wrapSlack}, 100, 4, "0 2 3 ", 4, true},
		{"positions that just suffice", bare, Model{Tokenizer: newWords(), MaxPositions: 5 + 3 + 1 + wrapSlack}, 100, 4, "0 1 2 3 ", 5, false},
		{"positions leave room for the wrapping", chat, Model{Tokenizer: newWords(), MaxPositions: 4 + 3 + 3 + wrapSlack}, 100, 4, "<s>[user]0 2 3 [/user] [assistant]", 6, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.d.Prompt(c.model, recordOf(textRecord(count(c.words))), c.length)
			if err != nil {
				t.Fatal(err)
			}
			if got.Text != c.want || len(got.Tokens) != c.tokens || got.Truncated != c.cut {
				t.Errorf("%+v; want %q, %d tokens, cut %t", got, c.want, c.tokens, c.cut)
			}
		})
	}
	if _, err := bare.Prompt(Model{Tokenizer: newWords(), MaxPositions: 10}, recordOf(textRecord("a")), 100); err == nil {
		t.Error("a prompt where there is no room")
	} else {
		wantError(t, err, "the model holds 10 positions, which leaves no room for a prompt beside 3 new tokens")
	}
	_, err := bare.Prompt(Model{Tokenizer: newWords()}, recordOf(textRecord("a")), 1)
	wantError(t, err, "a prompt of at most 1 tokens cannot be made; raise context_lengths")
}

func TestPaperPrompt(t *testing.T) {
	d := define(t, "paper", plainTask)
	// Wrapped, then tokenised with special tokens added: two BOS.
	m := Model{Tokenizer: newWords(), Family: "llama3"}
	got, err := d.Prompt(m, recordOf(textRecord("0 ")), 100)
	if err != nil {
		t.Fatal(err)
	}
	want := "<s>[system]You are a helpful assistant.[/system] [user]0 [/user] [assistant]"
	if got.Text != want || got.Truncated || m.Tokenizer.Decode(got.Tokens[:2], false) != "<s><s>" {
		t.Errorf("%+v", got)
	}
	// As long as may be: the context less new tokens and margin, both BOS counted.
	whole := len(got.Tokens)
	for _, c := range []struct {
		over int
		want string
	}{
		{0, want},
		// One too long: half of 12 at either end, special tokens lost, the seventh of
		// 13 left out.
		{-1, ""},
	} {
		got, err := d.Prompt(m, recordOf(textRecord("0 ")), whole+3+20+c.over)
		if err != nil {
			t.Fatal(err)
		}
		if c.over == 0 && (got.Truncated || got.Text != c.want) {
			t.Errorf("just at the limit: %+v", got)
		}
		if c.over < 0 {
			half := (whole + c.over) / 2
			ids := encoded(t, m.Tokenizer, want, true)
			text := strings.ReplaceAll(m.Tokenizer.Decode(ids[:half], false)+m.Tokenizer.Decode(ids[whole-half:], false), "<s>", "")
			if !got.Truncated || got.Text != text || len(got.Tokens) != 2*half-2+1 || m.Tokenizer.Decode(got.Tokens[:1], false) != "<s>" {
				t.Errorf("one too long: %+v, want %q", got, text)
			}
		}
	}
	_, err = d.Prompt(m, recordOf(textRecord("0 1 2 ")), 24)
	wantError(t, err, "context length 24 less 3 new tokens and a margin of 20 leaves 1: a prompt of at most 1 tokens cannot be made; raise context_lengths")
	// GSM8K and CoQA are never cut.
	never := define(t, "paper", plainTask+"paper: {truncate: never}\n")
	got, err = never.Prompt(m, recordOf(textRecord(count(500))), 100)
	if err != nil || got.Truncated || !strings.Contains(got.Text, count(500)) {
		t.Errorf("truncate: never cut, %v", err)
	}
	// A model without a chat template gets the bare text and one BOS.
	got, err = d.Prompt(Model{Tokenizer: &words{ids: map[string]int32{}, noChat: true}}, recordOf(textRecord("0 1 ")), 100)
	if err != nil || got.Text != "0 1 " || len(got.Tokens) != 3 {
		t.Errorf("no chat template: %+v, %v", got, err)
	}
}

// System texts by model family, and how they reach templates of all kinds.
func TestSystemTexts(t *testing.T) {
	d := define(t, "paper", plainTask)
	for family, want := range map[string]string{
		"llama3": "You are a helpful assistant.", "qwen2.5": "You are a helpful assistant.", "other": "You are a helpful assistant.",
		"mistral": "You are a pirate chatbot who always responds in pirate speak!", "unheard of": "You are a helpful assistant.",
	} {
		w := newWords()
		if _, err := d.Prompt(Model{Tokenizer: w, Family: family}, recordOf(textRecord("a")), 100); err != nil {
			t.Fatal(err)
		}
		asked := [][]tokenizer.Message{{{Role: "system", Content: want}, {Role: "user", Content: "a"}}}
		if diff := cmp.Diff(asked, w.asked); diff != "" {
			t.Errorf("%s (-want +got) %s", family, diff)
		}
	}
	// Llama 2's turn is built by hand, the text trimmed, without the template's BOS.
	got, err := d.Prompt(Model{Tokenizer: newWords(), Family: "llama2"}, recordOf(textRecord(" a b\n")), 100)
	if want := "[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\na b [/INST]"; err != nil || got.Text != want {
		t.Errorf("llama2: %q, %v", got.Text, err)
	}
	if standard := define(t, "standard", plainTask); true {
		got, err := standard.Prompt(Model{Tokenizer: newWords(), Family: "llama2"}, recordOf(textRecord(" a b\n")), 100)
		if want := "<s>[user] a b\n[/user] [assistant]"; err != nil || got.Text != want {
			t.Errorf("llama2, standard: %q, %v", got.Text, err)
		}
	}
	// A template that refuses a system turn: its text leads the user's.
	got, err = d.Prompt(Model{Tokenizer: &words{ids: map[string]int32{}, noSystem: true}}, recordOf(textRecord("a")), 100)
	if want := "<s>[user]You are a helpful assistant.\n\na[/user] [assistant]"; err != nil || got.Text != want {
		t.Errorf("no system turn: %q, %v", got.Text, err)
	}
	for _, protocol := range Protocols {
		_, err = define(t, protocol, plainTask).Prompt(Model{Tokenizer: &words{ids: map[string]int32{}, broken: true}, MaxPositions: 100}, recordOf(textRecord("a")), 100)
		wantError(t, err, "the template is broken")
	}
	// A task's own system text goes to every family, in both protocols where it
	// stands in the task.
	own := plainTask + "system: Be brief.\npaper: {system: Be long.}\n"
	for protocol, want := range map[string]string{"standard": "Be brief.", "paper": "Be long."} {
		d := define(t, protocol, own)
		for _, family := range []string{"mistral", "other"} {
			if got := d.systemText(family); got != want {
				t.Errorf("%s, %s: %q", protocol, family, got)
			}
		}
	}
}

// The same things with a real tokenizer: SmolLM2's, and one made of it with a BOS.
func TestPromptSmolLM2(t *testing.T) {
	plain := Model{Tokenizer: smollm2(t, ""), Family: "other", MaxPositions: 8192}
	bos := Model{Tokenizer: smollm2(t, "{{ bos_token }}{% for m in messages %}{{ m['role'] + ': ' + m['content'] | trim + '\\n' }}{% endfor %}"), Family: "llama3", MaxPositions: 8192}
	leading := func(ids []int32) int {
		n := 0
		for n < len(ids) && ids[n] == 1 {
			n++
		}
		return n
	}
	for _, c := range []struct {
		name, protocol, task string
		model                Model
		want                 int // BOS tokens in front
	}{
		{"SmolLM2 wrapped: the template's own <|im_start|>", "standard", plainTask, plain, 1},
		{"SmolLM2 bare: add_bos_token is false", "standard", plainTask + "chat: false\n", plain, 0},
		{"SmolLM2 under paper: adding special tokens changes nothing", "paper", plainTask, plain, 1},
		{"with a BOS, wrapped", "standard", plainTask, bos, 1},
		{"with a BOS, bare", "standard", plainTask + "chat: false\n", bos, 1},
		{"with a BOS, under paper: two", "paper", plainTask, bos, 2},
	} {
		got, err := define(t, c.protocol, c.task).Prompt(c.model, recordOf(textRecord("Once upon a time.")), 1000)
		if err != nil || leading(got.Tokens) != c.want {
			t.Errorf("%s: %d BOS, want %d; %v", c.name, leading(got.Tokens), c.want, err)
		}
	}
	// Truncated under paper, the prompt loses all special tokens, then gets one BOS.
	got, err := define(t, "paper", plainTask).Prompt(bos, recordOf(textRecord(strings.Repeat("Once upon a time. ", 100))), 123)
	if err != nil || !got.Truncated || leading(got.Tokens) != 1 || strings.Contains(got.Text, "<|im_start|>") {
		t.Errorf("truncated: %d BOS, %v", leading(got.Tokens), err)
	}
	// Cutting a character of several tokens in half leaves no invalid text.
	d := define(t, "standard", plainTask+"chat: false\n")
	for limit := 2; limit < 12; limit++ {
		got, err := d.Prompt(plain, recordOf(textRecord(strings.Repeat("𒀀🛞", 30))), limit)
		if err != nil || !got.Truncated || strings.ToValidUTF8(got.Text, "") != got.Text {
			t.Errorf("limit %d: %q, %v", limit, got.Text, err)
		}
	}
}

// Our own records are made for a context of 4,096 tokens: nothing is cut out of
// them there, which could be the answer.
func TestOwnTasksFit(t *testing.T) {
	m := Model{Tokenizer: smollm2(t, ""), Family: "other", MaxPositions: 8192}
	for _, name := range []string{"sample_qa", "sample_multihop", "sample_summary", "sample_math", "sample_code", "needle", "kv_retrieval", "variable_tracking", "recall"} {
		task, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, protocol := range Protocols {
			d := protocolOf(t, name, protocol)
			for _, r := range openAll(t, task) {
				if got, err := d.Prompt(m, r, 4096); err != nil || got.Truncated {
					t.Errorf("%s, %s: %s: truncated %t, %v", name, protocol, r.Source, got.Truncated, err)
				}
			}
		}
	}
}

// The generated sets are about as long in tokens as their length option says,
// 1.3 tokens a word.
func TestGeneratedTokens(t *testing.T) {
	m := Model{Tokenizer: smollm2(t, ""), Family: "other"}
	for _, set := range []string{"needle", "kv_retrieval", "variable_tracking"} {
		for _, length := range []int{500, 3000} {
			task, err := parse("test", "test.yaml", fmt.Appendf(nil, "dataset: %s length=%d\nprompt: '{context}'\nchat: false\nmax_new_tokens: 3\nmetric: contains\n", set, length), nil)
			if err != nil {
				t.Fatal(err)
			}
			d, err := task.Protocol("standard")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range openAll(t, task)[:3] {
				got, err := d.Prompt(m, r, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if share := float64(len(got.Tokens)) / float64(length); share < 1.1 || share > 1.6 {
					t.Errorf("%s length=%d: %d tokens", set, length, len(got.Tokens))
				}
			}
		}
	}
}
