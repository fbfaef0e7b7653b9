package reports

// overall gathers what a line says over all tasks: each task weighs the same, and
// its records are drawn from it alone (a stratified bootstrap).
type overall struct {
	scored, paired int // tasks with a score, and with a comparison

	means, shifts, sums []float64 // as of a pairing, means over the tasks
	weighed             []float64 // differences, each with its share of the mean
	unseen              float64
	ratios              []float64 // [resamples] sums of score / full-cache score
	counts              []int     // [resamples] of what is summed there
}

// expect counts a task that will be added.
func (o *overall) expect(p pairing) {
	if len(p.own) > 0 {
		o.scored++
	}
	if len(p.differences) > 0 {
		o.paired++
	}
}

// add adds a task. full are the full cache's resampled means, nil where it scores
// 0 or was not run; level is its score.
func (o *overall) add(p pairing, full []float64, level float64) {
	if p.means != nil {
		addTo(&o.means, p.means, 1/float64(o.scored))
	}
	if p.means != nil && full != nil {
		o.addRatios(p.means, full)
	}
	if p.shifts == nil {
		return
	}
	addTo(&o.shifts, p.shifts, 1/float64(o.paired))
	share := 1 / float64(o.paired*len(p.differences))
	addTo(&o.sums, p.sums, share)
	for _, d := range p.differences {
		o.weighed = append(o.weighed, d*share)
	}
	o.unseen = max(o.unseen, unseen(level, len(p.differences))/float64(o.paired))
}

// addRatios leaves out the rounds in which the full cache scores 0.
func (o *overall) addRatios(own, full []float64) {
	if o.ratios == nil {
		o.ratios, o.counts = make([]float64, len(own)), make([]int, len(own))
	}
	for i := range own {
		if full[i] > 0 {
			o.ratios[i] += own[i] / full[i]
			o.counts[i]++
		}
	}
}

// addTo adds values, each times share, to a sum that begins as nil.
func addTo(sum *[]float64, values []float64, share float64) {
	if *sum == nil {
		*sum = make([]float64, len(values))
	}
	for i, v := range values {
		(*sum)[i] += v * share
	}
}

// fill writes what was gathered into a line.
func (o *overall) fill(line *Line) {
	if o.means != nil {
		line.Average.Interval = middle(o.means)
	}
	if o.ratios != nil && line.Pruner != "full" {
		for i, n := range o.counts {
			o.ratios[i] = 100 * (o.ratios[i]/float64(max(n, 1)) - 1)
		}
		line.VsFullInterval = middle(o.ratios)
	}
	if o.paired == 0 {
		return
	}
	c := compare(o.weighed, o.shifts, o.sums)
	c.Difference *= float64(len(o.weighed)) // the shares sum up to the mean
	c.Unseen = o.unseen
	line.Average.Against = c
}
