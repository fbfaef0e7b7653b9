package reports

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strings"

	"refreekv/runners/rows"
)

//go:embed page
var pageFiles embed.FS

// pageFile is the page's name in a run's folder.
const pageFile = "index.html"

// A Page is what a run's index.html is made of.
type Page struct {
	Title      string
	Summary    Summary // of the rows
	Rows       []rows.Row
	Provenance string // the text of run.yaml
	Version    string // of the program
	// Prompts are shown where they are known. Texts of protected tasks are in none
	// of the rows; NoTexts leaves out all others too, for pages that are published.
	Prompts map[rows.PromptKey]rows.Prompt
	NoTexts bool
}

// WritePage writes index.html into a run's folder and returns its path. The page
// is one file that needs no network: tables that sort, the figures, every row with
// its texts beside the full cache's, and the provenance. What a data set or a model
// wrote is shown as text and never run.
func WritePage(dir string, p Page) (string, error) {
	html, err := p.html()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, pageFile)
	return path, writeFile(path, html)
}

// pageView is what the template shows.
type pageView struct {
	Title, About, Provenance, Version string
	Tables                            []pageTable
	Figures                           []pageFigure
	Style                             template.CSS
	Script                            template.JS
	Policy                            string // what the browser may load and run
	Data                              template.HTML
}

type pageTable struct {
	Heading string
	Columns []string
	Lines   [][]pageCell
	Notes   []string
}

// A pageCell sorts by Value; empty: it has none. Title shows when it is pointed at.
type pageCell struct {
	Text, Under, Value, Title string
	Rank                      int
}

type pageFigure struct {
	Caption string
	Data    template.URL
}

func (p Page) html() ([]byte, error) {
	s := p.Summary
	view := pageView{Title: p.Title, About: s.about(), Provenance: p.Provenance, Version: p.Version}
	for _, t := range s.Tables {
		view.Tables = append(view.Tables, t.page())
	}
	figures, err := p.figures()
	if err != nil {
		return nil, err
	}
	view.Figures = figures
	data, err := p.data()
	if err != nil {
		return nil, err
	}
	view.Data = template.HTML(data)
	files := map[string][]byte{"page.html": nil, "page.css": nil, "page.js": nil}
	for name := range files {
		if files[name], err = pageFiles.ReadFile("page/" + name); err != nil {
			return nil, fmt.Errorf("making the page: %w", err)
		}
	}
	view.Style, view.Script = template.CSS(files["page.css"]), template.JS(files["page.js"])
	// Only this very script may run, whatever the page's texts hold.
	script := sha256.Sum256(files["page.js"])
	view.Policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-" + base64.StdEncoding.EncodeToString(script[:]) + "'"
	page, err := template.New("page").Parse(string(files["page.html"]))
	if err != nil {
		return nil, fmt.Errorf("making the page: %w", err)
	}
	var out bytes.Buffer
	if err := page.Execute(&out, view); err != nil {
		return nil, fmt.Errorf("making the page: %w", err)
	}
	return out.Bytes(), nil
}

// about is a line on what the tables stand on.
func (s Summary) about() string {
	rows, variants := 0, 0
	for _, t := range s.Tables {
		variants = max(variants, len(t.Lines))
		for _, l := range t.Lines {
			rows += l.Average.Records + l.Average.Errors
		}
	}
	return fmt.Sprintf("%s, %s at most", count(rows, "row"), count(variants, "variant"))
}

func (t Table) page() pageTable {
	columns := t.columns()
	out := pageTable{Heading: t.heading(), Columns: []string{"variant"}, Notes: append([]string{t.legend() + " " + fmt.Sprintf(legendMarks, "Bold and underlined") + " " + t.records() + "."}, t.Notes...)}
	for _, c := range columns {
		out.Columns = append(out.Columns, c.head)
	}
	for _, l := range t.Lines {
		line := []pageCell{{Text: l.Variant}}
		for _, c := range columns {
			line = append(line, newPageCell(c.of(l)))
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

func newPageCell(e entry) pageCell {
	cell := pageCell{Text: e.figure, Title: e.title, Rank: e.rank}
	if e.figure != noResult {
		cell.Under = e.beneath
	}
	if e.value != nil {
		cell.Value = fmt.Sprint(*e.value)
	}
	return cell
}

func (p Page) figures() ([]pageFigure, error) {
	var out []pageFigure
	for _, f := range Figures(p.Summary, p.Rows) {
		svg, err := f.Render("svg")
		if err != nil {
			return nil, err
		}
		out = append(out, pageFigure{f.Caption, template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))})
	}
	return out, nil
}

// pageData is the rows as the page's script reads them: names once, rows by
// columns. Figures that a row lacks are null.
type pageData struct {
	Models   []string     `json:"models"`
	Lengths  []int        `json:"lengths"`
	Tasks    []string     `json:"tasks"`
	Variants []string     `json:"variants"`
	Full     int          `json:"full"` // the full cache among Variants, -1: it was not run
	Records  []pageRecord `json:"records"`
	Prompts  []pagePrompt `json:"prompts"`
	Row      pageColumns  `json:"row"`
	Notes    []string     `json:"notes"` // what is left out
	Texts    bool         `json:"texts"` // false: what was generated is left out
}

type pageRecord struct {
	Model     int    `json:"model"`
	Length    int    `json:"length"`
	Task      int    `json:"task"`
	ID        string `json:"id"`
	Tokens    int    `json:"tokens"`
	Truncated bool   `json:"truncated"`
	Prompt    *int   `json:"prompt,omitempty"`
}

type pagePrompt struct {
	Parts   []string `json:"parts"`         // the text; those of a row's density where Exact
	Exact   bool     `json:"exact"`         // else Parts are of equal length
	Cut     int      `json:"cut,omitempty"` // characters left out of the middles of parts, see maxPrompts
	Answers []string `json:"answers,omitempty"`
}

type pageColumns struct {
	Record     []int       `json:"record"`
	Variant    []int       `json:"variant"`
	Score      []float64   `json:"score"`
	Budget     []float64   `json:"budget"`
	KL         []*float64  `json:"kl"`
	Agreement  []*float64  `json:"agreement"`
	Divergence []*int      `json:"divergence"`
	Generated  []int       `json:"generated"`
	Stop       []string    `json:"stop"`
	Text       []string    `json:"text"`
	Error      []string    `json:"error"`
	Kept       [][]float64 `json:"kept"`
	Density    []string    `json:"density"` // a row's layers, joined by spaces; empty: not known
}

// data packs the rows: JSON, gzip, base64.
func (p Page) data() (string, error) {
	d := pageData{Full: -1, Prompts: []pagePrompt{}, Texts: !p.NoTexts}
	type recordKey struct {
		model, length, task, index int
	}
	records, prompts := map[recordKey]int{}, map[rows.PromptKey]int{}
	for _, r := range p.Rows {
		k := recordKey{place(&d.Models, r.Model), place(&d.Lengths, r.ContextLength), place(&d.Tasks, r.Task), r.Index}
		at, known := records[k]
		if !known {
			at = len(d.Records)
			records[k] = at
			record := pageRecord{Model: k.model, Length: k.length, Task: k.task, ID: r.Record, Tokens: r.PromptTokens, Truncated: r.Truncated}
			name := r.PromptKey()
			if prompt, ok := p.Prompts[name]; ok && !p.NoTexts {
				if _, known := prompts[name]; !known {
					prompts[name] = len(d.Prompts)
					d.Prompts = append(d.Prompts, newPagePrompt(prompt))
				}
				at := prompts[name]
				record.Prompt = &at
			}
			d.Records = append(d.Records, record)
		}
		variant := place(&d.Variants, r.Variant)
		if r.Pruner == "full" && d.Full < 0 {
			d.Full = variant
		}
		d.Row.add(r, at, variant, p.NoTexts)
	}
	d.shorten(maxPrompts, maxDensities)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if err := json.NewEncoder(zip).Encode(d); err != nil {
		return "", fmt.Errorf("packing the page's rows: %w", err)
	}
	if err := zip.Close(); err != nil {
		return "", fmt.Errorf("packing the page's rows: %w", err)
	}
	return base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

func (c *pageColumns) add(r rows.Row, record, variant int, noTexts bool) {
	c.Record, c.Variant = append(c.Record, record), append(c.Variant, variant)
	c.Score, c.Budget = append(c.Score, r.Score), append(c.Budget, r.Budget)
	var kl, agreement *float64
	var divergence *int
	if f := r.Fidelity; f != nil {
		kl, agreement, divergence = &f.KL, &f.Agreement, &f.Divergence
	}
	c.KL, c.Agreement, c.Divergence = append(c.KL, kl), append(c.Agreement, agreement), append(c.Divergence, divergence)
	c.Generated, c.Stop = append(c.Generated, len(r.Tokens)), append(c.Stop, r.Stop)
	text := r.Text
	if noTexts {
		text = ""
	}
	c.Text, c.Error = append(c.Text, text), append(c.Error, r.Error)
	kept := make([]float64, len(r.Kept))
	for i, k := range r.Kept {
		kept[i] = float64(int(10*k+0.5)) / 10 // a tenth of an entry is finer than the picture
	}
	c.Kept, c.Density = append(c.Kept, kept), append(c.Density, strings.Join(r.Density, " "))
}

// place is a value's place in a list that it is added to where it is not there.
func place[T comparable](list *[]T, value T) int {
	if i := slices.Index(*list, value); i >= 0 {
		return i
	}
	*list = append(*list, value)
	return len(*list) - 1
}
