package runners

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// A Difference is one setting or fact in which two runs differ, as their run.yaml
// name it; what one of them lacks is empty.
type Difference struct {
	Name   string `json:"name"` // e.g. config.protocol, models.m.weights_sha256
	First  string `json:"first"`
	Second string `json:"second"`
}

// Differences are the lines of run.yaml in which two runs differ.
func (p *Provenance) Differences(q *Provenance) ([]Difference, error) {
	var flat [2]map[string]string
	for i, one := range []*Provenance{p, q} {
		text, err := one.YAML()
		if err != nil {
			return nil, err
		}
		var tree any
		if err := yaml.Load([]byte(text), &tree); err != nil {
			return nil, fmt.Errorf("comparing the runs' provenance: %w", err)
		}
		flat[i] = map[string]string{}
		flatten(flat[i], "", tree)
	}
	names := slices.Sorted(maps.Keys(flat[0]))
	for _, name := range slices.Sorted(maps.Keys(flat[1])) {
		if _, both := flat[0][name]; !both {
			names = append(names, name)
		}
	}
	var out []Difference
	for _, name := range names {
		if a, b := flat[0][name], flat[1][name]; a != b {
			out = append(out, Difference{name, a, b})
		}
	}
	return out, nil
}

// flatten writes the leaves of a tree, lists whole, under their dotted names.
func flatten(into map[string]string, name string, tree any) {
	branches, ok := tree.(map[string]any)
	if !ok {
		into[name] = fmt.Sprint(tree)
		return
	}
	for key, branch := range branches {
		if name != "" {
			key = name + "." + key
		}
		flatten(into, key, branch)
	}
}
