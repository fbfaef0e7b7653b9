package hub

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A download that does not fit says so in a line, keeps what it has, and goes on
// from there when there is room. A folder that cannot be written to is named.
func TestFetchFullDisk(t *testing.T) {
	isolate(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	data := noise(200_000)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, -1) })
	d := Download{URL: s.URL, Path: filepath.Join(disk, "file.bin"), SHA256: sha256Hex(data)}
	oneLine(t, Fetch(context.Background(), d, nil), s.URL, d.Path, "no space left on device", "make room", "REFREEKV_CACHE")
	partial, err := os.Stat(d.Path + ".incomplete")
	if err != nil || partial.Size() == 0 || s.count("GET") != 1 {
		t.Errorf("what is kept: %v, %v; %d requests", partial, err, s.count("GET"))
	}
	mount := func(flags uintptr, options string) {
		t.Helper()
		if err := unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
			t.Fatal(err)
		}
	}
	mount(unix.MS_RDONLY, "size=1m")
	oneLine(t, Fetch(context.Background(), d, nil), disk, "read-only", "REFREEKV_CACHE")
	mount(0, "size=1m")
	if err := Fetch(context.Background(), d, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, d.Path, data)
	if last := s.requests()[1]; last.Range == "" {
		t.Error("the download began anew")
	}
}
