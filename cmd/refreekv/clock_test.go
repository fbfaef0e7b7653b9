package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"refreekv/runners/rows"
)

// wallClock are the methods of a time, or of a file's facts, that look at the
// clock on the wall, which people and machines set forwards and back.
// Differences of time.Now and time.Since do not.
var wallClock = []string{
	"ModTime", "Unix", "UnixMilli", "UnixMicro", "UnixNano", "Before", "After", "Compare", "Equal", "Date", "Clock", "Year", "YearDay", "Month",
	"Day", "Hour", "Minute", "Second", "Nanosecond", "Format", "AppendFormat", "MarshalJSON", "MarshalText", "Round", "Truncate", "UTC", "Local", "In",
}

// The program asks for the time only to take a difference.
func TestNoWallClock(t *testing.T) {
	asked := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if isNow(call) {
				asked++
			}
			if method.Sel.Name == "ModTime" || slices.Contains(wallClock, method.Sel.Name) && isNow(method.X) {
				t.Errorf("%s: %s looks at the clock on the wall", path, method.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked < 10 {
		t.Errorf("time.Now was found %d times; it is called more often", asked)
	}
}

// isNow tells whether an expression is time.Now().
func isNow(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && pkg.Name == "time" && f.Sel.Name == "Now"
}

// A clock that jumps by up to 30 years back or forwards every time that it is
// looked at changes nothing: not the rows, not what is resumed, not the locks, and
// no time is negative. The program is built for this with another time.Now.
func TestClockJumps(t *testing.T) {
	if os.Getenv("REFREEKV_SLOW") == "" {
		t.Skip("REFREEKV_SLOW is not set: this builds the standard library anew, which takes minutes")
	}
	dir := t.TempDir()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	raw, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const now = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	jumping := strings.Replace(string(raw), now, "sec, nsec, mono := runtimeNow()\n\tjumps++\n\tsec += int64(jumps*2654435761%2_000_000_000) - 1_000_000_000\n\tif mono == 0 {", 1) + "\nvar jumps uint64\n"
	if !strings.Contains(jumping, "jumps++") {
		t.Fatalf("%s is another than this test knows", source)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: write("time.go", jumping)}})
	if err != nil {
		t.Fatal(err)
	}
	build := func(binary, what string) {
		t.Helper()
		if out, err := exec.Command("go", "build", "-buildvcs=false", "-overlay", write("overlay.json", string(overlay)), "-o", binary, what).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	clock, program := filepath.Join(dir, "clock"), filepath.Join(dir, "refreekv")
	build(clock, write("clock.go", `package main

import "time"

func main() { println(time.Now().Unix() - time.Now().Unix()) }
`))
	out, err := exec.Command(clock).CombinedOutput()
	if seconds, convErr := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || convErr != nil || -1e6 < seconds && seconds < 1e6 {
		t.Fatalf("the clock does not jump: %q, %v", out, err)
	}
	build(program, ".")

	undisturbed := killer{t: t, config: killExperiment(t, "tiny-s", "tiny-m"), dir: filepath.Join(t.TempDir(), "run")}
	undisturbed.finish()
	k := killer{t: t, config: undisturbed.config, dir: filepath.Join(t.TempDir(), "run"), batch: 2 * killVariants}
	jump := func() *exec.Cmd {
		cmd := k.command()
		cmd.Path, cmd.Err = program, nil
		return cmd
	}
	first := jump()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for len(whole(k.stored())) < 20*killVariants {
		if first.ProcessState != nil {
			t.Fatal("the run ended")
		}
	}
	if out, err := jump().CombinedOutput(); err == nil || !strings.Contains(string(out), "another run is writing to") {
		t.Errorf("a second run: %v: %s", err, out)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := first.Wait(); !errors.As(err, &exit) {
		t.Fatal("the run was over before it could be killed")
	}
	there := whole(k.stored())
	if out, err := jump().CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	after := string(k.stored())
	for _, row := range there {
		if !strings.Contains(after, row) {
			t.Errorf("a stored row is gone or was run again: %s", row)
		}
	}
	compareRuns(t, undisturbed, k)
	all, err := rows.Read(k.path("rows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all {
		for _, seconds := range []float64{row.Timing.Prefill, row.Timing.Select, row.Timing.Decode} {
			if seconds < 0 || seconds > 1000 {
				t.Errorf("%s, record %d, %s: %+v", row.Task, row.Index, row.Variant, row.Timing)
			}
		}
	}
}
