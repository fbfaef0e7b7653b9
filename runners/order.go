package runners

import (
	"cmp"
	"fmt"
	"slices"

	"refreekv/model"
	"refreekv/tasks"
)

// A job is a unit with its prompt, ready to be run.
type job struct {
	unit   Unit
	prompt tasks.Prompt
	// marks are lengths at which jobs behind this one take its prefill over.
	marks []int
}

// jobs makes the prompts of units of one model and task and puts them into the
// order in which they are run.
func (r *run) jobs(units []Unit) ([]job, error) {
	out := make([]job, len(units))
	for i, u := range units {
		var err error
		if out[i], err = r.job(u); err != nil {
			return nil, err
		}
	}
	out = inOrder(out)
	setMarks(out)
	return out, nil
}

// job makes a unit's prompt; its model's identity must be known.
func (r *run) job(u Unit) (job, error) {
	task := r.plan.Tasks[u.Task]
	record := task.Records[u.Record]
	prompt, err := task.Definition.Prompt(r.identities[u.Model].prompts, record, u.ContextLength)
	if err != nil {
		return job{}, fmt.Errorf("task %s, record %s: %w", task.Name, record.ID, err)
	}
	return job{unit: u, prompt: prompt}, nil
}

// worthSharing tells whether prompts that begin with so many common tokens are
// run one after the other: they share at least an eighth of the shorter.
func worthSharing(common, a, b int) bool { return common >= leastShared && 8*common >= min(a, b) }

// leastShared is how many common tokens are worth taking over.
const leastShared = 48

// alike groups texts that share a good part of their beginning (questions on one
// story, few-shot examples): their places, in ascending order of the texts.
// perToken is how many elements of a text make a token.
func alike[E cmp.Ordered](texts [][]E, perToken int) (clusters [][]int) {
	sorted := make([]int, len(texts))
	for i := range sorted {
		sorted[i] = i
	}
	slices.SortStableFunc(sorted, func(a, b int) int { return slices.Compare(texts[a], texts[b]) })
	for i, at := range sorted {
		if i > 0 {
			before, now := texts[sorted[i-1]], texts[at]
			if worthSharing(model.Common(before, now)/perToken, len(before)/perToken, len(now)/perToken) {
				clusters[len(clusters)-1] = append(clusters[len(clusters)-1], at)
				continue
			}
		}
		clusters = append(clusters, []int{at})
	}
	return clusters
}

// inOrder puts prompts that begin alike behind each other; otherwise their order
// stays.
func inOrder(jobs []job) []job {
	prompts := make([][]int32, len(jobs))
	for i, j := range jobs {
		prompts[i] = j.prompt.Tokens
	}
	clusters := alike(prompts, 1)
	slices.SortFunc(clusters, func(a, b []int) int { return slices.Min(a) - slices.Min(b) })
	out := make([]job, 0, len(jobs))
	for _, cluster := range clusters {
		for _, at := range cluster {
			out = append(out, jobs[at])
		}
	}
	return out
}

// setMarks notes in every job how much the jobs behind it share with it: of each
// that follows, what is common to all up to it.
func setMarks(jobs []job) {
	common := make([]int, len(jobs)) // with the next job
	for i := range len(jobs) - 1 {
		common[i] = model.Common(jobs[i].prompt.Tokens, jobs[i+1].prompt.Tokens)
	}
	for i := range jobs {
		jobs[i].marks = nil
		least := len(jobs[i].prompt.Tokens) + 1
		for k := i; k < len(jobs) && least >= leastShared; k++ {
			if common[k] < least && common[k] >= leastShared {
				jobs[i].marks = append(jobs[i].marks, common[k])
			}
			least = min(least, common[k])
		}
	}
}
