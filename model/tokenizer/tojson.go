package tokenizer

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// maxJSONDepth bounds how deeply a value that a template prints may nest.
const maxJSONDepth = 100

// toJSON is the filter tojson as transformers defines it: Python's json.dumps
// without ASCII escapes and without HTML escapes.
func toJSON(_ *exec.Evaluator, in *exec.Value, params *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	w := jsonWriter{indent: -1}
	for name, v := range params.KwArgs {
		switch {
		case name == "indent" && v.IsNil():
		case name == "indent" && v.IsInteger():
			w.indent = min(max(v.Integer(), 0), 16)
		case name == "ensure_ascii" && !v.IsTrue():
		default:
			return exec.AsValue(exec.ErrInvalidCall(fmt.Errorf("tojson: %s=%s is not supported", name, v.String())))
		}
	}
	if len(params.Args) > 0 {
		return exec.AsValue(exec.ErrInvalidCall(fmt.Errorf("tojson takes no arguments without a name")))
	}
	if err := w.write(in, 0); err != nil {
		return exec.AsValue(err)
	}
	return exec.AsSafeValue(w.text.String())
}

// jsonWriter writes values the way json.dumps does.
type jsonWriter struct {
	text   strings.Builder
	indent int // blanks per level; -1: all on one line
}

func (w *jsonWriter) write(v *exec.Value, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("tojson: the value nests too deeply")
	}
	switch {
	case v.IsNil():
		w.text.WriteString("null")
	case v.IsBool():
		w.text.WriteString(strconv.FormatBool(v.Bool()))
	case v.IsInteger():
		w.text.WriteString(strconv.Itoa(v.Integer()))
	case v.IsFloat():
		w.text.WriteString(pythonFloat(v.Float()))
	case v.IsString():
		return w.quote(v.String())
	case v.IsDict():
		items := v.Items()
		if _, ordered := v.Interface().(*exec.Dict); !ordered {
			slices.SortStableFunc(items, func(a, b *exec.Pair) int { return keyOrder(a.Key.String(), b.Key.String()) })
		}
		return w.list('{', '}', len(items), depth, func(i int) error {
			if err := w.quote(items[i].Key.String()); err != nil {
				return err
			}
			w.text.WriteString(": ")
			return w.write(items[i].Value, depth+1)
		})
	case v.IsList():
		return w.list('[', ']', v.Len(), depth, func(i int) error { return w.write(v.Index(i), depth+1) })
	default:
		return fmt.Errorf("tojson: %s is no JSON value", v.String())
	}
	return nil
}

// keyOrder puts a message's role first, as it is written; a Go map has no order of
// its own.
func keyOrder(a, b string) int {
	if (a == "role") != (b == "role") {
		if a == "role" {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

func (w *jsonWriter) list(opening, closing byte, n, depth int, item func(int) error) error {
	w.text.WriteByte(opening)
	for i := range n {
		if i > 0 {
			w.text.WriteByte(',')
			if w.indent < 0 {
				w.text.WriteByte(' ')
			}
		}
		w.line(depth + 1)
		if err := item(i); err != nil {
			return err
		}
	}
	if n > 0 {
		w.line(depth)
	}
	w.text.WriteByte(closing)
	return nil
}

func (w *jsonWriter) line(depth int) {
	if w.indent >= 0 {
		w.text.WriteByte('\n')
		w.text.WriteString(strings.Repeat(" ", w.indent*depth))
	}
}

func (w *jsonWriter) quote(s string) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return err
	}
	// Python leaves these two as they are.
	text := strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029", `\\`, `\\`).Replace(strings.TrimSuffix(b.String(), "\n"))
	w.text.WriteString(text)
	return nil
}

// pythonFloat is Python's repr of a float.
func pythonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
