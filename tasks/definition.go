package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"refreekv/metrics"
)

// Settings are the fields that a task file, its paper: section and
// protocols.yaml share; nil means not set there. Later ones win, in the order
// standard, task, paper, the task's paper:.
type Settings struct {
	Prompt           *string           `yaml:"prompt"`              // template; {name} is a field of the record
	Fields           map[string]string `yaml:"fields"`              // template name -> the record's field, where they differ
	Answers          *string           `yaml:"answers"`             // the record's field with the references
	AnswersAs        *string           `yaml:"answers_as"`          // "python": the value as Python prints it is one reference
	Classes          *string           `yaml:"classes"`             // the record's field with all class names
	System           *string           `yaml:"system"`              // system text for every model
	Systems          map[string]string `yaml:"systems"`             // system text by model family, where System is not set
	Chat             *bool             `yaml:"chat"`                // wrap in the model's chat template, if it has one
	AddSpecialTokens *bool             `yaml:"add_special_tokens"`  // tokenise the wrapped text with special tokens added again
	Truncate         *string           `yaml:"truncate"`            // before_wrap, after_wrap or never
	TruncateMargin   *int              `yaml:"truncate_margin"`     // after_wrap: tokens left free beside the new ones
	MaxNewTokens     *int              `yaml:"max_new_tokens"`      // generation length
	StopAtNewline    *bool             `yaml:"stop_at_newline"`     // end generation at a line break
	FirstTokenNotEOS *bool             `yaml:"first_token_not_eos"` // no stop token first
	TokenizerEOSOnly *bool             `yaml:"tokenizer_eos_only"`  // ignore the generation config's further stop tokens
	FirstLine        *bool             `yaml:"first_line"`          // score only the first line of the text
	Metric           *string           `yaml:"metric"`              // refreekv list metrics
}

// A Definition is a task under one protocol with everything resolved.
type Definition struct {
	Task     string
	Protocol string

	MaxNewTokens     int
	StopAtNewline    bool // generation ends at a line break
	FirstTokenNotEOS bool // the first generated token may not be a stop token
	TokenizerEOSOnly bool // only the tokenizer's own EOS ends generation
	FirstLine        bool // only the text's first line is scored
	Metric           string

	prompt           string
	fields           map[string]string
	answers, classes string
	answersAs        string
	system           string
	systems          map[string]string
	chat             bool
	addSpecialTokens bool
	truncate         string
	truncateMargin   int
	score            metrics.Metric
}

// Ways to shorten a prompt (spec 6.2).
const (
	truncateBeforeWrap = "before_wrap" // LongBench: the bare text, then the chat template around it
	truncateAfterWrap  = "after_wrap"  // ReFreeKV: the wrapped text, which loses its special tokens
	truncateNever      = "never"
)

// Protocol resolves the task under "standard" or "paper".
func (t *Task) Protocol(name string) (*Definition, error) {
	if !slices.Contains(Protocols, name) {
		return nil, fmt.Errorf("protocol %q is unknown; want %s", name, strings.Join(Protocols, " or "))
	}
	shared, err := protocols()
	if err != nil {
		return nil, err
	}
	layers := []Settings{shared.Standard, t.Settings}
	if name == "paper" {
		layers = append(layers, shared.Paper, t.Paper)
	}
	d := &Definition{Task: t.Name, Protocol: name}
	for _, s := range layers {
		d.apply(s)
	}
	return d, d.check()
}

// Hash identifies the definition: the SHA-256 over all its fields, in hex. Rows
// made under different ones are not comparable.
func (d *Definition) Hash() string {
	fields := *d
	fields.score = nil // Metric names it
	sum := sha256.Sum256(fmt.Appendf(nil, "%#v", fields))
	return hex.EncodeToString(sum[:])
}

type protocolsYAML struct {
	Standard Settings `yaml:"standard"`
	Paper    Settings `yaml:"paper"`
}

func protocols() (*protocolsYAML, error) {
	raw, err := files.ReadFile(protocolsFile)
	if err != nil {
		return nil, err
	}
	p := &protocolsYAML{}
	if err := decodeStrict(raw, p); err != nil {
		return nil, fmt.Errorf("%s: %w", protocolsFile, err)
	}
	return p, nil
}

func (d *Definition) apply(s Settings) {
	set(&d.prompt, s.Prompt)
	set(&d.answers, s.Answers)
	set(&d.answersAs, s.AnswersAs)
	set(&d.classes, s.Classes)
	set(&d.system, s.System)
	set(&d.chat, s.Chat)
	set(&d.addSpecialTokens, s.AddSpecialTokens)
	set(&d.truncate, s.Truncate)
	set(&d.truncateMargin, s.TruncateMargin)
	set(&d.MaxNewTokens, s.MaxNewTokens)
	set(&d.StopAtNewline, s.StopAtNewline)
	set(&d.FirstTokenNotEOS, s.FirstTokenNotEOS)
	set(&d.TokenizerEOSOnly, s.TokenizerEOSOnly)
	set(&d.FirstLine, s.FirstLine)
	set(&d.Metric, s.Metric)
	if s.Fields != nil {
		d.fields = maps.Clone(s.Fields)
	}
	if s.Systems != nil {
		d.systems = maps.Clone(s.Systems)
	}
}

func set[T any](dst *T, value *T) {
	if value != nil {
		*dst = *value
	}
}

// families are the model families that systems: may name.
var families = []string{"llama2", "llama3", "mistral", "qwen2.5", "other"}

// check tells what is wrong with the resolved fields, one thing at a time.
func (d *Definition) check() error {
	if d.prompt == "" {
		return fmt.Errorf("field prompt is missing; write the template, with {name} for the record's fields")
	}
	if err := d.checkFields(); err != nil {
		return err
	}
	if d.answers == "" {
		return fmt.Errorf("field answers is empty; name the record's field with the references")
	}
	if d.answersAs != "" && d.answersAs != "python" {
		return fmt.Errorf("field answers_as is %q; want python, or leave it out", d.answersAs)
	}
	for family := range d.systems {
		if !slices.Contains(families, family) {
			return fmt.Errorf("field systems names the model family %q; want %s", family, strings.Join(families, ", "))
		}
	}
	if d.MaxNewTokens < 1 {
		return fmt.Errorf("field max_new_tokens is %d; it must be 1 or more", d.MaxNewTokens)
	}
	switch d.truncate {
	case truncateBeforeWrap, truncateAfterWrap, truncateNever:
	default:
		return fmt.Errorf("field truncate is %q; want before_wrap, after_wrap or never", d.truncate)
	}
	if d.truncateMargin < 0 {
		return fmt.Errorf("field truncate_margin is %d; it must be 0 or more", d.truncateMargin)
	}
	var ok bool
	if d.score, ok = metrics.Get(d.Metric); !ok {
		return fmt.Errorf("field metric is %q; refreekv list metrics shows what there is", d.Metric)
	}
	return nil
}

// checkFields holds the template to its record: it must use one, and every name
// under fields: must stand in it.
func (d *Definition) checkFields() error {
	used := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(d.prompt, -1) {
		used[m[1]] = true
	}
	if len(used) == 0 {
		return fmt.Errorf("field prompt uses no field of the record; write {name} where one goes")
	}
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		if !used[name] {
			return fmt.Errorf("field fields maps %q, but the prompt has no {%s}", name, name)
		}
	}
	return nil
}
