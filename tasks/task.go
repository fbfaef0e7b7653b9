package tasks

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

const protocolsFile = "protocols.yaml"

// Protocols are the names that Task.Protocol knows, the default first.
var Protocols = []string{"standard", "paper"}

// A Task is what its YAML file holds.
type Task struct {
	Name    string `yaml:"-"` // the file's name without .yaml
	About   string `yaml:"about"`
	Dataset string `yaml:"dataset"` // name or path of the data set

	Settings `yaml:",inline"`
	// Paper is what differs under the protocol "paper".
	Paper Settings `yaml:"paper"`
}

// Load reads the task file at a path, or the built-in task of a name.
func Load(nameOrPath string) (*Task, error) {
	raw, err := files.ReadFile(nameOrPath + ".yaml")
	if err == nil && nameOrPath+".yaml" != protocolsFile {
		return parse(nameOrPath, nameOrPath, raw)
	}
	if !strings.HasSuffix(nameOrPath, ".yaml") && !strings.ContainsRune(nameOrPath, filepath.Separator) {
		return nil, fmt.Errorf("task %q is neither built in nor a .yaml file; refreekv list tasks shows what there is%s", nameOrPath, suggest(nameOrPath, names()))
	}
	raw, err = os.ReadFile(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("reading task: %w", err)
	}
	return parse(strings.TrimSuffix(filepath.Base(nameOrPath), ".yaml"), nameOrPath, raw)
}

// parse reads a task file; file is what error messages call it.
func parse(name, file string, raw []byte) (*Task, error) {
	t := &Task{Name: name}
	if err := decodeStrict(raw, t); err != nil {
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
