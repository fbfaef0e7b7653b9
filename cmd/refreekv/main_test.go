package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"refreekv": main})
}

const models = "../../model/testdata"

// prompt is one that the tiny models answer with 34.
const prompt = "ab12 cd34 ef56\ncd"

func TestScripts(t *testing.T) {
	folder, err := filepath.Abs(models)
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Nothing outside the script's folder is read, and nothing is fetched.
			env.Setenv("REFREEKV_CACHE", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("HF_ENDPOINT", "http://127.0.0.1:1")
			for _, name := range []string{"tiny-s", "tiny-m"} {
				if err := os.Symlink(filepath.Join(folder, name), filepath.Join(env.WorkDir, name)); err != nil {
					return err
				}
			}
			// A file of an archive always ends with a line break, a prompt must not.
			return os.WriteFile(filepath.Join(env.WorkDir, "prompt.txt"), []byte(prompt), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "lines": lines, "sameuntimed": sameUntimed, "measured": measured},
	})
}

// fails runs refreekv and wants it to fail as a program should: with an exit
// code, nothing on stdout, and one line on stderr that matches a pattern.
//
//	fails CODE PATTERN ARG…
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PATTERN ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("refreekv", args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		ts.Fatalf("refreekv %q: %v; want exit code %d", args[2:], err, want)
	}
	if code := exit.ExitCode(); code != want {
		ts.Fatalf("refreekv %q: exit code %d, want %d", args[2:], code, want)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("refreekv %q prints to stdout: %s", args[2:], out)
	}
	text := ts.ReadFile("stderr")
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "refreekv: ") || !strings.HasSuffix(text, "\n") {
		ts.Fatalf("refreekv %q: stderr is not one line of refreekv: %q", args[2:], text)
	}
	if !regexp.MustCompile(args[1]).MatchString(text) {
		ts.Fatalf("refreekv %q: %q does not match %q", args[2:], text, args[1])
	}
}

// lines counts the lines of a file: lines FILE N.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines FILE N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if n := strings.Count(ts.ReadFile(args[0]), "\n"); n != want {
		ts.Fatalf("%s has %d lines, want %d", args[0], n, want)
	}
}

// measured wants a JSON file in which every number is above zero and no list,
// object or text empty, with all the fields named: measured FILE FIELD…, a field
// being names with dots between, those inside a list's elements included.
func measured(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: measured FILE FIELD...")
	}
	var report any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &report))
	found := map[string]bool{}
	var walk func(path string, x any)
	walk = func(path string, x any) {
		found[path] = true
		empty := false
		switch x := x.(type) {
		case float64:
			empty = x <= 0
		case string:
			empty = x == ""
		case []any:
			empty = len(x) == 0
			for _, element := range x {
				walk(path, element)
			}
		case map[string]any:
			empty = len(x) == 0
			for name, field := range x {
				walk(strings.TrimPrefix(path+"."+name, "."), field)
			}
		default:
			empty = true
		}
		if empty {
			ts.Fatalf("%s: %s is %v", args[0], path, x)
		}
	}
	walk("", report)
	for _, field := range args[1:] {
		if !found[field] {
			ts.Fatalf("%s has no %s", args[0], field)
		}
	}
}

// sameUntimed compares the rows of two files, timings left out.
func sameUntimed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sameuntimed FILE FILE")
	}
	if untimed(ts.ReadFile(args[0])) != untimed(ts.ReadFile(args[1])) {
		ts.Fatalf("%s and %s differ", args[0], args[1])
	}
}

var timing = regexp.MustCompile(`"timing":\{[^}]*\}`)

func untimed(text string) string { return timing.ReplaceAllString(text, `"timing":{}`) }
