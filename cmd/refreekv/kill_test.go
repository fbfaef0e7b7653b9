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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"refreekv/runners/rows"
)

// killConfig takes long enough to be killed two dozen times with killRecords.
const killConfig = `name: kill
models: [%s]
context_lengths: [%s]
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
	killRecords  = 12 // of a task and context length
)

// killStops is how often TestKill stops a run: REFREEKV_STOPS asks for more than
// the usual ones.
func killStops(t *testing.T) int {
	t.Helper()
	text := os.Getenv("REFREEKV_STOPS")
	if text == "" {
		return 28
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 28 {
		t.Fatalf("REFREEKV_STOPS=%s: want a number from 28 on", text)
	}
	return n
}

// A killer runs refreekv on one experiment in one folder and kills it.
type killer struct {
	t           *testing.T
	config, dir string
	batch       int // tokens of a decode step, see refreekv run
	rng         *rand.Rand
}

func (k killer) command() *exec.Cmd {
	return exec.Command("refreekv", "run", k.config, "--out", k.dir, "--batch", fmt.Sprint(k.batch))
}

func (k killer) path(name string) string { return filepath.Join(k.dir, name) }

// stored is what the row store holds, nothing where there is none yet.
func (k killer) stored() []byte {
	raw, err := os.ReadFile(k.path("rows.jsonl"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.t.Fatal(err)
	}
	return raw
}

// size is that of the row store, in bytes.
func (k killer) size() int {
	info, err := os.Stat(k.path("rows.jsonl"))
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// stop starts refreekv, waits until it has written at least so many bytes more than there
// were and then for a little while, and stops it: as the kernel would, or as
// Ctrl-C does. It reports whether the run was still going on.
func (k killer) stop(how os.Signal, least int, wait time.Duration) bool {
	k.t.Helper()
	before := k.size()
	cmd := k.command()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for k.size() < before+least {
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
	if err := cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		k.t.Fatal(err)
	}
	err := <-done
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Exited()) { // it ended by an error of its own
		if how == os.Interrupt && strings.Contains(stderr.String(), "refreekv: interrupted") {
			if raw := k.stored(); !bytes.HasSuffix(append([]byte("\n"), raw...), []byte("\n")) {
				k.t.Errorf("interrupted, the run left half a row: %q", raw)
			}
			return true
		}
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

// whole are the store's whole rows.
func whole(raw []byte) []string {
	lines := strings.SplitAfter(string(raw), "\n")
	return lines[:len(lines)-1] // what follows the last newline
}

// Stopped at any moment and run again, a run gives what an undisturbed one gives,
// apart from the timings, and runs no finished record twice.
func TestKill(t *testing.T) {
	stops := killStops(t)
	lengths := []string{"512", "48"}
	for i := range (stops - 1) / 28 * 2 { // each truncates the prompts to others
		lengths = append(lengths, strconv.Itoa(46-i))
	}
	config := killExperimentOf(t, strings.Join(lengths, ", "), "tiny-s", "tiny-m")
	undisturbed := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run")}
	undisturbed.finish()
	want := undisturbed.stored()
	if n := len(whole(want)); n != 2*2*len(lengths)*killRecords*killVariants {
		t.Fatalf("the undisturbed run has %d rows at %d context lengths", n, len(lengths))
	}

	// Two records in hand: with more there would be few moments to be killed at.
	k := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run"), batch: 2 * killVariants, rng: rand.New(rand.NewPCG(1, 2))}
	moment := func(most time.Duration) time.Duration { return time.Duration(k.rng.Int64N(int64(most))) }
	kept := map[string]bool{} // rows, timings included, that stood in the store after a stop
	check := func() {
		t.Helper()
		now := map[string]bool{}
		for _, row := range whole(k.stored()) {
			now[row] = true
		}
		for row := range kept {
			if !now[row] {
				t.Fatalf("a stored row is gone or was run again: %s", row)
			}
		}
		kept = now
	}
	kills, interrupts, torn, runs := 0, 0, 0, 0 // runs: complete before the last stop
	for range 2 {                               // before or while the first model is opened
		if !k.stop(os.Kill, 0, moment(30*time.Millisecond)) {
			t.Fatal("the run was over before it could be killed")
		}
		kills++
		check()
	}
	for kills+interrupts < stops {
		how, count := os.Kill, &kills
		if k.rng.IntN(4) == 0 {
			how, count = os.Interrupt, &interrupts
		}
		// So much between two stops, more or less, that some is left after the last; a fast
		// machine gets further before it is stopped, and is stopped in further runs.
		if !k.stop(how, 1+k.rng.IntN(len(want)*14/10/stops), moment(4*time.Millisecond)) {
			check()
			compareRuns(t, undisturbed, k)
			if runs++; runs == 10 {
				break
			}
			k.dir, kept = filepath.Join(t.TempDir(), "run"), map[string]bool{}
			continue
		}
		*count++
		check()
		if k.rng.IntN(2) == 0 && k.tear(want) {
			torn++
		}
	}
	if kills < stops*5/7 || interrupts < 3 || torn == 0 {
		t.Fatalf("only %d kills, %d interrupts and %d torn records in %d complete runs; give them more records", kills, interrupts, torn, runs)
	}
	t.Logf("%d kills, %d interrupts, %d torn records, %d runs complete before the last", kills, interrupts, torn, runs)
	k.finish()
	check()
	// While the tables and figures are written.
	for range 4 {
		k.stop(os.Kill, 0, 20*time.Millisecond+moment(60*time.Millisecond))
		check()
	}
	// The last row cut by hand: it is run again.
	if err := os.Truncate(k.path("rows.jsonl"), int64(len(k.stored())-1-k.rng.IntN(200))); err != nil {
		t.Fatal(err)
	}
	kept = map[string]bool{}
	check()
	k.finish()
	check()
	compareRuns(t, undisturbed, k)
}

// tear writes what a kill may leave of the next record by hand: some of its rows,
// and a part of one. It reports whether there was a record left.
func (k killer) tear(want []byte) bool {
	stored := whole(k.stored())
	there := map[string]bool{}
	for _, row := range stored {
		there[untimed(row)] = true
	}
	var next []string
	for _, row := range whole(want) {
		if len(next) < killVariants && !there[untimed(row)] {
			next = append(next, row)
		}
	}
	if len(next) == 0 {
		return false
	}
	record := strings.Join(next, "")
	raw := strings.Join(stored, "") + record[:1+k.rng.IntN(len(record)-1)]
	if err := os.WriteFile(k.path("rows.jsonl"), []byte(raw), 0o644); err != nil {
		k.t.Fatal(err)
	}
	return true
}

// killExperiment writes killConfig with these models and returns its path.
func killExperiment(t *testing.T, names ...string) string {
	t.Helper()
	return killExperimentOf(t, "512, 48", names...)
}

func killExperimentOf(t *testing.T, lengths string, names ...string) string {
	t.Helper()
	folder, err := filepath.Abs(models)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = filepath.Join(folder, name)
	}
	config := filepath.Join(t.TempDir(), "kill.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, killConfig, strings.Join(names, ", "), lengths), 0o644); err != nil {
		t.Fatal(err)
	}
	return config
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
		if !bytes.Equal(unversioned(a), unversioned(b)) {
			t.Errorf("%s differs", name)
		}
	}
}

// digits are those of the program's own file in its version: TestClockJumps compares
// two programs.
var digits = regexp.MustCompile(`devel(\+|&#43;)[0-9a-f]{12}`)

func unversioned(text []byte) []byte { return digits.ReplaceAll(text, []byte("devel")) }

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

// Two runs on one folder: the second is refused while the first writes, and a kill
// of the first leaves no lock behind. Nor do the times of files matter.
func TestTwoRuns(t *testing.T) {
	k := killer{t: t, config: killExperiment(t, "tiny-m"), dir: filepath.Join(t.TempDir(), "run"), batch: 2 * killVariants}
	first := k.command()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for len(whole(k.stored())) == 0 {
		time.Sleep(time.Millisecond)
	}
	second := k.command()
	out, err := second.CombinedOutput()
	want := "refreekv: another run is writing to " + k.dir + "; wait for it or choose another folder with --out\n"
	if second.ProcessState.ExitCode() != 1 || !strings.HasSuffix(string(out), want) {
		t.Errorf("the second run: %v: %q, want %q", err, out, want)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Fatal("the first run was over before it could be killed")
	}
	there := whole(k.stored())
	for i, name := range files(t, k.dir) { // as if the clock had jumped, either way
		at := time.Date(1975+100*(i%2), 1, 1, 0, 0, 0, 0, time.UTC)
		if err := os.Chtimes(k.path(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	k.finish()
	if now := strings.Join(whole(k.stored()), ""); len(whole([]byte(now))) != 2*2*killRecords*killVariants {
		t.Errorf("%d rows", len(whole([]byte(now))))
	} else {
		for _, row := range there {
			if !strings.Contains(now, row) {
				t.Errorf("a row of the killed run is gone: %s", row)
			}
		}
	}
}

// Ctrl-C ends a run in good order: one line that says where the records are and
// how to go on.
func TestInterrupt(t *testing.T) {
	k := killer{t: t, config: killExperiment(t, "tiny-s", "tiny-m"), dir: filepath.Join(t.TempDir(), "run")}
	cmd := k.command()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for len(whole(k.stored())) == 0 {
		select {
		case err := <-done:
			t.Fatalf("it ended before it had stored a row: %v: %s", err, stderr.String())
		case <-time.After(time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := <-done
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("interrupted, it ends with %v", err)
	}
	want := fmt.Sprintf("refreekv: interrupted; the finished records are stored in %s, give the same command again to go on\n", k.dir)
	if !strings.HasSuffix(stderr.String(), "\n"+want) || stdout.Len() > 0 {
		t.Errorf("stdout %q, stderr %q, want at its end %q", stdout.String(), stderr.String(), want)
	}
	if raw := string(k.stored()); raw != strings.Join(whole([]byte(raw)), "") || strings.Count(raw, "\n")%killVariants != 0 {
		t.Error("the last record is not whole")
	}
}
