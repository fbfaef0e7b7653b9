package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestPullScripts fetches from a server of its own.
func TestPullScripts(t *testing.T) {
	const line = `{"input": "The mill stood by the brook.", "instructions": ["Where?"], "outputs": ["By the brook."]}` + "\n"
	files := map[string]string{"meeting_summ.jsonl": line, "scientific_qa.jsonl": strings.Repeat(line, 300)}
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := files[filepath.Base(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(&breaking{w, 20_000}, r, "", time.Time{}, strings.NewReader(content))
	}))
	t.Cleanup(hub.Close) // scripts run on after this function
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/pull",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("REFREEKV_CACHE", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("HF_ENDPOINT", hub.URL)
			return os.WriteFile(filepath.Join(env.WorkDir, "long.jsonl"), []byte(files["scientific_qa.jsonl"]), 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails},
	})
}

// breaking drops the connection after so many bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		b.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}
