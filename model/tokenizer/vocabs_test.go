package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"refreekv/model/weights"
)

// vocabsFixture is testdata/vocabs.json.gz: what Hugging Face's tokenizers and
// transformers do with real vocabularies and chat templates.
type vocabsFixture struct {
	Vocabularies map[string]struct {
		Tokenizer, GGUF string // sha256 of the files
		Answers         bothAnswers
	}
	Conversations [][][2]string // role and content of every turn
	Special       map[string]string
	Templates     map[string]struct {
		SHA256   string
		Rendered []string // sha256 per conversation, without and with generation prompt; "" where it refuses
	}
}

// readVocabs returns the record and the folder with the files it was made from.
func readVocabs(t *testing.T) (vocabsFixture, string) {
	t.Helper()
	dir := os.Getenv("REFREEKV_VOCABS")
	if dir == "" {
		t.Skip("REFREEKV_VOCABS names no folder; python testdata/vocabs.py fetch FOLDER fills one with real vocabularies and chat templates")
	}
	var f vocabsFixture
	readGzip(t, "vocabs.json.gz", &f)
	return f, dir
}

// readRecorded reads a file that must be the one that the record was made from.
func readRecorded(t *testing.T, path, want string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want {
		t.Fatalf("%s is another file than testdata/vocabs.json.gz was made from: run testdata/vocabs.py again", path)
	}
	return data
}

// Real vocabularies, read from tokenizer.json and from GGUF, do what Hugging
// Face's tokenizers does.
func TestRealVocabularies(t *testing.T) {
	f, dir := readVocabs(t)
	c := readCorpus(t)
	for name, want := range f.Vocabularies {
		t.Run(name, func(t *testing.T) {
			readRecorded(t, filepath.Join(dir, name, "tokenizer.json"), want.Tokenizer)
			tok, err := Load(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d texts compared with tokenizer.json of %d ids", c.check(t, tok, want.Answers), tok.Size())
		})
		if want.GGUF == "" {
			continue
		}
		t.Run(name+", GGUF", func(t *testing.T) {
			path := filepath.Join(dir, name, "vocab.gguf")
			readRecorded(t, path, want.GGUF)
			file, err := weights.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			tok, err := FromGGUF(file.Meta)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d texts compared with the GGUF file of %d ids", c.check(t, tok, want.Answers), tok.Size())
		})
	}
}

// Real chat templates are rendered as transformers renders them.
func TestRealTemplates(t *testing.T) {
	f, dir := readVocabs(t)
	for name, want := range f.Templates {
		t.Run(name, func(t *testing.T) {
			source := readRecorded(t, filepath.Join(dir, "templates", name+".jinja"), want.SHA256)
			tok := &Tokenizer{chat: newChat(string(source), f.Special)}
			for i, sum := range want.Rendered {
				var msgs []Message
				for _, turn := range f.Conversations[i/2] {
					msgs = append(msgs, Message{turn[0], turn[1]})
				}
				got, err := tok.Chat(msgs, i%2 == 1)
				h := sha256.Sum256([]byte(got))
				switch {
				case sum == "" && err == nil:
					t.Errorf("conversation %d was rendered as %q, the template refuses it", i/2, got)
				case sum != "" && err != nil:
					t.Errorf("conversation %d: %v", i/2, err)
				case sum != "" && hex.EncodeToString(h[:]) != sum:
					t.Errorf("conversation %d, generation prompt %t: other text than transformers': %q", i/2, i%2 == 1, got)
				}
			}
		})
	}
}
