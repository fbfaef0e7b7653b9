package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const repo = "someone/some-model"

// small are the files of a model that the hub keeps in git.
var small = map[string][]byte{
	"config.json": []byte(`{"model_type":"llama"}`), "tokenizer.json": []byte(`{}`), "tokenizer_config.json": []byte(`{"a":1}`),
}

// fakeHub serves a repository as the hub does: small files itself, weights
// through a redirect to a storage host. It returns both servers.
func fakeHub(t *testing.T, files, weights map[string][]byte) (hub, storage *fake) {
	t.Helper()
	storage = newFake(t, func(w http.ResponseWriter, r *http.Request) {
		data, ok := weights[strings.TrimPrefix(r.URL.Path, "/blob/")]
		if !ok || r.Method == http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"of-the-storage"`)
		serve(w, r, data, -1)
	})
	hub = newFake(t, func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, "/"+repo+"/resolve/main/")
		data, isSmall := files[name]
		blob, isWeights := weights[name]
		switch {
		case ok && isSmall:
			w.Header().Set("ETag", `W/"`+gitSHA1(data)+`"`)
			serve(w, r, data, -1)
		case ok && isWeights:
			w.Header().Set("X-Linked-Etag", `"`+sha256Hex(blob)+`"`)
			w.Header().Set("ETag", `"of-the-redirect"`)
			// Another name of the same machine is another host.
			host := strings.Replace(storage.URL, "127.0.0.1", "localhost", 1)
			http.Redirect(w, r, host+"/blob/"+name, http.StatusFound)
		default:
			w.Header().Set("X-Error-Code", "EntryNotFound")
			http.NotFound(w, r)
		}
	})
	t.Setenv("HF_ENDPOINT", hub.URL+"/")
	return hub, storage
}

func resolve(t *testing.T, p Progress) Found {
	t.Helper()
	found, err := Resolve(context.Background(), repo, p)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestResolveFromHub(t *testing.T) {
	cache := isolate(t)
	weights := map[string][]byte{"model.safetensors": noise(70_000)}
	hub, storage := fakeHub(t, small, weights)
	t.Setenv("HF_TOKEN", " hf_secret\n")
	var told steps
	found := resolve(t, told.tell)
	dir := filepath.Join(cache, "models", "someone--some-model")
	if diff := cmp.Diff(Found{Path: dir, Name: repo, Source: "the Hugging Face hub"}, found); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	for name, data := range small {
		holds(t, filepath.Join(dir, name), data)
	}
	holds(t, filepath.Join(dir, "model.safetensors"), weights["model.safetensors"])
	// Files that a model need not have were asked for and are not there.
	if left := leftBehind(t, dir); len(left) != 4 {
		t.Errorf("the folder holds %v, want 4 files", left)
	}
	for _, r := range hub.requests() {
		if r.Token != "Bearer hf_secret" {
			t.Errorf("%s %s came with the token %q", r.Method, r.Path, r.Token)
		}
	}
	want := []request{{Method: "GET", Path: "/blob/model.safetensors"}}
	if diff := cmp.Diff(want, storage.requests()); diff != "" {
		t.Errorf("the storage host, which must not see the token, was asked (-want +got):\n%s", diff)
	}
	if want := []string{"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"}; !slices.Equal(told.seen, want) ||
		told.back || told.done["model.safetensors"] != 70_000 || told.total["model.safetensors"] != 70_000 {
		t.Errorf("progress %+v", &told)
	}
	before := len(hub.requests())
	if found := resolve(t, nil); found.Path != dir || !strings.Contains(found.Source, "fetched before") || len(hub.requests()) != before {
		t.Errorf("the second time: %+v, %d more requests", found, len(hub.requests())-before)
	}
}

// Another port of the hub's own host is another server: the token stays here.
func TestTokenStaysAcrossPorts(t *testing.T) {
	isolate(t)
	data := noise(10)
	storage := newFake(t, func(w http.ResponseWriter, r *http.Request) { serve(w, r, data, -1) })
	hub := newFake(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, storage.URL, http.StatusFound) })
	d := Download{URL: hub.URL, Path: filepath.Join(t.TempDir(), "x"), Header: http.Header{"Authorization": {"Bearer s"}}}
	if err := Fetch(context.Background(), d, nil); err != nil {
		t.Fatal(err)
	}
	if hub.requests()[0].Token != "Bearer s" || storage.requests()[0].Token != "" {
		t.Errorf("token: hub %q, storage %q", hub.requests()[0].Token, storage.requests()[0].Token)
	}
}

func TestResolveShards(t *testing.T) {
	cache := isolate(t)
	files := map[string][]byte{indexFile: []byte(`{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"}}`)}
	for name, data := range small {
		files[name] = data
	}
	weights := map[string][]byte{"m-1.safetensors": noise(100), "m-2.safetensors": noise(200)}
	_, storage := fakeHub(t, files, weights)
	dir := resolve(t, nil).Path
	for name, data := range weights {
		holds(t, filepath.Join(dir, name), data)
	}
	if n := storage.count("GET"); n != 2 {
		t.Errorf("%d downloads of shards, want 2", n)
	}
	// A folder with a shard missing is no whole model: only that shard is fetched.
	if err := os.Remove(filepath.Join(dir, "m-2.safetensors")); err != nil {
		t.Fatal(err)
	}
	if found := resolve(t, nil); found.Source != "the Hugging Face hub" || storage.count("GET") != 3 {
		t.Errorf("found %+v after %d downloads, want 3", found, storage.count("GET"))
	}
	holds(t, filepath.Join(cache, "models", "someone--some-model", "m-2.safetensors"), weights["m-2.safetensors"])
}

// A repository with a new name: the hub redirects within itself, and the new
// place tells the checksum.
func TestResolveRenamed(t *testing.T) {
	isolate(t)
	weights := map[string][]byte{"model.safetensors": noise(100)}
	hub, _ := fakeHub(t, small, weights)
	inner := hub.handle
	corrupt := false
	hub.handle = func(w http.ResponseWriter, r *http.Request) {
		if name, old := strings.CutPrefix(r.URL.Path, "/old/name/"); old {
			http.Redirect(w, r, "/"+repo+"/"+name, http.StatusTemporaryRedirect)
			return
		}
		if corrupt && strings.HasSuffix(r.URL.Path, "tokenizer.json") && r.Method == http.MethodGet {
			serve(w, r, []byte("{!"), -1)
			return
		}
		inner(w, r)
	}
	found, err := Resolve(context.Background(), "old/name", nil)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, filepath.Join(found.Path, "tokenizer.json"), small["tokenizer.json"])
	corrupt = true
	os.RemoveAll(found.Path)
	_, err = Resolve(context.Background(), "old/name", nil)
	oneLine(t, err, "tokenizer.json", "checksum", gitSHA1(small["tokenizer.json"]))
}

func TestResolveRefused(t *testing.T) {
	with := func(files map[string][]byte, name, content string) map[string][]byte {
		out := map[string][]byte{name: []byte(content)}
		for n, data := range files {
			out[n] = data
		}
		return out
	}
	answers := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if code != "" {
				w.Header().Set("X-Error-Code", code)
			}
			w.WriteHeader(status)
		}
	}
	for name, c := range map[string]struct {
		files  map[string][]byte
		handle http.HandlerFunc
		want   []string
	}{
		"gated, no token":      {nil, answers(http.StatusUnauthorized, "GatedRepo"), []string{"config.json", "401 Unauthorized", "gated", "HF_TOKEN", "terms accepted"}},
		"gated, not accepted":  {nil, answers(http.StatusForbidden, "GatedRepo"), []string{"403 Forbidden", "gated", "HF_TOKEN"}},
		"unauthorised":         {nil, answers(http.StatusUnauthorized, ""), []string{"401 Unauthorized", "HF_TOKEN"}},
		"no such repository":   {nil, answers(http.StatusUnauthorized, "RepoNotFound"), []string{"no such repository"}},
		"broken server":        {nil, answers(http.StatusInternalServerError, ""), []string{"500 Internal Server Error"}},
		"no config":            {nil, nil, []string{"config.json: there is no such file"}},
		"no weights":           {small, nil, []string{"neither model.safetensors nor model.safetensors.index.json"}},
		"shard outside":        {with(small, indexFile, `{"weight_map":{"a":"../../x"}}`), nil, []string{indexFile, "../../x"}},
		"shard that is dots":   {with(small, indexFile, `{"weight_map":{"a":".."}}`), nil, []string{indexFile}},
		"index that is cut":    {with(small, indexFile, `{"weight_map":`), nil, []string{indexFile}},
		"shard that is absent": {with(small, indexFile, `{"weight_map":{"a":"m-1.safetensors"}}`), nil, []string{"m-1.safetensors: there is no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			hub, _ := fakeHub(t, c.files, nil)
			if c.handle != nil {
				hub.handle = c.handle
			}
			_, err := Resolve(context.Background(), repo, nil)
			oneLine(t, err, append(c.want, "model "+repo+" cannot be fetched", "HF_ENDPOINT", "local folder")...)
		})
	}
}

// A mirror may keep the files itself: the tag of the redirect counts, not that of
// the place it leads to.
func TestResolveMirror(t *testing.T) {
	isolate(t)
	weights := noise(100)
	hub, _ := fakeHub(t, small, nil)
	inner := hub.handle
	hub.handle = func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/resolve/main/model.safetensors"):
			w.Header().Set("X-Linked-Etag", `"`+sha256Hex(weights)+`"`)
			http.Redirect(w, r, "/kept/here", http.StatusFound)
		case r.URL.Path == "/kept/here":
			w.Header().Set("ETag", `"`+sha256Hex([]byte("of another kind"))+`"`)
			serve(w, r, weights, -1)
		default:
			inner(w, r)
		}
	}
	holds(t, filepath.Join(resolve(t, nil).Path, "model.safetensors"), weights)
}

// A folder whose index names no file is no whole model.
func TestResolveEmptyIndex(t *testing.T) {
	cache := isolate(t)
	fakeHub(t, small, map[string][]byte{"model.safetensors": noise(10)})
	dir := filepath.Join(cache, "models", "someone--some-model")
	for name, data := range small {
		put(t, filepath.Join(dir, name), data)
	}
	put(t, filepath.Join(dir, indexFile), []byte("{}"))
	if found := resolve(t, nil); found.Source != "the Hugging Face hub" {
		t.Errorf("found %+v", found)
	}
}

// What the hub sends must have the checksum that the hub itself named, even where
// the storage host says otherwise.
func TestResolveChecksum(t *testing.T) {
	cache := isolate(t)
	weights := map[string][]byte{"model.safetensors": noise(100)}
	_, storage := fakeHub(t, small, weights)
	storage.handle = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+sha256Hex([]byte("swapped"))+`"`)
		serve(w, r, []byte("swapped"), -1)
	}
	_, err := Resolve(context.Background(), repo, nil)
	oneLine(t, err, "checksum", sha256Hex(weights["model.safetensors"]))
	for _, left := range leftBehind(t, cache) {
		if strings.Contains(left, "model.safetensors") {
			t.Errorf("left behind: %s", left)
		}
	}
}

// pythonCache lays out a model as Python's huggingface_hub does.
func pythonCache(t *testing.T, cache string) (snapshot string) {
	t.Helper()
	root := filepath.Join(cache, "models--someone--some-model")
	snapshot = filepath.Join(root, "snapshots", "0123abcd")
	put(t, filepath.Join(root, "refs", "main"), []byte("0123abcd\n"))
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		put(t, filepath.Join(root, "blobs", "of-"+name), []byte(name))
		if err := os.MkdirAll(snapshot, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..", "..", "blobs", "of-"+name), filepath.Join(snapshot, name)); err != nil {
			t.Fatal(err)
		}
	}
	return snapshot
}

// A model that Python fetched is used where it lies, also without a network.
func TestPythonCache(t *testing.T) {
	for variable, below := range map[string]string{"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub", "HOME": ".cache/huggingface/hub"} {
		t.Run(variable, func(t *testing.T) {
			isolate(t)
			for _, name := range []string{"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HOME"} {
				t.Setenv(name, "")
			}
			dir := t.TempDir()
			t.Setenv(variable, dir)
			t.Setenv("HF_HUB_OFFLINE", "1")
			snapshot := pythonCache(t, filepath.Join(dir, below))
			want := Found{Path: snapshot, Name: repo, Source: "the Hugging Face cache " + filepath.Join(dir, below)}
			if diff := cmp.Diff(want, resolve(t, nil)); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

// A snapshot whose weights are missing (a dangling link) is not the model.
func TestPythonCacheIncomplete(t *testing.T) {
	isolate(t)
	hub, _ := fakeHub(t, small, map[string][]byte{"model.safetensors": noise(10)})
	dir := t.TempDir()
	t.Setenv("HF_HUB_CACHE", dir)
	pythonCache(t, dir)
	if err := os.Remove(filepath.Join(dir, "models--someone--some-model", "blobs", "of-model.safetensors")); err != nil {
		t.Fatal(err)
	}
	if found := resolve(t, nil); found.Source != "the Hugging Face hub" || len(hub.requests()) == 0 {
		t.Errorf("found %+v", found)
	}
}

func TestOffline(t *testing.T) {
	for value, forbidden := range map[string]bool{"1": true, "true": true, "YES": true, "on": true, "": false, "0": false, "false": false, "no": false} {
		t.Run(fmt.Sprintf("%q", value), func(t *testing.T) {
			isolate(t)
			hub, _ := fakeHub(t, small, map[string][]byte{"model.safetensors": noise(10)})
			t.Setenv("HF_HUB_OFFLINE", value)
			_, err := Resolve(context.Background(), repo, nil)
			if !forbidden {
				if err != nil {
					t.Error(err)
				}
				return
			}
			oneLine(t, err, repo, "HF_HUB_OFFLINE is set")
			if asked := hub.requests(); len(asked) > 0 {
				t.Errorf("offline, yet asked %v", asked)
			}
		})
	}
}

func TestToken(t *testing.T) {
	isolate(t)
	home := os.Getenv("HF_HOME")
	check := func(where, want string) {
		t.Helper()
		if got := token(); got != want {
			t.Errorf("%s: token %q, want %q", where, got, want)
		}
	}
	// A file of that name in the working folder is not meant.
	t.Chdir(t.TempDir())
	put(t, "token", []byte("stray"))
	check("nowhere", "")
	put(t, filepath.Join(home, "token"), []byte("from-home\n"))
	check("HF_HOME", "from-home")
	other := filepath.Join(t.TempDir(), "t")
	put(t, other, []byte("from-path"))
	t.Setenv("HF_TOKEN_PATH", other)
	check("HF_TOKEN_PATH", "from-path")
	t.Setenv("HF_TOKEN", "from-variable")
	check("HF_TOKEN", "from-variable")
	for _, name := range []string{"HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HOME"} {
		t.Setenv(name, "")
	}
	check("no home", "")
}

func TestResolveNames(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "org", "tiny.gguf"), nil)
	t.Chdir(dir)
	for name, want := range map[string]Found{
		"org/tiny.gguf": {Path: "org/tiny.gguf", Name: "tiny", Source: "local path org/tiny.gguf"},
		"./org":         {Path: "./org", Name: "org", Source: "local path ./org"},
	} {
		found, err := Resolve(context.Background(), name, nil)
		if diff := cmp.Diff(want, found); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, name := range []string{"", "nothing", "org/missing.gguf", "../up/x", "a/b/c", "a b/c"} {
		_, err := Resolve(context.Background(), name, nil)
		oneLine(t, err, fmt.Sprintf("no model %q", name), "smollm2-135m-instruct", "org/name", ".gguf")
	}
	seen := map[string]bool{}
	for _, m := range Models() {
		if seen[m.Name] || !hubID.MatchString(m.Repo) || strings.Contains(m.Name, "/") || m.About == "" {
			t.Errorf("registry entry %+v", m)
		}
		seen[m.Name] = true
	}
}

// A registry model is found by its hub id in any case of letters, and by its
// name.
func TestResolveRegistry(t *testing.T) {
	isolate(t)
	t.Setenv("HF_HUB_OFFLINE", "1")
	m := Models()[0]
	dir := filepath.Join(os.Getenv("REFREEKV_CACHE"), "models", strings.ReplaceAll(m.Repo, "/", "--"))
	for _, name := range []string{"config.json", "tokenizer.json", "model.safetensors"} {
		put(t, filepath.Join(dir, name), nil)
	}
	for _, name := range []string{m.Name, m.Repo, strings.ToLower(m.Repo)} {
		found, err := Resolve(context.Background(), name, nil)
		if err != nil || found.Path != dir || found.Name != m.Name {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

func TestResolveCancelled(t *testing.T) {
	isolate(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	hub, _ := fakeHub(t, small, map[string][]byte{"model.safetensors": noise(10)})
	inner := hub.handle
	hub.handle = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "tokenizer.json") {
			cancel()
			<-r.Context().Done()
			return
		}
		inner(w, r)
	}
	_, err := Resolve(ctx, repo, nil)
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "remedy") {
		t.Errorf("error %v, want cancelled", err)
	}
}
