package runners

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v4"

	"refreekv/model/hub"
	"refreekv/runners/rows"
)

// A Submission is an experiment that was handed to a cluster in a run's folder.
type Submission struct {
	Shards int    `yaml:"shards"`
	Engine string `yaml:"engine"` // slurm or k8s
}

// Names of what stands in a run's folder that was submitted, see [SubmitPath].
const (
	SubmittedConfig = "config.yaml"
	submissionFile  = "submission.yaml"
)

// SubmitPath is the path of a file with which a run's folder was submitted: the
// config that all shards run (SubmittedConfig), the scheduler's job, its logs.
func SubmitPath(dir, name string) string { return filepath.Join(dir, "submit", name) }

// Submit makes dir the folder of an experiment that runs in shards elsewhere: it
// stores the config in dir/submit/config.yaml, so that all shards run the same. A
// folder that was submitted in other shards is refused.
func Submit(dir string, c *Config, s Submission) error {
	raw, err := c.YAML()
	if err != nil {
		return err
	}
	if n, err := countShards(dir); err == nil && n > 1 && n != s.Shards {
		return fmt.Errorf("%s is cut into %d shards, not %d; give --shards %d, or another folder with --out", dir, n, s.Shards, n)
	}
	folder := SubmitPath(dir, "")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return rows.WriteError("making", folder, err)
	}
	settings, err := yaml.Dump(s)
	if err != nil {
		return fmt.Errorf("storing the submission: %w", err)
	}
	for name, content := range map[string][]byte{SubmittedConfig: raw, submissionFile: settings} {
		path := SubmitPath(dir, name)
		if err := renameio.WriteFile(path, content, 0o644); err != nil {
			return rows.WriteError("writing", path, err)
		}
	}
	return nil
}

func readSubmitted(dir string) (Submission, error) {
	var s Submission
	path := SubmitPath(dir, submissionFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := yaml.Load(raw, &s, yaml.WithKnownFields()); err != nil {
		return s, fmt.Errorf("%s: %s", path, oneLine(err))
	}
	if s.Shards < 1 {
		return s, fmt.Errorf("%s: shards is %d", path, s.Shards)
	}
	return s, nil
}

// YAML is the config as a file that LoadConfig reads, good in any folder: paths are
// absolute.
func (c *Config) YAML() ([]byte, error) {
	f := configFile{Config: *c}
	f.Models, f.Tasks = slices.Clone(c.Models), slices.Clone(c.Tasks)
	for i, name := range f.Models {
		if !hub.IsName(name) {
			f.Models[i] = absolute(name)
		}
	}
	for i, name := range f.Tasks {
		if strings.HasSuffix(name, ".yaml") {
			f.Tasks[i] = absolute(name)
		}
	}
	if c.Data != "" {
		f.Data = absolute(c.Data)
	}
	for _, spec := range c.Variants {
		f.Variants = append(f.Variants, spec.String())
	}
	raw, err := yaml.Dump(f)
	if err != nil {
		return nil, fmt.Errorf("writing the config: %w", err)
	}
	return raw, nil
}

// Paths are the files and folders here that the config names: the data, models and
// tasks of one's own. They are absolute.
func (c *Config) Paths() (out []string) {
	for _, name := range slices.Concat([]string{c.Data}, c.Models, c.Tasks) {
		if hub.IsName(name) {
			continue
		}
		if path := absolute(name); filepath.IsAbs(path) {
			out = append(out, path)
		}
	}
	return out
}

// absolute makes a name absolute that is a file or folder here.
func absolute(name string) string {
	if _, err := os.Stat(name); err != nil {
		return name
	}
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return name
}
