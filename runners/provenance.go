package runners

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v4"

	"refreekv/model/tensor"
	"refreekv/runners/rows"
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
	Variants []string              `yaml:"variants"`                 // canonical, in the order of the tables
	Program  Program               `yaml:"program"`                  // that computed the first rows
	Also     []Program             `yaml:"program_also,omitempty"`   // others that computed some
	Tasks    map[string]string     `yaml:"task_sha256,omitempty"`    // hash of each task's definition under the protocol
	Scoring  *Scoring              `yaml:"scored_again,omitempty"`   // set by Rescore
	NoTexts  bool                  `yaml:"texts_left_out,omitempty"` // set by WithoutTexts
	Models   map[string]ModelFacts `yaml:"models"`                   // by the config's names, added as they are opened
}

// Program says which build computed the run, and on what.
type Program struct {
	Version string `yaml:"version"`
	Go      string `yaml:"go"`
	Machine string `yaml:"machine"`
	CPU     string `yaml:"cpu,omitempty"` // not in runs of earlier versions
	Kernels string `yaml:"kernels"`
	Threads int    `yaml:"threads"`
	Rows    int    `yaml:"rows_version,omitempty"` // raised where the same inputs may give other rows
}

// ModelFacts identify a model exactly.
type ModelFacts struct {
	Source       string `yaml:"source"`
	Architecture string `yaml:"architecture"`
	Weights      string `yaml:"weights_sha256"`
	Config       string `yaml:"config_sha256,omitempty"` // of config.json; empty where the weights' file holds the config
	Tokenizer    string `yaml:"tokenizer_sha256"`        // chat template and stop tokens included
	Template     string `yaml:"chat_template_sha256,omitempty"`
	Parameters   int64  `yaml:"parameters,omitempty"` // numbers in all tensors that are used; 0 in runs of earlier versions
	Layers       int    `yaml:"layers"`
	Heads        int    `yaml:"query_heads"`
	KVHeads      int    `yaml:"kv_heads"`
	HeadDim      int    `yaml:"head_dim"`
}

// noRun says that a folder holds no run, and what to give instead.
func noRun(dir string, err error) error {
	if shards, _ := filepath.Glob(filepath.Join(dir, "shard-*-of-*")); len(shards) > 0 {
		return fmt.Errorf("reading the run: %s holds shards; merge them with refreekv report %s --out DIR, or name one", dir, filepath.Join(dir, "shard-*"))
	}
	return fmt.Errorf("reading the run: %w; name a folder that refreekv run wrote, such as results/quickstart", err)
}

// ReadProvenance reads a run's run.yaml.
func ReadProvenance(dir string) (*Provenance, error) {
	path := filepath.Join(dir, provenanceFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, noRun(dir, err)
	}
	var p Provenance
	if err := yaml.Load(raw, &p, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%s: %s", path, oneLine(err))
	}
	if field := p.cutOff(); field != "" {
		return nil, fmt.Errorf("%s: %s is missing: the file is cut off; put a whole copy back, or run anew in another folder", path, field)
	}
	return &p, nil
}

// cutOff names what is missing of the last fields of run.yaml, which any run has.
func (p *Provenance) cutOff() string {
	if p.Models == nil {
		return "models"
	}
	for name, facts := range p.Models {
		if facts.HeadDim == 0 {
			return "models." + name + ".head_dim"
		}
	}
	return ""
}

// YAML is the text of run.yaml.
func (p *Provenance) YAML() (string, error) {
	raw, err := yaml.Dump(p)
	if err != nil {
		return "", fmt.Errorf("writing the run's provenance: %w", err)
	}
	return string(raw), nil
}

func (p *Provenance) write(dir string) error {
	text, err := p.YAML()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, provenanceFile)
	if err := renameio.WriteFile(path, []byte(text), 0o644); err != nil {
		return rows.WriteError("writing", path, err)
	}
	return nil
}

// startProvenance is the provenance of a run that is about to begin in dir, and
// that of the run which the folder holds already, if it does. A folder of another
// experiment is refused. It writes nothing.
func startProvenance(dir string, plan *Plan) (now, before *Provenance, err error) {
	now = &Provenance{Config: *plan.Config, Variants: plan.labels(), Program: thisProgram(), Tasks: map[string]string{}, Models: map[string]ModelFacts{}}
	for _, t := range plan.Tasks {
		now.Tasks[t.Name] = t.Definition.Hash()
	}
	before, err = ReadProvenance(dir)
	if errors.Is(err, fs.ErrNotExist) {
		path := filepath.Join(dir, rowsFile)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return nil, nil, fmt.Errorf("%s stands without the %s that says how its rows came about; delete it or choose another folder with --out", path, provenanceFile)
		}
		return now, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w; delete that folder or choose another with --out", err)
	}
	if before.Config.Name != now.Config.Name {
		return nil, nil, fmt.Errorf("%s holds the experiment %s, not %s; delete that folder or choose another with --out", dir, before.Config.Name, now.Config.Name)
	}
	now.Scoring = before.scoringOf(now.Tasks)
	return now, before, nil
}

// changes says in which settings a run differs from the one before it in the same
// folder, models aside.
func (p *Provenance) changes(before *Provenance) []string {
	var out []string
	value := func(name string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf("%s (%v, now %v)", name, a, b))
		}
	}
	value("protocol", before.Config.Protocol, p.Config.Protocol)
	value("dtype", before.Config.dtype(), p.Config.dtype())
	value("fidelity", before.Config.fidelity(), p.Config.fidelity())
	value("isolated", before.Config.Isolated, p.Config.Isolated)
	value("new_tokens", before.Config.NewTokens, p.Config.NewTokens)
	value("rows_version", before.Program.Rows, rowsVersion)
	out = append(out, changed("variant", before.Variants, p.Variants)...)
	out = append(out, changed("context length", before.Config.ContextLengths, p.Config.ContextLengths)...)
	for _, name := range slices.Sorted(maps.Keys(p.Tasks)) {
		if hash, ok := before.Tasks[name]; ok && hash != p.Tasks[name] {
			out = append(out, "definition of task "+name)
		}
	}
	return out
}

// changed lists what came into a list and what left it.
func changed[T comparable](what string, before, after []T) (out []string) {
	for _, v := range after {
		if !slices.Contains(before, v) {
			out = append(out, fmt.Sprintf("new %s %v", what, v))
		}
	}
	for _, v := range before {
		if !slices.Contains(after, v) {
			out = append(out, fmt.Sprintf("no %s %v", what, v))
		}
	}
	return out
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

// same reports whether two models compute the same.
func (f ModelFacts) same(b ModelFacts) bool { return len(f.others(b)) == 0 }

// others says in what two models of one name differ.
func (f ModelFacts) others(b ModelFacts) (out []string) {
	if f.Weights != b.Weights {
		out = append(out, "other weights")
	}
	// Runs of earlier versions do not tell the config.
	if f.Config != b.Config && f.Config != "" && b.Config != "" {
		out = append(out, "another config.json")
	}
	// The tokenizer's hash covers the template, of which runs of earlier versions
	// do not tell.
	switch {
	case f.Tokenizer == b.Tokenizer:
	case f.Template != b.Template:
		out = append(out, "another chat template, perhaps another tokenizer")
	default:
		out = append(out, "another tokenizer")
	}
	return out
}

func thisProgram() Program {
	return Program{
		Version: Version(), Go: runtime.Version(), Machine: runtime.GOOS + "/" + runtime.GOARCH, CPU: tensor.Processor(),
		Kernels: tensor.Level(), Threads: tensor.Threads(), Rows: rowsVersion,
	}
}
