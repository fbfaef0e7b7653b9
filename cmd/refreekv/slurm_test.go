package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"refreekv/runners"
	"refreekv/runners/rows"
)

// The quickstart, cut small, as a real job array: one task is requeued while it
// runs, another is killed, a third one's rows are there when it is sent again. The
// merged shards are what one machine computes.
func TestSlurm(t *testing.T) {
	if os.Getenv("REFREEKV_SLURM") == "" {
		t.Skip("needs a Slurm cluster: .ci/slurm makes one and runs this test")
	}
	work := t.TempDir()
	binary := filepath.Join(work, "refreekv")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	small := []string{"quickstart", "--limit", "2", "--tasks", "sample_qa,sample_multihop,needle", "--set", "context_lengths=[1024]", "--variants", "full", "--variants", "snapkv budget=0.5"}
	run := func(args ...string) string {
		t.Helper()
		c := exec.Command(binary, args...)
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			t.Fatalf("refreekv %s: %v: %s", strings.Join(args, " "), err, stderr.String())
		}
		return stdout.String()
	}
	single, array := filepath.Join(work, "single"), filepath.Join(work, "array")
	run(append(append([]string{"run"}, small...), "--out", single)...)

	submit := append(append([]string{"submit"}, small...), "--out", array, "--shards", "3", "--cpus", "1", "--at-once", "2")
	job := jobNumber(t, run(submit...))
	waitFor(t, "both first tasks", func() bool { return running(array, 1) && running(array, 2) })
	slurm(t, "scontrol", "requeue", job+"_1")
	slurm(t, "scancel", job+"_2")
	waitFor(t, "the queue to drain", func() bool { return slurm(t, "squeue", "-h", "-j", job) == "" })

	status := statusOf(t, array)
	if status[0].Missing() != 0 || status[2].Missing() != 0 || status[1].Missing() == 0 {
		t.Errorf("after a requeued and a cancelled task: %+v", status)
	}
	before := map[int]time.Time{}
	for i := range status {
		if info, err := os.Stat(filepath.Join(status[i].Dir, "rows.jsonl")); err == nil {
			before[i] = info.ModTime()
		}
	}
	again := jobNumber(t, run(append(submit, "--missing")...))
	waitFor(t, "what was missing", func() bool { return slurm(t, "squeue", "-h", "-j", again) == "" })
	for i, shard := range statusOf(t, array) {
		if shard.Missing() != 0 || shard.Errors != 0 {
			t.Errorf("shard %d: %+v", i+1, shard)
		}
		if info, err := os.Stat(filepath.Join(shard.Dir, "rows.jsonl")); i != 1 && (err != nil || info.ModTime() != before[i]) {
			t.Errorf("shard %d lacked nothing and was run again (%v)", i+1, err)
		}
	}

	shards, err := filepath.Glob(filepath.Join(array, "shard-*"))
	if err != nil || len(shards) != 3 {
		t.Fatalf("shards %v, %v", shards, err)
	}
	merged := filepath.Join(work, "merged")
	run(append([]string{"report", "--out", merged}, shards...)...)
	if diff := cmp.Diff(untimedRows(t, single), untimedRows(t, merged)); diff != "" {
		t.Errorf("rows of one machine and of the array (-one +array):\n%s", diff)
	}
}

func statusOf(t *testing.T, dir string) []runners.ShardStatus {
	t.Helper()
	status, err := runners.Status(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func running(dir string, shard int) bool {
	status, err := runners.Status(context.Background(), dir, nil)
	return err == nil && len(status) >= shard && status[shard-1].Running
}

func untimedRows(t *testing.T, dir string) []rows.Row {
	t.Helper()
	all, err := rows.Read(filepath.Join(dir, "rows.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Timing = rows.Timing{}
	}
	return all
}

// jobNumber is the number in sbatch's "Submitted batch job 7".
func jobNumber(t *testing.T, said string) string {
	t.Helper()
	fields := strings.Fields(said)
	if len(fields) == 0 {
		t.Fatalf("sbatch said %q", said)
	}
	return fields[len(fields)-1]
}

func slurm(t *testing.T, words ...string) string {
	t.Helper()
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(words, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 1200 {
		if done() {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
