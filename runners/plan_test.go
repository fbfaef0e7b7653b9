package runners

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/datasets"
)

func plan(t *testing.T, c *Config, shard Shard) *Plan {
	t.Helper()
	p, err := NewPlan(t.Context(), c, shard, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanOrder(t *testing.T) {
	p := plan(t, small(t, Overrides{Models: []string{tinyS, tinyM}}), Shard{})
	var got []string
	for _, u := range p.Units {
		task := p.Tasks[u.Task]
		got = append(got, fmt.Sprintf("%s %s %s %d", filepath.Base(u.Model), task.Name, task.Records[u.Record].ID, u.ContextLength))
	}
	var want []string
	for _, model := range []string{"tiny-s", "tiny-m"} {
		for _, record := range []string{"recall recall-0", "recall recall-1", "own one", "own two"} {
			for _, length := range []string{"24", "512"} {
				want = append(want, strings.Join([]string{model, record, length}, " "))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"full", "refreekv", "snapkv budget=0.5", "h2o budget=0.2"}, p.labels()); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
}

func TestPlanTakesAllRecordsWithoutALimit(t *testing.T) {
	c := small(t, Overrides{})
	c.Records = 0
	p := plan(t, c, Shard{})
	whole, err := datasets.Open(t.Context(), "recall", datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := len(p.Tasks[0].Records), len(p.Tasks[1].Records); a != len(whole) || b != 3 {
		t.Errorf("%d and %d records, want %d and 3", a, b, len(whole))
	}
}

// Every unit is in exactly one of n shards, in the order of the whole.
func TestShards(t *testing.T) {
	c := small(t, Overrides{Models: []string{tinyS, tinyM}})
	all := plan(t, c, Shard{}).Units
	for _, n := range []int{1, 2, 3, 5, 7, len(all), len(all) + 3} {
		count := map[Unit]int{}
		for i := range n {
			units := plan(t, c, Shard{Index: i, Count: n}).Units
			at := 0
			for _, u := range units {
				count[u]++
				for at < len(all) && all[at] != u {
					at++
				}
			}
			if at >= len(all) && len(units) > 0 {
				t.Errorf("shard %d of %d is not in the order of the whole", i+1, n)
			}
		}
		for _, u := range all {
			if count[u] != 1 {
				t.Errorf("%d shards: %+v is in %d of them", n, u, count[u])
			}
		}
		if len(count) != len(all) {
			t.Errorf("%d shards hold %d units, there are %d", n, len(count), len(all))
		}
	}
}
