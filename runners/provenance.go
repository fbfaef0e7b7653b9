package runners

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// Provenance is the content of a run's run.yaml.
type Provenance struct {
	Config   Config                `yaml:"config"`
	Variants []string              `yaml:"variants"` // canonical, in the order of the tables
	Program  Program               `yaml:"program"`
	Models   map[string]ModelFacts `yaml:"models"` // by the config's names, added as they are opened
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

// startProvenance writes run.yaml for a new run. For a folder that holds a run
// already it checks that its rows can stand beside the new ones: the tasks and
// the number of records may differ, nothing else may.
func startProvenance(dir string, plan *Plan) error {
	now := &Provenance{Config: *plan.Config, Program: thisProgram(), Models: map[string]ModelFacts{}}
	for _, v := range plan.Variants {
		now.Variants = append(now.Variants, v.Label)
	}
	before, err := ReadProvenance(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return now.write(dir)
	}
	if err != nil {
		return fmt.Errorf("%w; delete the file or choose another folder with --out", err)
	}
	for _, field := range []struct {
		name string
		same bool
	}{
		{"context_lengths", slices.Equal(before.Config.ContextLengths, now.Config.ContextLengths)},
		{"protocol", before.Config.Protocol == now.Config.Protocol},
		{"variants", slices.Equal(before.Variants, now.Variants)},
	} {
		if !field.same {
			return fmt.Errorf("%s holds a run with other %s; delete that folder or choose another with --out", dir, field.name)
		}
	}
	now.Models, now.Program = before.Models, before.Program
	if now.Models == nil {
		now.Models = map[string]ModelFacts{}
	}
	return now.write(dir)
}

// addModel writes a model's identity into run.yaml, or checks it against what
// stands there: rows of other weights under the same name must not mix.
func addModel(dir, name string, m *model.Model) error {
	p, err := ReadProvenance(dir)
	if err != nil {
		return err
	}
	hash, err := m.Hash()
	if err != nil {
		return fmt.Errorf("hashing the weights of %s: %w", name, err)
	}
	c := m.Config
	facts := ModelFacts{
		Source: m.Source, Architecture: c.Architecture, Weights: hash, Tokenizer: m.Tokenizer.Hash(),
		Layers: c.Layers, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
	}
	before, ok := p.Models[name]
	if !ok {
		if p.Models == nil {
			p.Models = map[string]ModelFacts{}
		}
		p.Models[name] = facts
		return p.write(dir)
	}
	if before.Weights != facts.Weights || before.Tokenizer != facts.Tokenizer {
		return fmt.Errorf("%s holds rows of model %s with other weights or another tokenizer (%s); delete that folder or choose another with --out", dir, name, before.Source)
	}
	return nil
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
