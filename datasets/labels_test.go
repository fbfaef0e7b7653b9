package datasets

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Records of a grid tell their cell, in labels that add no field to them.
func TestLabels(t *testing.T) {
	for name, want := range map[string][]map[string]float64{
		"needle_grid length=400,800 depth=0,0.5": {{"target_length": 400, "depth": 0}, {"target_length": 400, "depth": 0.5}, {"target_length": 800, "depth": 0}, {"target_length": 800, "depth": 0.5}},
		"vt length=900 records=1":                {{"target_length": 900}},
		"niah_multivalue length=700 records=1":   {{"target_length": 700}},
		"recall":                                 {nil},
	} {
		var got []map[string]float64
		for _, r := range generatedSet(t, name)[:len(want)] {
			got = append(got, r.Labels)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, r := range generatedSet(t, "niah_single_2 length=700 records=3") {
		if want := map[string]float64{"target_length": 700, "depth": r.Fields["depths"].([]any)[0].(float64)}; !cmp.Equal(want, r.Labels) {
			t.Errorf("%s: labels %v, want %v", r.ID, r.Labels, want)
		}
	}
}
