package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFetch(t *testing.T) {
	isolate(t)
	data := noise(300_000)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, -1) })
	path := filepath.Join(t.TempDir(), "deep", "file.bin")
	var told steps
	for range 2 { // the second call finds the file
		if err := Fetch(context.Background(), Download{URL: s.URL + "/x", Path: path, SHA256: sha256Hex(data), GitSHA1: gitSHA1(data)}, told.tell); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, path, data)
	if diff := cmp.Diff([]request{{Method: "GET", Path: "/x"}}, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"file.bin"}, told.seen); diff != "" || told.back || told.done["file.bin"] != 300_000 || told.total["file.bin"] != 300_000 {
		t.Errorf("progress: labels %v, %d of %d, backwards %t", told.seen, told.done["file.bin"], told.total["file.bin"], told.back)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("beside the file lie %v, %v", left, err)
	}
}

// A body that breaks off is taken up where it stopped, as often as each try
// brings something.
func TestFetchResumesBrokenBody(t *testing.T) {
	isolate(t)
	const breaks, stretch = 3 * bodyTries, 1000
	data := noise(breaks*stretch + 500)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, stretch) })
	path := filepath.Join(t.TempDir(), "file.bin")
	var told steps
	if err := Fetch(context.Background(), Download{URL: s.URL, Path: path, SHA256: sha256Hex(data)}, told.tell); err != nil {
		t.Fatal(err)
	}
	holds(t, path, data)
	var want []request
	for i := range breaks + 1 {
		r := request{Method: "GET", Path: "/"}
		if i > 0 {
			r.Range = fmt.Sprintf("bytes=%d-", i*stretch)
		}
		want = append(want, r)
	}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if told.back || told.done["file.bin"] != int64(len(data)) || told.total["file.bin"] != int64(len(data)) {
		t.Errorf("progress: %d of %d, backwards %t", told.done["file.bin"], told.total["file.bin"], told.back)
	}
}

// A connection that stays open and brings nothing more, as where the network is
// gone, is given up, and the file taken up where it stopped.
func TestFetchStalled(t *testing.T) {
	isolate(t)
	before := patience
	patience = 500 * time.Millisecond
	defer func() { patience = before }()
	data := noise(3000)
	var asked atomic.Int32
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 2 {
			serve(w, r, data, -1)
			return
		}
		if from := r.Header.Get("Range"); from == "" {
			w.Header().Set("Content-Length", "3000")
			w.Write(data[:1000])
			w.(http.Flusher).Flush()
		} // else not even a first word comes
		<-r.Context().Done()
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := Fetch(context.Background(), Download{URL: s.URL, Path: path, SHA256: sha256Hex(data)}, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, path, data)
	want := []request{{Method: "GET", Path: "/"}, {Method: "GET", Path: "/", Range: "bytes=1000-"}, {Method: "GET", Path: "/", Range: "bytes=1000-"}}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// A server that knows no ranges makes us begin anew; one that never gets on is
// given up.
func TestFetchWithoutRanges(t *testing.T) {
	isolate(t)
	data := noise(5000)
	for name, c := range map[string]struct {
		breaks int // so many times the body breaks off
		gets   int
		ok     bool
	}{
		"one break":    {1, 2, true},
		"always":       {1 << 30, bodyTries, false},
		"just in time": {bodyTries - 1, bodyTries, true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Range")
				most := -1
				if int(asked.Add(1)) <= c.breaks {
					most = 100
				}
				serve(w, r, data, most)
			})
			path := filepath.Join(t.TempDir(), "file.bin")
			err := Fetch(context.Background(), Download{URL: s.URL, Path: path, SHA256: sha256Hex(data)}, nil)
			if (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
			if c.ok {
				holds(t, path, data)
			} else if _, err := os.Stat(path); err == nil {
				t.Error("a broken file got its name")
			}
			if n := s.count("GET"); n != c.gets {
				t.Errorf("%d requests, want %d", n, c.gets)
			}
		})
	}
}

// What lies there from before may be a beginning, the whole file, or too much.
func TestFetchWithPartialFile(t *testing.T) {
	isolate(t)
	data := noise(4000)
	for name, c := range map[string]struct {
		there    []byte
		sum      string
		ranges   []string
		ok, left bool
	}{
		"a beginning":                      {data[:1500], sha256Hex(data), []string{"bytes=1500-"}, true, false},
		"all but the name":                 {data, sha256Hex(data), []string{"bytes=4000-"}, true, false},
		"all but the name, no checksum":    {data, "", []string{"bytes=4000-"}, true, false},
		"too long, no checksum":            {append(noise(4000), 'x'), "", []string{"bytes=4001-", ""}, true, false},
		"another file's beginning":         {noise(1501)[1:], sha256Hex(data), []string{"bytes=1500-"}, false, false},
		"another file of the right length": {make([]byte, 4000), sha256Hex(data), []string{"bytes=4000-"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, -1) })
			path := filepath.Join(t.TempDir(), "file.bin")
			put(t, path+".incomplete", c.there)
			put(t, path+".incomplete.lock", nil) // a killed process leaves it too
			err := Fetch(context.Background(), Download{URL: s.URL, Path: path, SHA256: c.sum}, nil)
			var ranges []string
			for _, r := range s.requests() {
				ranges = append(ranges, r.Range)
			}
			if diff := cmp.Diff(c.ranges, ranges); diff != "" {
				t.Errorf("ranges (-want +got):\n%s", diff)
			}
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				holds(t, path, data)
				return
			}
			oneLine(t, err, s.URL, "checksum", sha256Hex(data), "try again")
			if left := leftBehind(t, filepath.Dir(path)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFetchRefused(t *testing.T) {
	isolate(t)
	data := noise(1000)
	wrong := noise(1001)[1:]
	path := filepath.Join(t.TempDir(), "file.bin")
	s := newFake(t, nil)
	for name, c := range map[string]struct {
		download Download
		there    int
		handle   http.HandlerFunc
		want     string
	}{
		"wrong SHA-256": {Download{SHA256: sha256Hex(data)}, 0, func(w http.ResponseWriter, r *http.Request) { serve(w, r, wrong, -1) }, "checksum"},
		"wrong git id":  {Download{GitSHA1: gitSHA1(data)}, 0, func(w http.ResponseWriter, r *http.Request) { serve(w, r, wrong, -1) }, "checksum"},
		"not found":     {Download{}, 0, http.NotFound, "404 Not Found"},
		"server error": {Download{}, 0, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) },
			"503 Service Unavailable"},
		"another range": {Download{}, 400, func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=300-")
			serve(w, r, data, -1)
		}, "from byte 400"},
		"redirects without end": {Download{}, 0, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "stopped after 10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			s.handle = c.handle
			if c.there > 0 {
				put(t, path+".incomplete", data[:c.there])
				defer os.Remove(path + ".incomplete")
			}
			c.download.URL, c.download.Path = s.URL+"/file", path
			oneLine(t, Fetch(context.Background(), c.download, nil), "fetching "+s.URL+"/file", c.want)
			if _, err := os.Stat(path); err == nil {
				t.Error("the file was left behind")
			}
			if _, err := os.Stat(path + ".incomplete"); c.want == "checksum" && err == nil {
				t.Error("the wrong data was left behind")
			}
		})
	}
}

// A passing fault of the server is waited out.
func TestFetchRetries(t *testing.T) {
	isolate(t)
	data := noise(100)
	var asked atomic.Int32
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			http.Error(w, "busy", http.StatusBadGateway)
			return
		}
		serve(w, r, data, -1)
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	if err := Fetch(context.Background(), Download{URL: s.URL, Path: path}, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, path, data)
}

// Of many that want one file one downloads it, and the others find it.
func TestFetchTogether(t *testing.T) {
	isolate(t)
	data := noise(200_000)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, -1) })
	path := filepath.Join(t.TempDir(), "file.bin")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := Fetch(context.Background(), Download{URL: s.URL, Path: path}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	holds(t, path, data)
	if n := s.count("GET"); n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
}

// Those who wait go on one by one when a download fails; two must never write
// one partial file at a time.
func TestFetchTogetherAfterFailure(t *testing.T) {
	isolate(t)
	data := noise(50_000)
	var asked, running, overlaps atomic.Int32
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if running.Add(1) > 1 {
			overlaps.Add(1)
		}
		defer running.Add(-1)
		if asked.Add(1) <= 3 {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		for from := 0; from < len(data); from += 10_000 { // a while, so that others would come in between
			w.Write(data[from : from+10_000])
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	var failed atomic.Int32
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if Fetch(context.Background(), Download{URL: s.URL, Path: path}, nil) != nil {
				failed.Add(1)
			}
		})
	}
	group.Wait()
	holds(t, path, data)
	if failed.Load() != 3 || overlaps.Load() != 0 || s.count("GET") != 4 {
		t.Errorf("%d failed, %d requests, %d at the same time as another; want 3, 4 and 0", failed.Load(), s.count("GET"), overlaps.Load())
	}
}

func TestFetchCancelled(t *testing.T) {
	isolate(t)
	data := noise(10_000)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stall atomic.Bool
	stall.Store(true)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if !stall.Load() {
			serve(w, r, data, -1)
			return
		}
		w.Header().Set("Content-Length", "10000")
		w.Write(data[:4000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	err := Fetch(ctx, Download{URL: s.URL, Path: path}, func(_ string, done, _ int64) {
		if done == 4000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one that says cancelled", err)
	}
	holds(t, path+".incomplete", data[:4000])
	if err := Fetch(ctx, Download{URL: s.URL, Path: path}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	// What came before the cancellation is not fetched again.
	stall.Store(false)
	if err := Fetch(context.Background(), Download{URL: s.URL, Path: path}, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, path, data)
	asked := s.requests()
	if last := asked[len(asked)-1]; last.Range != "bytes=4000-" {
		t.Errorf("the last request asks for %q, want the rest", last.Range)
	}
}

// A process that is killed in the middle leaves a beginning that the next one
// takes up.
func TestFetchAfterKilledProcess(t *testing.T) {
	isolate(t)
	data := noise(100_000)
	var stall atomic.Bool
	stall.Store(true)
	s := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if !stall.Load() {
			serve(w, r, data, -1)
			return
		}
		w.Header().Set("Content-Length", "100000")
		w.Write(data[:60_000])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	path := filepath.Join(t.TempDir(), "file.bin")
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "HUB_TEST_FETCH="+s.URL, "HUB_TEST_PATH="+path)
	var output bytes.Buffer
	child.Stderr = &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		child.Wait()
	}()
	for size := int64(0); size < 60_000; {
		select {
		case <-ended:
			t.Fatalf("the process ended by itself: %s", output.String())
		case <-time.After(10 * time.Millisecond):
		}
		if info, err := os.Stat(path + ".incomplete"); err == nil {
			size = info.Size()
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	stall.Store(false)
	if err := Fetch(context.Background(), Download{URL: s.URL, Path: path, SHA256: sha256Hex(data)}, nil); err != nil {
		t.Fatal(err)
	}
	holds(t, path, data)
	want := []request{{Method: "GET", Path: "/"}, {Method: "GET", Path: "/", Range: "bytes=60000-"}}
	if diff := cmp.Diff(want, s.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestFetchUnwritable(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), nil)
	err := Fetch(context.Background(), Download{URL: "http://127.0.0.1:1/x", Path: filepath.Join(dir, "file", "x")}, nil)
	oneLine(t, err, "making the cache folder")
	if !strings.Contains(err.Error(), dir) {
		t.Errorf("the error %q does not name the folder", err)
	}
}
