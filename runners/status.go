package runners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"

	"refreekv/model/hub"
	"refreekv/pruners"
	"refreekv/runners/rows"
)

// A ShardStatus says how far one shard of an experiment is. Records are units of
// work: one record under one model and context length.
type ShardStatus struct {
	Shard   int    `json:"shard"` // from 1
	Shards  int    `json:"shards"`
	Dir     string `json:"dir"`
	Records int    `json:"records"` // that it is to run
	Done    int    `json:"done"`    // of these, those stored with a row for every variant
	Errors  int    `json:"errors"`  // of these, those with a row that holds an error
	Running bool   `json:"running"` // a process holds the folder's lock
}

// Missing is how many records the shard lacks.
func (s ShardStatus) Missing() int { return s.Records - s.Done }

// ShardDir is the folder of shard i of n, i from 1, in a run's folder.
func ShardDir(dir string, i, n int) string {
	if n <= 1 {
		return dir
	}
	return filepath.Join(dir, fmt.Sprintf("shard-%d-of-%d", i, n))
}

// Status says how far the experiment in a run's folder is: a run, or the shards of
// one. Which records there are is worked out from the config that is stored with
// it, so the data must be at hand, but no model.
func Status(ctx context.Context, dir string, progress hub.Progress) ([]ShardStatus, error) {
	count, err := countShards(dir)
	if err != nil {
		return nil, err
	}
	c, err := storedConfig(dir, count)
	if err != nil {
		return nil, err
	}
	return StatusOf(ctx, c, dir, count, progress)
}

// StatusOf is [Status] of an experiment that is known, in n shards.
func StatusOf(ctx context.Context, c *Config, dir string, n int, progress hub.Progress) ([]ShardStatus, error) {
	plan, err := NewPlan(ctx, c, Shard{}, progress)
	if err != nil {
		return nil, err
	}
	units := [][]Unit{plan.Units}
	if n > 1 {
		if units, err = plan.shards(n); err != nil {
			return nil, err
		}
	}
	r := run{plan: plan}
	out := make([]ShardStatus, n)
	for i := range out {
		at := ShardDir(dir, i+1, n)
		done, err := storedRecords(at, plan.labels())
		if err != nil {
			return nil, err
		}
		out[i] = ShardStatus{Shard: i + 1, Shards: n, Dir: at, Records: len(units[i]), Running: isLocked(at)}
		for _, u := range units[i] {
			if failed, ok := done[r.key(u)]; ok {
				out[i].Done++
				if failed {
					out[i].Errors++
				}
			}
		}
	}
	return out, nil
}

// countShards is the number of shards that a run's folder holds; 1 where it holds
// a run that is not split.
func countShards(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, noRun(dir, err)
	}
	count := 0
	for _, e := range entries {
		var i, n int
		if k, _ := fmt.Sscanf(e.Name(), "shard-%d-of-%d", &i, &n); k != 2 || !e.IsDir() {
			continue
		}
		if count > 0 && n != count {
			return 0, fmt.Errorf("%s holds shards of %d and of %d parts; keep those of one split", dir, min(count, n), max(count, n))
		}
		count = n
	}
	if count == 0 {
		count = 1
		if submitted, err := readSubmitted(dir); err == nil {
			count = submitted.Shards
		}
	}
	return count, nil
}

// storedConfig is the config that a run, or any of its shards, was run with.
func storedConfig(dir string, count int) (*Config, error) {
	if _, err := readSubmitted(dir); err == nil {
		return LoadConfig(SubmitPath(dir, SubmittedConfig), Overrides{})
	}
	for i := range count {
		p, err := ReadProvenance(ShardDir(dir, i+1, count))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return p.config()
	}
	return nil, fmt.Errorf("%s holds no run: there is no %s in it or in a shard of it; name a folder that refreekv run wrote", dir, provenanceFile)
}

// config is the config of a stored run, to be planned again.
func (p *Provenance) config() (*Config, error) {
	c := p.Config
	for _, label := range p.Variants {
		spec, err := pruners.Parse(label)
		if err != nil {
			return nil, fmt.Errorf("the stored run's variant %q: %w", label, err)
		}
		c.Variants = append(c.Variants, spec)
	}
	return &c, nil
}

// storedRecords are the records of which a folder holds a row for every variant;
// the value tells whether one of the rows holds an error.
func storedRecords(dir string, variants []string) (map[key]bool, error) {
	all, err := rows.Read(filepath.Join(dir, rowsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	count, failed := map[key]int{}, map[key]bool{}
	for _, row := range all {
		if slices.Contains(variants, row.Variant) {
			count[keyOf(row)]++
			failed[keyOf(row)] = failed[keyOf(row)] || row.Error != ""
		}
	}
	out := map[key]bool{}
	for k, n := range count {
		if n == len(variants) {
			out[k] = failed[k]
		}
	}
	return out, nil
}

// isLocked tells whether a process is writing to a run's folder.
func isLocked(dir string) bool {
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	lock := flock.New(path)
	ok, err := lock.TryRLock()
	if ok {
		lock.Unlock()
	}
	return err == nil && !ok
}
