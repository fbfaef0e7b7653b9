package runners

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v4"

	"refreekv/model"
	"refreekv/model/tensor"
)

// provenanceFile holds the experiment as run and what it was run with.
const provenanceFile = "run.yaml"

// rowsFile and parquetFile hold the rows.
const (
	rowsFile    = "rows.jsonl"
	parquetFile = "rows.parquet"
)

// Provenance is the content of a run's run.yaml.
type Provenance struct {
	Config   Config                `yaml:"config"`
	Variants []string              `yaml:"variants"` // canonical, in the order of the tables
	Program  Program               `yaml:"program"`
	Tasks    map[string]string     `yaml:"task_sha256,omitempty"`  // hash of each task's definition under the protocol
	Scoring  *Scoring              `yaml:"scored_again,omitempty"` // set by Rescore
	Models   map[string]ModelFacts `yaml:"models"`                 // by the config's names, added as they are opened
}

// Program says which build computed the run, and on what.
type Program struct {
	Version string `yaml:"version"`
	Go      string `yaml:"go"`
	Machine string `yaml:"machine"`
	Kernels string `yaml:"kernels"`
	Threads int    `yaml:"threads"`
}

// ModelFacts identify a model exactly.
type ModelFacts struct {
	Source       string `yaml:"source"`
	Architecture string `yaml:"architecture"`
	Weights      string `yaml:"weights_sha256"`
	Tokenizer    string `yaml:"tokenizer_sha256"`
	Layers       int    `yaml:"layers"`
	Heads        int    `yaml:"query_heads"`
	KVHeads      int    `yaml:"kv_heads"`
	HeadDim      int    `yaml:"head_dim"`
}

// ReadProvenance reads a run's run.yaml.
func ReadProvenance(dir string) (*Provenance, error) {
	path := filepath.Join(dir, provenanceFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the run: %w", err)
	}
	var p Provenance
	if err := yaml.Load(raw, &p, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%s: %s", path, oneLine(err))
	}
	return &p, nil
}

func (p *Provenance) write(dir string) error {
	raw, err := yaml.Dump(p)
	if err != nil {
		return fmt.Errorf("writing the run's provenance: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, provenanceFile), raw, 0o644); err != nil {
		return fmt.Errorf("writing the run's provenance: %w", err)
	}
	return nil
}

// startProvenance is the provenance of a run that is about to begin in dir. For a
// folder that holds a run already it checks that its rows can stand beside the
// new ones: the models, the tasks and the number of records may differ, nothing
// else may. It writes nothing.
func startProvenance(dir string, plan *Plan) (*Provenance, error) {
	now := &Provenance{Config: *plan.Config, Variants: plan.labels(), Program: thisProgram(), Tasks: map[string]string{}, Models: map[string]ModelFacts{}}
	for _, t := range plan.Tasks {
		now.Tasks[t.Name] = t.Definition.Hash()
	}
	before, err := ReadProvenance(dir)
	if errors.Is(err, fs.ErrNotExist) {
		path := filepath.Join(dir, rowsFile)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return nil, fmt.Errorf("%s stands without the %s that says how its rows came about; delete it or choose another folder with --out", path, provenanceFile)
		}
		return now, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w; delete that folder or choose another with --out", err)
	}
	for _, field := range []struct {
		name          string
		before, after any
	}{
		{"context_lengths", before.Config.ContextLengths, now.Config.ContextLengths},
		{"protocol", before.Config.Protocol, now.Config.Protocol},
		{"variants", before.Variants, now.Variants},
		{"isolated", before.Config.Isolated, now.Config.Isolated},
		{"fidelity", before.Config.fidelity(), now.Config.fidelity()},
	} {
		if !reflect.DeepEqual(field.before, field.after) {
			return nil, fmt.Errorf("%s holds a run with other %s (%v, now %v); delete that folder or choose another with --out", dir, field.name, field.before, field.after)
		}
	}
	if now.Tasks, err = joinTasks(before.Tasks, now.Tasks); err != nil {
		return nil, fmt.Errorf("%s holds rows made under another %w; delete that folder or choose another with --out", dir, err)
	}
	now.Program = before.Program
	if before.Models != nil {
		now.Models = before.Models
	}
	return now, nil
}

// joinTasks joins the definitions of two runs' tasks, unless one differs.
func joinTasks(a, b map[string]string) (map[string]string, error) {
	out := maps.Clone(b)
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if hash, ok := b[name]; ok && hash != a[name] {
			return nil, fmt.Errorf("definition of task %s", name)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = a[name]
	}
	return out, nil
}

// add writes down a model's identity, or checks it against what stands there:
// rows of other weights under the same name must not mix.
func (p *Provenance) add(dir, name string, m *model.Model) error {
	hash, err := m.Hash()
	if err != nil {
		return fmt.Errorf("hashing the weights of %s: %w", name, err)
	}
	c := m.Config
	facts := ModelFacts{
		Source: m.Source, Architecture: c.Architecture, Weights: hash, Tokenizer: m.Tokenizer.Hash(),
		Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
	}
	if before, ok := p.Models[name]; ok && !before.same(facts) {
		return fmt.Errorf("%s holds rows of model %s with other weights or another tokenizer (%s); delete that folder or choose another with --out", dir, name, before.Source)
	}
	p.Models[name] = facts
	return p.write(dir)
}

// same reports whether two models compute the same.
func (f ModelFacts) same(b ModelFacts) bool {
	return f.Weights == b.Weights && f.Tokenizer == b.Tokenizer
}

// Version is the program's version: the module's, or the commit it was built
// from, or "devel".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	version, revision, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	switch {
	case version != "" && version != "(devel)":
		return version
	case revision != "":
		return revision + dirty
	}
	return "devel"
}

func thisProgram() Program {
	return Program{
		Version: Version(), Go: runtime.Version(), Machine: runtime.GOOS + "/" + runtime.GOARCH,
		Kernels: tensor.Level(), Threads: tensor.Threads(),
	}
}
