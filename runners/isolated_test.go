package runners

import (
	"path/filepath"
	"testing"

	"refreekv/pruners"
	"refreekv/runners/rows"
)

// Variants by themselves, over caches of their own, generate the tokens that they
// generate together, for every pruner and for what goes on while decoding.
func TestIsolatedEqualsShared(t *testing.T) {
	var variants []string
	for _, info := range pruners.List() {
		text := info.Name
		for _, o := range info.Options {
			if o.Default == nil {
				text += " " + o.Name + "=0.4"
			}
		}
		variants = append(variants, text)
	}
	variants = append(variants, "streamingllm budget=0.4 positions=cache", "streamingllm budget=0.4 positions=cache decode=evict",
		"h2o budget=0.4 rows=all decode=evict", "h2o budget=0.4 decode=evict heads=kv", "tova budget=0.4 decode=evict")
	o := Overrides{Models: []string{tinyM}, Variants: variants, Set: []string{"context_lengths=[200]", "fidelity=0", "isolated=2"}}
	isolated := mustRun(t, small(t, o), Options{Dir: filepath.Join(t.TempDir(), "isolated")})
	o.Set[2] = "isolated=0"
	shared := mustRun(t, small(t, o), Options{Dir: filepath.Join(t.TempDir(), "shared")})
	for i := range isolated.Rows { // how a variant is run is one of its row's inputs
		if isolated.Rows[i].Inputs == shared.Rows[i].Inputs {
			t.Errorf("row %d: isolated and together have the same inputs", i)
		}
		isolated.Rows[i].Inputs = shared.Rows[i].Inputs
	}
	sameRows(t, "together and isolated", shared.Rows, isolated.Rows)
	for _, row := range isolated.Rows {
		if row.Error != "" || row.Timing.Prefill <= 0 || row.Timing.Select <= 0 || row.Timing.Decode <= 0 {
			t.Errorf("%s: %q, %+v", row.Variant, row.Error, row.Timing)
		}
	}
}

func TestMedians(t *testing.T) {
	got := medians([]rows.Timing{{Prefill: 3, Select: 1, Decode: 9, Peak: 10}, {Prefill: 1, Select: 2, Decode: 9, Peak: 30}, {Prefill: 2, Select: 9, Decode: 1, Peak: 20}})
	if want := (rows.Timing{Prefill: 2, Select: 2, Decode: 9, Peak: 20}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
