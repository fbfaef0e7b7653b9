package runners

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Runs stand in one table only if their scores are from the same definitions.
func TestJoinScoring(t *testing.T) {
	run := func(task, again map[string]string) *Provenance {
		p := &Provenance{Tasks: task}
		if again != nil {
			p.Scoring = &Scoring{Version: "v2", Tasks: again}
		}
		return p
	}
	type hashes = map[string]string
	for _, c := range []struct {
		name string
		a, b *Provenance
		want *Scoring
		says string
	}{
		{"neither", run(hashes{"x": "1"}, nil), run(hashes{"x": "1"}, nil), nil, ""},
		{"one, unchanged", run(hashes{"x": "1"}, hashes{"x": "1"}), run(hashes{"x": "1", "y": "3"}, nil), &Scoring{"v2", hashes{"x": "1", "y": "3"}}, ""},
		{"one, changed", run(hashes{"x": "1"}, nil), run(hashes{"x": "1"}, hashes{"x": "2"}), nil, "definition of task x; score the other again too"},
		{"both alike", run(hashes{"x": "1"}, hashes{"x": "2"}), run(hashes{"x": "1"}, hashes{"x": "2"}), &Scoring{"v2", hashes{"x": "2"}}, ""},
		{"other tasks", run(hashes{"x": "1"}, hashes{"x": "2"}), run(hashes{"y": "1"}, nil), &Scoring{"v2", hashes{"x": "2", "y": "1"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, pair := range [][2]*Provenance{{c.a, c.b}, {c.b, c.a}} {
				got, err := joinScoring(pair[0], pair[1])
				if c.says != "" {
					if err == nil || !strings.Contains(err.Error(), c.says) {
						t.Errorf("error %v, want %q", err, c.says)
					}
					continue
				}
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got) %s", err, diff)
				}
			}
		})
	}
}
