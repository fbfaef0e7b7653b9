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
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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

// bodyTries is how many tries may bring nothing new before a download is given up.
const bodyTries = 5

// patience is how long a server may send nothing before the connection counts as
// lost: a network that goes away closes none.
var patience = 30 * time.Second

var errStalled = errors.New("the connection brings nothing any more")

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
		return cacheError(err)
	}
	partial := d.Path + ".incomplete"
	lock := flock.New(partial + ".lock")
	if ok, err := lock.TryLockContext(ctx, 200*time.Millisecond); diskRemedy(err) != "" {
		return cacheError(err)
	} else if err != nil || !ok {
		return fmt.Errorf("waiting for another download of %s: %w", d.Path, err)
	}
	defer lock.Unlock()
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
	if err := os.Rename(partial, d.Path); err != nil {
		return err
	}
	// Only now may the lock's file go: whoever still waits for it will find the
	// finished file. Before, two could hold locks on two files of one name.
	os.Remove(lock.Path())
	return nil
}

// body fetches until the file is whole or some tries in a row bring nothing new.
func (d Download) body(ctx context.Context, partial string, p Progress) error {
	most := int64(-1)
	for tries := 0; ; tries++ {
		size, err := d.stretch(ctx, partial, p)
		if err == nil {
			return nil
		}
		var status statusError
		if ctx.Err() != nil || errors.As(err, &status) {
			return err
		}
		if remedy := diskRemedy(err); remedy != "" {
			return fmt.Errorf("%w; %s", err, remedy)
		}
		// A server that starts anew each time brings nothing new either.
		if size > most {
			most, tries = size, 0
		}
		if tries+1 >= bodyTries {
			return err
		}
	}
}

// cacheError is an error of the cache folder.
func cacheError(err error) error {
	if remedy := diskRemedy(err); remedy != "" {
		return fmt.Errorf("making the cache folder: %w; %s", err, remedy)
	}
	return fmt.Errorf("making the cache folder: %w", err)
}

// diskRemedy says what helps where a file cannot be written; empty: something else
// is wrong.
func diskRemedy(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room there and give the same command again, which goes on where this one stopped, or name another folder in REFREEKV_CACHE"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "make the folder writable or name another in REFREEKV_CACHE"
	}
	return ""
}

// A statusError is an answer that is no file.
type statusError struct{ status string }

func (e statusError) Error() string { return "the server answers " + e.status }

// stretch asks for what is missing and appends it; size is how much of the file
// is there afterwards.
func (d Download) stretch(ctx context.Context, partial string, p Progress) (size int64, err error) {
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(patience, func() { cancel(errStalled) })
	defer stalled.Stop()
	defer func() {
		if context.Cause(ctx) == errStalled && err != nil {
			err = errStalled
		}
	}()
	answer, err := d.request(ctx, have)
	if err != nil {
		return have, err
	}
	defer answer.Body.Close()
	start, total, ranged := contentRange(answer.Header.Get("Content-Range"))
	switch answer.StatusCode {
	case http.StatusOK: // the server ignores ranges: from the start
		have = 0
	case http.StatusPartialContent:
		if !ranged || start != have {
			return have, fmt.Errorf("asked for the file from byte %d on, the server sends %q", have, answer.Header.Get("Content-Range"))
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if ranged && total == have {
			return have, nil // nothing is missing
		}
		// What is there belongs to another file.
		return 0, errors.Join(errors.New("the server's file is shorter than what was fetched before"), f.Truncate(0))
	default:
		return have, statusError{answer.Status}
	}
	if err := f.Truncate(have); err != nil {
		return have, err
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return have, err
	}
	total = -1
	if answer.ContentLength >= 0 {
		total = have + answer.ContentLength
	}
	n, err := io.Copy(f, &counted{answer.Body, func(n int64) {
		stalled.Reset(patience)
		p(d.Label, have+n, total)
	}, 0})
	if err == nil && total >= 0 && have+n != total {
		err = io.ErrUnexpectedEOF
	}
	return have + n, errors.Join(err, f.Sync())
}

// contentRange reads "bytes START-END/TOTAL" or "bytes */TOTAL"; what is not
// known is -1.
func contentRange(header string) (start, total int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, size, found := strings.Cut(rest, "/")
	if !ok || !found {
		return -1, -1, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	first, _, _ := strings.Cut(span, "-")
	return number(first), number(size), true
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
	answer, err := client(nil).Do(req)
	return answer, plainNetworkError(err)
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
// seconds. A token goes to the host that it was meant for and to no other, not
// even to one of its subdomains: storage refuses requests that carry two kinds of
// credentials.
func client(redirect func(*http.Request, []*http.Request) error) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = 2
	c.RetryWaitMin, c.RetryWaitMax = 300*time.Millisecond, 2*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.HTTPClient.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects") // these words tell the library not to try again
		}
		if next.URL.Host != via[0].URL.Host {
			next.Header.Del("Authorization")
		}
		if redirect == nil {
			return nil
		}
		return redirect(next, via)
	}
	return c
}

func trimSpace(raw []byte) string { return string(bytes.TrimSpace(raw)) }
