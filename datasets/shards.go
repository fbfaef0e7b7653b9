package datasets

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Hugging Face lays a split of a data set out as shards, "test-00000-of-00003.parquet"
// and so on, or as a folder of numbered files, "default/test/0000.parquet".
var (
	shardName    = regexp.MustCompile(`^(.+)-(\d{5})-of-(\d{5})(\..+)$`)
	numberedName = regexp.MustCompile(`^(0\d{3,4})\..+$`)
)

// filesAt are the files of that name in a folder: one, or, where the name holds
// a *, all that match; nil if there is none.
func filesAt(dir, name string) ([]string, error) {
	path := filepath.Join(dir, name)
	if !strings.Contains(name, "*") {
		if exists(path) {
			return []string{path}, nil
		}
		return nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(globEscape(dir), name))
	if err != nil {
		return nil, fmt.Errorf("looking for %s: %w", path, err)
	}
	return slices.DeleteFunc(paths, func(path string) bool { return !exists(path) }), nil
}

// globEscape is a path in which no sign stands for others.
func globEscape(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}

// shards are the files of a set's split in the folder of its name.
func (i Info) shards(dir string) ([]string, error) {
	folder := filepath.Join(dir, i.Name)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, nil
	}
	groups, err := shardGroups(folder)
	if err != nil {
		return nil, err
	}
	split := cmp.Or(i.split, "test")
	var found []string
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		if filepath.Base(name) == split {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return groups[found[0]].complete()
	}
	return nil, fmt.Errorf("data set %s: there are several splits %s: %s; leave one", i.Name, split, strings.Join(found, ", "))
}

// shardsAt are the files that a path means: itself, the shards that begin with
// it, or what a folder holds. nil if there is nothing.
func shardsAt(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		groups, err := shardGroups(path)
		if err != nil {
			return nil, err
		}
		names := slices.Sorted(maps.Keys(groups))
		switch {
		case len(names) == 0:
			return nil, fmt.Errorf("%s holds no file of records (%s); name a file", path, strings.Join(recordEndings, ", "))
		case len(names) > 1:
			return nil, fmt.Errorf("%s holds several sets of records; name one of %s", path, strings.Join(names[:min(len(names), 8)], ", "))
		}
		return groups[names[0]].complete()
	}
	if err == nil {
		return []string{path}, nil
	}
	groups, err := shardGroups(filepath.Dir(path))
	if err != nil {
		return nil, nil // no such folder: the name is no path
	}
	return groups[filepath.Clean(path)].complete()
}

// A group is the files of one split.
type group []string

// shardGroups finds the files of records in a folder and its folders, by the
// name of their split: "DIR/test", or the file's own path.
func shardGroups(dir string) (map[string]group, error) {
	const deepest = 3
	groups := map[string]group{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel, _ := filepath.Rel(dir, path); strings.Count(rel, string(filepath.Separator)) >= deepest || path != dir && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !isRecordFile(path) || !exists(path) {
			return nil
		}
		name := path
		if m := shardName.FindStringSubmatch(d.Name()); m != nil {
			name = filepath.Join(filepath.Dir(path), m[1])
		} else if numberedName.MatchString(d.Name()) {
			name = filepath.Dir(path)
		}
		groups[name] = append(groups[name], path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for records: %w", err)
	}
	return groups, nil
}

// complete is the group, in the order of the shards' numbers; none may be
// missing.
func (g group) complete() ([]string, error) {
	slices.Sort(g)
	for i, path := range g {
		number, of := i, len(g)
		if m := shardName.FindStringSubmatch(filepath.Base(path)); m != nil {
			number, _ = strconv.Atoi(m[2])
			of, _ = strconv.Atoi(m[3])
		} else if m := numberedName.FindStringSubmatch(filepath.Base(path)); m != nil {
			number, _ = strconv.Atoi(m[1])
		}
		if number != i || of != len(g) {
			return nil, fmt.Errorf("%s: %d shards are here, and this is number %d of %d; put all of them there, and those of one download only", path, len(g), number, max(of, number+1))
		}
	}
	return g, nil
}
