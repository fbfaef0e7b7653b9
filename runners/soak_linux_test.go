package runners

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"refreekv/model/process"
	"refreekv/model/tensor"
)

// soakVariants are twenty, of every kind: shared and ragged choices, those that
// evict while decoding, those that read attention and those that do not.
var soakVariants = []string{
	"full", "refreekv", "h2o budget=0.5", "h2o budget=0.2", "snapkv budget=0.8", "snapkv budget=0.5", "snapkv budget=0.2",
	"streamingllm budget=0.5", "streamingllm budget=0.2", "tova budget=0.5", "pyramidkv budget=0.5", "adakv budget=0.5", "adakv budget=0.2",
	"expected_attention budget=0.5", "knorm budget=0.5", "keydiff budget=0.5", "lagkv budget=0.5", "chunkkv budget=0.5", "cake budget=0.5", "vatp budget=0.5",
}

// held is what the process holds after a number of records.
type held struct {
	records, goroutines, files int
	heap, peak, stored         int64
}

func (h held) String() string {
	return fmt.Sprintf("record %d: %d goroutines, %d open files, %.1f MB of heap, %.1f MB at the peak, %.1f MB of rows stored",
		h.records, h.goroutines, h.files, float64(h.heap)/1e6, float64(h.peak)/1e6, float64(h.stored)/1e6)
}

func holds(t *testing.T, dir string, records int) held {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("open files cannot be counted here: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	peak, _ := process.Peak()
	return held{records, runtime.NumGoroutine(), len(files), int64(m.HeapAlloc), peak, info.Size()}
}

// soakTasks writes records of 20 to 900 characters and two tasks of them: one whose
// texts go on for some tokens, one whose texts end at once.
func soakTasks(t *testing.T, n int) (tasks []string) {
	t.Helper()
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	var out strings.Builder
	for i := range n {
		var text strings.Builder
		for most := 20 + rng.IntN(880); text.Len() < most; {
			fmt.Fprintf(&text, "%c%c%02d ", 'a'+rng.IntN(26), 'a'+rng.IntN(26), rng.IntN(100))
		}
		fmt.Fprintf(&out, `{"id": "r%d", "q": "%s\n%s", "a": "%s"}`+"\n", i, text.String(), text.String()[:2], text.String()[2:4])
	}
	write(t, filepath.Join(dir, "soak.jsonl"), out.String())
	for name, prompt := range map[string]string{"goes_on": "{q}", "ends": "{q}\\n"} {
		task := filepath.Join(dir, name+".yaml")
		write(t, task, "about: x\ndataset: "+filepath.Join(dir, "soak.jsonl")+"\nprompt: \""+prompt+"\"\nanswers: a\nchat: false\nmax_new_tokens: 8\nmetric: exact\n")
		tasks = append(tasks, task)
	}
	return tasks
}

// A long run leaks nothing: from the first quarter of its records to the last,
// neither goroutines nor open files become more, and the heap grows by the rows,
// which are held until the run is complete, and by nothing else. REFREEKV_SOAK
// asks for more records than the usual ones.
func TestSoak(t *testing.T) {
	n := 60
	if text := os.Getenv("REFREEKV_SOAK"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 60 {
			t.Fatalf("REFREEKV_SOAK=%s: want a number from 60 on", text)
		}
	}
	c := small(t, Overrides{Tasks: soakTasks(t, n/2), Limit: n / 2, Variants: soakVariants, Set: []string{"context_lengths=[1000]"}})
	dir := t.TempDir()
	_ = process.ResetPeak()
	var all []held
	result := mustRun(t, c, Options{Dir: dir, Progress: func(u Update) {
		if u.Done > 0 && (u.Done%max(n/10, 15) == 0 || u.Done == 100) {
			all = append(all, holds(t, dir, u.Done))
			t.Log(all[len(all)-1])
		}
	}})
	if len(result.Rows) != n/2*2*len(soakVariants) || result.Errors > 0 {
		t.Fatalf("%d rows, %d errors", len(result.Rows), result.Errors)
	}
	tokens := map[string]int{}
	for _, row := range result.Rows {
		tokens[row.Task] += len(row.Tokens)
	}
	t.Logf("tokens generated: %v", tokens)
	first, last := all[0], all[len(all)-1]
	if last.goroutines > first.goroutines || last.files > first.files {
		t.Errorf("from %v to %v", first, last)
	}
	// A row in memory is no more than twice its line; the records in hand take a few
	// megabytes.
	for _, h := range all {
		if h.heap > 2*h.stored+int64(16+tensor.Threads())<<20 {
			t.Errorf("more is held than the rows and the records in hand: %v", h)
		}
	}
}
