package pruners

import "refreekv/model"

// An Evictor is a Pruner that may go on pruning while tokens are generated.
type Evictor interface {
	Pruner
	// Decoding adds to a variant what happens after prefill; its Keep is what
	// Select chose from the prefix.
	Decoding(p *model.Prefix, v *model.Variant) error
}

// Apply lets a pruner choose from a prefix and returns how the prefix is then
// continued. A choice that is none (see [model.Keep.Check]) is an error.
func Apply(pruner Pruner, p *model.Prefix) (model.Variant, error) {
	keep, err := pruner.Select(p)
	if err != nil {
		return model.Variant{}, err
	}
	if err := keep.Check(p.Shape(), p.Len()); err != nil {
		return model.Variant{}, err
	}
	v := model.Variant{Keep: keep}
	if e, ok := pruner.(Evictor); ok {
		if err := e.Decoding(p, &v); err != nil {
			return model.Variant{}, err
		}
	}
	return v, nil
}

// decodeOption says what becomes of the cache while tokens are generated.
var decodeOption = Option{Name: "decode", Default: "grow", Choices: []string{"grow", "evict"}, About: "grow: generated tokens add to the cache, as in ReFreeKV's evaluation; evict: with every token an entry leaves, so that the cache stays within the budget, as in the method's paper"}

// evicts tells whether the option decode asks for eviction.
func (o options) evicts() bool { return o.text(decodeOption.Name) == "evict" }

// evictLowest drops, with every token, the lowest-rated entry of each list that
// holds more than c, ties at the higher position. Of the newest tokens, recent
// many stay. rate sets dst to what the entries before them are worth.
func evictLowest(c, recent int, rate func(step *model.Step, layer, list int, dst []float64)) func(*model.Step) error {
	var ratings []float64
	return func(step *model.Step) error {
		n := max(step.Len()-recent, 0)
		for len(ratings) < n {
			ratings = append(ratings, 0)
		}
		for layer := range step.Layers() {
			for list := range step.Lists(layer) {
				rate(step, layer, list, ratings[:n])
				if step.Held(layer, list) > c {
					dropLowest(step, layer, list, ratings[:n])
				}
			}
		}
		return nil
	}
}

func dropLowest(step *model.Step, layer, list int, ratings []float64) {
	lowest := -1
	for pos, x := range ratings {
		if (lowest < 0 || x <= ratings[lowest]) && step.Holds(layer, list, pos) {
			lowest = pos
		}
	}
	if lowest >= 0 {
		step.Drop(layer, list, lowest)
	}
}
