package pruners

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A Spec names a pruner and those of its settings that are given.
type Spec struct {
	Name    string         `yaml:"pruner"`
	Options map[string]any `yaml:",inline"`
}

// Parse reads a pruner as it is written on the command line and in tables: its
// name, then option=value pairs: "snapkv budget=0.5 window=16". A list is
// written with commas: frozen_layers=0,1 (frozen_layers= for none).
func Parse(text string) (Spec, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return Spec{}, fmt.Errorf("no pruner is named; write for example \"snapkv budget=0.5\"")
	}
	m, err := find(fields[0])
	if err != nil {
		if strings.ContainsAny(fields[0], ",=:") {
			return Spec{}, fmt.Errorf("unknown pruner %q; leave blanks between name and settings, as in \"snapkv budget=0.5\"", fields[0])
		}
		return Spec{}, err
	}
	spec := Spec{Name: fields[0], Options: map[string]any{}}
	if m, err = m.expand(scoreOf(fields[1:])); err != nil {
		return Spec{}, err
	}
	for _, field := range fields[1:] {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return Spec{}, fmt.Errorf("pruner %s: %q is no option=value pair; write it without blanks, as in budget=0.5", spec.Name, field)
		}
		o, err := m.info.option(name)
		if err != nil {
			return Spec{}, err
		}
		if _, twice := spec.Options[name]; twice {
			return Spec{}, fmt.Errorf("pruner %s: option %s is given twice", spec.Name, name)
		}
		spec.Options[name] = parseValue(value, o.Default)
	}
	resolved, err := m.resolve(spec.Options)
	if err != nil {
		return Spec{}, err
	}
	for name := range spec.Options {
		spec.Options[name] = resolved[name]
	}
	return spec, nil
}

// scoreOf finds the score that option=value pairs choose.
func scoreOf(fields []string) map[string]any {
	for _, field := range fields {
		if name, ok := strings.CutPrefix(field, scoreOption+"="); ok {
			return map[string]any{scoreOption: name}
		}
	}
	return nil
}

// parseValue reads a value by its looks, but text as text; resolve judges
// whether it fits.
func parseValue(text string, like any) any {
	if _, choice := like.(string); choice {
		return text
	}
	if _, list := like.([]int); list {
		out := []any{}
		for part := range strings.SplitSeq(text, ",") {
			if part != "" {
				out = append(out, parseValue(part, 0))
			}
		}
		return out
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		return x
	}
	if b, err := strconv.ParseBool(text); err == nil {
		return b
	}
	return text
}

// New makes the pruner that a spec describes.
func New(s Spec) (Pruner, error) {
	m, err := find(s.Name)
	if err != nil {
		return nil, err
	}
	o, err := m.resolve(s.Options)
	if err != nil {
		return nil, err
	}
	p, err := m.make(o)
	if err != nil {
		return nil, fmt.Errorf("pruner %s: %w", s.Name, err)
	}
	return p, nil
}

// String is the canonical form: the name, the budget, then the other settings
// that differ from their defaults, by name.
func (s Spec) String() string {
	m, err := find(s.Name)
	if err != nil {
		return s.Name
	}
	o, err := m.resolve(s.Options)
	if err != nil {
		return s.Name
	}
	if m, err = m.expand(s.Options); err != nil {
		return s.Name
	}
	base, err := m.resolve(m.choices(s.Options))
	if err != nil {
		base = options{} // a method without defaults: everything is printed
	}
	out := []string{s.Name}
	names := slices.Sorted(maps.Keys(o))
	if i := slices.Index(names, "budget"); i > 0 {
		names = append([]string{"budget"}, slices.Delete(names, i, i+1)...)
	}
	for _, name := range names {
		option, _ := m.info.option(name)
		usual, ok := base[name]
		if !ok || name == "preset" || name == scoreOption {
			usual = option.Default
		}
		if !reflect.DeepEqual(o[name], usual) {
			out = append(out, name+"="+valueText(o[name]))
		}
	}
	return strings.Join(out, " ")
}

// DefaultText is the default as it is written on the command line, or
// "required".
func (o Option) DefaultText() string {
	if o.Default == nil {
		return "required"
	}
	return valueText(o.Default)
}

func valueText(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []int:
		parts := make([]string, len(v))
		for i, n := range v {
			parts[i] = strconv.Itoa(n)
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v)
}

// options are settings with every default filled in and every type checked:
// the types are those of the defaults.
type options map[string]any

func (o options) float(name string) float64 { return o[name].(float64) }
func (o options) int(name string) int       { return o[name].(int) }
func (o options) bool(name string) bool     { return o[name].(bool) }
func (o options) text(name string) string   { return o[name].(string) }
func (o options) ints(name string) []int    { return o[name].([]int) }

// resolve fills in defaults and converts given values to the options' types.
func (m method) resolve(given map[string]any) (options, error) {
	m, err := m.expand(given)
	if err != nil {
		return nil, err
	}
	out := options{}
	for _, o := range m.info.Options {
		if o.Default != nil {
			out[o.Name] = o.Default
		}
	}
	preset, _ := given["preset"].(string)
	for name, value := range m.presets[preset] {
		out[name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		o, err := m.info.option(name)
		if err != nil {
			return nil, err
		}
		v, err := o.convert(given[name])
		if err != nil {
			return nil, fmt.Errorf("pruner %s: option %s: %w", m.info.Name, name, err)
		}
		out[name] = v
	}
	for _, o := range m.info.Options {
		if _, ok := out[o.Name]; !ok {
			return nil, fmt.Errorf("pruner %s needs the option %s: %s", m.info.Name, o.Name, o.About)
		}
	}
	return out, nil
}

// choices are the settings on which the defaults of others depend.
func (m method) choices(given map[string]any) map[string]any {
	out := map[string]any{}
	for _, name := range []string{"preset", scoreOption} {
		if v, ok := given[name]; ok {
			out[name] = v
		}
	}
	return out
}

func (o Option) convert(value any) (any, error) {
	number, isNumber := toFloat(value)
	switch o.Default.(type) {
	case nil, float64:
		if isNumber && !math.IsNaN(number) {
			return number + 0, nil // -0 is 0, or equal settings would be written in two ways
		}
		return nil, fmt.Errorf("%v is no number%s", value, asShare(value))
	case int:
		if isNumber && number == math.Trunc(number) && math.Abs(number) < 1<<30 {
			return int(number), nil
		}
		return nil, fmt.Errorf("%v is no whole number", value)
	case bool:
		if b, ok := value.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("%v is neither true nor false", value)
	case []int:
		return toInts(value)
	}
	text, ok := value.(string)
	if !ok || !slices.Contains(o.Choices, text) {
		return nil, fmt.Errorf("%v is none of %s", value, oneOf(o.Choices))
	}
	return text, nil
}

// asShare tells how a percentage is written.
func asShare(value any) string {
	text, _ := value.(string)
	percent, ok := strings.CutSuffix(text, "%")
	if x, err := strconv.ParseFloat(strings.TrimSpace(percent), 64); ok && err == nil {
		return fmt.Sprintf("; %g %% is written %g", x, x/100)
	}
	return ""
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// toInts reads a set of layer numbers, ascending and once each.
func toInts(value any) (any, error) {
	var items []any
	switch v := value.(type) {
	case []int:
		for _, n := range v {
			items = append(items, n)
		}
	case []any:
		items = v
	default:
		return nil, fmt.Errorf("%v is no list of layer numbers", value)
	}
	out := []int{}
	for _, item := range items {
		n, ok := toFloat(item)
		if !ok || n != math.Trunc(n) || n < 0 || n > 1<<20 {
			return nil, fmt.Errorf("%v is no layer number", item)
		}
		out = append(out, int(n))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
