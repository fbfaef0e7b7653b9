package pruners

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var equalBudgets = []string{"0.01", "0.2", "0.5", "0.9", "1", "3", "8", "9", "33", "1000"}

// equalSpecs are all methods and options that the reference covers, each option
// alone and those together that touch each other.
func equalSpecs() []string {
	specs := []string{"full"}
	for _, t := range []string{"0", "0.001", "0.01", "0.05", "0.3", "1"} {
		specs = append(specs, "refreekv threshold="+t)
		for _, o := range []string{
			"norm_scope=all", "norm_scope=mixed", "head_agg=joint", "head_agg=per_head",
			"head_agg=joint norm_scope=all", "head_agg=joint norm_scope=mixed", "head_agg=per_head norm_scope=all",
			"last_rows=2", "last_rows=5 norm_scope=all", "last_rows=64 head_agg=joint",
			"sinks=0", "sinks=1 norm_scope=all", "sinks=20",
			"budget=0.5", "budget=0.1 norm_scope=all", "budget=3", "budget=12 sinks=2 last_rows=3",
			"frozen_layers=", "frozen_layers=1", "frozen_layers=0,2,77",
			"ranking=attention", "ranking=attention head_agg=joint", "ranking=attention head_agg=per_head frozen_layers=",
			"ranking=snapkv", "ranking=snapkv head_agg=joint", "ranking=snapkv head_agg=per_head frozen_layers=0",
		} {
			specs = append(specs, "refreekv threshold="+t+" "+o)
		}
	}
	specs = append(specs, "refreekv", "refreekv preset=paper", "refreekv preset=readme", "refreekv preset=readme threshold=0.21 ranking=snapkv")
	for _, b := range equalBudgets {
		specs = append(specs, "streamingllm budget="+b, "streamingllm sinks=0 budget="+b, "streamingllm sinks=9 budget="+b)
		for _, heads := range []string{"", " heads=kv", " heads=kv group=max", " heads=kv group=sum"} {
			for _, o := range []string{"", " window=1", " window=16", " rows=all", " split=half", " rows=all split=half window=20"} {
				specs = append(specs, "h2o budget="+b+heads+o)
			}
			for _, o := range []string{"", " window=32 kernel=5 pooling=avg", " kernel=1", " kernel=15 window=3", " kernel=3 pooling=avg", " kernel=2001"} {
				specs = append(specs, "snapkv budget="+b+heads+o)
			}
		}
	}
	return specs
}

func TestEqualsReference(t *testing.T) {
	specs := equalSpecs()
	// Every fifth spec for one prompt, others for the next: all meet every kind
	// of rows and every shape.
	turn := 0
	check := func(t *testing.T, kind string, shape, n int) {
		p := attentionPrefix(uint64(shape), kind, shapes[shape], n)
		turn++
		for i := turn % 5; i < len(specs); i += 5 {
			got, want := mustSelect(t, specs[i], p), reference(t, specs[i], p)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s on %s rows, %+v, %d tokens (-reference +got):\n%s", specs[i], kind, shapes[shape], n, cmp.Diff(want, got))
			}
		}
	}
	for _, kind := range allKinds {
		for shape := range shapes {
			t.Run(fmt.Sprintf("%s/%d", kind, shape), func(t *testing.T) {
				for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 9, 10, 13, 17, 33, 64} {
					check(t, kind, shape, n)
				}
			})
		}
	}
	for _, kind := range []string{softmaxRows, quantisedRows} {
		t.Run(kind+"/long", func(t *testing.T) {
			check(t, kind, 1, 300)
			check(t, kind, 3, 300)
			check(t, kind, 2, 161)
		})
	}
}
