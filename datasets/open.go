package datasets

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"refreekv/model/hub"
)

//go:embed samples/*.jsonl
var samples embed.FS

// Options say where to look for a data set and how much of it to read.
type Options struct {
	Dir      string       // looked in first, then $REFREEKV_DATA
	Limit    int          // read only the first records; 0: all
	Progress hub.Progress // told about downloads; may be nil
}

// Open reads a data set: a registry name, with options for the generated ones
// ("needle length=2000 depth=0.5"), or the path of a file. Named sets are looked
// for in Options.Dir, in $REFREEKV_DATA, then in the cache.
func Open(ctx context.Context, name string, o Options) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Limit < 0 {
		return nil, fmt.Errorf("data set %s: cannot read %d records; give a number of records, or 0 for all", name, o.Limit)
	}
	words := strings.Fields(name)
	if len(words) == 0 {
		return nil, errors.New("no data set is named; refreekv list datasets shows what there is")
	}
	info, err := find(words[0])
	if err != nil {
		if _, statErr := os.Stat(name); statErr != nil {
			return nil, err
		}
		records, err := readFile(name, o.Limit)
		return finish(name, records, o.Limit, err)
	}
	if info.generate == nil && len(words) > 1 {
		return nil, fmt.Errorf("data set %s takes no options, but %q was given; generated sets do", info.Name, words[1])
	}
	records, err := info.read(words[1:], o)
	return finish(info.Name, records, o.Limit, err)
}

// read reads the raw records of a set; adapted ones are read whole, since an
// adapter may split or drop records.
func (i Info) read(settings []string, o Options) ([]raw, error) {
	switch {
	case i.generate != nil:
		chosen, err := i.settings(settings)
		if err != nil {
			return nil, err
		}
		return i.generate(chosen)
	case i.embedded != "":
		f, err := samples.Open("samples/" + i.embedded)
		if err != nil {
			return nil, fmt.Errorf("reading samples: %w", err)
		}
		defer f.Close()
		return newInput(i.embedded, o.Limit).text(f)
	}
	path, err := i.locate(o.Dir)
	if err != nil {
		return nil, err
	}
	if i.adapt == nil {
		return i.readPath(path, o.Limit)
	}
	records, err := i.readPath(path, 0)
	if err != nil {
		return nil, err
	}
	return i.adapt(i, records)
}

// readPath reads a set's file, or its member of an archive that holds several.
func (i Info) readPath(path string, limit int) ([]raw, error) {
	if !strings.HasSuffix(path, ".zip") {
		return readFile(path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	return newInput(path, limit).zip(f, info.Size(), i.Files[0])
}

// locate finds a set's file in a data folder or the cache.
func (i Info) locate(dir string) (string, error) {
	names := i.Files
	if archive := i.archive(); archive != "" {
		names = append(slices.Clone(names), archive)
	}
	looked := ""
	for _, dir := range []string{dir, os.Getenv("REFREEKV_DATA")} {
		if dir == "" || looked == dir {
			continue
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return "", fmt.Errorf("data set %s: the data folder %s is no folder that can be read; mend --data or $REFREEKV_DATA", i.Name, dir)
		}
		for _, name := range names {
			if path := filepath.Join(dir, name); exists(path) {
				return path, nil
			}
		}
		if looked != "" {
			looked += " nor in "
		}
		looked += dir
	}
	cached, err := i.cachePath()
	if err != nil {
		return "", err
	}
	if exists(cached) {
		return cached, nil
	}
	if looked == "" {
		return "", fmt.Errorf("data set %s is not in the cache (%s); give a folder that holds %s with --data or $REFREEKV_DATA, or fetch it with: refreekv pull dataset %s", i.Name, cached, i.Files[0], i.Name)
	}
	return "", fmt.Errorf("data set %s is neither in %s (as %s) nor in the cache (%s); fetch it with: refreekv pull dataset %s", i.Name, looked, strings.Join(names, " or "), cached, i.Name)
}

func exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// archive is the name of the zip that holds a set among others, if its source
// is one.
func (i Info) archive() string {
	if strings.HasSuffix(i.URL, ".zip") {
		return filepath.Base(i.URL)
	}
	return ""
}

// cachePath is where Pull puts the set; sets that share an archive share it.
func (i Info) cachePath() (string, error) {
	cache, err := hub.CacheDir()
	if err != nil {
		return "", err
	}
	folder := i.Name
	if i.archive() != "" {
		folder = "longbench"
	}
	return filepath.Join(cache, "datasets", folder, filepath.Base(i.URL)), nil
}

// Pull fetches a data set from its public source into the cache and returns the
// path and the registry's row, which names the licence.
func Pull(ctx context.Context, name string, p hub.Progress) (string, Info, error) {
	info, err := find(name)
	if err != nil {
		return "", Info{}, err
	}
	path, err := info.pull(ctx, p)
	return path, info, err
}

func (i Info) pull(ctx context.Context, p hub.Progress) (string, error) {
	if i.URL == "" {
		return "", fmt.Errorf("data set %s comes with the program, there is nothing to fetch", i.Name)
	}
	path, err := i.cachePath()
	if err != nil {
		return "", err
	}
	if err := hub.Fetch(ctx, hub.Download{URL: i.source(), Path: path, Label: i.Name}, p); err != nil {
		return "", fmt.Errorf("data set %s: %w; fetch it by hand and put it at %s, or give a folder that holds %s with --data", i.Name, err, path, i.Files[0])
	}
	return path, nil
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

func find(name string) (Info, error) {
	var names []string
	for _, i := range registry {
		if i.Name == name {
			return i, nil
		}
		names = append(names, i.Name)
	}
	return Info{}, fmt.Errorf("no data set %q: it is neither a file nor one of %s", name, strings.Join(names, ", "))
}

// finish numbers the records and gives each an id that is its own.
func finish(name string, records []raw, limit int, err error) ([]Record, error) {
	if err != nil {
		return nil, err
	}
	if limit > 0 && len(records) > limit {
		records = records[:limit]
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("data set %s holds no record; name a file that does", name)
	}
	out := make([]Record, len(records))
	seen := map[string]string{}
	for i, r := range records {
		id := ownID(r.fields)
		if id == "" {
			id = fmt.Sprintf("%s:%d", filepath.Base(name), i)
		}
		if before, twice := seen[id]; twice {
			return nil, fmt.Errorf("%s: record id %q stands already in %s; ids must differ", r.source, id, before)
		}
		seen[id] = r.source
		out[i] = Record{ID: id, Index: i, Source: r.source, Fields: r.fields}
	}
	return out, nil
}

// ownID is the id that a record carries.
func ownID(fields map[string]any) string {
	for _, name := range []string{"_id", "id"} {
		switch v := fields[name].(type) {
		case string:
			return v
		case int64:
			return fmt.Sprint(v)
		}
	}
	return ""
}
