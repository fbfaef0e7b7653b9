package reports

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"refreekv/pruners"
)

// A series is the variants of a table that differ in budget only, or of methods
// without a budget in one other number.
type series struct {
	name, pruner string
	lines        []Line
	look         look
}

// seriesOf groups the lines; the full cache is no series but a level.
func (t Table) seriesOf() (all []series, full *Line) {
	sweeps := t.sweeps()
	for _, l := range t.Lines {
		if l.Pruner == "full" {
			full = &l
			continue
		}
		name := without(l.Variant, budgetOption)
		if name == l.Variant {
			for _, s := range sweeps {
				if s.has(l) {
					name = s.name + ", " + s.option + " " + s.ends()
				}
			}
		}
		at := slices.IndexFunc(all, func(s series) bool { return s.name == name })
		if at < 0 {
			all = append(all, series{name: name, pruner: l.Pruner})
			at = len(all) - 1
		}
		all[at].lines = append(all[at].lines, l)
	}
	return looked(all), full
}

// looked gives series their looks.
func looked(all []series) []series {
	for i, look := range looksOf(all) {
		all[i].look = look
	}
	return all
}

// apart makes a series of every line.
func apart(lines []Line) []series {
	var all []series
	for _, l := range lines {
		all = append(all, series{name: l.Variant, pruner: l.Pruner, lines: []Line{l}})
	}
	return looked(all)
}

// budgetOption is the setting that says how much a method keeps.
const budgetOption = "budget"

// chooses tells whether a variant chooses its budget itself.
func (l Line) chooses() bool {
	return l.Pruner != "full" && without(l.Variant, budgetOption) == l.Variant
}

// without is a variant's label less a setting.
func without(label, option string) string {
	words := strings.Fields(label)
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, option+"=") }), " ")
}

// A sweep is the variants of a method that differ in exactly one number other
// than the budget.
type sweep struct {
	option, name string // name: the label without the option
	pruner       string
	values       []float64 // ascending
	lines        []Line    // of the values
}

func (s sweep) has(l Line) bool {
	return slices.ContainsFunc(s.lines, func(o Line) bool { return o.Variant == l.Variant })
}

// ends are the least and the largest value.
func (s sweep) ends() string {
	return shortNumber(s.values[0]) + "–" + shortNumber(s.values[len(s.values)-1])
}

// sweeps are those of a table, by option and then in the order of its lines.
func (t Table) sweeps() []sweep {
	var options []string
	for _, l := range t.Lines {
		for _, word := range strings.Fields(l.Variant)[min(1, len(strings.Fields(l.Variant))):] {
			option, text, _ := strings.Cut(word, "=")
			if _, err := strconv.ParseFloat(text, 64); err == nil && option != budgetOption && !slices.Contains(options, option) {
				options = append(options, option)
			}
		}
	}
	var out []sweep
	for _, option := range options {
		var found []sweep
		for _, l := range t.Lines {
			value, ok := l.number(option)
			if !ok {
				continue
			}
			name := without(l.Variant, option)
			at := slices.IndexFunc(found, func(s sweep) bool { return s.name == name && s.pruner == l.Pruner })
			if at < 0 {
				at, found = len(found), append(found, sweep{option: option, name: name, pruner: l.Pruner})
			}
			if i, twice := slices.BinarySearch(found[at].values, value); !twice {
				found[at].values = slices.Insert(found[at].values, i, value)
				found[at].lines = slices.Insert(found[at].lines, i, l)
			}
		}
		out = append(out, slices.DeleteFunc(found, func(s sweep) bool { return len(s.values) < 2 })...)
	}
	return out
}

// number is the value of a line's numeric option: its default where the label,
// which leaves defaults out, does not name it.
func (l Line) number(option string) (float64, bool) {
	for _, word := range strings.Fields(l.Variant) {
		if text, ok := strings.CutPrefix(word, option+"="); ok {
			x, err := strconv.ParseFloat(text, 64)
			return x, err == nil
		}
	}
	// Other settings may change what the defaults are.
	if strings.Contains(l.Variant, " preset=") || strings.Contains(l.Variant, " score=") {
		return 0, false
	}
	for _, info := range pruners.List() {
		for _, o := range info.Options {
			if info.Name != l.Pruner || o.Name != option {
				continue
			}
			switch v := o.Default.(type) {
			case float64:
				return v, true
			case int:
				return float64(v), true
			}
		}
	}
	return 0, false
}

// mark is a series in a panel: at what each line's place is, if it has one.
func (s series) mark(place func(Line) (point, bool)) mark {
	m := mark{name: s.name, look: s.look, line: len(s.lines) > 1}
	for _, l := range s.lines {
		if at, ok := place(l); ok {
			m.points = append(m.points, at)
		}
	}
	slices.SortStableFunc(m.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	return m
}
