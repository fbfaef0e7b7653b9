package runners

import (
	"fmt"
	"slices"
)

// Shard is the part Index (0-based) of Count parts of the work. The zero value
// is all of it.
//
// Parts are balanced by estimated cost (see unitCost), not by count. They are
// stretches of the plan, so that a part opens few models, except that records
// whose prompts begin alike, which share their prefill, stand together; only
// where these alone are more than a fair part are they split. What is in a part
// depends on the config and the data alone: every machine works it out for itself.
type Shard struct{ Index, Count int }

// take leaves the shard's units in the plan.
func (p *Plan) take(shard Shard) error {
	if shard.Count == 0 {
		return nil
	}
	all, err := p.shards(shard.Count)
	if err != nil {
		return err
	}
	p.Units = all[shard.Index]
	return nil
}

// shards are the units of all n shards of a whole plan.
func (p *Plan) shards(n int) ([][]Unit, error) {
	groups, costs, err := p.groups(n)
	if err != nil {
		return nil, err
	}
	bounds, out := partition(costs, n), make([][]Unit, n)
	for i := range out {
		var mine []int
		for _, group := range groups[bounds[i]:bounds[i+1]] {
			mine = append(mine, group...)
		}
		slices.Sort(mine)
		for _, at := range mine {
			out[i] = append(out[i], p.Units[at])
		}
	}
	return out, nil
}

// groups are the units that stay together in one of n shards, as indices into
// Units, in the order of their first units, with their costs.
func (p *Plan) groups(n int) (groups [][]int, costs []float64, err error) {
	clusters := make([][]int, len(p.Tasks)) // of a task, a record's cluster
	unit := make([][]float64, len(p.Tasks))
	for t, task := range p.Tasks {
		texts := make([][]byte, len(task.Records))
		for r, record := range task.Records {
			text, err := task.Definition.Text(record)
			if err != nil {
				return nil, nil, fmt.Errorf("task %s, record %s: %w", task.Name, record.ID, err)
			}
			texts[r] = []byte(text)
			unit[t] = append(unit[t], float64(len(text))/bytesPerToken)
		}
		clusters[t] = make([]int, len(texts))
		for c, members := range alike(texts, bytesPerToken) {
			for _, r := range members {
				clusters[t][r] = c
			}
		}
	}
	type place struct {
		model         string
		task, cluster int
	}
	at, total := map[place]int{}, 0.0
	cost := func(i int) float64 {
		u := p.Units[i]
		return unitCost(unit[u.Task][u.Record], u.ContextLength, p.Tasks[u.Task].Definition.MaxNewTokens, len(p.Variants))
	}
	for i, u := range p.Units {
		key := place{u.Model, u.Task, clusters[u.Task][u.Record]}
		g, known := at[key]
		if !known {
			g = len(groups)
			at[key] = g
			groups, costs = append(groups, nil), append(costs, 0)
		}
		groups[g] = append(groups[g], i)
		costs[g] += cost(i)
		total += cost(i)
	}
	groups, costs = split(groups, costs, total/float64(n), cost)
	return groups, costs, nil
}

// split takes groups apart that cost more than a fair share.
func split(groups [][]int, costs []float64, fair float64, cost func(int) float64) (out [][]int, outCosts []float64) {
	for g, group := range groups {
		if costs[g] <= fair {
			out, outCosts = append(out, group), append(outCosts, costs[g])
			continue
		}
		for _, i := range group {
			out, outCosts = append(out, []int{i}), append(outCosts, cost(i))
		}
	}
	return out, outCosts
}

// bytesPerToken is what a token of English text takes, about.
const bytesPerToken = 4

// unitCost estimates what a unit takes, in prompt tokens of a short prompt: its
// prompt's tokens, dearer in long prompts, whose attention grows with the square
// of the length, and half of the longest text of every variant; a generated token
// takes about three times a prompt token where all variants decode together.
func unitCost(tokens float64, contextLength, newTokens, variants int) float64 {
	const quadratic = 16384 // prompt length at which attention takes as long as all else
	tokens = min(tokens, float64(contextLength))
	return tokens*(1+tokens/quadratic) + 3*float64(variants)*float64(newTokens)/2
}

// partition cuts a list of costs into n stretches, the dearest of which is as
// cheap as it can be; no stretch is empty unless there are fewer costs than that.
// Stretch i is [bounds[i], bounds[i+1]).
func partition(costs []float64, n int) (bounds []int) {
	low, high := 0.0, 0.0
	for _, c := range costs {
		low, high = max(low, c), high+c
	}
	for range 60 {
		middle := (low + high) / 2
		if len(fill(costs, middle)) <= n {
			high = middle
		} else {
			low = middle
		}
	}
	bounds = []int{0}
	sum := 0.0
	for i, c := range costs {
		begun := i > bounds[len(bounds)-1]
		stretches := n - len(bounds) // still to be begun
		if begun && stretches > 0 && (sum+c > high || len(costs)-i <= stretches) {
			bounds, sum = append(bounds, i), 0
		}
		sum += c
	}
	for len(bounds) <= n {
		bounds = append(bounds, len(costs))
	}
	return bounds
}

// fill begins a stretch where the one before would cost more than most; it
// returns where they begin.
func fill(costs []float64, most float64) (begins []int) {
	sum := 0.0
	for i, c := range costs {
		if i == 0 || sum+c > most {
			begins, sum = append(begins, i), 0
		}
		sum += c
	}
	return begins
}
