package tasks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"refreekv/metrics"
	"refreekv/spelling"
	"refreekv/yamlfile"
)

// Settings are the fields that a task file, its paper: section and
// protocols.yaml share; nil means not set there. Later ones win, in the order
// standard, task, paper, the task's paper:. Each is a switch of the protocols
// (see Task.Protocol).
type Settings struct {
	Prompt           *string           `yaml:"prompt,omitempty"`              // template; {name} is a field of the record
	Fields           map[string]string `yaml:"fields,omitempty"`              // template name -> the record's field, where they differ
	CollapseNewlines *bool             `yaml:"collapse_newlines,omitempty"`   // make three line breaks in a row two, twice
	AnswerPrefix     *string           `yaml:"answer_prefix,omitempty"`       // template of the words that the model's answer begins with
	Answers          *string           `yaml:"answers,omitempty"`             // the record's field with the references
	AnswersAs        *string           `yaml:"answers_as,omitempty"`          // "python": the value as Python prints it is one reference; "semicolons": a text that holds several
	Classes          *string           `yaml:"classes,omitempty"`             // the record's field with all class names
	System           *string           `yaml:"system,omitempty"`              // system text for every model
	Systems          map[string]string `yaml:"systems,omitempty"`             // system text by model family, where System is not set
	Chat             *bool             `yaml:"chat,omitempty"`                // wrap in the model's chat template, if it has one
	Llama2ByHand     *bool             `yaml:"llama2_by_hand,omitempty"`      // write Llama 2's turn without the template
	AddSpecialTokens *bool             `yaml:"add_special_tokens,omitempty"`  // tokenise the wrapped text with special tokens added again: a second BOS
	Truncate         *string           `yaml:"truncate,omitempty"`            // before_wrap, after_wrap or never
	TruncateMargin   *int              `yaml:"truncate_margin,omitempty"`     // tokens left free where a prompt is truncated
	MaxNewTokens     *int              `yaml:"max_new_tokens,omitempty"`      // generation length
	StopAtNewline    *bool             `yaml:"stop_at_newline,omitempty"`     // end generation at a line break
	FirstTokenNotEOS *bool             `yaml:"first_token_not_eos,omitempty"` // no stop token first
	TokenizerEOSOnly *bool             `yaml:"tokenizer_eos_only,omitempty"`  // ignore the generation config's further stop tokens
	FirstLine        *bool             `yaml:"first_line,omitempty"`          // score only the first line of the text
	Metric           *string           `yaml:"metric,omitempty"`              // refreekv list metrics
	Records          *int              `yaml:"records,omitempty"`             // take only so many records, from the first; 0: all
}

// A Definition is a task under one protocol with everything resolved.
type Definition struct {
	Task     string
	Protocol string // "standard", "paper", or one with switches: "standard+chat"

	MaxNewTokens     int
	StopAtNewline    bool // generation ends at a line break
	NeverStops       bool // no token ends generation, MaxNewTokens does
	FirstTokenNotEOS bool // the first generated token may not be a stop token
	TokenizerEOSOnly bool // only the tokenizer's own EOS ends generation
	FirstLine        bool // only the text's first line is scored
	Metric           string
	Records          int  // the task has only so many of the data set's records, from the first; 0: all
	Protected        bool // prompts, answers and generated texts may not be shown or stored

	prompt, answerPrefix string
	fields               map[string]string
	collapseNewlines     bool
	answers, classes     string
	answersAs            string
	system               string
	systems              map[string]string
	chat                 bool
	llama2ByHand         bool
	addSpecialTokens     bool
	truncate             string
	truncateMargin       int
	score                metrics.Metric
	hash                 string
}

// Ways to shorten a prompt (spec 6.2).
const (
	truncateBeforeWrap = "before_wrap" // LongBench: the bare text, then the chat template around it
	truncateAfterWrap  = "after_wrap"  // ReFreeKV: the wrapped text, which loses its special tokens
	truncateNever      = "never"
)

// Ways to read the references where they are no list of texts.
const (
	asPython     = "python"     // TheoremQA: a number, a truth value, a list
	asSemicolons = "semicolons" // TruthfulQA: "one; another"
)

// Protocol resolves the task under "standard" or "paper". Settings may be
// switched to the other's value one at a time: "standard+chat+truncate" is
// standard with the paper's chat and truncate, "paper-add_special_tokens" is the
// paper's protocol without its second BOS.
func (t *Task) Protocol(name string) (*Definition, error) {
	base, switches, err := parseProtocol(name)
	if err != nil {
		return nil, fmt.Errorf("protocol %w", err)
	}
	shared, err := protocols()
	if err != nil {
		return nil, err
	}
	standard := merge(shared.Standard, t.Settings)
	chosen, other := standard, merge(standard, shared.Paper, t.Paper)
	if base == "paper" {
		chosen, other = other, chosen
	}
	for _, s := range switches {
		reflect.ValueOf(&chosen).Elem().Field(settingNamed(s)).Set(reflect.ValueOf(other).Field(settingNamed(s)))
	}
	d := &Definition{Task: t.Name, Protocol: name, Protected: t.Protected}
	d.apply(chosen)
	if d.hash, err = hash(t.Name, name, chosen); err != nil {
		return nil, err
	}
	return d, d.check()
}

// Hash identifies the definition: the SHA-256 over the task's and the protocol's
// names and all settings, in hex. Rows made under different ones are not
// comparable.
func (d *Definition) Hash() string { return d.hash }

// Generating is the definition with texts of exactly n tokens, whatever would end
// them: for measurements of latency.
func (d *Definition) Generating(n int) *Definition {
	out := *d
	out.MaxNewTokens, out.NeverStops = n, true
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\nexactly %d tokens", d.hash, n))
	out.hash = hex.EncodeToString(sum[:])
	return &out
}

func hash(task, protocol string, s Settings) (string, error) {
	text, err := yaml.Dump(s) // what is not set stays out: a setting of a later version changes no hash
	if err != nil {
		return "", fmt.Errorf("hashing the definition: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", task, protocol, text))
	return hex.EncodeToString(sum[:]), nil
}

// CheckProtocol refuses a name that Task.Protocol does not know; its error begins
// with the name.
func CheckProtocol(name string) error {
	_, _, err := parseProtocol(name)
	return err
}

// parseProtocol splits "standard+chat+truncate".
func parseProtocol(name string) (base string, switches []string, err error) {
	base, sign := name, ""
	if at := strings.IndexAny(name, "+-"); at >= 0 {
		base, sign = name[:at], name[at:at+1]
		switches = strings.Split(name[at+1:], sign)
	}
	if !slices.Contains(Protocols, base) {
		return "", nil, fmt.Errorf("%q is neither %s%s", base, strings.Join(Protocols, " nor "), spelling.Suggest(base, Protocols, ""))
	}
	if want := map[string]string{"standard": "+", "paper": "-"}[base]; sign != "" && sign != want {
		return "", nil, fmt.Errorf("%q: switch a setting of %s with %s, as in %s%schat", name, base, want, base, want)
	}
	names := Switches()
	for i, s := range switches {
		switch {
		case !slices.Contains(names, s):
			return "", nil, fmt.Errorf("%q: there is no setting %q%s", name, s, spelling.OneOf(s, names))
		case slices.Contains(switches[:i], s):
			return "", nil, fmt.Errorf("%q switches %s twice; leave one out", name, s)
		}
	}
	return base, switches, nil
}

// Switches names the settings that a protocol can take from the other one.
func Switches() []string {
	return yamlfile.Fields(reflect.TypeFor[Settings]())
}

// settingNamed is the place of a setting among the fields of Settings.
func settingNamed(name string) int { return slices.Index(Switches(), name) }

// merge lays settings over each other; what a later one sets wins.
func merge(all ...Settings) Settings {
	var out Settings
	into := reflect.ValueOf(&out).Elem()
	for _, s := range all {
		from := reflect.ValueOf(s)
		for i := range from.NumField() {
			if !from.Field(i).IsNil() {
				into.Field(i).Set(from.Field(i))
			}
		}
	}
	return out
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
	if err := yamlfile.Decode(raw, p); err != nil {
		return nil, fmt.Errorf("%s: %w", protocolsFile, err)
	}
	return p, nil
}

func (d *Definition) apply(s Settings) {
	set(&d.prompt, s.Prompt)
	set(&d.collapseNewlines, s.CollapseNewlines)
	set(&d.answerPrefix, s.AnswerPrefix)
	set(&d.answers, s.Answers)
	set(&d.answersAs, s.AnswersAs)
	set(&d.classes, s.Classes)
	set(&d.system, s.System)
	set(&d.chat, s.Chat)
	set(&d.llama2ByHand, s.Llama2ByHand)
	set(&d.addSpecialTokens, s.AddSpecialTokens)
	set(&d.truncate, s.Truncate)
	set(&d.truncateMargin, s.TruncateMargin)
	set(&d.MaxNewTokens, s.MaxNewTokens)
	set(&d.StopAtNewline, s.StopAtNewline)
	set(&d.FirstTokenNotEOS, s.FirstTokenNotEOS)
	set(&d.TokenizerEOSOnly, s.TokenizerEOSOnly)
	set(&d.FirstLine, s.FirstLine)
	set(&d.Metric, s.Metric)
	set(&d.Records, s.Records)
	d.fields, d.systems = s.Fields, s.Systems
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
	if d.answersAs != "" && d.answersAs != asPython && d.answersAs != asSemicolons {
		return fmt.Errorf("field answers_as is %q; want python or semicolons, or leave it out", d.answersAs)
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
	if d.Records < 0 {
		return fmt.Errorf("field records is %d; it must be 0 (all) or more", d.Records)
	}
	if d.Metric == "" {
		return errors.New("field metric is missing; refreekv list metrics shows what there is")
	}
	var ok bool
	if d.score, ok = metrics.Get(d.Metric); !ok {
		return fmt.Errorf("field metric: there is no %q%s", d.Metric, spelling.Suggest(d.Metric, metricNames(), "refreekv list metrics shows what there is"))
	}
	return nil
}

func metricNames() []string {
	var out []string
	for _, m := range metrics.List() {
		out = append(out, m.Name)
	}
	return out
}

// checkFields holds the template to its record: it must use one, and every name
// under fields: must stand in it.
func (d *Definition) checkFields() error {
	used := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(d.prompt+d.answerPrefix, -1) {
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
