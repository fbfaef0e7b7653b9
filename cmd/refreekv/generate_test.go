package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// generateJSON runs generate --json and decodes what it prints, strictly.
func generateJSON(t *testing.T, args ...string) (g generated) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"generate", "--json", "--model"}, args...), &stdout, &stderr); code != 0 {
		t.Fatalf("generate %q: exit code %d: %s", args, code, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("generate %q says on stderr: %s", args, stderr.String())
	}
	if n := bytes.Count(stdout.Bytes(), []byte("\n")); n != 1 {
		t.Errorf("generate %q prints %d lines", args, n)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(stdout.Bytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"model", "pruner", "prompt_tokens", "tokens", "text", "stop", "kept", "budget", "seconds"} {
		if raw, ok := fields[name]; !ok || string(raw) == "null" {
			t.Errorf("generate %q: field %s is %s", args, name, raw)
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func ids(s string) (out []int32) {
	for _, b := range []byte(s) {
		out = append(out, int32(b)) // the tiny models' tokens are bytes
	}
	return out
}

func TestGenerateJSON(t *testing.T) {
	tinyS, n := filepath.Join(models, "tiny-s"), len(prompt)
	for _, c := range []struct {
		pruner string
		lists  int // per layer
		kept   int // entries of each list; 0: not known beforehand
	}{
		{"full", 1, n}, {"streamingllm budget=0.5", 1, 8}, {"snapkv budget=0.5", 4, 8}, {"snapkv budget=0.5 heads=kv", 2, 8}, {"h2o budget=0.3", 4, 5}, {"h2o budget=9", 4, 9}, {"refreekv", 0, 0},
	} {
		g := generateJSON(t, tinyS, "--raw", "--prompt", prompt, "--pruner", c.pruner)
		if g.Model != "tiny-s" || g.Pruner != c.pruner || !slices.Equal(g.PromptTokens, ids(prompt)) {
			t.Errorf("%s: model %q, pruner %q, prompt tokens %v", c.pruner, g.Model, g.Pruner, g.PromptTokens)
		}
		if g.Text != string(bytesOf(g.Tokens)) || g.Stop != "eos" && g.Stop != "length" {
			t.Errorf("%s: text %q of tokens %v, stop %q", c.pruner, g.Text, g.Tokens, g.Stop)
		}
		if c.pruner == "full" && g.Text != "34\n" {
			t.Errorf("the full cache says %q", g.Text)
		}
		if len(g.Kept) != 2 {
			t.Fatalf("%s: %d layers", c.pruner, len(g.Kept))
		}
		share := 0.0
		for l, layer := range g.Kept {
			if c.lists > 0 && len(layer) != c.lists {
				t.Errorf("%s: layer %d has %d lists, want %d", c.pruner, l, len(layer), c.lists)
			}
			sum := 0
			for _, list := range layer {
				sum += len(list)
				if c.kept > 0 && len(list) != c.kept {
					t.Errorf("%s: %d entries kept, want %d", c.pruner, len(list), c.kept)
				}
				if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) || list[0] < 0 || int(list[len(list)-1]) >= n {
					t.Errorf("%s: kept %v of %d", c.pruner, list, n)
				}
			}
			share += float64(sum) / float64(len(layer)) / float64(n) / 2
		}
		if d := share - g.Budget; d > 1e-12 || d < -1e-12 {
			t.Errorf("%s: budget %v, the lists hold %v", c.pruner, g.Budget, share)
		}
		if s := g.Seconds; s.Prefill <= 0 || s.Select < 0 || s.Decode < 0 {
			t.Errorf("%s: seconds %+v", c.pruner, s)
		}
	}
}

func bytesOf(tokens []int32) (out []byte) {
	for _, id := range tokens {
		out = append(out, byte(id))
	}
	return out
}

// --raw adds nothing; without it the chat template does.
func TestGenerateRawAndChat(t *testing.T) {
	tinyM := filepath.Join(models, "tiny-m")
	raw := generateJSON(t, tinyM, "--raw", "--prompt", prompt)
	chat := generateJSON(t, tinyM, "--prompt", prompt)
	if diff := cmp.Diff(ids(prompt), raw.PromptTokens); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append([]int32{256}, ids(prompt)...), chat.PromptTokens); diff != "" { // the template writes <s>
		t.Errorf("chat (-want +got):\n%s", diff)
	}
	if raw.Text != "34\n" || chat.Text != "34\n" {
		t.Errorf("texts %q and %q", raw.Text, chat.Text)
	}
	// Tokens that are no UTF-8 by themselves must not break the JSON.
	generateJSON(t, tinyM, "--raw", "--prompt", "\xff\xfe日", "--max-new-tokens", "5")
}

// An empty continuation is an empty list, not null.
func TestGenerateNothing(t *testing.T) {
	g := generateJSON(t, filepath.Join(models, "tiny-s"), "--raw", "--prompt", prompt+"\n34\n")
	if len(g.Tokens) != 0 || g.Text != "" || g.Stop != "eos" {
		t.Errorf("tokens %v, text %q, stop %q", g.Tokens, g.Text, g.Stop)
	}
}
