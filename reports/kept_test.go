package reports

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model"
)

// threeLayers keeps everything in layer 0, other lists per head in layer 1, and
// the last quarter in layer 2.
func threeLayers() Kept {
	k := Kept{Title: "some pruner, 120 tokens", Shape: model.Shape{Layers: 3, Heads: 4, KVHeads: 2, HeadDim: 8}, Tokens: 120}
	from := func(at, step int) []int32 {
		var out []int32
		for pos := at; pos < k.Tokens; pos += step {
			out = append(out, int32(pos))
		}
		return out
	}
	k.Keep = model.Keep{{from(0, 1)}, {from(0, 2), from(60, 1), from(119, 1), from(0, 10)}, {from(90, 1)}}
	return k
}

func TestKeptTerminal(t *testing.T) {
	var out bytes.Buffer
	k := threeLayers()
	perKV, one := k, k
	perKV.Keep = model.Keep{k.Keep[0], k.Keep[1][:2], k.Keep[2]}
	one.Keep = model.Keep{k.Keep[0], k.Keep[2], k.Keep[2]}
	short := Kept{Keep: model.Keep{{{0, 2, 4}}}, Shape: model.Shape{Layers: 1, Heads: 1, KVHeads: 1}, Tokens: 5}
	token := Kept{Keep: model.Keep{{{0}}}, Shape: model.Shape{Layers: 1, Heads: 1, KVHeads: 1}, Tokens: 1}
	for _, c := range []struct {
		kept  Kept
		width int
		lists bool
	}{{k, 80, false}, {k, 80, true}, {k, 40, false}, {k, 400, false}, {perKV, 60, true}, {perKV, 60, false}, {one, 60, true}, {short, 80, false}, {token, 80, true}} {
		c.kept.Terminal(&out, c.width, c.lists)
		out.WriteByte('\n')
	}
	golden(t, "kept.txt", out.Bytes())
	for line := range strings.SplitSeq(out.String(), "\n") {
		if strings.HasSuffix(line, " ") {
			t.Errorf("%q ends with a blank", line)
		}
	}
}

// Bins cover every position once: the shares, times the sizes of their bins, add
// up to what is kept.
func TestKeptBinsAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		n := 1 + rng.IntN(300)
		bins := 1 + rng.IntN(n)
		k := Kept{Tokens: n, Shape: model.Shape{Layers: 1, Heads: 2, KVHeads: 2}}
		layer := make(model.LayerKeep, 2)
		for i := range layer {
			for pos := range n {
				if rng.IntN(3) == 0 {
					layer[i] = append(layer[i], int32(pos))
				}
			}
		}
		k.Keep = model.Keep{layer}
		for i, r := range append(k.rows(false, bins), k.rows(true, bins)...) {
			sum, want := 0.0, []float64{layer.Kept(), float64(len(layer[0])), float64(len(layer[1]))}[i]
			for b, share := range r.share {
				size := k.first(b+1, bins) - k.first(b, bins)
				if size < n/bins || size > n/bins+1 || share < 0 || share > 1 {
					t.Fatalf("%d tokens, bin %d of %d: %d positions, share %g", n, b, bins, size, share)
				}
				sum += share * float64(size)
			}
			if math.Abs(sum-want) > 1e-9 || r.kept != want {
				t.Fatalf("%d tokens in %d bins, row %d: shares of %g entries, count %g, want %g", n, bins, i, sum, r.kept, want)
			}
		}
	}
}

// The strip tells none and all from some, however few or many that is.
func TestDensity(t *testing.T) {
	for share, want := range map[float64]rune{0: '·', 0.001: '▁', 0.5: '▄', 0.999: '▇', 1: '█'} {
		if got := density(share); got != want {
			t.Errorf("a share of %g is drawn as %c, want %c", share, got, want)
		}
	}
}

func TestKeptFigure(t *testing.T) {
	for _, lists := range []bool{false, true} {
		files := map[string][]byte{}
		for _, format := range FigureFormats {
			got, err := threeLayers().Figure(format, lists)
			if err != nil {
				t.Fatal(err)
			}
			files[format] = got
			if !lists {
				continue
			}
			if again, err := threeLayers().Figure(format, lists); err != nil || !bytes.Equal(got, again) {
				t.Errorf("%s: two drawings differ (%v)", format, err)
			}
		}
		if !bytes.HasPrefix(files["pdf"], []byte("%PDF")) {
			t.Errorf("the PDF begins with %q", files["pdf"][:8])
		}
		text, labels := xml.NewDecoder(bytes.NewReader(files["svg"])), ""
		for {
			token, err := text.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if chars, ok := token.(xml.CharData); ok {
				labels += string(chars) + "|"
			}
		}
		for _, want := range []string{"some pruner, 120 tokens", "position in the prompt", "layer", "kept (%)", "kept share", "100"} {
			if !strings.Contains(labels, want) {
				t.Errorf("the SVG's text lacks %q: %s", want, labels)
			}
		}
		// Layer 0 is bright all along, layer 2 dark up to its last quarter.
		img, err := png.Decode(bytes.NewReader(files["png"]))
		if err != nil {
			t.Fatal(err)
		}
		counts := map[[3]uint8]int{}
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				r, g, b, _ := img.At(x, y).RGBA()
				counts[[3]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
			}
		}
		bright, dark := counts[[3]uint8{254, 232, 56}], counts[[3]uint8{0, 34, 78}]
		if bright < 50_000 || dark < 50_000 {
			t.Errorf("%d pixels of what all stays and %d of what none stays, want both in plenty", bright, dark)
		}
	}
	if _, err := threeLayers().Figure("gif", false); err == nil || !strings.Contains(err.Error(), "png, svg, pdf") {
		t.Errorf("an unknown format gives %v", err)
	}
}

func TestCountTicks(t *testing.T) {
	for n, want := range map[int]int{1: 1, 8: 1, 9: 2, 700: 100, 2000: 500, 8192: 2000, 131072: 20000} {
		if got := roundStep(n, 8); got != want {
			t.Errorf("0 to %d goes in steps of %d, want %d", n, got, want)
		}
	}
}

// Several pruners stand side by side: what is drawn are the shares of each, layer
// 0 at the top.
func TestKeptFigureOfSeveral(t *testing.T) {
	one, two := threeLayers(), threeLayers()
	two.Title = "another"
	f := KeptFigure([]Kept{one, two}, false)
	for _, format := range FigureFormats {
		raw, err := f.Render(format)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := f.Render(format); err != nil || !bytes.Equal(raw, again) {
			t.Errorf("%s: two drawings differ (%v)", format, err)
		}
		checkFigure(t, "kept."+format, raw)
		if format != "svg" {
			continue
		}
		checkTexts(t, f, string(raw))
		for _, want := range []string{"some pruner, 120 tokens<", ">another<", ">kept share (%)<"} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("the figure lacks %q", want)
			}
		}
	}
	p := one.panel(false)
	rows := one.rows(false, 120)
	if diff := cmp.Diff(rows[0].share, p.cells.values[2]); diff != "" {
		t.Errorf("the upper line is not layer 0 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rows[2].share, p.cells.values[0]); diff != "" {
		t.Errorf("the lower line is not layer 2 (-want +got):\n%s", diff)
	}
}
