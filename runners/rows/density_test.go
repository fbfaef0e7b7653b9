package rows

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func positions(from, to, step int) (list []int32) {
	for i := from; i < to; i += step {
		list = append(list, int32(i))
	}
	return list
}

func TestDensity(t *testing.T) {
	for name, test := range map[string]struct {
		keep [][][]int32
		n    int
		want []string
	}{
		"all, none but the last, every other": {
			[][][]int32{{positions(0, 640, 1)}, {{639}}, {positions(0, 640, 2)}}, 640,
			[]string{"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "00000000000000000000000000000002", "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii"},
		},
		"a short prompt, a token each":     {[][][]int32{{{0, 2, 4}}}, 5, []string{"z0z0z"}},
		"mean over lists":                  {[][][]int32{{positions(0, 32, 1), {0, 1}}}, 32, []string{"zziiiiiiiiiiiiiiiiiiiiiiiiiiiiii"}},
		"nearly none and nearly all":       {[][][]int32{{append([]int32{5}, positions(101, 3200, 1)...)}}, 3200, []string{"1yzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}},
		"parts that differ by one token":   {[][][]int32{{positions(0, 33, 1)}}, 33, []string{"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}},
		"nothing was selected: no density": {nil, 10, []string{}},
	} {
		if diff := cmp.Diff(test.want, NewDensity(test.keep, test.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
