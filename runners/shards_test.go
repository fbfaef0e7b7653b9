package runners

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPartition(t *testing.T) {
	for _, c := range []struct {
		costs []float64
		n     int
		want  []int
	}{
		{[]float64{1, 1, 1, 1}, 1, []int{0, 4}},
		{[]float64{1, 1, 1, 1}, 2, []int{0, 2, 4}},
		{[]float64{5, 1, 1, 1, 1, 1}, 2, []int{0, 1, 6}},
		{[]float64{1, 1, 1, 1, 1, 5}, 2, []int{0, 5, 6}},
		{[]float64{3, 3, 3, 3}, 3, []int{0, 2, 3, 4}},
		{[]float64{1, 9, 1}, 3, []int{0, 1, 2, 3}},
		{[]float64{100, 1, 1}, 3, []int{0, 1, 2, 3}}, // no stretch stays empty
		{[]float64{2, 2}, 4, []int{0, 1, 2, 2, 2}},
		{nil, 3, []int{0, 0, 0, 0}},
	} {
		if diff := cmp.Diff(c.want, partition(c.costs, c.n)); diff != "" {
			t.Errorf("%v in %d (-want +got):\n%s", c.costs, c.n, diff)
		}
	}
}

// No cut of a list is better than partition's: tried against all of them.
func TestPartitionIsBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var best func(costs []float64, n int) float64
	best = func(costs []float64, n int) float64 {
		if n == 1 {
			return sum(costs)
		}
		least := sum(costs)
		for i := range costs {
			least = min(least, max(sum(costs[:i]), best(costs[i:], n-1)))
		}
		return least
	}
	for range 300 {
		costs := make([]float64, 1+rng.IntN(9))
		for i := range costs {
			costs[i] = float64(1 + rng.IntN(20))
		}
		n := 1 + rng.IntN(4)
		bounds, worst := partition(costs, n), 0.0
		for i := range n {
			worst = max(worst, sum(costs[bounds[i]:bounds[i+1]]))
		}
		if want := best(costs, n); worst != want {
			t.Errorf("%v in %d: the dearest of %v takes %g, %g is possible", costs, n, bounds, worst, want)
		}
	}
}

func sum(costs []float64) (total float64) {
	for _, c := range costs {
		total += c
	}
	return total
}

// On real records shards cost about the same, and the questions on one story stay
// together where a story is no more than a fair part.
func TestShardsOfRealRecords(t *testing.T) {
	data := os.Getenv("REFREEKV_SHARED")
	if data == "" {
		data = filepath.Join("..", "..", "shared")
	}
	data = filepath.Join(data, "data")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("no real records: %v", err)
	}
	c, err := LoadConfig("benchmarks", Overrides{Tasks: []string{"gsm8k", "coqa", "qasper", "gov_report", "lcc", "trec"}, Data: data, Limit: 8})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 5} {
		least, most, questions := 0.0, 0.0, 0
		for i := range n {
			p := plan(t, c, Shard{i, n})
			cost, ofStory := 0.0, 0
			for _, u := range p.Units {
				task := p.Tasks[u.Task]
				if task.Name == "coqa" {
					ofStory++
				}
				text, err := task.Definition.Text(task.Records[u.Record])
				if err != nil {
					t.Fatal(err)
				}
				cost += unitCost(float64(len(text))/bytesPerToken, u.ContextLength, task.Definition.MaxNewTokens, len(p.Variants))
			}
			if i == 0 || cost < least {
				least = cost
			}
			most, questions = max(most, cost), max(questions, ofStory)
		}
		if most > 1.5*least {
			t.Errorf("%d shards cost %.0f to %.0f", n, least, most)
		}
		if questions != 8 {
			t.Errorf("%d shards: at most %d of a story's 8 questions are together", n, questions)
		}
	}
}
