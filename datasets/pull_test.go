package datasets

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// source is a server that gives one file, as it is told to.
type source struct {
	*httptest.Server
	content  []byte
	most     int // bytes before the connection is dropped; 0: all
	requests atomic.Int32
	ranges   []string
}

func newSource(t *testing.T, content string) *source {
	s := &source{content: []byte(content)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		if !strings.HasPrefix(filepath.Base(r.URL.Path), "set") {
			http.NotFound(w, r)
			return
		}
		if s.most > 0 {
			w = &dropping{ResponseWriter: w, left: s.most}
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(s.content)))
	}))
	t.Cleanup(s.Close)
	return s
}

// dropping breaks the connection off after so many bytes.
type dropping struct {
	http.ResponseWriter
	left int
}

func (d *dropping) Write(p []byte) (int, error) {
	n, err := d.ResponseWriter.Write(p[:min(len(p), d.left)])
	if d.left -= n; d.left == 0 {
		d.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// pullCache is an empty cache, and no data folder.
func pullCache(t *testing.T) string {
	cache := t.TempDir()
	t.Setenv("REFREEKV_DATA", "")
	t.Setenv("REFREEKV_CACHE", cache)
	return cache
}

func TestPull(t *testing.T) {
	cache := pullCache(t)
	s := newSource(t, twoLines)
	gsm8k, err := find("gsm8k")
	if err != nil {
		t.Fatal(err)
	}
	gsm8k.URL = s.URL + "/set.jsonl"
	var told []string
	got, err := gsm8k.pull(t.Context(), func(label string, done, total int64) { told = append(told, fmt.Sprint(label, " ", done, "/", total)) })
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "datasets", "gsm8k", "set.jsonl")
	if got.Path != path || got.Info.Name != "gsm8k" || len(got.SHA256) != 64 {
		t.Errorf("fetched %+v, want %s", got, path)
	}
	if len(told) == 0 || told[len(told)-1] != fmt.Sprintf("gsm8k %d/%d", len(twoLines), len(twoLines)) {
		t.Errorf("progress %q", told)
	}
	record, err := os.ReadFile(path + ".sha256")
	if err != nil || string(record) != got.SHA256+"  set.jsonl\n" {
		t.Errorf("beside the file: %q, %v", record, err)
	}
	again, err := gsm8k.pull(t.Context(), nil)
	if err != nil || again.SHA256 != got.SHA256 || s.requests.Load() != 1 {
		t.Errorf("the second time: %+v, %v, %d requests", again, err, s.requests.Load())
	}
}

// LongBench's archive is fetched once for all its sets, by way of a mirror.
func TestPullShared(t *testing.T) {
	cache := pullCache(t)
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.URL.Path != "/datasets/THUDM/LongBench/resolve/main/data.zip" {
			http.NotFound(w, r)
			return
		}
		w.Write(zipped(t, "data/qasper.jsonl", twoLines, "data/lcc.jsonl", twoLines, "data/lcc_e.jsonl", "{\"length\":5000}\n"))
	}))
	defer server.Close()
	t.Setenv("HF_ENDPOINT", server.URL+"/")
	for _, c := range []struct {
		name    string
		records int
	}{{"qasper", 2}, {"lcc", 2}, {"lcc_e", 1}, {"qasper", 2}} {
		got, err := Pull(t.Context(), c.name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(cache, "datasets", "longbench", "data.zip"); got.Path != want || got.Info.Name != c.name || got.Info.Licence == "" {
			t.Errorf("fetched %+v, want %s", got, want)
		}
		if got, err := Open(t.Context(), c.name, Options{}); err != nil || len(got) != c.records {
			t.Errorf("opened %v, %v", got, err)
		}
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests for one archive", n)
	}
}

// A dropped connection is taken up where it broke off, in one call and in the
// next one.
func TestPullResume(t *testing.T) {
	pullCache(t)
	s := newSource(t, strings.Repeat(twoLines, 500))
	s.most = 4000
	i := Info{Name: "s", URL: s.URL + "/set.jsonl", Files: []string{"set.jsonl"}}
	got, err := i.pull(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"", "bytes=4000-", "bytes=8000-"}; fmt.Sprint(s.ranges) != fmt.Sprint(want) {
		t.Errorf("asked for %q, want %q", s.ranges, want)
	}
	if content, err := os.ReadFile(got.Path); err != nil || string(content) != string(s.content) {
		t.Errorf("%d bytes, %v", len(content), err)
	}

	// A call that is broken off leaves what it has to the next.
	if err := os.Remove(got.Path); err != nil {
		t.Fatal(err)
	}
	s.ranges = nil
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := i.pull(ctx, func(_ string, done, _ int64) {
		if done >= 4000 {
			cancel()
		}
	}); err == nil || ctx.Err() == nil {
		t.Fatalf("broken off: %v", err)
	}
	begun, err := os.ReadFile(got.Path + ".incomplete")
	if err != nil || len(begun) == 0 || len(begun) == len(s.content) {
		t.Fatalf("%d bytes are left, %v", len(begun), err)
	}
	s.most, s.ranges = 0, nil
	again, err := i.pull(t.Context(), nil)
	if err != nil || again.SHA256 != got.SHA256 {
		t.Errorf("%+v, %v; want checksum %s", again, err, got.SHA256)
	}
	if want := fmt.Sprintf("[bytes=%d-]", len(begun)); fmt.Sprint(s.ranges) != want {
		t.Errorf("asked for %s, want %s", s.ranges, want)
	}
}

func TestPullChecksum(t *testing.T) {
	cache := pullCache(t)
	s := newSource(t, twoLines)
	path := filepath.Join(cache, "datasets", "s", "set.jsonl")
	i := Info{Name: "s", URL: s.URL + "/set.jsonl", Files: []string{"s.jsonl"}}

	known := i
	known.SHA256 = strings.Repeat("0", 64)
	_, err := known.pull(t.Context(), nil)
	wantError(t, err, "data set s: fetching "+i.URL+": the checksum is ", "want "+known.SHA256, "put it at "+path+", or give a folder that holds s.jsonl with --data")
	for _, left := range []string{path, path + ".incomplete", path + ".sha256"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left", left)
		}
	}

	first, err := i.pull(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The file in the cache is damaged.
	if err := os.WriteFile(path, []byte(twoRows), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = i.pull(t.Context(), nil)
	wantError(t, err, "the checksum of "+path+" is ", "want "+first.SHA256+"; remove the file and fetch it again", path+".sha256; remove it to accept another file")
	// The source has changed since.
	s.content = []byte(twoRows)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = i.pull(t.Context(), nil)
	wantError(t, err, "fetching "+i.URL, "the checksum is ", "want "+first.SHA256, path+".sha256; remove it to accept another file")
	if _, err := os.Stat(path); err == nil {
		t.Error("the other file was kept")
	}
	if err := os.Remove(path + ".sha256"); err != nil {
		t.Fatal(err)
	}
	if second, err := i.pull(t.Context(), nil); err != nil || second.SHA256 == first.SHA256 {
		t.Errorf("accepted anew: %+v, %v", second, err)
	}
	for _, record := range []string{"", "no checksum\n", "00  set.jsonl\n"} {
		if err := os.WriteFile(path+".sha256", []byte(record), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = i.pull(t.Context(), nil)
		wantError(t, err, "data set s: "+path+".sha256 does not begin with a SHA-256; remove it")
	}
}

// What cannot be fetched tells the manual way, which then works.
func TestPullFailures(t *testing.T) {
	cache := pullCache(t)
	s := newSource(t, twoLines)
	closed := newSource(t, twoLines)
	closed.Close()
	path := filepath.Join(cache, "datasets", "gone", "gone.jsonl")
	for _, url := range []string{s.URL + "/gone.jsonl", closed.URL + "/gone.jsonl"} {
		gone := Info{Name: "gone", URL: url, Files: []string{"gone.jsonl", "g.jsonl"}}
		_, err := gone.pull(t.Context(), nil)
		wantError(t, err, "data set gone: fetching "+url+": ", "; fetch "+url+" by hand and put it at "+path+", or give a folder that holds gone.jsonl with --data")
		if url == s.URL+"/gone.jsonl" {
			wantError(t, err, "404")
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("an error page was kept as data")
		}
	}
	place(t, path)
	gone := Info{Name: "gone", URL: closed.URL + "/gone.jsonl", Files: []string{"gone.jsonl"}}
	if got, err := gone.pull(t.Context(), nil); err != nil || got.Path != path || got.SHA256 == "" {
		t.Errorf("put there by hand: %+v, %v", got, err)
	}
	for _, name := range []string{"needle", "sample_qa", "niah_single_1"} {
		_, err := Pull(t.Context(), name, nil)
		wantError(t, err, "data set "+name+" comes with the program, there is nothing to fetch")
	}
	_, err := Pull(t.Context(), "gsm9k", nil)
	wantError(t, err, `no data set "gsm9k"`)
}
