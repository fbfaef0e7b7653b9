package runners

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"refreekv/runners/rows"
)

// ReadRuns reads the rows of one run, or of several that can stand in one table
// (shards of an experiment, or runs with other models or tasks). It returns them
// in the order in which a single run would hold them, and that run's provenance.
// Records that lack variants, as in a run that was stopped, are left out. A record
// that several runs hold alike counts once, with the times of the first. Runs of
// different protocol, variants, dtype or lengths, or that hold different weights
// under one model name, or differing rows of one record, are refused.
func ReadRuns(dirs []string) ([]rows.Row, *Provenance, error) {
	if len(dirs) == 0 {
		return nil, nil, errors.New("no run is named")
	}
	var all []rows.Row
	var merged *Provenance
	type origin struct {
		dir     string
		noTexts bool
		row     rows.Row
	}
	from := map[rowKey]origin{}
	for _, dir := range dirs {
		p, err := ReadProvenance(dir)
		if err != nil {
			return nil, nil, err
		}
		if merged, err = merged.with(p); err != nil {
			return nil, nil, fmt.Errorf("%s and %s cannot stand in one table: %w", dirs[0], dir, err)
		}
		stored, err := rows.Read(filepath.Join(dir, rowsFile))
		if err != nil {
			return nil, nil, err
		}
		whole, err := p.wholeRecords(dir, stored)
		if err != nil {
			return nil, nil, err
		}
		for _, row := range whole {
			k := rowKeyOf(row)
			before, twice := from[k]
			if !twice {
				from[k] = origin{dir, p.NoTexts, row}
				all = append(all, row)
				continue
			}
			if before.noTexts != p.NoTexts {
				return nil, nil, fmt.Errorf("%s and %s both hold task %s, record %d of model %s, one of them without its texts; name only one of the two", before.dir, dir, k.task, k.index, k.model)
			}
			if !sameResult(before.row, row) {
				return nil, nil, fmt.Errorf("%s and %s both hold task %s, record %d of model %s, and their rows of %s differ; report them apart, or run one of them again", before.dir, dir, k.task, k.index, k.model, k.variant)
			}
		}
	}
	merged.sort(all)
	return all, merged, nil
}

// sameResult reports whether two rows say the same, their times aside.
func sameResult(a, b rows.Row) bool {
	a.Timing, b.Timing = rows.Timing{}, rows.Timing{}
	return reflect.DeepEqual(a, b)
}

// wholeRecords are those of a run's rows whose record holds a row of every
// variant.
func (p *Provenance) wholeRecords(dir string, all []rows.Row) (whole []rows.Row, err error) {
	count := map[key]int{}
	for _, row := range all {
		if !slices.Contains(p.Variants, row.Variant) {
			return nil, fmt.Errorf("%s holds rows of the variant %q, which its %s does not name; run it again, or delete what was changed by hand", dir, row.Variant, provenanceFile)
		}
		count[keyOf(row)]++
	}
	for _, row := range all {
		if count[keyOf(row)] == len(p.Variants) {
			whole = append(whole, row)
		}
	}
	return whole, nil
}

// sideBySide is what to do with runs that cannot stand in one table.
const sideBySide = "report each by itself, or set them side by side with refreekv diff"

// with joins the provenance of a further run; a nil one joins with any.
func (p *Provenance) with(b *Provenance) (*Provenance, error) {
	if p == nil {
		return b, nil
	}
	switch {
	case p.Config.Isolated != b.Config.Isolated:
		return nil, fmt.Errorf("they ran their variants isolated %d and %d times (0: together): their times do not compare; %s", p.Config.Isolated, b.Config.Isolated, sideBySide)
	case p.Program.Rows != b.Program.Rows:
		return nil, fmt.Errorf("versions of this program made them whose rows differ (rows_version %d and %d); give the older one's run command again, which computes what changed", p.Program.Rows, b.Program.Rows)
	case p.Config.NewTokens != b.Config.NewTokens:
		return nil, fmt.Errorf("their texts are of %d and %d tokens (new_tokens; 0: as the tasks say); %s", p.Config.NewTokens, b.Config.NewTokens, sideBySide)
	case p.Config.fidelity() != b.Config.fidelity():
		return nil, fmt.Errorf("their fidelity is measured on %d and %d tokens; %s", p.Config.fidelity(), b.Config.fidelity(), sideBySide)
	case p.Config.dtype() != b.Config.dtype():
		return nil, fmt.Errorf("their weights were %s and %s (dtype); %s", p.Config.dtype(), b.Config.dtype(), sideBySide)
	case p.Config.Protocol != b.Config.Protocol:
		return nil, fmt.Errorf("their protocols are %s and %s; %s", p.Config.Protocol, b.Config.Protocol, sideBySide)
	case !slices.Equal(p.Variants, b.Variants):
		return nil, fmt.Errorf("their variants differ (%s); %s", strings.Join(changed("variant", p.Variants, b.Variants), ", "), sideBySide)
	}
	out := *p
	var err error
	if out.Tasks, err = joinTasks(p.Tasks, b.Tasks); err != nil {
		return nil, fmt.Errorf("they differ in the %w; run one of them again with this program, or %s", err, sideBySide)
	}
	if out.Scoring, err = joinScoring(p, b); err != nil {
		return nil, err
	}
	out.Also = slices.Clone(p.Also)
	for _, program := range b.programs() {
		out.computedBy(program)
	}
	out.Models = maps.Clone(p.Models)
	if out.Models == nil {
		out.Models = map[string]ModelFacts{}
	}
	for name, facts := range b.Models {
		if before, ok := p.Models[name]; ok && !before.same(facts) {
			return nil, fmt.Errorf("model %s has %s; %s", name, strings.Join(before.others(facts), ", "), sideBySide)
		}
		out.Models[name] = facts
	}
	out.NoTexts = p.NoTexts || b.NoTexts
	out.Config.Models = union(p.Config.Models, b.Config.Models)
	out.Config.Tasks = union(p.Config.Tasks, b.Config.Tasks)
	out.Config.ContextLengths = union(p.Config.ContextLengths, b.Config.ContextLengths)
	if out.Config.Records > 0 { // 0 means all
		if b.Config.Records == 0 {
			out.Config.Records = 0
		}
		out.Config.Records = max(out.Config.Records, b.Config.Records)
	}
	return &out, nil
}

// union is a and what of b is not in it.
func union[T comparable](a, b []T) []T {
	out := slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// sort puts rows into the order of a plan: models, tasks, records, context
// lengths, variants.
func (p *Provenance) sort(all []rows.Row) {
	tasks := make([]string, len(p.Config.Tasks))
	for i, name := range p.Config.Tasks {
		tasks[i] = strings.TrimSuffix(filepath.Base(name), ".yaml")
	}
	slices.SortStableFunc(all, func(a, b rows.Row) int {
		return cmp.Or(
			cmp.Compare(place(p.Config.Models, a.Model), place(p.Config.Models, b.Model)),
			cmp.Compare(place(tasks, a.Task), place(tasks, b.Task)),
			cmp.Compare(a.Index, b.Index),
			cmp.Compare(place(p.Config.ContextLengths, a.ContextLength), place(p.Config.ContextLengths, b.ContextLength)),
			cmp.Compare(place(p.Variants, a.Variant), place(p.Variants, b.Variant)),
		)
	})
}

// place is where a value stands in a list; what is not in it comes last.
func place[T comparable](list []T, v T) int {
	if i := slices.Index(list, v); i >= 0 {
		return i
	}
	return len(list)
}

// WriteRun makes dir a run's folder with these rows. Whole records that stand
// there already must be among them, rows of others are set aside: nothing that was
// computed is lost.
func WriteRun(dir string, all []rows.Row, p *Provenance) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer f.close()
	before, err := rows.Read(filepath.Join(dir, rowsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; or choose another folder with --out", err)
	}
	whole, err := p.wholeRecords(dir, before)
	if err != nil {
		return err
	}
	have := map[key]bool{}
	for _, row := range all {
		have[keyOf(row)] = true
	}
	for _, row := range whole {
		if !have[keyOf(row)] {
			return fmt.Errorf("%s holds rows that the merged runs lack (task %s, record %d of model %s); choose another folder with --out", dir, row.Task, row.Index, row.Model)
		}
	}
	earlier, err := rows.ReadEarlier(filepath.Join(dir, earlierFile))
	if err != nil {
		return err
	}
	if err := setAside(dir, slices.Concat(earlier, before), all); err != nil {
		return err
	}
	if err := p.write(dir); err != nil {
		return err
	}
	f.keep()
	return writeRows(dir, all)
}

// WithoutTexts leaves out what was generated, for rows that are published though
// their benchmark's texts may not be. Such a run cannot be scored again.
func WithoutTexts(all []rows.Row, p *Provenance) ([]rows.Row, *Provenance) {
	out, without := slices.Clone(all), *p
	for i := range out {
		out[i].Text, out[i].Tokens = "", nil
	}
	without.NoTexts = true
	return out, &without
}

// SameFolder reports whether two paths name one folder.
func SameFolder(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}
