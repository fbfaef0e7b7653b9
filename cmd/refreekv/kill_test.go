package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refreekv/runners/rows"
)

// killConfig takes long enough to be killed a dozen times.
const killConfig = `name: kill
models: [%s, %s]
context_lengths: [512, 48]
tasks: [recall, variable_tracking]
records: 12
variants:
  - full
  - refreekv
  - {pruner: snapkv, budget: [0.5, 0.2]}
  - {pruner: streamingllm, budget: 0.3}
`

const (
	killVariants = 5
	killRecords  = 2 * 2 * 2 * 12
)

// A killer runs refreekv on one experiment in one folder and kills it.
type killer struct {
	t           *testing.T
	config, dir string
	rng         *rand.Rand
}

func (k killer) command() *exec.Cmd { return exec.Command("refreekv", "run", k.config, "--out", k.dir) }

func (k killer) path(name string) string { return filepath.Join(k.dir, name) }

// stored is what the row store holds, nothing where there is none yet.
func (k killer) stored() []byte {
	raw, err := os.ReadFile(k.path("rows.jsonl"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.t.Fatal(err)
	}
	return raw
}

// kill starts refreekv, waits until it has written at least bytes more than there
// were and then for a little while, and kills it as the kernel would. It reports
// whether the run was still going on.
func (k killer) kill(bytes int, wait time.Duration) bool {
	k.t.Helper()
	before := len(k.stored())
	cmd := k.command()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for len(k.stored()) < before+bytes {
		select {
		case err := <-done:
			if err != nil {
				k.t.Fatalf("the run ended by itself: %v: %s", err, stderr.String())
			}
			return false
		case <-time.After(200 * time.Microsecond):
		}
	}
	time.Sleep(wait)
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		k.t.Fatal(err)
	}
	err := <-done
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Exited()) { // it ended by an error of its own
		k.t.Fatalf("the run failed: %v: %s", err, stderr.String())
	}
	return err != nil
}

// finish runs to the end.
func (k killer) finish() {
	k.t.Helper()
	if out, err := k.command().CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %s", err, out)
	}
}

// whole is the part of the store that holds whole records.
func whole(raw []byte) []byte {
	lines := bytes.SplitAfter(raw, []byte("\n"))
	lines = lines[:len(lines)-1] // what follows the last newline
	return bytes.Join(lines[:len(lines)/killVariants*killVariants], nil)
}

// Killed at any moment and run again, a run gives what an undisturbed one gives,
// apart from the timings, and runs no finished record twice.
func TestKill(t *testing.T) {
	folder, err := filepath.Abs(models)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "kill.yaml")
	text := fmt.Sprintf(killConfig, filepath.Join(folder, "tiny-s"), filepath.Join(folder, "tiny-m"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	undisturbed := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run")}
	undisturbed.finish()
	want := undisturbed.stored()
	if n := bytes.Count(want, []byte("\n")); n != killRecords*killVariants {
		t.Fatalf("the undisturbed run has %d rows, want %d", n, killRecords*killVariants)
	}

	k := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run"), rng: rand.New(rand.NewPCG(1, 2))}
	moment := func(most time.Duration) time.Duration { return time.Duration(k.rng.Int64N(int64(most))) }
	var kept []byte // whole records that stood in the store after a kill
	check := func() {
		t.Helper()
		now := whole(k.stored())
		if !bytes.HasPrefix(now, kept) {
			t.Fatalf("records that were finished are gone or were run again: %d bytes, before %d", len(now), len(kept))
		}
		kept = now
	}
	lines := bytes.SplitAfter(want, []byte("\n"))
	kills, torn := 0, 0
	for range 2 { // before or while the first model is opened
		if !k.kill(0, moment(30*time.Millisecond)) {
			t.Fatal("the run was over before it could be killed")
		}
		kills++
		check()
	}
	for kills < 14 {
		// A twentieth of the experiment, more or less, between two kills.
		if !k.kill(1+k.rng.IntN(len(want)/10), moment(4*time.Millisecond)) {
			break
		}
		kills++
		check()
		if k.rng.IntN(2) == 0 {
			// And the next record only half written, by hand.
			at := bytes.Count(kept, []byte("\n"))
			next := bytes.Join(lines[at:min(at+killVariants, len(lines))], nil)
			raw := append(bytes.Clone(kept), next[:k.rng.IntN(len(next)+1)*9/10]...)
			if err := os.WriteFile(k.path("rows.jsonl"), raw, 0o644); err != nil {
				t.Fatal(err)
			}
			torn++
		}
	}
	if kills < 10 || torn == 0 {
		t.Fatalf("only %d kills and %d torn lines before the run was complete; give it more records", kills, torn)
	}
	t.Logf("%d kills, %d torn records", kills, torn)
	// While the tables and figures are written.
	for range 4 {
		k.kill(max(0, len(want)-len(k.stored())), moment(60*time.Millisecond))
		check()
	}
	// The last row cut by hand: its record is run again.
	if err := os.Truncate(k.path("rows.jsonl"), int64(len(k.stored())-1-k.rng.IntN(200))); err != nil {
		t.Fatal(err)
	}
	kept = whole(k.stored())
	k.finish()
	check()
	compareRuns(t, undisturbed, k)
}

// compareRuns wants two folders to say the same, apart from timings.
func compareRuns(t *testing.T, want, got killer) {
	t.Helper()
	if diff := cmp.Diff(untimed(string(want.stored())), untimed(string(got.stored()))); diff != "" {
		t.Errorf("rows.jsonl (-undisturbed +killed):\n%s", diff)
	}
	parquet := func(k killer) []rows.Row {
		all, err := rows.ReadParquet(k.path("rows.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if diff := cmp.Diff(parquet(want), parquet(got), cmpopts.IgnoreFields(rows.Row{}, "Timing")); diff != "" {
		t.Errorf("rows.parquet (-undisturbed +killed):\n%s", diff)
	}
	if a, b := files(t, want.dir), files(t, got.dir); !slices.Equal(a, b) {
		t.Errorf("files %q, want %q", b, a)
	}
	for _, name := range files(t, want.dir) {
		if name == "rows.jsonl" || name == "rows.parquet" {
			continue
		}
		a, err := os.ReadFile(want.path(name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(got.path(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// files lists a folder's files, those left out that begin with a dot: a kill may
// leave a temporary one.
func files(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			name, relErr := filepath.Rel(dir, path)
			out, err = append(out, name), relErr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Ctrl-C ends a run in good order: one line that says where the records are and
// how to go on.
func TestInterrupt(t *testing.T) {
	folder, err := filepath.Abs(models)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "kill.yaml")
	text := fmt.Sprintf(killConfig, filepath.Join(folder, "tiny-s"), filepath.Join(folder, "tiny-m"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	k := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run")}
	cmd := k.command()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(whole(k.stored())) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("interrupted, it ends with %v", err)
	}
	want := fmt.Sprintf("refreekv: interrupted; the finished records are stored in %s, give the same command again to go on\n", k.dir)
	if !strings.HasSuffix(stderr.String(), "\n"+want) || stdout.Len() > 0 {
		t.Errorf("stdout %q, stderr %q, want at its end %q", stdout.String(), stderr.String(), want)
	}
	if raw := k.stored(); !bytes.Equal(raw, whole(raw)) {
		t.Error("the last record is not whole")
	}
}
