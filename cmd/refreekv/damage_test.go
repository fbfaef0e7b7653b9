package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// damages are the ways in which a file goes wrong.
var damages = map[string]func(raw []byte, rng *rand.Rand) []byte{
	"empty":          func([]byte, *rand.Rand) []byte { return nil },
	"half":           func(raw []byte, _ *rand.Rand) []byte { return raw[:len(raw)/2] },
	"cut":            func(raw []byte, _ *rand.Rand) []byte { return raw[:len(raw)-4] },
	"zeros":          func(raw []byte, _ *rand.Rand) []byte { return make([]byte, len(raw)) },
	"noise in front": func(raw []byte, rng *rand.Rand) []byte { return noise(raw, 0, rng) },
	"noise within":   func(raw []byte, rng *rand.Rand) []byte { return noise(raw, len(raw)/3, rng) },
}

// noise overwrites 64 bytes.
func noise(raw []byte, at int, rng *rand.Rand) []byte {
	out := bytes.Clone(raw)
	for i := at; i < min(at+64, len(out)); i++ {
		out[i] = byte(rng.Uint32())
	}
	return out
}

// call runs refreekv and returns what it prints. Ending by anything but success or
// one line of error is a fault of its own.
func call(t *testing.T, args ...string) (stdout, failure string) {
	t.Helper()
	cmd := exec.Command("refreekv", args...)
	var out, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err == nil {
		return out.String(), ""
	}
	lines := regexp.MustCompile(`(?m)^refreekv: .*$`).FindAllString(stderr.String(), -1)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || len(lines) != 1 || strings.Contains(stderr.String(), "goroutine ") {
		t.Fatalf("refreekv %q ends with %v: %s", args, err, stderr.String())
	}
	return out.String(), lines[0]
}

// A damaged file of any kind is one line of error that names it, or does no harm.
func TestDamagedFiles(t *testing.T) {
	source, dir := filepath.Join(models, "tiny-m"), t.TempDir()
	model, data, run := filepath.Join(dir, "m"), filepath.Join(dir, "own.jsonl"), filepath.Join(dir, "run")
	if err := os.CopyFS(model, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	put := func(path string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var records strings.Builder
	for i := range 40 {
		fmt.Fprintf(&records, `{"id": "r%d", "q": "ab%02d cd34\nab", "a": "%02d"}`+"\n", i, i, i)
	}
	put(data, []byte(records.String()))
	task, config := filepath.Join(dir, "own.yaml"), filepath.Join(dir, "c.yaml")
	put(task, []byte("about: own records\ndataset: "+data+"\nprompt: \"{q}\\n\"\nanswers: a\nchat: false\nmax_new_tokens: 3\nmetric: exact\n"))
	put(config, []byte("name: damage\nmodels: ["+model+"]\ncontext_lengths: [512]\ntasks: ["+task+"]\nrecords: 40\nvariants: [full]\n"))
	runs := []string{"run", config, "--out", run}
	if _, failure := call(t, runs...); failure != "" {
		t.Fatal(failure)
	}
	for _, c := range []struct {
		path string
		args []string
		// Ways in which nothing shows it: the file holds numbers or text of which any
		// is possible.
		silent string
	}{
		{filepath.Join(model, "model-00001-of-00002.safetensors"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw", "--json"}, "noise within"},
		{filepath.Join(model, "model.safetensors.index.json"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw"}, ""},
		{filepath.Join(model, "config.json"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw"}, ""},
		{filepath.Join(model, "tokenizer.json"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw"}, ""},
		{filepath.Join(model, "tokenizer_config.json"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw"}, ""},
		{filepath.Join(model, "generation_config.json"), []string{"generate", "--model", model, "--prompt", "ab12\nab", "--raw"}, ""},
		{data, runs, ""},
		{task, runs, ""},
		{config, runs, ""},
		{filepath.Join(run, "run.yaml"), runs, ""},
		{filepath.Join(run, "rows.jsonl"), runs, "empty half cut zeros"}, // what a crash leaves: it is run again
		{filepath.Join(run, "rows.jsonl"), []string{"report", run, "--format", "csv"}, "half cut"},
		{filepath.Join(run, "rows.parquet"), runs, "empty half cut zeros noise in front noise within"}, // it is written anew
	} {
		raw, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		for name, damage := range damages {
			t.Run(strings.Join([]string{c.args[0], filepath.Base(c.path), name}, " "), func(t *testing.T) {
				before := t.TempDir()
				if err := os.CopyFS(before, os.DirFS(run)); err != nil {
					t.Fatal(err)
				}
				put(c.path, damage(raw, rand.New(rand.NewPCG(1, 2))))
				defer func() {
					if err := os.RemoveAll(run); err != nil {
						t.Fatal(err)
					}
					if err := os.CopyFS(run, os.DirFS(before)); err != nil {
						t.Fatal(err)
					}
					put(c.path, raw)
				}()
				_, failure := call(t, c.args...)
				if strings.Contains(c.silent, name) {
					if failure != "" {
						t.Errorf("an error: %s", failure)
					}
					return
				}
				if !strings.Contains(failure, filepath.Base(c.path)) && !strings.Contains(failure, "no rows to report") {
					t.Errorf("the error is %q, which does not name %s", failure, c.path)
				}
			})
		}
	}
}

// Code that lies beside a model is not run, and weights that would run some when
// they are read are not read.
func TestNothingIsExecuted(t *testing.T) {
	dir := t.TempDir()
	model, witness := filepath.Join(dir, "m"), filepath.Join(dir, "witness")
	if err := os.CopyFS(model, os.DirFS(filepath.Join(models, "tiny-s"))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"pytorch_model.bin": "cos\nsystem\n(S'touch " + witness + "'\ntR.", // a pickle that calls os.system
		"modeling_tiny.py":  "import os; os.system('touch " + witness + "')\n",
		"tokenization_x.py": "import os; os.system('touch " + witness + "')\n",
		"setup.py":          "import os; os.system('touch " + witness + "')\n",
	} {
		if err := os.WriteFile(filepath.Join(model, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(model, "config.json")
	raw, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "{", `{"auto_map": {"AutoModelForCausalLM": "modeling_tiny.Model"}, "trust_remote_code": true, `, 1)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"generate", "--model", model, "--prompt", prompt, "--raw"}
	if out, failure := call(t, args...); failure != "" || !strings.Contains(out, "34") {
		t.Errorf("%q, %s", out, failure)
	}
	if err := os.Remove(filepath.Join(model, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if _, failure := call(t, args...); !strings.Contains(failure, "holds no *.safetensors file") {
		t.Errorf("without weights that are read: %q", failure)
	}
	if _, err := os.Stat(witness); err == nil {
		t.Error("something was executed")
	}
}
