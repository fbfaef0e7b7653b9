package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestMain lets a test run Fetch in a process of its own, to kill it.
func TestMain(m *testing.M) {
	if address := os.Getenv("HUB_TEST_FETCH"); address != "" {
		err := Fetch(context.Background(), Download{URL: address, Path: os.Getenv("HUB_TEST_PATH")}, nil)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // the test kills the process before
	}
	os.Exit(m.Run())
}

// isolate points every setting at empty folders and at an address where nobody
// answers, and hides pip: a test cannot reach the network by accident. It returns
// the program's cache.
func isolate(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, value := range map[string]string{
		"HF_ENDPOINT": "http://127.0.0.1:1", "HF_TOKEN": "", "HF_TOKEN_PATH": "", "HF_HUB_OFFLINE": "", "HF_HUB_CACHE": "",
		"HF_HOME": filepath.Join(root, "hf"), "HOME": filepath.Join(root, "home"), "XDG_CACHE_HOME": filepath.Join(root, "xdg"),
		"REFREEKV_CACHE": filepath.Join(root, "cache"), "PATH": filepath.Join(root, "bin"),
		"HTTP_PROXY": "", "http_proxy": "", "HTTPS_PROXY": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "cache")
}

// A request is what a server was asked.
type request struct{ Method, Path, Range, Token string }

// A fake is a server that notes what it is asked.
type fake struct {
	*httptest.Server
	lock   sync.Mutex
	asked  []request
	handle http.HandlerFunc
}

func newFake(t *testing.T, handle http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{handle: handle}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.lock.Lock()
		f.asked = append(f.asked, request{r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization")})
		f.lock.Unlock()
		f.handle(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) requests() []request {
	f.lock.Lock()
	defer f.lock.Unlock()
	return append([]request{}, f.asked...)
}

// count counts the requests of one method.
func (f *fake) count(method string) int {
	n := 0
	for _, r := range f.requests() {
		if r.Method == method {
			n++
		}
	}
	return n
}

// serve answers with a file, whole or the range that is asked for. At most most
// bytes go out before the connection breaks off; negative: all.
func serve(w http.ResponseWriter, r *http.Request, data []byte, most int) {
	from := 0
	if s, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, _ = strconv.Atoi(strings.TrimSuffix(s, "-"))
		if from >= len(data) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", len(data)))
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return
	}
	part := data[from:]
	if most >= 0 && most < len(part) {
		w.Write(part[:most])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(part)
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func gitSHA1(data []byte) string {
	sum := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(data)), data...))
	return hex.EncodeToString(sum[:])
}

// noise is n bytes without a pattern that a shift could hide.
func noise(n int) []byte {
	out := make([]byte, n)
	x := uint32(1)
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

// steps records progress.
type steps struct {
	lock  sync.Mutex
	seen  []string
	done  map[string]int64
	total map[string]int64
	back  bool // it went backwards
}

func (s *steps) tell(label string, done, total int64) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.done == nil {
		s.done, s.total = map[string]int64{}, map[string]int64{}
	}
	if _, ok := s.done[label]; !ok {
		s.seen = append(s.seen, label)
	}
	s.back = s.back || done < s.done[label] || total >= 0 && done > total
	s.done[label], s.total[label] = done, total
}

// holds checks a file's content.
func holds(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s holds %d bytes that differ from the %d wanted", path, len(got), len(want))
	}
}

// leftBehind lists the files below a folder, without those of locks.
func leftBehind(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".lock") {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return nil
	})
	return out
}

// oneLine checks that an error is one line and says all that is wanted.
func oneLine(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error %q has several lines", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
