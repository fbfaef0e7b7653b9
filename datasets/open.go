package datasets

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"refreekv/model/hub"
	"refreekv/spelling"
)

//go:embed samples/*.jsonl
var samples embed.FS

// Options say where to look for a data set and how much of it to read.
type Options struct {
	Dir      string       // looked in first, then $REFREEKV_DATA
	Limit    int          // read only the first records; 0: all
	Progress hub.Progress // told about downloads; may be nil
	// CountTokens counts a text's tokens for the generated sets whose length is
	// in tokens; nil: an estimate that fits English text and large vocabularies.
	CountTokens func(text string) int
	// Check is asked about every record, for instance whether it has the fields
	// that a task needs; what it refuses is a malformed record. May be nil.
	Check func(Record) error
	// Skip, if not nil, makes Open leave malformed records out and count them
	// there; otherwise the first is an error. The set is then read whole.
	Skip *Skipped
}

// Skipped tells what Open left out of a data set.
type Skipped struct {
	Records int      // how many; the unreadable rest of a damaged file counts as one
	Reasons []string // why, of the first few, each with file and line
}

// mostReasons is how many reasons are kept.
const mostReasons = 5

// String is one line: how many, and the first reasons.
func (s *Skipped) String() string {
	if s.Records == 0 {
		return "no record skipped"
	}
	more := ""
	if s.Records > len(s.Reasons) {
		more = "; …"
	}
	return fmt.Sprintf("%d malformed records skipped: %s%s", s.Records, strings.Join(s.Reasons, "; "), more)
}

// refuse is the answer to a malformed record: its error, or nil where such
// records are skipped.
func (s *Skipped) refuse(err error) error {
	if s == nil {
		return err
	}
	s.Records++
	if len(s.Reasons) < mostReasons {
		s.Reasons = append(s.Reasons, err.Error())
	}
	return nil
}

// merge adds what another count holds.
func (s *Skipped) merge(more *Skipped) {
	s.Records += more.Records
	s.Reasons = append(s.Reasons, more.Reasons[:min(len(more.Reasons), mostReasons-len(s.Reasons))]...)
}

// Open reads a data set: a registry name, with options for the generated ones
// ("needle length=2000 depth=0.5"), or the path of a file, of a folder that
// holds one file or its shards, or of shards ("DIR/test" for
// DIR/test-00000-of-00003.parquet and so on). Named sets are looked for in
// Options.Dir, in $REFREEKV_DATA, then in the cache.
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
		paths, pathErr := shardsAt(name)
		if pathErr != nil {
			return nil, pathErr
		}
		if paths == nil {
			return nil, err
		}
		records, err := Info{}.readAll(paths, o)
		return finish(name, records, o, err)
	}
	if info.generate == nil && len(words) > 1 {
		return nil, fmt.Errorf("data set %s takes no options, but %q was given; generated sets do", info.Name, words[1])
	}
	records, err := info.read(words[1:], o)
	out, err := finish(info.Name, records, o, err)
	if err != nil {
		return nil, err
	}
	return out, info.label(out, words[1:])
}

// read reads the raw records of a set.
func (i Info) read(settings []string, o Options) ([]raw, error) {
	switch {
	case i.generate != nil:
		return i.make(settings, o)
	case i.embedded != "":
		f, err := samples.Open("samples/" + i.embedded)
		if err != nil {
			return nil, fmt.Errorf("reading samples: %w", err)
		}
		defer f.Close()
		return newInput(i.embedded, o.Limit).text(f)
	}
	return i.readFiles(o)
}

// readFiles reads a set's files and reshapes their records.
func (i Info) readFiles(o Options) ([]raw, error) {
	paths, err := i.locate(o.Dir)
	if err != nil {
		return nil, err
	}
	records, err := i.readAll(paths, o)
	if err != nil || i.adapt == nil {
		return records, err
	}
	var out []raw
	for _, r := range records {
		adapted, err := i.adapt(r)
		if err != nil {
			if err := o.Skip.refuse(err); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, adapted...)
	}
	return out, nil
}

// readAll reads files one after the other.
func (i Info) readAll(paths []string, o Options) ([]raw, error) {
	whole := newInput("", o.Limit)
	if i.adapt != nil || i.generate != nil || o.Skip != nil {
		whole.limit = 0 // it is not known how many records will remain
	}
	whole.skipped, whole.password, whole.columns = o.Skip, i.password, i.columns
	return whole.each(len(paths), func(in input, k int) ([]raw, error) {
		in.path = paths[k]
		if filepath.Base(in.path) == i.archive() {
			in.member = i.member
		}
		return in.file()
	})
}

// dataFolders are the user's folders of data, each once.
func dataFolders(name, dir string) ([]string, error) {
	var out []string
	for _, dir := range []string{dir, os.Getenv("REFREEKV_DATA")} {
		if dir == "" || slices.Contains(out, dir) {
			continue
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("data set %s: the data folder %s is no folder that can be read; mend --data or $REFREEKV_DATA", name, dir)
		}
		out = append(out, dir)
	}
	return out, nil
}

// locate finds a set's files in a data folder or the cache.
func (i Info) locate(dir string) ([]string, error) {
	names := i.Files
	if archive := i.archive(); archive != "" {
		names = append(slices.Clone(names), archive)
	}
	// The set's own names first, then its name with whatever ending.
	all := slices.Clone(names)
	for _, ending := range recordEndings {
		all = append(all, i.Name+ending)
	}
	dirs, err := dataFolders(i.Name, dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		for _, name := range all {
			paths, err := filesAt(dir, name)
			if err != nil {
				return nil, fmt.Errorf("data set %s: %w", i.Name, err)
			}
			if paths != nil {
				return paths, nil
			}
		}
		paths, err := i.shards(dir)
		if err != nil || paths != nil {
			return paths, err
		}
	}
	cached, err := i.cachePath()
	if err != nil {
		return nil, err
	}
	if exists(cached) {
		return []string{cached}, nil
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("data set %s is not in the cache (%s); give a folder that holds %s with --data or $REFREEKV_DATA, or fetch it with: refreekv pull dataset %s", i.Name, cached, i.Files[0], i.Name)
	}
	return nil, fmt.Errorf("data set %s is neither in %s (as %s, or as %s with the ending %s) nor in the cache (%s); fetch it with: refreekv pull dataset %s",
		i.Name, strings.Join(dirs, " nor in "), strings.Join(names, " or "), i.Name, strings.Join(recordEndings, ", "), cached, i.Name)
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
	return filepath.Join(cache, "datasets", cmp.Or(i.group, i.Name), filepath.Base(i.URL)), nil
}

func find(name string) (Info, error) {
	var names []string
	for _, i := range registry {
		if i.Name == name {
			return i, nil
		}
		names = append(names, i.Name)
	}
	return Info{}, fmt.Errorf("no data set %q: it is neither a file nor a name of refreekv list datasets%s", name, spelling.Suggest(name, names, ""))
}

// finish numbers the records and gives each an id that is its own. Where
// malformed ones are skipped, those are too that repeat an id.
func finish(name string, records []raw, o Options, err error) ([]Record, error) {
	if err != nil {
		return nil, err
	}
	var out []Record
	seen := map[string]string{}
	for i, r := range records {
		if o.Limit > 0 && len(out) == o.Limit {
			break
		}
		id := ownID(r.fields)
		if id == "" {
			id = fmt.Sprintf("%s:%d", filepath.Base(name), i)
		}
		record := Record{ID: id, Index: len(out), Source: r.source, Fields: r.fields}
		err := error(nil)
		if before, twice := seen[id]; twice {
			err = fmt.Errorf("%s: record id %q stands already in %s; ids must differ", r.source, id, before)
		} else if o.Check != nil {
			err = o.Check(record)
		}
		if err != nil {
			if err := o.Skip.refuse(err); err != nil {
				return nil, err
			}
			continue
		}
		seen[id] = r.source
		out = append(out, record)
	}
	if len(out) == 0 {
		if o.Skip != nil && o.Skip.Records > 0 {
			return nil, fmt.Errorf("data set %s holds no good record (%s); mend it or name another", name, o.Skip)
		}
		return nil, fmt.Errorf("data set %s holds no record; name a file that does", name)
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
