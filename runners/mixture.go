package runners

import (
	"fmt"
	"slices"
)

// programs are all builds and machines that computed rows of a run.
func (p *Provenance) programs() []Program { return append([]Program{p.Program}, p.Also...) }

// computedBy notes that a program computes rows of the run. It reports whether it
// is another than those before it.
func (p *Provenance) computedBy(now Program) bool {
	if slices.Contains(p.programs(), now) {
		return false
	}
	p.Also = append(p.Also, now)
	return true
}

// Mixed is an error that says in what the programs differ that computed the rows
// of a run: averages over them would be neither the one's nor the other's. What
// only changes times, processor and threads, counts where times are measured. Runs
// of earlier versions do not tell the processor.
func (p *Provenance) Mixed() error {
	first := p.Program
	for _, other := range p.Also {
		for _, c := range []struct {
			name         string
			counts       bool
			first, other any
		}{
			{"rows_version", true, first.Rows, other.Rows},
			{"version", true, first.Version, other.Version},
			{"Go", true, first.Go, other.Go},
			{"machine", true, first.Machine, other.Machine},
			{"kernels", true, first.Kernels, other.Kernels},
			{"cpu", p.Config.Isolated > 0, first.CPU, other.CPU},
			{"threads", p.Config.Isolated > 0, first.Threads, other.Threads},
		} {
			if c.counts && c.first != c.other && c.first != "" && c.other != "" {
				return fmt.Errorf("its rows were computed under different programs (%s %v and %v): averages would mix them; give --mixed to have them all the same, or run it anew in another folder", c.name, c.first, c.other)
			}
		}
	}
	return nil
}
