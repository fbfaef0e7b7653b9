package pruners

import (
	"fmt"
	"slices"
	"strings"
)

// scoreOption names the option by which a method builds on another's score. The
// settings of the chosen score are options of their own: score.window.
const scoreOption = "score"

// scoreBy is the option score with its usual choice.
func scoreBy(usual string) Option {
	var names []string
	for _, m := range scorers {
		names = append(names, m.info.Name)
	}
	return Option{Name: scoreOption, Default: usual, Choices: names, About: "the method whose score ranks the entries; its settings are written score.NAME, as score.window=16"}
}

// expand adds the settings of the score that a method builds on to its options,
// less those that say how many entries stay, and when.
func (m method) expand(given map[string]any) (method, error) {
	at := slices.IndexFunc(m.info.Options, func(o Option) bool { return o.Name == scoreOption })
	if at < 0 {
		return m, nil
	}
	name, ok := given[scoreOption]
	if !ok {
		name = m.info.Options[at].Default
	}
	inner, err := findIn(scorers, scoreOption, fmt.Sprint(name))
	if err != nil {
		return m, fmt.Errorf("pruner %s: %w", m.info.Name, err)
	}
	m.info.Options = slices.Clone(m.info.Options)
	for _, o := range inner.info.Options {
		if o.Name != budgetOption.Name && o.Name != decodeOption.Name {
			o.Name = scoreOption + "." + o.Name
			m.info.Options = append(m.info.Options, o)
		}
	}
	return m, nil
}

// scorer makes the score that the option score and its settings describe.
func (o options) scorer() (scorer, error) {
	m, err := findIn(scorers, scoreOption, o.text(scoreOption))
	if err != nil {
		return nil, err
	}
	settings := options{}
	for name, value := range o {
		if rest, ok := strings.CutPrefix(name, scoreOption+"."); ok {
			settings[rest] = value
		}
	}
	return m.scorer(settings)
}
