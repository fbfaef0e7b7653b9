package reports

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"refreekv/runners/rows"
)

// hostile is what a data set or a model may hold: none of it may run or break the
// page.
const hostile = `</script><script>window.owned = 1</script><img src=x onerror="window.owned = 2">` + "\u2028 \x00 \xff '\"`${window.owned = 3}"

func pageRows(records int) []rows.Row {
	var out []rows.Row
	for i := range records {
		for v, variant := range []string{"full", "snapkv budget=0.5", "refreekv"} {
			text := fmt.Sprintf("the answer of record %d is forty two", i)
			if v == 1 && i%2 == 0 {
				text = fmt.Sprintf("the answer of record %d is not forty two", i)
			}
			if i == 1 {
				text += hostile
			}
			r := rows.Row{
				Model: "m", ContextLength: 512, Task: []string{"qa", "math"}[i%2], Protocol: "standard", Record: fmt.Sprintf("r%d", i), Index: i,
				Variant: variant, Pruner: strings.Fields(variant)[0], PromptTokens: 400, PromptHash: fmt.Sprint(i), Kept: []float64{400, 100, 200.04}, Budget: 0.5,
				KVBytes: 50, FullKVBytes: 100, Tokens: []int32{1, 2, 3}, Text: text, Stop: "eos", Score: float64((i+v)%3) / 2,
				Fidelity: &rows.Fidelity{Tokens: 3, KL: float64(v) / 10, Agreement: 1, Divergence: -1},
			}
			if i%2 == 0 {
				r.Density = []string{strings.Repeat("z", 32), strings.Repeat("i", 31) + "z", "z" + strings.Repeat("0", 30) + "z"}
			}
			if i == 2 && v == 2 {
				r.Error, r.Fidelity, r.Text = "too long", nil, ""
			}
			out = append(out, r)
		}
	}
	return out
}

func page(records int) Page {
	all := pageRows(records)
	summary, err := Summarize(all, Options{})
	if err != nil {
		panic(err)
	}
	return Page{Title: "a <b> page", Summary: summary, Rows: all, Provenance: "name: x\nabout: " + hostile, Version: "v1", Prompts: map[rows.PromptKey]rows.Prompt{
		all[0].PromptKey(): {Text: "What is the answer?" + hostile, Answers: []string{"42", hostile}},
	}}
}

// Without a script, too, the page says what the tables say, and nothing that rows
// hold is markup in it.
func TestPageText(t *testing.T) {
	p := page(4)
	html, err := p.html()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a &lt;b&gt; page", "<th scope=\"row\">snapkv budget=0.5</th>", "name: x", "data:image/svg&#43;xml;base64,"} {
		if !bytes.Contains(html, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := bytes.Count(html, []byte("<script")); n != 2 {
		t.Errorf("%d scripts, want the data and the page's own", n)
	}
	if again, err := p.html(); err != nil || !bytes.Equal(html, again) {
		t.Errorf("made twice, the page differs (%v)", err)
	}
	p.NoTexts = true
	data, err := p.data()
	if err != nil {
		t.Fatal(err)
	}
	withTexts, err := page(4).data()
	if err != nil || len(data) >= len(withTexts) {
		t.Errorf("without texts the rows take %d bytes, with them %d (%v)", len(data), len(withTexts), err)
	}
}

// A page without texts tells of none: neither how long they were nor how they
// differ.
func TestPageWithoutTexts(t *testing.T) {
	p := page(4)
	p.NoTexts = true
	b := openPage(t, p)
	b.do(`document.querySelector("#list tbody tr").click()`)
	record := b.text(`document.getElementById("record").textContent`)
	if !strings.Contains(record, "of the prompt, stopped by") || strings.Contains(record, "only here") {
		t.Errorf("the record tells of texts: %q", record)
	}
	if got := b.text(`document.querySelectorAll("#record .said").length`); got != "0" {
		t.Errorf("%s boxes for texts", got)
	}
}

// A browser shows the page from a file: it sorts, filters and opens records, runs
// nothing that rows hold and asks no network.
func TestPageInBrowser(t *testing.T) {
	b := openPage(t, page(300))
	b.wantCount("900 of 900 rows, 1 to 100 shown")
	if got := b.text(`document.querySelector("h1").textContent`); got != "a <b> page" {
		t.Errorf("title %q", got)
	}

	// The table of variants: by average, ascending, then descending; filtered.
	first := `document.querySelector("table.sortable tbody").rows[0].cells[0].textContent`
	head := `[...document.querySelectorAll("table.sortable thead button")].find(b => b.textContent === "KL").click()`
	b.do(head)
	if got := b.text(first); got != "refreekv" {
		t.Errorf("sorted by KL, the largest first: %q is first", got)
	}
	b.do(head)
	if got := b.text(first); got != "full" {
		t.Errorf("sorted by KL, the smallest first: %q is first", got)
	}
	b.do(`const f = document.getElementById("table-filter"); f.value = "SNAP"; f.dispatchEvent(new Event("input"))`)
	if got := b.text(`[...document.querySelectorAll("table.sortable tbody tr")].filter(r => !r.hidden).map(r => r.cells[0].textContent).join()`); got != "snapkv budget=0.5" {
		t.Errorf("filtered: %q", got)
	}

	// The list of rows.
	b.choose("f-task", "math")
	b.wantCount("450 of 900 rows, 1 to 100 shown")
	b.choose("f-variant", "snapkv budget=0.5")
	b.wantCount("150 of 900 rows, 1 to 100 shown")
	b.choose("f-task", "all")
	b.choose("f-kind", "another text than the full cache's")
	b.wantCount("150 of 900 rows, 1 to 100 shown")
	b.choose("f-variant", "all")
	b.choose("f-kind", "errors")
	b.wantCount("1 of 900 rows")
	b.choose("f-kind", "worse than the full cache")
	for _, x := range strings.Split(b.text(`[...document.querySelectorAll("#list tbody tr")].map(r => r.cells[4].textContent).join()`), ",") {
		if !strings.HasPrefix(x, "-") {
			t.Errorf("among the worse ones: %q", x)
		}
	}
	b.choose("f-kind", "all rows")
	b.do(`const f = document.getElementById("f-text"); f.value = "RECORD 17 is"; f.dispatchEvent(new Event("input"))`)
	b.wantCount("3 of 900 rows")
	b.do(`const f = document.getElementById("f-text"); f.value = ""; f.dispatchEvent(new Event("input"))`)
	b.do(`[...document.querySelectorAll("#list thead button")].find(b => b.textContent === "KL").click()`)
	if got := b.text(`document.querySelector("#list tbody").rows[0].cells[2].textContent`); got != "refreekv" {
		t.Errorf("rows sorted by KL: %q is first", got)
	}
	b.do(`[...document.querySelectorAll("#pages button")].find(b => b.textContent === "last").click()`)
	b.wantCount("900 of 900 rows, 801 to 900 shown")
	if got := b.text(`[...document.querySelectorAll("#list tbody tr")].at(-1).cells[9].textContent`); got != "too long" {
		t.Errorf("the row without a KL is not the last: %q", got)
	}

	// A record, opened by the keyboard: prompt, reference, texts with what differs.
	b.do(`[...document.querySelectorAll("#pages button")].find(b => b.textContent === "first").click()`)
	b.do(`const f = document.getElementById("f-text"); f.value = "record 0 is"; f.dispatchEvent(new Event("input"))`)
	b.do(`document.querySelector("#list tbody tr").dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}))`)
	record := b.text(`document.getElementById("record").textContent`)
	for _, want := range []string{"qa, record r0", "What is the answer?</script>", "Reference: 42 | </script>", "snapkv budget=0.5"} {
		if !strings.Contains(record, want) {
			t.Errorf("the record lacks %q: %q", want, record)
		}
	}
	if got := b.text(`[...document.querySelectorAll("#record .card ins")].map(e => e.textContent).join("").trim()`); got != "not" {
		t.Errorf("marked as different: %q, want the word that differs", got)
	}
	if got := b.text(`document.querySelectorAll("#record .kept i").length`); got != "9" {
		t.Errorf("%s bars of layers, want 9", got)
	}
	// Where entries stay: a picture of 3 layers by 32 parts, which tells what is
	// pointed at and shades the prompt.
	if got := b.text(`[...document.querySelectorAll("#record canvas")].map(c => c.width + "x" + c.height).join()`); got != "32x3,32x3,32x3" {
		t.Errorf("pictures of what is kept: %q", got)
	}
	b.do(`const c = document.querySelector("#record canvas"), at = c.getBoundingClientRect();
		c.dispatchEvent(new PointerEvent("pointermove", {clientX: at.left + at.width * 1.5 / 32, clientY: at.top + at.height * 0.5, bubbles: true}))`)
	if got := b.text(`document.querySelector("#record .told").textContent`); !strings.HasPrefix(got, "layer 1, tokens 13 to 24: 51 % stay") {
		t.Errorf("pointed at layer 1, part 1: %q", got)
	}
	if got := b.text(`(d => [d[3], d[11]].join())(document.querySelectorAll("#record canvas")[2].getContext("2d").getImageData(5, 0, 1, 3).data)`); got != "255,0" {
		t.Errorf("part 5 of layers 0 and 2 has opacity %s, want 255 and 0", got)
	}
	b.do(`document.querySelector("#record .strip").click()`)
	if got := b.text(`[...document.querySelectorAll("#prompt span")].map(s => s.title).filter((s, i) => i < 2 || i > 30).join()`); got != "84 % stay,50 % stay,100 % stay" {
		t.Errorf("the prompt is shaded by %q", got)
	}
	b.do(`const f = document.getElementById("f-text"); f.value = "record 1 is"; f.dispatchEvent(new Event("input"))`)
	b.do(`document.querySelector("#list tbody tr").click()`)
	if got := b.text(`String(window.owned)`); got != "undefined" {
		t.Errorf("a text of a row ran: %s", got)
	}
	if got := b.text(`document.querySelectorAll("#record img, #record script").length`); got != "0" {
		t.Errorf("%s elements came out of texts", got)
	}
}

// longPage is a page of 700 records under 15 variants, each with a prompt of some
// 130 kB (32,000 tokens) and the places of its entries in 32 layers.
func longPage() Page {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 5000)
	for i := range words {
		words[i] = strconv.FormatUint(random.Uint64(), 36)[:2+random.IntN(8)]
	}
	text := func() string {
		var out strings.Builder
		for out.Len() < 130_000 {
			out.WriteString(words[min(random.IntN(5000), random.IntN(5000))])
			out.WriteByte(' ')
		}
		return out.String()
	}
	p := page(700)
	p.Prompts = map[rows.PromptKey]rows.Prompt{}
	var all []rows.Row
	for i, r := range p.Rows {
		if i%3 == 0 {
			p.Prompts[r.PromptKey()] = rows.Prompt{Text: text()}
		}
		for k := range 5 {
			more := r
			more.Variant = strings.TrimSuffix(fmt.Sprintf("%s sink=%d", r.Variant, k), " sink=0")
			more.Density = make([]string, 32)
			for l := range more.Density {
				digits := make([]byte, 32)
				for b := range digits {
					digits[b] = "0123456789abcdefghijklmnopqrstuvwxyz"[random.IntN(36)]
				}
				more.Density[l] = string(digits)
			}
			all = append(all, more)
		}
	}
	p.Rows = all
	return p
}

// Ten thousand rows of long prompts, with places that no packing makes smaller: the
// page's size and how long loading, a filter and a sort take is logged.
func TestPageOfManyRows(t *testing.T) {
	p := longPage()
	begin := time.Now()
	b := openPage(t, p)
	t.Logf("opened and unpacked in %s", time.Since(begin).Round(time.Millisecond))
	b.wantCount("10500 of 10500 rows, 1 to 100 shown")
	if size := b.text(`document.getElementById("data").textContent.length`); len(size) > 8 {
		t.Errorf("the packed rows take %s bytes", size)
	}
	t.Log(b.text(`[...document.querySelectorAll("#records > .note")].map(p => p.textContent).join("; ")`))
	for what, script := range map[string]string{
		"a filter by text": `const f = document.getElementById("f-text"); f.value = "not"; f.dispatchEvent(new Event("input"))`,
		"a sort by KL":     `[...document.querySelectorAll("#list thead button")].find(b => b.textContent === "KL").click()`,
		"a record":         `document.querySelector("#list tbody tr").click()`,
	} {
		t.Logf("%s takes %s ms", what, b.text(`(() => { const t = performance.now(); `+script+`; return (performance.now() - t).toFixed(1); })()`))
	}
}

// A browser is a page in a browser.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func openPage(t *testing.T, p Page) browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "google-chrome", "chromium-browser", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("needs a browser: there is no chromium or chrome here")
	}
	file, err := WritePage(t.TempDir(), p)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows make a page of %d kB", len(p.Rows), info.Size()/1000)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	var mutex sync.Mutex
	var problems []string
	err = chromedp.Listen(ctx, func(event any) {
		mutex.Lock()
		defer mutex.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, "file://") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:") {
				problems = append(problems, "a request of "+url)
			}
		case *runtime.EventExceptionThrown:
			problems = append(problems, e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			problems = append(problems, e.Entry.Text)
		}
	})
	if err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		if diff := cmp.Diff([]string(nil), problems); diff != "" {
			t.Errorf("the browser complained (-want +got):\n%s", diff)
		}
	})
	limited, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	b := browser{t, limited}
	call(b, network.Enable)
	call(b, log.Enable)
	evaluate(b, chromedp.Navigate("file://"+filepath.ToSlash(file)))
	evaluate(b, chromedp.WaitReady("html[data-ready=yes]"))
	return b
}

// call sends a command of the browser's protocol that has no answer.
func call[P, R any](b browser, command cdp.Command[P, R]) {
	b.t.Helper()
	var none P
	if _, err := chromedp.Call(b.ctx, command, none); err != nil {
		b.t.Fatal(err)
	}
}

func evaluate[T any](b browser, action chromedp.Action[T]) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, action)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// do runs a script in the page.
func (b browser) do(script string) {
	b.t.Helper()
	evaluate(b, chromedp.Evaluate[chromedp.Void]("(() => {"+script+"})()"))
}

// text is an expression's value in the page.
func (b browser) text(expression string) string {
	b.t.Helper()
	return evaluate(b, chromedp.Evaluate[string]("String("+expression+")"))
}

// choose picks an option by what it says.
func (b browser) choose(id, option string) {
	b.t.Helper()
	b.do(fmt.Sprintf(`const s = document.getElementById(%q); s.value = [...s.options].find(o => o.text === %q).value; s.dispatchEvent(new Event("change"))`, id, option))
}

func (b browser) wantCount(want string) {
	b.t.Helper()
	if got := b.text(`document.getElementById("count").textContent`); got != want {
		b.t.Errorf("%q, want %q", got, want)
	}
}

// A page of ten thousand rows of long prompts stays small enough to be opened, and
// says what it leaves out.
func TestPageIsCapped(t *testing.T) {
	d := pageData{}
	for i := range 4 {
		d.Prompts = append(d.Prompts, newPagePrompt(rows.Prompt{Text: strings.Repeat("äb", 1000*(i+1))}))
	}
	d.Row.Density = []string{"zz 00", "", "zz 00", "zz 00"}
	d.shorten(16_000, 10)
	if diff := cmp.Diff([]string{"zz 00", "", "zz 00", ""}, d.Row.Density); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
	if len(d.Notes) != 2 || !strings.HasPrefix(d.Notes[0], "3 prompts longer than 4096 bytes:") || !strings.Contains(d.Notes[1], "the last 1 row,") {
		t.Errorf("notes %q", d.Notes)
	}
	if whole := strings.Join(d.Prompts[0].Parts, ""); whole != strings.Repeat("äb", 1000) || d.Prompts[0].Cut != 0 {
		t.Errorf("a short prompt was cut to %d bytes", len(whole))
	}
	for _, p := range d.Prompts[1:] {
		whole := strings.Join(p.Parts, "")
		if len(whole) > 4096+32*8 || !utf8.ValidString(whole) || !strings.HasPrefix(whole, "äbäb") || !strings.HasSuffix(whole, "äbäb") || p.Cut == 0 {
			t.Errorf("a long prompt was cut to %d bytes, %d characters left out", len(whole), p.Cut)
		}
	}
	if d.shorten(1<<20, 1<<20); len(d.Notes) != 0 {
		t.Errorf("nothing had to be left out: %q", d.Notes)
	}
}
