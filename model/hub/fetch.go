package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/hashicorp/go-retryablehttp"
)

// Progress is told how far a download is; total is negative where unknown.
type Progress func(label string, done, total int64)

// A Download says what to fetch and where to put it.
type Download struct {
	URL  string
	Path string // of the finished file
	// SHA256 is the file's expected SHA-256 in hex; GitSHA1 its git blob id,
	// which the hub gives for small files. Empty: not checked.
	SHA256, GitSHA1 string
	Header          http.Header // may be nil
	Label           string      // for progress; default the file's name
}

// bodyTries is how often a body that breaks off is taken up again.
const bodyTries = 5

// Fetch downloads a file unless it is there already. A broken download is taken
// up where it stopped, also by a later call; the file appears under its name
// only when it is whole and its checksum is right.
func Fetch(ctx context.Context, d Download, p Progress) error {
	if _, err := os.Stat(d.Path); err == nil {
		return nil
	}
	if d.Label == "" {
		d.Label = filepath.Base(d.Path)
	}
	if p == nil {
		p = func(string, int64, int64) {}
	}
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o755); err != nil {
		return fmt.Errorf("making the cache folder: %w", err)
	}
	partial := d.Path + ".incomplete"
	lock := flock.New(partial + ".lock")
	if ok, err := lock.TryLockContext(ctx, time.Second); err != nil || !ok {
		return fmt.Errorf("waiting for another download of %s: %w", d.Path, err)
	}
	defer func() {
		os.Remove(lock.Path())
		lock.Unlock()
	}()
	if _, err := os.Stat(d.Path); err == nil { // the other download was faster
		return nil
	}
	if err := d.body(ctx, partial, p); err != nil {
		return fmt.Errorf("fetching %s: %w", d.URL, err)
	}
	if err := d.check(partial); err != nil {
		os.Remove(partial)
		return fmt.Errorf("fetching %s: %w", d.URL, err)
	}
	return os.Rename(partial, d.Path)
}

// body fetches until the file is whole or no try brings anything new.
func (d Download) body(ctx context.Context, partial string, p Progress) error {
	var err error
	for range bodyTries {
		var grew bool
		if grew, err = d.stretch(ctx, partial, p); err == nil {
			return nil
		}
		var status statusError
		if ctx.Err() != nil || errors.As(err, &status) && !grew {
			return err
		}
	}
	return err
}

// A statusError is an answer that is no file.
type statusError struct{ status string }

func (e statusError) Error() string { return "the server answers " + e.status }

// stretch asks for what is missing and appends it; grew tells whether anything
// came.
func (d Download) stretch(ctx context.Context, partial string, p Progress) (grew bool, err error) {
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	answer, err := d.request(ctx, have)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK: // the server ignores ranges: from the start
		if have, err = 0, f.Truncate(0); err != nil {
			return false, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return false, err
		}
	case http.StatusPartialContent:
	case http.StatusRequestedRangeNotSatisfiable:
		return false, nil // nothing is missing; the checksum will tell
	default:
		return false, statusError{answer.Status}
	}
	total := int64(-1)
	if answer.ContentLength >= 0 {
		total = have + answer.ContentLength
	}
	n, err := io.Copy(f, &counted{answer.Body, func(n int64) { p(d.Label, have+n, total) }, 0})
	if err == nil && total >= 0 && have+n != total {
		err = io.ErrUnexpectedEOF
	}
	return n > 0, errors.Join(err, f.Sync())
}

func (d Download) request(ctx context.Context, from int64) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, d.URL, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range d.Header {
		req.Header[name] = values
	}
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	return client().Do(req)
}

// check compares the file with the expected checksum.
func (d Download) check(path string) error {
	for _, c := range []struct {
		want string
		hash func(size int64) hash.Hash
	}{
		{d.SHA256, func(int64) hash.Hash { return sha256.New() }},
		{d.GitSHA1, func(size int64) hash.Hash {
			h := sha1.New()
			fmt.Fprintf(h, "blob %d\x00", size)
			return h
		}},
	} {
		if c.want == "" {
			continue
		}
		got, err := hashFile(path, c.hash)
		if err != nil {
			return err
		}
		if got != c.want {
			return fmt.Errorf("the checksum is %s, want %s; the file was removed, try again", got, c.want)
		}
	}
	return nil
}

func hashFile(path string, newHash func(size int64) hash.Hash) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	h := newHash(info.Size())
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// counted reports how much was read.
type counted struct {
	io.Reader
	tell func(int64)
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.tell(c.n)
	return n, err
}

// client retries briefly: where there is no network, the answer should come in
// seconds.
func client() *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = 2
	c.RetryWaitMin, c.RetryWaitMax = 300*time.Millisecond, 2*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return c
}

func trimSpace(raw []byte) string { return string(bytes.TrimSpace(raw)) }
