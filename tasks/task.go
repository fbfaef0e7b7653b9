package tasks

import (
	"cmp"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"refreekv/spelling"
	"refreekv/yamlfile"
)

//go:embed *.yaml
var files embed.FS

const protocolsFile = "protocols.yaml"

// Protocols are the names that Task.Protocol knows, the default first.
var Protocols = []string{"standard", "paper"}

// A Task is what its YAML file holds.
type Task struct {
	Name    string `yaml:"-"` // the file's name without .yaml, and the options behind it
	Extends string `yaml:"extends"`
	About   string `yaml:"about"`
	Dataset string `yaml:"dataset"` // name or path of the data set
	// Protected says that the data set's authors ask that its texts are not
	// published: they are neither shown nor stored.
	Protected bool `yaml:"protected"`

	Settings `yaml:",inline"`
	// Paper is what differs under the protocol "paper".
	Paper Settings `yaml:"paper"`
}

// Load reads the task file at a path, or the built-in task of a name. Options of
// a generated data set may stand behind it: "niah_single_1 length=8192" is a task
// of that name.
func Load(nameOrPath string) (*Task, error) { return load(nameOrPath, nil) }

var withOptions = regexp.MustCompile(`^(.*\.yaml|\S+)((?: +[a-z_]+=\S+)+)$`)

// load is Load of what the tasks in from extend, the last one directly.
func load(nameOrPath string, from []string) (*Task, error) {
	if m := withOptions.FindStringSubmatch(nameOrPath); m != nil && !strings.HasSuffix(nameOrPath, ".yaml") {
		t, err := load(m[1], from)
		if err != nil {
			return nil, err
		}
		options := " " + strings.Join(strings.Fields(m[2]), " ")
		t.Name, t.Dataset = t.Name+options, t.Dataset+options
		return t, nil
	}
	raw, err := files.ReadFile(nameOrPath + ".yaml")
	if err == nil && nameOrPath+".yaml" != protocolsFile {
		return parse(nameOrPath, nameOrPath, raw, from)
	}
	if !strings.HasSuffix(nameOrPath, ".yaml") && !strings.ContainsRune(nameOrPath, filepath.Separator) {
		return nil, fmt.Errorf("task %q is neither built in nor a .yaml file%s", nameOrPath, spelling.Suggest(nameOrPath, names(), "refreekv list tasks shows what there is"))
	}
	raw, err = os.ReadFile(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("reading task: %w", err)
	}
	return parse(strings.TrimSuffix(filepath.Base(nameOrPath), ".yaml"), nameOrPath, raw, from)
}

// parse reads a task file; file is what error messages call it.
func parse(name, file string, raw []byte, from []string) (*Task, error) {
	t := &Task{Name: name}
	if err := yamlfile.Decode(raw, t); err != nil {
		return nil, fmt.Errorf("task %s: %w", file, err)
	}
	t.Dataset = beside(file, t.Dataset)
	if err := t.extend(file, from); err != nil {
		return nil, fmt.Errorf("task %s: %w", file, err)
	}
	if t.Dataset == "" {
		return nil, fmt.Errorf("task %s: field dataset is missing; name a data set (refreekv list datasets) or a file", file)
	}
	for _, protocol := range Protocols {
		if _, err := t.Protocol(protocol); err != nil {
			return nil, fmt.Errorf("task %s: %w", file, err)
		}
	}
	return t, nil
}

// extend lays the task over the one that it extends, if any.
func (t *Task) extend(file string, from []string) error {
	if t.Extends == "" {
		return nil
	}
	if slices.Contains(from, file) {
		return fmt.Errorf("field extends leads back to this task (%s)", strings.Join(append(from, file), " → "))
	}
	base, err := load(beside(file, t.Extends), append(from, file))
	if err != nil {
		return fmt.Errorf("field extends: %w", err)
	}
	t.About, t.Dataset = cmp.Or(t.About, base.About), cmp.Or(t.Dataset, base.Dataset)
	t.Protected = t.Protected || base.Protected
	t.Settings, t.Paper = merge(base.Settings, t.Settings), merge(base.Paper, t.Paper)
	return nil
}

// beside is the path of what a task's file names, if that stands beside it; other
// names stay as they are.
func beside(file, name string) string {
	if !strings.HasSuffix(file, ".yaml") || filepath.Ext(name) == "" || filepath.IsAbs(name) {
		return name
	}
	path := filepath.Join(filepath.Dir(file), name)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return name
	}
	return path
}

// List returns the built-in tasks, sorted by name.
func List() []*Task {
	var out []*Task
	for _, name := range names() {
		t, err := Load(name)
		if err != nil {
			panic(err) // the embedded files are checked by the tests
		}
		out = append(out, t)
	}
	return out
}

func names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the embedded folder always reads
	}
	var out []string
	for _, e := range entries {
		if e.Name() != protocolsFile {
			out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
		}
	}
	slices.Sort(out)
	return out
}
