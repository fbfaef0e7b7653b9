package runners

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"refreekv/pruners"
)

// expandVariant turns one entry of a config's variants into specs: a text such
// as "snapkv budget=0.5", or a mapping in which every list of settings is an
// axis: {pruner: h2o, budget: [0.8, 0.5], heads: [query, kv]} makes four.
func expandVariant(v any) ([]pruners.Spec, error) {
	switch v := v.(type) {
	case string:
		spec, err := pruners.Parse(v)
		return []pruners.Spec{spec}, err
	case map[string]any:
		return expandMapping(v)
	}
	return nil, fmt.Errorf("%v: want a text such as \"snapkv budget=0.5\" or a mapping with a pruner", v)
}

// mostVariants bounds what one mapping may stand for.
const mostVariants = 10_000

func expandMapping(v map[string]any) ([]pruners.Spec, error) {
	name, ok := v["pruner"].(string)
	if !ok {
		return nil, errors.New("an entry names no pruner, or several; want the name of one pruner, as in {pruner: snapkv, budget: 0.5}")
	}
	specs := []pruners.Spec{{Name: name, Options: map[string]any{}}}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if key == "pruner" {
			continue
		}
		values := settings(name, key, v[key])
		if len(values) == 0 {
			return nil, fmt.Errorf("pruner %s: option %s: the list is empty; give a value or leave the option out", name, key)
		}
		if len(specs)*len(values) > mostVariants {
			return nil, fmt.Errorf("pruner %s: its lists multiply out to more than %d variants", name, mostVariants)
		}
		specs = multiply(specs, key, values)
	}
	return specs, nil
}

// settings lists the values that an option takes. A list is an axis, except
// for options that are lists themselves, where a list of lists is.
func settings(pruner, option string, value any) []any {
	list, ok := value.([]any)
	if !ok {
		return []any{value}
	}
	if pruners.IsList(pruner, option) && !slices.ContainsFunc(list, func(v any) bool { _, inner := v.([]any); return inner }) {
		return []any{value}
	}
	return list
}

func multiply(specs []pruners.Spec, option string, values []any) []pruners.Spec {
	var out []pruners.Spec
	for _, spec := range specs {
		for _, value := range values {
			options := maps.Clone(spec.Options)
			options[option] = value
			out = append(out, pruners.Spec{Name: spec.Name, Options: options})
		}
	}
	return out
}
