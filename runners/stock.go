package runners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"refreekv/model/hub"
	"refreekv/runners/rows"
)

// earlierFile holds rows that were computed and that the experiment, as it is
// now, does not ask for. Where it asks for them again they are taken up.
const earlierFile = "earlier.jsonl"

// A stock is what earlier runs left in the folder.
type stock struct {
	stored  []rows.Row          // of rows.jsonl
	earlier []rows.Row          // of earlierFile
	at      map[rowKey]rows.Row // the stored rows, by their names
	have    map[string]rows.Row // all rows by inputs; what this run measures is added
	// stale has the inputs of rows whose score may be another definition's.
	stale   map[string]bool
	settled bool // what is stored is what the plan asks for
}

// rowKey names a row.
type rowKey struct {
	key
	variant string
}

func rowKeyOf(row rows.Row) rowKey { return rowKey{keyOf(row), row.Variant} }

// open takes up what an earlier run of the experiment left.
func (r *run) open() error {
	var err error
	if r.provenance, r.before, err = startProvenance(r.o.Dir, r.plan); err != nil {
		return err
	}
	if r.store, r.stock.stored, err = rows.Open(filepath.Join(r.o.Dir, rowsFile)); err != nil {
		return err
	}
	if r.stock.earlier, err = rows.ReadEarlier(filepath.Join(r.o.Dir, earlierFile)); err != nil {
		return err
	}
	r.stock.at, r.stock.have, r.stock.stale = map[rowKey]rows.Row{}, map[string]rows.Row{}, map[string]bool{}
	for _, row := range r.stock.earlier {
		r.stock.have[row.Inputs], r.stock.stale[row.Inputs] = row, true
	}
	for _, row := range r.stock.stored {
		r.stock.at[rowKeyOf(row)] = row
		switch {
		case row.Inputs != "":
			r.stock.have[row.Inputs], r.stock.stale[row.Inputs] = row, r.before.scoredAgain(row.Task)
		case row.Error == "":
			return fmt.Errorf("%s holds rows of an earlier version, which do not tell what they depend on; delete that folder or choose another with --out (refreekv report still reads it)", r.o.Dir)
		}
	}
	if r.before != nil {
		if changes := r.provenance.changes(r.before); len(changes) > 0 {
			r.notice("changed since this folder's last run: %s", strings.Join(changes, "; "))
		}
	}
	return nil
}

// scoredAgain tells whether a run's scores of a task are from another definition
// than its texts.
func (p *Provenance) scoredAgain(task string) bool {
	return p != nil && p.scoredBy()[task] != p.Tasks[task]
}

// scoringOf is what a run's Scoring says of tasks with these definitions; nil if
// that is nothing.
func (p *Provenance) scoringOf(tasks map[string]string) *Scoring {
	if p.Scoring == nil {
		return nil
	}
	out := &Scoring{Version: p.Scoring.Version, Tasks: map[string]string{}}
	for name, hash := range p.Scoring.Tasks {
		if tasks[name] == hash {
			out.Tasks[name] = hash
		}
	}
	if len(out.Tasks) == 0 {
		return nil
	}
	return out
}

// takeStock finds the rows of the plan that are there, and returns the units that
// lack some.
func (r *run) takeStock(ctx context.Context) ([]Unit, error) {
	if err := r.sameRecords(); err != nil {
		return nil, err
	}
	type record struct{ task, id string }
	known := map[record]bool{}
	for _, row := range slices.Concat(r.stock.stored, r.stock.earlier) {
		known[record{row.Task, row.Record}] = true
	}
	var missing []Unit
	inPart := 0
	for _, u := range r.plan.Units {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		task := r.plan.Tasks[u.Task]
		group, found := make([]rows.Row, len(r.plan.Variants)), 0
		if known[record{task.Name, task.Records[u.Record].ID}] { // else no prompt needs to be made
			var err error
			if found, err = r.takeUp(ctx, u, group); err != nil {
				return nil, err
			}
		}
		r.byUnit[r.key(u)] = group
		switch {
		case found == len(group):
			continue
		case found > 0:
			inPart++
		}
		missing = append(missing, u)
	}
	r.update.Total = len(r.plan.Units)
	r.update.Resumed = len(r.plan.Units) - len(missing)
	r.update.Done = r.update.Resumed
	switch {
	case inPart > 0:
		r.notice("resuming: %d of %d records are stored, %d more in part", r.update.Resumed, r.update.Total, inPart)
	case r.update.Resumed > 0:
		r.notice("resuming: %d of %d records are stored", r.update.Resumed, r.update.Total)
	}
	return missing, nil
}

// sameRecords refuses a folder whose records are those of another data set.
func (r *run) sameRecords() error {
	type numbered struct {
		task  string
		index int
	}
	stored := map[numbered]string{}
	for _, row := range r.stock.stored {
		stored[numbered{row.Task, row.Index}] = row.Record
	}
	for _, task := range r.plan.Tasks {
		for _, record := range task.Records {
			if id, ok := stored[numbered{task.Name, record.Index}]; ok && id != record.ID {
				return fmt.Errorf("%s holds rows of another data set for task %s: its record %d was %q and is now %q; delete that folder or choose another with --out", r.o.Dir, task.Name, record.Index, id, record.ID)
			}
		}
	}
	return nil
}

// takeUp fills in the rows of a unit that are there, and counts them.
func (r *run) takeUp(ctx context.Context, u Unit, group []rows.Row) (found int, err error) {
	if _, err := r.identify(ctx, u.Model); err != nil {
		return 0, err
	}
	j, err := r.job(u)
	if err != nil {
		return 0, err
	}
	task := r.plan.Tasks[u.Task]
	for i, p := range r.pairs(j) {
		// Its own row where it has one: another context length's may be measured apart.
		row, ok := r.stock.at[rowKey{r.key(u), p.Label}]
		if !ok || row.Inputs != p.inputs {
			if row, ok = r.stock.have[p.inputs]; !ok {
				continue
			}
		}
		if r.stock.stale[p.inputs] && row.Error == "" && !task.Definition.Protected {
			if row.Score, err = task.Definition.Score(row.Text, task.Records[u.Record]); err != nil {
				return 0, fmt.Errorf("task %s, record %s: %w", task.Name, row.Record, err)
			}
		}
		group[i] = p.taken(r.blank(j), row)
		found++
	}
	return found, nil
}

// identify finds a model and reads its identity, once.
func (r *run) identify(ctx context.Context, name string) (*identity, error) {
	if id, ok := r.identities[name]; ok {
		return id, nil
	}
	found, err := r.resolve(ctx, name)
	if err != nil {
		return nil, err
	}
	id, err := identify(ctx, found)
	if err != nil {
		return nil, err
	}
	r.know(name, id)
	return id, nil
}

// know notes a model's identity.
func (r *run) know(name string, id *identity) {
	r.identities[name] = id
	if r.before != nil {
		before, ok := r.before.Models[name]
		switch {
		case ok && before.same(id.facts):
			id.facts.Source = before.Source // where it was when the first row was computed
		case ok:
			r.notice("model %s has other weights, tokenizer or config than before", name)
		}
	}
	r.provenance.Models[name] = id.facts
}

// resolve finds a model, fetching it if need be, once.
func (r *run) resolve(ctx context.Context, name string) (hub.Found, error) {
	if found, ok := r.found[name]; ok {
		return found, nil
	}
	found, err := hub.Resolve(ctx, name, r.o.Fetch)
	if err == nil {
		r.found[name] = found
	}
	return found, err
}

// inOrder are the rows that are there, in the plan's order.
func (r *run) inOrder() []rows.Row {
	var out []rows.Row
	for _, u := range r.plan.Units {
		for _, row := range r.byUnit[r.key(u)] {
			if row.Variant != "" {
				out = append(out, row)
			}
		}
	}
	return out
}

// settle makes the folder hold those stored rows that the plan asks for, sets the
// others aside, and then writes what the run is now. Killed in between, the folder
// says nothing wrong: rows go aside before they leave, and leave before run.yaml
// speaks of other settings.
func (r *run) settle() error {
	if err := r.settleRows(); err != nil {
		return err
	}
	return r.provenance.write(r.o.Dir)
}

// settleRows is the part of settle that concerns rows; it is done once.
func (r *run) settleRows() error {
	if r.stock.settled {
		return nil
	}
	if err := r.sortOut(); err != nil {
		return err
	}
	r.stock.stored, r.stock.earlier, r.stock.at, r.stock.settled = nil, nil, nil, true
	return nil
}

// sortOut rewrites the stores where they hold other rows than are asked for.
func (r *run) sortOut() error {
	kept := r.inOrder()
	if r.before != nil && len(kept) > 0 {
		r.provenance.Program, r.provenance.Also = r.before.Program, r.before.Also
	}
	if err := setAside(r.o.Dir, slices.Concat(r.stock.earlier, r.stock.stored), kept); err != nil {
		return err
	}
	if holdSame(kept, r.stock.stored) {
		return nil
	}
	if gone := len(without(r.stock.stored, kept)); gone > 0 {
		r.notice("set aside in %s, since the experiment does not ask for them now: %s", earlierFile, counted(gone, "row"))
	}
	path := filepath.Join(r.o.Dir, rowsFile)
	if err := rows.Rewrite(path, kept); err != nil {
		return err
	}
	store, _, err := rows.Open(path)
	if err != nil {
		return err
	}
	r.store.Close() // of the file that was replaced
	r.store = store
	return nil
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// setAside makes earlierFile hold those rows that are not among the kept ones.
func setAside(dir string, all, kept []rows.Row) error {
	path := filepath.Join(dir, earlierFile)
	if aside := without(all, kept); len(aside) > 0 {
		return rows.Rewrite(path, aside)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rows.WriteError("removing", path, err)
	}
	return nil
}

// without are the rows whose inputs are not those of a kept one, each once. Rows
// without inputs are of no further use.
func without(all, kept []rows.Row) []rows.Row {
	seen := map[string]bool{"": true}
	for _, row := range kept {
		seen[row.Inputs] = true
	}
	var out []rows.Row
	for _, row := range all {
		if !seen[row.Inputs] {
			seen[row.Inputs] = true
			out = append(out, row)
		}
	}
	return out
}

// holdSame tells whether two lists hold the same rows in any order.
func holdSame(a, b []rows.Row) bool {
	at := map[rowKey]rows.Row{}
	for _, row := range a {
		at[rowKeyOf(row)] = row
	}
	return len(a) == len(b) && !slices.ContainsFunc(b, func(row rows.Row) bool { return !reflect.DeepEqual(at[rowKeyOf(row)], row) })
}
