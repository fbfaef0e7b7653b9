package runners

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"refreekv/configs"
	"refreekv/pruners"
)

// A Config is one experiment, as its YAML file says.
type Config struct {
	// Name names the run's folder below results/.
	Name string `yaml:"name"`
	// About says in a line what the experiment shows.
	About string `yaml:"about,omitempty"`
	// Models are registry names, hub ids, folders or .gguf files.
	Models []string `yaml:"models"`
	// ContextLengths are the longest prompts in tokens; each is an axis value.
	ContextLengths []int `yaml:"context_lengths"`
	// Protocol is standard or paper.
	Protocol string `yaml:"protocol"`
	// Tasks are task names or paths of task files.
	Tasks []string `yaml:"tasks"`
	// Records is how many records of each task are run, from the first; 0: all.
	Records int `yaml:"records"`
	// Data is a folder with data sets, looked in first.
	Data string `yaml:"data,omitempty"`
	// Variants are the pruners and their settings, each list of settings
	// already multiplied out.
	Variants []pruners.Spec `yaml:"-"`
}

// configFile is a Config as written, variants not yet multiplied out.
type configFile struct {
	Config   `yaml:",inline"`
	Variants []any `yaml:"variants"`
}

// Overrides change a config from the command line. Zero values change nothing.
type Overrides struct {
	Models   []string
	Tasks    []string
	Variants []string // "snapkv budget=0.5"
	Limit    int
	Data     string
	Set      []string // key=value, the value in YAML: "context_lengths=[2048, 4096]"
}

// LoadConfig reads the config at path, or the embedded one of that name
// (quickstart), with the overrides applied.
func LoadConfig(path string, o Overrides) (*Config, error) {
	raw, name, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	if raw, err = applySets(raw, o.Set); err != nil {
		return nil, err
	}
	var f configFile
	if err := yaml.Load(raw, &f, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("%s: %s", name, oneLine(err))
	}
	c := f.Config
	for _, v := range f.Variants {
		specs, err := expandVariant(v)
		if err != nil {
			return nil, fmt.Errorf("%s: variants: %w", name, err)
		}
		c.Variants = append(c.Variants, specs...)
	}
	if err := c.override(o); err != nil {
		return nil, err
	}
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &c, nil
}

func readConfig(path string) (raw []byte, name string, err error) {
	raw, err = os.ReadFile(path)
	if err == nil {
		return raw, path, nil
	}
	embedded := strings.TrimSuffix(path, ".yaml")
	if raw, embeddedErr := configs.Files.ReadFile(embedded + ".yaml"); embeddedErr == nil {
		return raw, embedded, nil
	}
	if strings.ContainsRune(path, filepath.Separator) || strings.HasSuffix(path, ".yaml") {
		return nil, "", fmt.Errorf("reading config: %w", err)
	}
	return nil, "", fmt.Errorf("config %q is neither a file nor one of the built-in ones: %s", path, strings.Join(configs.Names(), ", "))
}

// applySets writes key=value pairs over top-level keys of a YAML document.
func applySets(raw []byte, sets []string) ([]byte, error) {
	if len(sets) == 0 {
		return raw, nil
	}
	var doc map[string]any
	if err := yaml.Load(raw, &doc); err != nil {
		return nil, fmt.Errorf("config: %s", oneLine(err))
	}
	for _, set := range sets {
		key, value, ok := strings.Cut(set, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--set %q: want key=value", set)
		}
		var v any
		if err := yaml.Load([]byte(value), &v); err != nil {
			return nil, fmt.Errorf("--set %s: %s", key, oneLine(err))
		}
		doc[key] = v
	}
	return yaml.Dump(doc)
}

func (c *Config) override(o Overrides) error {
	if len(o.Models) > 0 {
		c.Models = o.Models
	}
	if len(o.Tasks) > 0 {
		c.Tasks = o.Tasks
	}
	if o.Limit > 0 {
		c.Records = o.Limit
	}
	if o.Data != "" {
		c.Data = o.Data
	}
	if len(o.Variants) == 0 {
		return nil
	}
	c.Variants = nil
	for _, text := range o.Variants {
		spec, err := pruners.Parse(text)
		if err != nil {
			return fmt.Errorf("--variants: %w", err)
		}
		c.Variants = append(c.Variants, spec)
	}
	return nil
}

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// complete fills in defaults and refuses what cannot be run.
func (c *Config) complete() error {
	if c.Protocol == "" {
		c.Protocol = "standard"
	}
	if len(c.ContextLengths) == 0 {
		c.ContextLengths = []int{4096}
	}
	switch {
	case !runName.MatchString(c.Name):
		return fmt.Errorf("name: %q cannot name a folder; use letters, digits, '.', '_' and '-'", c.Name)
	case len(c.Models) == 0:
		return fmt.Errorf("models: name at least one model")
	case len(c.Tasks) == 0:
		return fmt.Errorf("tasks: name at least one task (refreekv list tasks)")
	case len(c.Variants) == 0:
		return fmt.Errorf("variants: name at least one pruner (refreekv list pruners)")
	case c.Protocol != "standard" && c.Protocol != "paper":
		return fmt.Errorf("protocol: %q is neither standard nor paper", c.Protocol)
	case c.Records < 0:
		return fmt.Errorf("records: %d is negative; 0 means all", c.Records)
	}
	for _, n := range c.ContextLengths {
		if n < 16 {
			return fmt.Errorf("context_lengths: %d tokens hold no prompt; use at least 16", n)
		}
	}
	seen := map[string]bool{}
	for _, spec := range c.Variants {
		if _, err := pruners.New(spec); err != nil {
			return fmt.Errorf("variants: %w", err)
		}
		if seen[spec.String()] {
			return fmt.Errorf("variants: %q is named twice", spec.String())
		}
		seen[spec.String()] = true
	}
	for what, names := range map[string][]string{"models": c.Models, "tasks": c.Tasks} {
		twice := map[string]bool{}
		for _, name := range names {
			if twice[name] {
				return fmt.Errorf("%s: %q is named twice", what, name)
			}
			twice[name] = true
		}
	}
	return nil
}

// oneLine folds an error's text into one line.
func oneLine(err error) string {
	return string(bytes.Join(bytes.Fields([]byte(err.Error())), []byte(" ")))
}
