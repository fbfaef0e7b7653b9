package runners

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"refreekv/configs"
	"refreekv/model/tensor"
	"refreekv/pruners"
	"refreekv/spelling"
	"refreekv/tasks"
	"refreekv/yamlfile"
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
	// Protocol is standard or paper, or one of them with settings switched to the
	// other's value: standard+chat, paper-truncate.
	Protocol string `yaml:"protocol"`
	// Tasks are task names or paths of task files.
	Tasks []string `yaml:"tasks"`
	// Records is how many records of each task are run, from the first; 0: all.
	Records int `yaml:"records"`
	// DType is the format in which weights are held and multiplied: float32,
	// bfloat16, bfloat16-both or int8.
	DType tensor.DType `yaml:"dtype,omitempty"`
	// Fidelity is how many tokens of the full cache's continuation, and of the
	// reference answer, every variant is compared on; 0: none.
	Fidelity *int `yaml:"fidelity"`
	// Isolated, above 0, runs every variant by itself so many times, from prefill to
	// the last token over a cache of its own, and reports the medians of its times:
	// for honest latency and memory. 0: variants share a record's prefill.
	Isolated int `yaml:"isolated,omitempty"`
	// NewTokens, above 0, makes every text exactly so many tokens long, in place of
	// the task's limit and stop rules: for latency and throughput at given lengths.
	NewTokens int `yaml:"new_tokens,omitempty"`
	// SkipBad leaves malformed records out and counts them; else one ends the run.
	SkipBad bool `yaml:"skip_bad,omitempty"`
	// Data is a folder with data sets, looked in first.
	Data string `yaml:"data,omitempty"`
	// Variants are the pruners and their settings, each list of settings
	// already multiplied out.
	Variants []pruners.Spec `yaml:"-"`
}

// fidelity is the field Fidelity of a config that is run; runs of earlier
// versions have none.
func (c Config) fidelity() int {
	if c.Fidelity == nil {
		return 0
	}
	return *c.Fidelity
}

// dtype is the field DType of a config that is run; runs of earlier versions have
// none.
func (c Config) dtype() tensor.DType {
	if c.DType == "" {
		return tensor.Float32
	}
	return c.DType
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
	Isolated bool // run variants by themselves, so often as the config says, else DefaultRepeats times
	SkipBad  bool
	Data     string
	DType    string
	Set      []string // key=value, the value in YAML: "context_lengths=[2048, 4096]"
}

// An OverrideError is a wrong value among the overrides, not in the file.
type OverrideError struct {
	Flag string // where the value was given: "--tasks", "--set records"
	Err  error
}

// Error is the flag and what is wrong with its value.
func (e *OverrideError) Error() string { return e.Flag + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the value.
func (e *OverrideError) Unwrap() error { return e.Err }

// A fieldError is a wrong value of a config's field, wherever it came from.
type fieldError struct {
	field string
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }

func wrong(field, format string, args ...any) *fieldError {
	return &fieldError{field, fmt.Errorf(format, args...)}
}

// LoadConfig reads the config at path, or the embedded one of that name
// (quickstart), with the overrides applied. What is wrong with these is an
// *OverrideError, what is wrong with the file names the file.
func LoadConfig(path string, o Overrides) (*Config, error) {
	raw, name, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	return parseConfig(raw, name, o)
}

// parseConfig is LoadConfig of a file's contents; errors call the file name.
func parseConfig(raw []byte, name string, o Overrides) (*Config, error) {
	var f configFile
	if err := yamlfile.Decode(raw, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	origin, err := f.override(o)
	if err != nil {
		return nil, err
	}
	c, bad := f.complete()
	if bad == nil {
		return c, nil
	}
	if flag, ok := origin[bad.field]; ok {
		return nil, &OverrideError{flag, bad.err}
	}
	return nil, fmt.Errorf("%s: %w", name, bad)
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
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return nil, "", fmt.Errorf("reading config: %s is a folder; name a .yaml file, or the experiment of a run whose folder it is", path)
	}
	if strings.ContainsRune(path, filepath.Separator) || strings.HasSuffix(path, ".yaml") {
		return nil, "", fmt.Errorf("reading config: %w%s", err, spelling.Suggest(embedded, configs.Names(), "refreekv list configs shows the built-in ones"))
	}
	return nil, "", fmt.Errorf("%w: %q is neither a file nor a built-in one%s", ErrNoConfig, path, spelling.Suggest(path, configs.Names(), "refreekv list configs shows what there is"))
}

// ErrNoConfig is a config's name that nothing stands behind.
var ErrNoConfig = errors.New("no such config")

// override applies the overrides and returns which flag gave each field that
// they changed.
func (f *configFile) override(o Overrides) (origin map[string]string, err error) {
	origin = map[string]string{}
	for _, set := range o.Set {
		key, value, ok := strings.Cut(set, "=")
		if !ok || key == "" {
			return nil, &OverrideError{"--set", fmt.Errorf("%q: want key=value", set)}
		}
		if err := decodeField(key, value, f); err != nil {
			return nil, &OverrideError{"--set " + key, err}
		}
		origin[key] = "--set " + key
	}
	if o.DType != "" {
		f.DType, origin["dtype"] = tensor.DType(o.DType), "--dtype"
	}
	if len(o.Models) > 0 {
		f.Models, origin["models"] = o.Models, "--model"
	}
	if len(o.Tasks) > 0 {
		f.Tasks, origin["tasks"] = o.Tasks, "--tasks"
	}
	if o.Limit != 0 {
		if o.Limit < 0 {
			return nil, &OverrideError{"--limit", fmt.Errorf("%d is negative; want the number of records of each task", o.Limit)}
		}
		f.Records, origin["records"] = o.Limit, "--limit"
	}
	if o.Isolated && f.Isolated == 0 {
		f.Isolated, origin["isolated"] = DefaultRepeats, "--isolated"
	}
	f.SkipBad = f.SkipBad || o.SkipBad
	if o.Data != "" {
		f.Data = o.Data
	}
	if len(o.Variants) > 0 {
		f.Variants, origin["variants"] = nil, "--variants"
		for _, text := range o.Variants {
			f.Variants = append(f.Variants, text)
		}
	}
	return origin, nil
}

// DefaultRepeats is how often an isolated variant is run where the config does
// not say.
const DefaultRepeats = 3

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// complete fills in defaults, multiplies the variants out and refuses what
// cannot be run.
func (f *configFile) complete() (*Config, *fieldError) {
	c := f.Config
	if c.Protocol == "" {
		c.Protocol = tasks.Protocols[0]
	}
	if len(c.ContextLengths) == 0 {
		c.ContextLengths = []int{4096}
	}
	if c.Fidelity == nil {
		usual := 64
		c.Fidelity = &usual
	}
	switch {
	case c.Name == "":
		return nil, wrong("name", "it is missing; the run's folder is called by it")
	case !runName.MatchString(c.Name):
		return nil, wrong("name", "%q cannot name a folder; use letters, digits, '.', '_' and '-'", c.Name)
	case len(c.Models) == 0:
		return nil, wrong("models", "name at least one model")
	case len(c.Tasks) == 0:
		return nil, wrong("tasks", "name at least one task (refreekv list tasks)")
	case c.Records < 0:
		return nil, wrong("records", "%d is negative; 0 means all", c.Records)
	case c.Isolated < 0:
		return nil, wrong("isolated", "%d is negative; give the number of repeats, 0 for shared prefill", c.Isolated)
	case c.NewTokens < 0:
		return nil, wrong("new_tokens", "%d is negative; 0 means as the tasks say", c.NewTokens)
	case *c.Fidelity < 0:
		return nil, wrong("fidelity", "%d is negative; 0 means that it is not measured", *c.Fidelity)
	}
	dtype, err := tensor.ParseDType(string(c.DType))
	if err != nil {
		return nil, &fieldError{"dtype", err}
	}
	c.DType = dtype
	if err := tasks.CheckProtocol(c.Protocol); err != nil {
		return nil, &fieldError{"protocol", err}
	}
	for _, n := range c.ContextLengths {
		if n < MinContextLength {
			return nil, wrong("context_lengths", "%d tokens hold no prompt; use at least %d", n, MinContextLength)
		}
	}
	if n, twice := repeated(c.ContextLengths); twice {
		return nil, wrong("context_lengths", "%d is named twice", n)
	}
	for _, check := range []func(*Config) *fieldError{f.expandVariants, checkModels, checkTasks} {
		if err := check(&c); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// MinContextLength is the smallest context length, in tokens, that a prompt is
// made for.
const MinContextLength = 16

func (f *configFile) expandVariants(c *Config) *fieldError {
	for _, v := range f.Variants {
		specs, err := expandVariant(v)
		if err != nil {
			return &fieldError{"variants", err}
		}
		c.Variants = append(c.Variants, specs...)
	}
	if len(c.Variants) == 0 {
		return wrong("variants", "name at least one pruner (refreekv list pruners)")
	}
	labels := make([]string, len(c.Variants))
	for i, spec := range c.Variants {
		if _, err := pruners.New(spec); err != nil {
			return &fieldError{"variants", err}
		}
		labels[i] = spec.String()
	}
	if label, twice := repeated(labels); twice {
		return wrong("variants", "%q is named twice", label)
	}
	return nil
}

func checkModels(c *Config) *fieldError {
	for _, name := range c.Models {
		if err := CheckModel(name); err != nil {
			return &fieldError{"models", err}
		}
	}
	if name, twice := repeated(c.Models); twice {
		return wrong("models", "%q is named twice", name)
	}
	return nil
}

// checkTasks loads every task once, so that a misspelt one ends the run before
// the first is run. Rows tell tasks apart by name, so a file's name may not be
// that of another task.
func checkTasks(c *Config) *fieldError {
	names := make([]string, len(c.Tasks))
	for i, name := range c.Tasks {
		task, err := tasks.Load(name)
		if err != nil {
			return &fieldError{"tasks", err}
		}
		names[i] = task.Name
	}
	if name, twice := repeated(names); twice {
		return wrong("tasks", "%q is named twice", name)
	}
	return nil
}

// repeated returns the first value that stands in a list twice.
func repeated[T comparable](list []T) (value T, twice bool) {
	seen := map[T]bool{}
	for _, v := range list {
		if seen[v] {
			return v, true
		}
		seen[v] = true
	}
	return value, false
}
