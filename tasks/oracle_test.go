package tasks

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"refreekv/datasets"
)

// oracle is testdata/oracle_prompts.json.gz (see testdata/oracle_prompts.py).
type oracle struct {
	Models []struct {
		Name, Family, Template string
		BOS                    bool
	}
	Files   map[string]string // SHA-256 by name
	Prompts []struct {
		Task, File, Model, Protocol string
		ContextLength               int               `json:"context_length"`
		Rows                        []json.RawMessage // [count of ids, their SHA-256]
	}
}

func readOracle(t *testing.T) oracle {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "oracle_prompts.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.NewDecoder(z).Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

func hashIDs(ids []int32) string {
	h := sha256.New()
	binary.Write(h, binary.LittleEndian, ids) // a hash takes every write
	return hex.EncodeToString(h.Sum(nil))
}

// Every prompt of the real records, against a Python program that follows the
// description of both evaluations with Hugging Face's tokenizer.
func TestPromptsAgainstPython(t *testing.T) {
	dir := filepath.Join(sharedFolder(t, "data"))
	o := readOracle(t)
	models := map[string]Model{}
	for _, m := range o.Models {
		if (m.Template != "") != m.BOS {
			t.Fatalf("model %s: a template and a BOS belong together", m.Name)
		}
		models[m.Name] = Model{Tokenizer: smollm2(t, m.Template), Family: m.Family, MaxPositions: 8192}
	}
	other := map[string]bool{}
	for name, sum := range o.Files {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if got := sha256.Sum256(content); err != nil || hex.EncodeToString(got[:]) != sum {
			other[name] = true
		}
	}
	compared, truncated := map[string]int{}, map[string]bool{}
	for _, p := range o.Prompts {
		compared[p.Task+" "+p.Protocol] += len(p.Rows)
		t.Run(p.Task+"/"+p.Protocol+"/"+p.Model+"/"+string(rune('0'+p.ContextLength/1024))+"K", func(t *testing.T) {
			if other[p.File] {
				t.Skipf("%s is another file than the fixture was made from", p.File)
			}
			task, err := Load(p.Task)
			if err != nil {
				t.Fatal(err)
			}
			d, err := task.Protocol(p.Protocol)
			if err != nil {
				t.Fatal(err)
			}
			records, err := datasets.Open(t.Context(), task.Dataset, datasets.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if len(records) < len(p.Rows) {
				t.Fatalf("%d records for %d prompts", len(records), len(p.Rows))
			}
			for i, row := range p.Rows {
				var count int
				var sum string
				if err := json.Unmarshal(row, &[]any{&count, &sum}); err != nil {
					t.Fatal(err)
				}
				prompt, err := d.Prompt(models[p.Model], records[i], p.ContextLength)
				if err != nil {
					t.Errorf("%s: %v", records[i].Source, err)
					continue
				}
				if got := hashIDs(prompt.Tokens); len(prompt.Tokens) != count || got != sum {
					t.Errorf("%s: %d tokens with hash %.12s, want %d with %.12s", records[i].Source, len(prompt.Tokens), got, count, sum)
				}
				if prompt.Truncated {
					truncated[p.Protocol] = true
				}
			}
		})
	}
	if len(compared) != 56 || !truncated["standard"] || !truncated["paper"] {
		t.Errorf("compared %d tasks and protocols, truncated %v", len(compared), truncated)
	}
	for name, prompts := range compared {
		if prompts < 10 {
			t.Errorf("%s: only %d prompts", name, prompts)
		}
	}
}
