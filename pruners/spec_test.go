package pruners

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Spec{
		"full":                               {Name: "full", Options: map[string]any{}},
		"snapkv budget=0.5 window=16":        {Name: "snapkv", Options: map[string]any{"budget": 0.5, "window": 16}},
		"  snapkv\twindow=16  budget=.5 ":    {Name: "snapkv", Options: map[string]any{"budget": 0.5, "window": 16}},
		"streamingllm budget=512":            {Name: "streamingllm", Options: map[string]any{"budget": 512.0}},
		"refreekv threshold=1e-3":            {Name: "refreekv", Options: map[string]any{"threshold": 0.001}},
		"refreekv threshold=1":               {Name: "refreekv", Options: map[string]any{"threshold": 1.0}},
		"refreekv sinks=4.0":                 {Name: "refreekv", Options: map[string]any{"sinks": 4}},
		"refreekv frozen_layers=0,1,31":      {Name: "refreekv", Options: map[string]any{"frozen_layers": []int{0, 1, 31}}},
		"refreekv frozen_layers=5,1,5":       {Name: "refreekv", Options: map[string]any{"frozen_layers": []int{1, 5}}},
		"refreekv frozen_layers=7":           {Name: "refreekv", Options: map[string]any{"frozen_layers": []int{7}}},
		"refreekv frozen_layers=":            {Name: "refreekv", Options: map[string]any{"frozen_layers": []int{}}},
		"refreekv with_replacement=false":    {Name: "refreekv", Options: map[string]any{"with_replacement": false}},
		"h2o budget=0.2 rows=all heads=kv":   {Name: "h2o", Options: map[string]any{"budget": 0.2, "rows": "all", "heads": "kv"}},
		"refreekv preset=readme seed=-3":     {Name: "refreekv", Options: map[string]any{"preset": "readme", "seed": -3}},
		"snapkv budget=0.5 pooling=avg":      {Name: "snapkv", Options: map[string]any{"budget": 0.5, "pooling": "avg"}},
		"refreekv threshold=-0.0 sinks=-0":   {Name: "refreekv", Options: map[string]any{"threshold": 0.0, "sinks": 0}},
		"snapkv budget=99999999999999999999": {Name: "snapkv", Options: map[string]any{"budget": 1e20}},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		if threshold, ok := got.Options["threshold"].(float64); ok && threshold == 0 && math.Signbit(threshold) {
			t.Errorf("%q: threshold is -0", text)
		}
	}
}

// The canonical form drops defaults, puts the budget first and the rest by
// name, however the settings were written.
func TestCanonicalForm(t *testing.T) {
	for text, want := range map[string]string{
		"full":                                       "full",
		"refreekv":                                   "refreekv",
		"refreekv threshold=0.010 sinks=4":           "refreekv",
		"refreekv frozen_layers=1,0,1":               "refreekv",
		"refreekv frozen_layers=":                    "refreekv frozen_layers=",
		"refreekv frozen_layers=9,2":                 "refreekv frozen_layers=2,9",
		"refreekv sinks=2 budget=0.5 threshold=5e-2": "refreekv budget=0.5 sinks=2 threshold=0.05",
		"refreekv preset=paper":                      "refreekv",
		"refreekv preset=readme":                     "refreekv preset=readme",
		"refreekv preset=readme threshold=0.05 ranking=attention": "refreekv preset=readme",
		"refreekv preset=readme threshold=0.01":                   "refreekv preset=readme threshold=0.01",
		"refreekv preset=readme frozen_layers=0,1":                "refreekv frozen_layers=0,1 preset=readme",
		"refreekv threshold=-0.0":                                 "refreekv threshold=0",
		"refreekv with_replacement=F":                             "refreekv with_replacement=false",
		"refreekv with_replacement=true":                          "refreekv",
		"snapkv window=16 budget=.50":                             "snapkv budget=0.5 window=16",
		"snapkv budget=1e0 window=8 kernel=7":                     "snapkv budget=1",
		"snapkv budget=512.0 pooling=avg":                         "snapkv budget=512 pooling=avg",
		"h2o split=half rows=all budget=0.2":                      "h2o budget=0.2 rows=all split=half",
		"h2o group=mean heads=query budget=.8":                    "h2o budget=0.8",
		"streamingllm sinks=0 budget=0.2":                         "streamingllm budget=0.2 sinks=0",
		"adakv score=snapkv score.window=8 budget=0.2":            "adakv budget=0.2",
		"adakv score.seed=3 safeguard=0.1 budget=.2 score=random": "adakv budget=0.2 safeguard=0.1 score=random score.seed=3",
		"pyramidkv beta=20 budget=0.2 schedule=kvpress":           "pyramidkv budget=0.2 schedule=kvpress",
		"chunkkv budget=0.2 score.sinks=4 score=cur chunk=10":     "chunkkv budget=0.2 chunk=10 score=cur",
	} {
		spec, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := spec.String(); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

// Settings that come from YAML or JSON are worth the same as those on a command
// line.
func TestSpecFromValues(t *testing.T) {
	for _, c := range []struct {
		options map[string]any
		want    string
	}{
		{map[string]any{"threshold": 0.05, "sinks": 2, "frozen_layers": []any{1, 0}}, "refreekv sinks=2 threshold=0.05"},
		{map[string]any{"threshold": 1, "frozen_layers": []any{}}, "refreekv frozen_layers= threshold=1"},
		{map[string]any{"threshold": int64(0), "sinks": uint64(3), "frozen_layers": []int{4, 4}}, "refreekv frozen_layers=4 sinks=3 threshold=0"},
		{map[string]any{"sinks": 8.0, "with_replacement": false, "ranking": "position"}, "refreekv sinks=8 with_replacement=false"},
		{nil, "refreekv"},
	} {
		spec := Spec{Name: "refreekv", Options: c.options}
		if _, err := New(spec); err != nil {
			t.Errorf("%v: %v", c.options, err)
		}
		if got := spec.String(); got != c.want {
			t.Errorf("%v is written %q, want %q", c.options, got, c.want)
		}
	}
}

func TestRefusedSpecs(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "no pruner is named",
		"   ":                                 "no pruner is named",
		"quest":                               `unknown pruner "quest"; want one of full, refreekv, streamingllm, h2o, snapkv, knorm`,
		"snapkw budget=0.5":                   `unknown pruner "snapkw"; did you mean "snapkv"?`,
		"SnapKV budget=0.5":                   `did you mean "snapkv"?`,
		"ReFreeKV":                            `did you mean "refreekv"?`,
		"h20 budget=0.5":                      `did you mean "h2o"?`,
		"streamingLM budget=0.5":              `did you mean "streamingllm"?`,
		"full budget=0.5":                     `pruner full has no option "budget"; it has none at all`,
		"snapkv windw=8 budget=0.5":           `pruner snapkv has no option "windw"; did you mean "window"?`,
		"snapkv budget=0.5 colour=red":        `pruner snapkv has no option "colour"; want one of budget, window`,
		"refreekv tresholds=0.1":              `did you mean "threshold"?`,
		"snapkv =5":                           `no option ""`,
		"snapkv budget":                       `"budget" is no option=value pair`,
		"snapkv budget=0.5 window 8":          `"window" is no option=value pair`,
		"snapkv":                              "pruner snapkv needs the option budget",
		"h2o window=8":                        "pruner h2o needs the option budget",
		"streamingllm":                        "pruner streamingllm needs the option budget",
		"snapkv budget=0.5 budget=0.5":        "option budget is given twice",
		"snapkv budget=half":                  "pruner snapkv: option budget: half is no number",
		"snapkv budget=50%":                   "option budget: 50% is no number; 50 % is written 0.5",
		"snapkv,budget=0.5":                   `unknown pruner "snapkv,budget=0.5"; leave blanks between name and settings`,
		"snapkv budget=":                      "option budget:  is no number",
		"snapkv budget=nan":                   "option budget: NaN is no number",
		"snapkv budget=true":                  "option budget: true is no number",
		"snapkv budget=0.5 window=8.5":        "option window: 8.5 is no whole number",
		"snapkv budget=0.5 window=x":          "option window: x is no whole number",
		"snapkv budget=0.5 window=inf":        "option window: +Inf is no whole number",
		"snapkv budget=0.5 window=1e12":       "option window: 1e+12 is no whole number",
		"snapkv budget=0.5 heads=all":         "option heads: all is none of query, kv",
		"snapkv budget=0.5 heads=":            "option heads:  is none of query, kv",
		"snapkv budget=0.5 pooling=1":         "option pooling: 1 is none of max, avg",
		"snapkv budget=0.5 group=T":           "option group: T is none of mean, max, sum",
		"refreekv with_replacement=yes":       "option with_replacement: yes is neither true nor false",
		"refreekv frozen_layers=0,-1":         "option frozen_layers: -1 is no layer number",
		"refreekv frozen_layers=0,1.5":        "option frozen_layers: 1.5 is no layer number",
		"refreekv frozen_layers=all":          "option frozen_layers: all is no layer number",
		"refreekv frozen_layers=nan":          "option frozen_layers: NaN is no layer number",
		"refreekv preset=readme.md":           "option preset: readme.md is none of paper, readme",
		"refreekv sinks=x threshold=x seed=x": "option seed: x is no whole number", // always the same one
		"adakv budget=0.5 score=knorn":        `pruner adakv: unknown score "knorn"; did you mean "knorm"?`,
		"adakv budget=0.5 score=adakv":        `unknown score "adakv"`,
		"adakv budget=0.5 score.sinks=4":      `pruner adakv has no option "score.sinks"`,
		"adakv budget=0.5 score.budget=4":     `pruner adakv has no option "score.budget"`,
		"chunkkv score=h2o score.decode=grow": `pruner chunkkv has no option "score.decode"`,
		"pyramidkv budget=0.5 beta=1.5":       "option beta: 1.5 is no whole number",
	} {
		for range 5 {
			spec, err := Parse(text)
			if err == nil {
				t.Errorf("%q was read as %v", text, spec)
				break
			}
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %q, want %q in it", text, err, want)
				break
			}
		}
	}
}

// Settings of the right type that make no sense are refused when the pruner is
// made.
func TestRefusedSettings(t *testing.T) {
	for text, want := range map[string]string{
		"snapkv budget=0":                             "pruner snapkv: budget 0 keeps nothing",
		"snapkv budget=-0.5":                          "budget -0.5 keeps nothing",
		"h2o budget=inf":                              "budget +Inf keeps nothing",
		"streamingllm budget=1.5":                     "budget 1.5 is neither a share",
		"refreekv budget=0":                           "pruner refreekv: budget 0 keeps nothing",
		"snapkv budget=0.5 window=0":                  "window 0 is below 1",
		"h2o budget=0.5 window=-8":                    "window -8 is below 1",
		"snapkv budget=0.5 kernel=4":                  "kernel 4 is not odd and positive",
		"snapkv budget=0.5 kernel=0":                  "kernel 0 is not odd and positive",
		"snapkv budget=0.5 kernel=-7":                 "kernel -7 is not odd and positive",
		"streamingllm budget=0.5 sinks=-1":            "sinks -1 is negative",
		"refreekv sinks=-1":                           "sinks -1 is negative",
		"refreekv last_rows=0":                        "last_rows 0 is below 1",
		"refreekv threshold=-1.1":                     "threshold -1.1",
		"refreekv threshold=inf":                      "threshold +Inf",
		"refreekv threshold=-inf":                     "threshold -Inf",
		"refreekv ranking=attention sinks=5":          "go with ranking=position only",
		"refreekv ranking=snapkv last_rows=2":         "go with ranking=position only",
		"refreekv ranking=snapkv budget=0.5":          "go with ranking=position only",
		"refreekv preset=readme norm_scope=all":       "go with ranking=position only",
		"knorm budget=0":                              "pruner knorm: budget 0 keeps nothing",
		"random budget=1.5":                           "budget 1.5 is neither a share",
		"lagkv budget=0.5 sinks=-1":                   "sinks -1 is negative",
		"lagkv budget=0.5 lag=0":                      "lag 0 is below 1",
		"cur budget=0.5 sinks=-1":                     "sinks -1 is negative",
		"cur budget=0.5 window=-1":                    "window -1 is negative",
		"scissorhands budget=0.5 window=0":            "window 0 is below 1",
		"scissorhands budget=0.5 recent=-1":           "recent -1 is negative",
		"adakv budget=0":                              "pruner adakv: budget 0 keeps nothing",
		"adakv budget=0.5 safeguard=1.1":              "safeguard 1.1 is no share",
		"adakv budget=0.5 score.kernel=2":             "kernel 2 is not odd and positive",
		"adakv budget=0.5 score=h2o score.split=half": "split=half needs a budget of its own",
		"pyramidkv budget=0.5 beta=0":                 "beta 0 is below 1",
		"pyramidkv budget=-1":                         "budget -1 keeps nothing",
		"chunkkv budget=0.5 chunk=0":                  "chunk 0 is below 1",
		"chunkkv budget=0.5 score.window=0":           "window 0 is below 1",
		"simlayerkv threshold=-0.1":                   "threshold -0.1 is no share",
		"simlayerkv threshold=1.1":                    "threshold 1.1 is no share",
		"simlayerkv last_rows=0":                      "last_rows 0 is below 1",
		"simlayerkv recent=3 last_rows=3":             "recent 3 is not above last_rows 3",
		"simlayerkv sinks=-1":                         "sinks -1 is negative",
	} {
		spec, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if _, err := New(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, spec := range []Spec{
		{},
		{Name: "nothing"},
		{Name: "snapkv"},
		{Name: "full", Options: map[string]any{"budget": 1}},
		{Name: "refreekv", Options: map[string]any{"frozen_layers": 1}},
		{Name: "refreekv", Options: map[string]any{"frozen_layers": "0,1"}},
		{Name: "refreekv", Options: map[string]any{"frozen_layers": []int{-1}}},
		{Name: "refreekv", Options: map[string]any{"frozen_layers": []any{"0"}}},
		{Name: "refreekv", Options: map[string]any{"threshold": nil}},
		{Name: "refreekv", Options: map[string]any{"threshold": "0.1"}},
		{Name: "refreekv", Options: map[string]any{"threshold": []any{0.1}}},
		{Name: "refreekv", Options: map[string]any{"with_replacement": 1}},
		{Name: "refreekv", Options: map[string]any{"preset": 1}},
		{Name: "refreekv", Options: map[string]any{"ranking": true}},
	} {
		if p, err := New(spec); err == nil {
			t.Errorf("%+v made %v", spec, p)
		}
	}
}

// The readme preset is the settings it stands for, and a given setting wins
// over it.
func TestPreset(t *testing.T) {
	p := attentionPrefix(1, softmaxRows, shapes[1], 120)
	for preset, spelled := range map[string]string{
		"refreekv preset=paper":                  "refreekv threshold=0.01 sinks=4 frozen_layers=0,1 ranking=position norm_scope=candidates head_agg=mean last_rows=1",
		"refreekv preset=readme":                 "refreekv threshold=0.05 ranking=attention frozen_layers=",
		"refreekv preset=readme threshold=0.3":   "refreekv threshold=0.3 ranking=attention frozen_layers=",
		"refreekv preset=readme frozen_layers=2": "refreekv threshold=0.05 ranking=attention frozen_layers=2",
	} {
		if diff := cmp.Diff(mustSelect(t, spelled, p), mustSelect(t, preset, p)); diff != "" {
			t.Errorf("%s (-%s +preset):\n%s", preset, spelled, diff)
		}
	}
}

// share tells whether an option takes a number from 0 to 1.
func share(o Option) bool {
	_, number := o.Default.(float64)
	return number && strings.Contains(o.About, "share") && o.Name != "budget" && o.Name != "threshold"
}

// randomValue is a value that an option may take, in one of the ways to write
// it; it makes sense with every other option's.
func randomValue(rng *rand.Rand, o Option) string {
	pick := func(values ...string) string { return values[rng.IntN(len(values))] }
	switch {
	case o.Name == "budget":
		return pick("0.5", ".5", "5e-1", "0.2", "1", "1.0", "2", "512", "1e3", fmt.Sprint(0.01+0.99*rng.Float64()), fmt.Sprint(2+rng.IntN(9999)))
	case share(o):
		return pick("0", "1", "0.5", "1e-1", fmt.Sprint(rng.Float64()))
	case o.Name == "kernel":
		return fmt.Sprint(1 + 2*rng.IntN(20))
	case o.Name == "threshold":
		return pick("0", "-0", "-0.0", "0.01", "1e-2", "0.05", "-0.5", "-1", "7", fmt.Sprint(rng.Float64()), fmt.Sprint(-rng.Float64()))
	case len(o.Choices) > 0:
		return pick(o.Choices...)
	}
	switch o.Default.(type) {
	case int:
		return pick("1", "4", "4.0", "8", "1e1", fmt.Sprint(1+rng.IntN(100)))
	case float64:
		return pick("1", "0.5", "2e2", fmt.Sprint(10*rng.Float64()))
	case bool:
		return pick("true", "false", "True", "F")
	case []int:
		return pick("", "0", "0,1", "1,0", "0,0,1,1", "3,5,2", ",,7,", fmt.Sprintf("%d,%d", rng.IntN(40), rng.IntN(40)))
	}
	panic("no values for option " + o.Name)
}

// Reading the canonical form gives the same pruner and the same form, for any
// settings of any method, in any order and spelling.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	used := map[string]bool{}
	for range 4000 {
		m := registry[rng.IntN(len(registry))]
		parts := []string{}
		for _, o := range m.info.Options {
			if o.Default == nil || rng.IntN(3) == 0 {
				parts = append(parts, o.Name+"="+randomValue(rng, o))
				used[m.info.Name+" "+o.Name] = true
			}
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		text := strings.Join(append([]string{m.info.Name}, parts...), " ")
		spec, err := Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		checkRoundTrip(t, text, spec)
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		shuffled, err := Parse(strings.Join(append([]string{m.info.Name}, parts...), " "))
		if err != nil || shuffled.String() != spec.String() {
			t.Fatalf("%q in another order is %q, not %q (%v)", text, shuffled, spec, err)
		}
	}
	for _, info := range List() {
		for _, o := range info.Options {
			if !used[info.Name+" "+o.Name] {
				t.Errorf("option %s of %s was never tried", o.Name, info.Name)
			}
		}
	}
}

func checkRoundTrip(t *testing.T, text string, spec Spec) {
	t.Helper()
	canonical := spec.String()
	again, err := Parse(canonical)
	if err != nil {
		t.Fatalf("%q is written %q, which is refused: %v", text, canonical, err)
	}
	if again.String() != canonical {
		t.Fatalf("%q is written %q and then %q", text, canonical, again)
	}
	m, err := find(spec.Name)
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.resolve(spec.Options)
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.resolve(again.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Fatalf("%q is written %q, which means (-first +again):\n%s", text, canonical, diff)
	}
	_, made := New(spec)
	_, madeAgain := New(again)
	if fmt.Sprint(made) != fmt.Sprint(madeAgain) {
		t.Fatalf("%q makes %v, its form %q %v", text, made, canonical, madeAgain)
	}
}

// Different settings are written differently: no two variants share a label.
func TestLabelsDiffer(t *testing.T) {
	seen := map[string]options{}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 4000 {
		m := registry[rng.IntN(len(registry))]
		given := map[string]any{}
		for _, o := range m.info.Options {
			if o.Default == nil || rng.IntN(3) == 0 {
				given[o.Name] = parseValue(randomValue(rng, o), o.Default)
			}
		}
		resolved, err := m.resolve(given)
		if err != nil {
			t.Fatal(err)
		}
		label := Spec{Name: m.info.Name, Options: given}.String()
		if other, ok := seen[label]; ok && !cmp.Equal(other, resolved) {
			t.Fatalf("%q names both %v and %v", label, other, resolved)
		}
		seen[label] = resolved
	}
}

// What is listed can be used: every option has a meaning, a default that it
// accepts, and choices that include it.
func TestList(t *testing.T) {
	names := []string{}
	for _, info := range List() {
		names = append(names, info.Name)
		if info.About == "" || info.Paper == "" {
			t.Errorf("%s lacks a description", info.Name)
		}
		seen := map[string]bool{}
		for _, o := range info.Options {
			if seen[o.Name] || o.About == "" {
				t.Errorf("%s: option %s is listed twice or lacks a description", info.Name, o.Name)
			}
			seen[o.Name] = true
			if o.Default == nil {
				continue
			}
			got, err := o.convert(o.Default)
			if err != nil || !cmp.Equal(got, o.Default) {
				t.Errorf("%s: option %s does not accept its default %v: %v, %v", info.Name, o.Name, o.Default, got, err)
			}
			_, list := o.Default.([]int)
			if IsList(info.Name, o.Name) != list {
				t.Errorf("IsList(%s, %s) = %t", info.Name, o.Name, !list)
			}
		}
	}
	if first := []string{"full", "refreekv", "streamingllm", "h2o", "snapkv"}; !slices.Equal(names[:len(first)], first) {
		t.Errorf("methods %v do not begin with %v", names, first)
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(names))); len(unique) != len(names) {
		t.Errorf("methods %v: a name stands for two", names)
	}
	if IsList("nothing", "frozen_layers") || IsList("refreekv", "nothing") {
		t.Error("an unknown option is a list")
	}
}

// A parsed spec shares nothing with the defaults: changing it changes no other.
func TestSpecsAreIndependent(t *testing.T) {
	before := Spec{Name: "refreekv"}
	p := attentionPrefix(1, softmaxRows, shapes[0], 60)
	want := mustSelect(t, "refreekv", p)
	spec, err := Parse("refreekv frozen_layers=0,1")
	if err != nil {
		t.Fatal(err)
	}
	spec.Options["frozen_layers"].([]int)[0] = 2
	given := []int{1, 0}
	if _, err := New(Spec{Name: "refreekv", Options: map[string]any{"frozen_layers": given}}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(given, []int{1, 0}) {
		t.Errorf("making a pruner reordered the caller's list: %v", given)
	}
	if got := mustSelect(t, "refreekv", p); before.String() != "refreekv" || !cmp.Equal(want, got) {
		t.Error("changing a parsed spec changed the default")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"full", "refreekv", "refreekv preset=readme threshold=-0.5 seed=3", "refreekv frozen_layers=1,0,,1 last_rows=2 budget=0.5",
		"snapkv budget=0.5 window=16 pooling=avg kernel=5", "h2o rows=all split=half budget=512 heads=kv group=max",
		"streamingllm sinks=0 budget=.2", "snapkv budget=", "snapkv budget=0x1p-3", "refreekv threshold=-0.0", "refreekv with_replacement=F",
		"h20 budget=1", "snapkv =", "a=b", "refreekv frozen_layers=1e3",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := Parse(text)
		if err != nil {
			return
		}
		given := len(strings.Fields(text)) - 1
		if given != len(spec.Options) {
			t.Fatalf("%q gives %d settings, read were %v", text, given, slices.Sorted(maps.Keys(spec.Options)))
		}
		checkRoundTrip(t, text, spec)
	})
}
