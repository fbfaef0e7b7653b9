package reports

import (
	"bytes"
	"fmt"
	"image/color"
	"path"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"

	"refreekv/runners/rows"
)

// A Figure is a plot of a run, sized for a two-column paper: one column or the
// whole page wide.
type Figure struct {
	Name    string // stable and fit for a file's name, without an ending
	Caption string // one line: what it shows, and of how many records
	w, h    vg.Length
	paint   func(draw.Canvas) error
}

// Figures are all plots for which the rows, summarized in s, hold what they need,
// in the order in which a page shows them.
func Figures(s Summary, all []rows.Row) (out []Figure) {
	for _, c := range charts(s, all) {
		out = append(out, c.figure())
	}
	return out
}

// FigureFormats are the kinds of files that figures are written as.
var FigureFormats = []string{"png", "svg", "pdf"}

// IsFigureFormat reports whether figures can be written as a format.
func IsFigureFormat(format string) bool { return slices.Contains(FigureFormats, format) }

// Render is the figure as a file of a format (FigureFormats). The same rows give
// the same bytes.
func (f Figure) Render(format string) ([]byte, error) {
	raw, err := drawing(format, f.w, f.h, f.paint)
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", f.Name, format, err)
	}
	return raw, nil
}

// figureFiles are all figures in all formats; the keys are file names.
func figureFiles(s Summary, all []rows.Row) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, f := range Figures(s, all) {
		for _, format := range FigureFormats {
			raw, err := f.Render(format)
			if err != nil {
				return nil, err
			}
			out[f.Name+"."+format] = raw
		}
	}
	return out, nil
}

// figureStems begin the names of all figures.
var figureStems = []string{
	"score-against-budget", "fidelity-against-budget", "budget-by-task", "budget-against-length", "budget-by-layer",
	"sweep", "needle", "latency-against-length", "score-against-size",
}

// isFigureFile tells whether a file's name is that of a figure, of these rows or
// of others.
func isFigureFile(name string) bool {
	stem, format, _ := strings.Cut(name, ".")
	if at := strings.LastIndex(name, "."); at >= 0 {
		stem, format = name[:at], name[at+1:]
	}
	return IsFigureFormat(format) && slices.ContainsFunc(figureStems, func(s string) bool {
		return stem == s || strings.HasPrefix(stem, s+"-")
	})
}

// drawing is a figure as a file of a format.
func drawing(format string, w, h vg.Length, paint func(draw.Canvas) error) ([]byte, error) {
	var canvas vg.CanvasWriterTo
	switch format {
	case "png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(300))}
	case "svg":
		canvas = vgsvg.New(w, h)
	case "pdf":
		pdf := vgpdf.New(w, h)
		pdf.EmbedFonts(true)
		canvas = pdf
	default:
		return nil, fmt.Errorf("figure format %q is none of %s", format, strings.Join(FigureFormats, ", "))
	}
	c := draw.New(canvas)
	// A vector file is transparent of itself, and black text lost on a dark page.
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	if err := paint(c); err != nil {
		return nil, fmt.Errorf("drawing: %w", err)
	}
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	switch format {
	case "svg":
		return bytes.ReplaceAll(buf.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
	case "pdf":
		return undated(buf.Bytes()), nil
	}
	return buf.Bytes(), nil
}

var pdfDate = regexp.MustCompile(`\(D:\d{14}[^)]*\)`)

// undated replaces the time in a PDF by a fixed one of the same length, so that
// the same rows give the same bytes and the file's offsets stay right.
func undated(pdf []byte) []byte {
	return pdfDate.ReplaceAllFunc(pdf, func(date []byte) []byte {
		fixed := []byte("(D:20000101000000")
		return append(fixed, date[len(fixed):]...)
	})
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

func fileName(s string) string { return strings.Trim(notInFileNames.ReplaceAllString(s, "-"), "-.") }

// figureSuffix tells the figures of table i from those of the others.
func (s Summary) figureSuffix(i int) string {
	names := make([]string, len(s.Tables))
	lengths := make([]int, len(s.Tables))
	for k, t := range s.Tables {
		names[k], lengths[k] = t.Model, t.ContextLength
	}
	return suffixes(names, func(k int, name string) string { return fmt.Sprintf("-%s-%d", fileName(name), lengths[k]) })[i]
}

// suffixes tells figures of several models apart: by the models' short names
// unless these are equal. One alone needs none.
func suffixes(models []string, of func(i int, name string) string) []string {
	out := make([]string, len(models))
	if len(models) == 1 {
		return out
	}
	forms := []func(string) string{path.Base, func(m string) string { return m }}
	for i, model := range models {
		out[i] = fmt.Sprintf("%s-%d", of(i, path.Base(model)), i+1)
		for _, form := range forms {
			own, twice := of(i, form(model)), false
			for k, other := range models {
				twice = twice || k != i && of(k, form(other)) == own
			}
			if !twice {
				out[i] = own
				break
			}
		}
	}
	return out
}
