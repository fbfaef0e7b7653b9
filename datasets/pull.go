package datasets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"refreekv/model/hub"
)

// Pulled is a data set's file in the cache.
type Pulled struct {
	Info   Info
	Path   string
	SHA256 string // in hex
}

// Pull fetches a data set from its public source into the cache. A download that
// broke off is taken up where it stopped. The file's checksum must be the
// registry's, or the one of its first fetch, which is kept beside it (.sha256).
func Pull(ctx context.Context, name string, p hub.Progress) (Pulled, error) {
	info, err := find(name)
	if err != nil {
		return Pulled{}, err
	}
	return info.pull(ctx, p)
}

func (i Info) pull(ctx context.Context, p hub.Progress) (Pulled, error) {
	if i.URL == "" {
		return Pulled{}, fmt.Errorf("data set %s comes with the program, there is nothing to fetch", i.Name)
	}
	path, err := i.cachePath()
	if err != nil {
		return Pulled{}, err
	}
	record := path + ".sha256"
	want, err := i.checksum(record)
	if err != nil {
		return Pulled{}, fmt.Errorf("data set %s: %w", i.Name, err)
	}
	if err := hub.Fetch(ctx, hub.Download{URL: i.source(), Path: path, SHA256: want, Label: i.Name}, p); err != nil {
		return Pulled{}, fmt.Errorf("data set %s: %w; fetch %s by hand and put it at %s, or give a folder that holds %s with --data%s", i.Name, err, i.URL, path, i.Files[0], i.changed(want, record))
	}
	// A file that was there already was not compared yet.
	got, err := fileSHA256(path)
	if err != nil {
		return Pulled{}, fmt.Errorf("data set %s: reading back %s: %w", i.Name, path, err)
	}
	if want == "" {
		line := got + "  " + filepath.Base(path) + "\n" // what sha256sum -c reads
		if err := renameio.WriteFile(record, []byte(line), 0o644); err != nil {
			return Pulled{}, fmt.Errorf("data set %s: keeping the checksum: %w", i.Name, err)
		}
	} else if got != want {
		return Pulled{}, fmt.Errorf("data set %s: the checksum of %s is %s, want %s; remove the file and fetch it again%s", i.Name, path, got, want, i.changed(want, record))
	}
	return Pulled{i, path, got}, nil
}

// checksum is the checksum that the file must have, "" where none is known.
func (i Info) checksum(record string) (string, error) {
	if i.SHA256 != "" {
		return i.SHA256, nil
	}
	text, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the checksum of the first fetch: %w", err)
	}
	sum, _, _ := strings.Cut(string(text), " ")
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
		return "", fmt.Errorf("%s does not begin with a SHA-256; remove it", record)
	}
	return sum, nil
}

// changed says what to do where the source's file is another one than before.
func (i Info) changed(want, record string) string {
	if want == "" || i.SHA256 != "" {
		return ""
	}
	return fmt.Sprintf(" (the checksum of the first fetch stands in %s; remove it to accept another file)", record)
}

func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// source is the URL to fetch from: files of the Hugging Face hub come from
// $HF_ENDPOINT where that names a mirror.
func (i Info) source() string {
	const hubURL = "https://huggingface.co/"
	if mirror := os.Getenv("HF_ENDPOINT"); mirror != "" && strings.HasPrefix(i.URL, hubURL) {
		return strings.TrimRight(mirror, "/") + "/" + strings.TrimPrefix(i.URL, hubURL)
	}
	return i.URL
}
