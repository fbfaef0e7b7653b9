package tasks

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"refreekv/datasets"
	"refreekv/model/hub"
	"refreekv/model/tokenizer"
	"refreekv/model/weights"
)

// sharedFolder is the folder with the spec and the real records, which are no
// part of the repository.
func sharedFolder(t testing.TB, name string) string {
	t.Helper()
	shared := os.Getenv("REFREEKV_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	path := filepath.Join(shared, name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("what this test compares with is not here: ", err)
	}
	return path
}

const smollm2File = "SmolLM2-135M-Instruct.Q4_1.gguf"

// smollm2Meta is the metadata of SmolLM2's GGUF file in the program's cache.
var smollm2Meta = sync.OnceValues(func() (map[string]any, error) {
	cache, err := hub.CacheDir()
	if err != nil {
		return nil, err
	}
	found := ""
	err = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == smollm2File {
			found = path
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil || found == "" {
		return nil, errors.Join(fs.ErrNotExist, errors.New(smollm2File+" is not in the cache "+cache+"; refreekv pull model smollm2-135m-instruct fetches it"))
	}
	f, err := weights.Open(found)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Meta, nil
})

// smollm2 is SmolLM2's tokenizer; a template makes it one that adds a BOS and
// has that chat template.
func smollm2(t testing.TB, template string) *tokenizer.Tokenizer {
	t.Helper()
	meta, err := smollm2Meta()
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if template != "" {
		meta = maps.Clone(meta)
		meta["tokenizer.chat_template"] = template
		meta["tokenizer.ggml.add_bos_token"] = true
	}
	tok, err := tokenizer.FromGGUF(meta)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// words is a tokenizer of blank-separated words with the BOS <s>. Its chat
// template writes [role]content[/role] and, like most, a BOS in front.
type words struct {
	known    []string
	ids      map[string]int32
	noChat   bool // no chat template
	noSystem bool // the template refuses a system turn
	broken   bool // the template fails
	asked    [][]tokenizer.Message
}

func newWords() *words { return &words{ids: map[string]int32{}} }

func (w *words) Encode(text string, addSpecial bool) ([]int32, error) {
	var out []int32
	if addSpecial {
		out = append(out, w.id("<s>"))
	}
	for _, word := range strings.SplitAfter(strings.ReplaceAll(text, "<s>", "<s> "), " ") {
		word = strings.TrimPrefix(word, " ")
		if word == "<s> " {
			word = "<s>"
		}
		if word != "" {
			out = append(out, w.id(word))
		}
	}
	return out, nil
}

func (w *words) id(word string) int32 {
	id, ok := w.ids[word]
	if !ok {
		id = int32(len(w.known))
		w.ids[word] = id
		w.known = append(w.known, word)
	}
	return id
}

func (w *words) Decode(ids []int32, skipSpecial bool) string {
	var b strings.Builder
	for _, id := range ids {
		if word := w.known[id]; word != "<s>" || !skipSpecial {
			b.WriteString(word)
		}
	}
	return b.String()
}

func (w *words) HasChat() bool { return !w.noChat }

func (w *words) Chat(msgs []tokenizer.Message, addGenerationPrompt bool) (string, error) {
	w.asked = append(w.asked, msgs)
	if w.broken {
		return "", errors.New("the template is broken")
	}
	var b strings.Builder
	b.WriteString("<s>")
	for _, m := range msgs {
		if m.Role == "system" && w.noSystem {
			return "", errors.New("no system turn")
		}
		b.WriteString("[" + m.Role + "]" + m.Content + "[/" + m.Role + "] ")
	}
	if addGenerationPrompt {
		b.WriteString("[assistant]")
	}
	return b.String(), nil
}

// protocolOf loads a built-in task under a protocol.
func protocolOf(t testing.TB, task, protocol string) *Definition {
	t.Helper()
	loaded, err := Load(task)
	if err != nil {
		t.Fatal(err)
	}
	d, err := loaded.Protocol(protocol)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// define makes a definition of the text of a task file.
func define(t testing.TB, protocol, text string) *Definition {
	t.Helper()
	task, err := parse("test", "test.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := task.Protocol(protocol)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func recordOf(fields map[string]any) datasets.Record {
	return datasets.Record{ID: "r", Source: "data.jsonl:7", Fields: fields}
}

// wantError wants an error of one line that says all of that.
func wantError(t testing.TB, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", says)
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("the error has several lines: %q", err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q; want it to say %q", err, s)
		}
	}
}

func openAll(t testing.TB, task *Task) []datasets.Record {
	t.Helper()
	records, err := datasets.Open(t.Context(), task.Dataset, datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// encoded is the text's tokens.
func encoded(t testing.TB, tok interface {
	Encode(string, bool) ([]int32, error)
}, text string, special bool) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, special)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
