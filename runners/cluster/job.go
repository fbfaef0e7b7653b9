package cluster

import (
	"fmt"
	"strconv"
	"strings"
)

// A Job is an experiment in shards, each of which runs
//
//	refreekv run CONFIG --out DIR --shard i/n
//
// on a folder that all nodes see.
type Job struct {
	Name    string   // of the experiment
	Config  string   // path of the config
	Dir     string   // the run's folder, absolute
	Shards  int      // n
	Only    []int    // shards to run, from 1, ascending; nil: all
	Binary  string   // path of refreekv on the nodes
	Flags   []string // further flags of run, e.g. --memory, 8GB
	Threads int      // cores of a shard; 0: as the scheduler gives
	Memory  string   // of a shard, e.g. 64G; empty: the scheduler's default
	Time    string   // limit of a shard; empty: the scheduler's default
	AtOnce  int      // shards that run at the same time; 0: no limit
	Env     []string // NAME=value, for every shard
}

// args are the words of a shard's command; shard is its number as the scheduler
// puts it in.
func (j Job) args(shard string) []string {
	out := []string{"run", j.Config, "--out", j.Dir, "--shard", shard}
	if j.Threads > 0 {
		out = append(out, "--threads", strconv.Itoa(j.Threads))
	}
	return append(out, j.Flags...)
}

// shards lists the numbers in Only, or all.
func (j Job) shards() []int {
	if j.Only != nil {
		return j.Only
	}
	all := make([]int, j.Shards)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// ranges writes ascending numbers as a list of ranges: 1-3,7.
func ranges(numbers []int) string {
	var out []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := strconv.Itoa(numbers[i])
		if end > i {
			part = fmt.Sprintf("%d-%d", numbers[i], numbers[end])
		}
		out = append(out, part)
		i = end + 1
	}
	return strings.Join(out, ",")
}
