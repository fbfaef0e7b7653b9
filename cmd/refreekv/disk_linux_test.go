package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of its own and returns its folder, and a function
// that mounts it again with other options.
func smallDisk(t *testing.T, options string) (dir string, remount func(flags uintptr, options string)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(flags uintptr, options string) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
			t.Fatal(err)
		}
	}
}

// failure runs refreekv, wants it to fail, and returns the last line it prints.
func (k killer) failure() string {
	k.t.Helper()
	cmd := k.command()
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err == nil {
		return ""
	}
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || stdout.Len() > 0 {
		k.t.Fatalf("it ends with %v; stdout %q, stderr %q", err, stdout.String(), stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
	if n := strings.Count(stderr.String(), "refreekv: "); n != 1 {
		k.t.Errorf("%d lines of error: %q", n, stderr.String())
	}
	return lines[len(lines)-1]
}

// A full disk ends a run with a line that names the file and what to do. Whatever
// file it was that did not fit, the finished records stay, and with more room the
// same command goes on to what an undisturbed run gives.
func TestFullDisk(t *testing.T) {
	config := killExperiment(t, "tiny-s")
	undisturbed := killer{t: t, config: config, dir: filepath.Join(t.TempDir(), "run")}
	undisturbed.finish()

	disk, remount := smallDisk(t, "size=4k")
	k := killer{t: t, config: config, dir: filepath.Join(disk, "run")}
	kept := map[string]bool{}
	rows, full := 0, map[string]int{}
	names := regexp.MustCompile(`^refreekv: .*` + regexp.QuoteMeta(k.dir) + `/([^: ]*)\b.*: no space left on device\b`)
	for kilobytes := 4; ; kilobytes += 8 + kilobytes/3 {
		if kilobytes > 1<<14 {
			t.Fatal("the run never fits")
		}
		remount(0, "size="+strconv.Itoa(kilobytes)+"k")
		line := k.failure()
		now := whole(k.stored())
		if len(now)%killVariants != 0 || len(strings.Join(now, "")) != len(k.stored()) {
			t.Fatalf("%d kB: half a record is left: %d rows", kilobytes, len(now))
		}
		stored := map[string]bool{}
		for _, row := range now {
			stored[row] = true
		}
		for row := range kept {
			if !stored[row] {
				t.Fatalf("%d kB: a stored row is gone: %s", kilobytes, row)
			}
		}
		kept = stored
		if line == "" {
			break
		}
		m := names.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("%d kB: the error is %q", kilobytes, line)
		}
		full[strings.Split(m[1], "/")[0]]++
		if !strings.HasSuffix(line, "; make room there and give the same command again, finished records are kept") {
			t.Errorf("no remedy: %q", line)
		}
		if len(now) > rows {
			rows = len(now)
		}
	}
	t.Logf("up to %d rows before it all fitted; what did not fit: %v", rows, full)
	if full["rows.jsonl"] < 3 || full["figures"] == 0 || rows == 0 {
		t.Error("the disk was not full where it was to be")
	}
	compareRuns(t, undisturbed, k)
	left, err := filepath.Glob(filepath.Join(k.dir, ".*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".lock" {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// A folder that cannot be written to is refused in one line before anything runs.
func TestReadOnlyFolder(t *testing.T) {
	disk, remount := smallDisk(t, "size=8m")
	k := killer{t: t, config: killExperiment(t, "tiny-s"), dir: filepath.Join(disk, "run")}
	remount(unix.MS_RDONLY, "size=8m")
	const remedy = ": read-only file system; make the folder writable or choose another with --out"
	if line, want := k.failure(), "refreekv: making "+k.dir+remedy; line != want {
		t.Errorf("a new folder: %q, want %q", line, want)
	}
	remount(0, "size=8m")
	k.finish()
	before := k.stored()
	remount(unix.MS_RDONLY, "size=8m")
	if line, want := k.failure(), "refreekv: opening "+k.path("rows.jsonl")+remedy; line != want {
		t.Errorf("a finished run: %q, want %q", line, want)
	}
	if string(before) != string(k.stored()) {
		t.Error("rows have changed")
	}
	// It can still be read.
	if out, err := exec.Command("refreekv", "report", k.dir, "--format", "csv").Output(); err != nil || len(out) == 0 {
		t.Errorf("report: %v, %d bytes", err, len(out))
	}
	if _, err := os.Stat(filepath.Join(disk, "run", "rows.parquet")); err != nil {
		t.Error(err)
	}
}
