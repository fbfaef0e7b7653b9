package pruners

import (
	"fmt"
	"slices"
	"strings"

	"refreekv/spelling"
)

// A method is a row of the registry.
type method struct {
	info Info
	make func(o options) (Pruner, error)
	// scorer makes the score that the method ranks by, where it has one that
	// others can build on (the option score).
	scorer func(o options) (scorer, error)
	// presets are named sets of settings, chosen by the option preset, that
	// stand in for the defaults.
	presets map[string]map[string]any
}

// registry holds every method, in the order they are listed.
var registry = slices.Concat([]method{
	{info: fullInfo, make: newFull},
	{info: refreekvInfo, make: newReFreeKV, presets: refreekvPresets},
	{info: streamingInfo, make: newStreaming},
}, scorers, []method{
	{info: adaKVInfo, make: newAdaKV},
	{info: criticalKVInfo, make: newCriticalKV},
	{info: thresholdFreeInfo, make: newThresholdFree},
	{info: twilightInfo, make: newTwilight},
	{info: gvoteInfo, make: newGVote},
	{info: pyramidKVInfo, make: newPyramidKV},
	{info: chunkKVInfo, make: newChunkKV},
	{info: simLayerKVInfo, make: newSimLayerKV},
})

// scorers are the methods that rank by a score.
var scorers = []method{
	{info: h2oInfo, make: newH2O, scorer: newH2OScorer},
	{info: snapkvInfo, make: newSnapKV, scorer: newSnapKVScorer},
	{info: knormInfo, make: byRank(newKnorm), scorer: newKnorm},
	{info: tovaInfo, make: newTOVAPruner, scorer: newTOVA},
	{info: keydiffInfo, make: byRank(newKeyDiff), scorer: newKeyDiff},
	{info: lagkvInfo, make: byRank(newLagKV), scorer: newLagKV},
	{info: curInfo, make: byRank(newCUR), scorer: newCUR},
	{info: observedInfo, make: byRank(newObservedAttention), scorer: newObservedAttention},
	{info: scissorhandsInfo, make: byRank(newScissorhands), scorer: newScissorhands},
	{info: vatpInfo, make: byRank(newVATP), scorer: newVATP},
	{info: expectedInfo, make: byRank(newExpectedAttention), scorer: newExpectedAttention},
	{info: cakeInfo, make: newCAKE, scorer: newCAKEScorer},
	{info: attnInfo, make: newAttn, scorer: newAttnScorer},
	{info: randomInfo, make: byRank(newRandom), scorer: newRandom},
}

// Info describes a method for people.
type Info struct {
	Name    string
	About   string // one line
	Paper   string
	Options []Option
	// Repeats: the released code (that of ReFreeKV's evaluation, KVCache-Factory)
	// repeats keys and values to the query heads before it caches them, and so
	// holds every kept entry once per query head.
	Repeats bool
}

// An Option is one setting of a method.
type Option struct {
	Name    string
	Default any    // float64, int, bool, string or []int; nil: must be given
	About   string // meaning, accepted values, source
	Choices []string
}

// List describes all methods.
func List() []Info {
	out := make([]Info, len(registry))
	for i, m := range registry {
		out[i] = m.info
	}
	return out
}

// Repeats tells whether a method's released code holds every kept entry once per
// query head, see [Info].
func Repeats(name string) bool {
	m, err := find(name)
	return err == nil && m.info.Repeats
}

func find(name string) (method, error) { return findIn(registry, "pruner", name) }

func findIn(methods []method, kind, name string) (method, error) {
	var names []string
	for _, m := range methods {
		if m.info.Name == name {
			return m, nil
		}
		names = append(names, m.info.Name)
	}
	return method{}, fmt.Errorf("unknown %s %q%s", kind, name, spelling.OneOf(name, names))
}

func (i Info) option(name string) (Option, error) {
	var names []string
	for _, o := range i.Options {
		if o.Name == name {
			return o, nil
		}
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		return Option{}, fmt.Errorf("pruner %s has no option %q; it has none at all", i.Name, name)
	}
	return Option{}, fmt.Errorf("pruner %s has no option %q%s", i.Name, name, spelling.OneOf(name, names))
}

// IsList reports whether an option of a pruner takes a list.
func IsList(pruner, option string) bool {
	m, err := find(pruner)
	if err != nil {
		return false
	}
	o, err := m.info.option(option)
	if err != nil {
		return false
	}
	_, list := o.Default.([]int)
	return list
}

// oneOf is an option's choices as a sentence part.
func oneOf(choices []string) string { return strings.Join(slices.Clone(choices), ", ") }
