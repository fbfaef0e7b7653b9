package reports

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"refreekv/model"
)

// Kept is what a pruner kept of one prompt, to be drawn.
type Kept struct {
	Title  string // of the figure, e.g. the pruner with its settings
	Keep   model.Keep
	Shape  model.Shape
	Tokens int // of the prompt
}

// A keptRow is a line of the picture: a layer, or one list of it.
type keptRow struct {
	layer int
	list  string    // "" for a layer's mean; else the heads that read the list
	kept  float64   // entries
	share []float64 // [bins] kept share of the positions of a bin
}

// rows are the picture's lines: one per layer, the mean over its lists, or one
// per list.
func (k Kept) rows(lists bool, bins int) []keptRow {
	var out []keptRow
	for l, layer := range k.Keep {
		if !lists {
			out = append(out, k.row(l, "", layer, bins))
			continue
		}
		for i := range layer {
			name := "all"
			if len(layer) > 1 {
				name = fmt.Sprint(i)
			}
			out = append(out, k.row(l, name, layer[i:i+1], bins))
		}
	}
	return out
}

func (k Kept) row(layer int, name string, lists model.LayerKeep, bins int) keptRow {
	r := keptRow{layer: layer, list: name, kept: lists.Kept(), share: make([]float64, bins)}
	for _, list := range lists {
		for _, pos := range list {
			r.share[k.bin(int(pos), bins)]++
		}
	}
	for b := range r.share {
		r.share[b] /= float64((k.first(b+1, bins) - k.first(b, bins)) * len(lists))
	}
	return r
}

// first is the first position of a bin; bins differ by at most one position.
func (k Kept) first(bin, bins int) int { return (bin*k.Tokens + bins - 1) / bins }

func (k Kept) bin(pos, bins int) int { return pos * bins / k.Tokens }

// headKind says whose lists a row of the picture with lists is.
func (k Kept) headKind() string {
	kind := "the layer's only"
	for _, layer := range k.Keep {
		switch {
		case len(layer) == 1:
		case len(layer) == k.Shape.Heads && k.Shape.Heads > k.Shape.KVHeads:
			kind = "query head"
		default:
			kind = "KV head"
		}
	}
	return kind
}

// densities are the characters for a kept share: none, seven steps between, all.
var densities = []rune("·▁▂▃▄▅▆▇█")

func density(share float64) rune {
	if share >= 1 {
		return densities[8]
	}
	if share <= 0 {
		return densities[0]
	}
	return densities[1+min(int(share*7), 6)]
}

// Terminal prints a line per layer, or per list, for a screen of width columns:
// kept share and count, and a strip of the prompt's positions whose characters
// are the higher the more of them stay.
func (k Kept) Terminal(w io.Writer, width int, lists bool) {
	labels := []string{"layer"}
	if lists {
		labels = append(labels, cmp.Or(map[string]string{"query head": "head", "KV head": "KV head"}[k.headKind()], "head"))
	}
	labels = append(labels, "budget", " kept")
	head := strings.Join(labels, "  ") + "  "
	bins := max(min(k.Tokens, width-len(head)), 1)
	ruler := "0"
	if last := fmt.Sprint(k.Tokens - 1); k.Tokens > 1 {
		ruler += strings.Repeat(" ", max(bins-1-len(last), 1)) + last
	}
	fmt.Fprintln(w, head+ruler)
	for _, r := range k.rows(lists, bins) {
		fmt.Fprintf(w, "%5d  ", r.layer)
		if lists {
			fmt.Fprintf(w, "%*s  ", len(labels[1]), r.list)
		}
		strip := make([]rune, bins)
		for b, share := range r.share {
			strip[b] = density(share)
		}
		fmt.Fprintf(w, "%5.1f%%  %5s  %s\n", 100*r.kept/float64(k.Tokens), number(r.kept), string(strip))
	}
	per := "each a position"
	if bins < k.Tokens {
		per = fmt.Sprintf("each %.3g positions", float64(k.Tokens)/float64(bins))
	}
	mean := ""
	if kind := k.headKind(); !lists && kind != "the layer's only" {
		mean = ", mean over " + kind + "s"
	}
	fmt.Fprintf(w, "%c none stays, %c–%c some, %c all; %s%s\n", densities[0], densities[1], densities[7], densities[8], per, mean)
}

// number prints a count, or the mean of counts, in up to five columns.
func number(x float64) string {
	if x == float64(int(x)) || x >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.1f", x)
}
