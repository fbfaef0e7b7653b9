// Package yamlfile decodes the YAML files that people write: experiments and
// tasks. Unknown fields are refused, and what is wrong is said in one line, with
// the line, the field and what is wanted there. It knows none of the program's
// packages but spelling.
package yamlfile

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"refreekv/spelling"
)

// An Error is what is wrong with a file.
type Error struct {
	Line    int    // 0: the whole file
	Field   string // empty: none in particular
	Message string
}

// Error is the line, the field and the message.
func (e *Error) Error() string {
	text := e.Message
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Line > 0 {
		text = fmt.Sprintf("line %d: %s", e.Line, text)
	}
	return text
}

// Decode decodes one YAML document into a struct. Its errors are of type *[Error].
func Decode(raw []byte, into any) error {
	if strings.TrimSpace(string(raw)) == "" {
		return &Error{Message: "the file is empty"}
	}
	err := yaml.Load(raw, into, yaml.WithKnownFields())
	if err == nil {
		return nil
	}
	var first *yaml.LoadError
	if !errors.As(err, &first) {
		return &Error{Message: "no valid YAML: " + oneLine(err.Error())}
	}
	return explain(first, string(raw), reflect.TypeOf(into))
}

var (
	unknownField = regexp.MustCompile(`^field (.+) not found in type (\S+)$`)
	wrongType    = regexp.MustCompile("^cannot construct !!(\\w+) (?:`((?s).*)` )?into (.+)$")
	fieldTwice   = regexp.MustCompile(`^mapping key "(.+)" already defined at line (\d+)$`)
)

// wanted says in words what the types of fields take.
var wanted = map[string]string{
	"string": "a text", "int": "a whole number", "bool": "true or false",
	"[]string": "a list of texts", "[]int": "a list of whole numbers", "map[string]string": "a mapping of texts",
	"[]interface {}": "a list", "[]any": "a list",
}

// explain says in a person's words what the library says in its own.
func explain(e *yaml.LoadError, raw string, into reflect.Type) *Error {
	line := e.Mark.Line
	if m := unknownField.FindStringSubmatch(e.Message); m != nil {
		return &Error{line, "", fmt.Sprintf("there is no field %q%s", m[1], spelling.OneOf(m[1], fieldsOf(into, m[2])))}
	}
	if m := fieldTwice.FindStringSubmatch(e.Message); m != nil {
		return &Error{line, m[1], fmt.Sprintf("stands already in line %s; leave one out", m[2])}
	}
	if m := wrongType.FindStringSubmatch(e.Message); m != nil {
		field := ""
		if m[3] != into.Elem().String() {
			field = fieldAt(raw, line)
		}
		return &Error{line, field, fmt.Sprintf("want %s, got %s", want(into, m[3]), got(m[1], m[2]))}
	}
	switch {
	case strings.HasSuffix(e.Message, "no documents in stream"):
		return &Error{Message: "the file is empty"}
	case strings.HasSuffix(e.Message, "expected single document, found multiple"):
		return &Error{Message: "the file holds several YAML documents; make a file of each"}
	}
	if tabIndents(raw, line) {
		return &Error{line, "", "a tab indents this line; YAML wants blanks"}
	}
	return &Error{line, "", "no valid YAML: " + strings.TrimPrefix(oneLine(e.Message), "yaml: ")}
}

// want is what a type takes.
func want(into reflect.Type, name string) string {
	if text, ok := wanted[name]; ok {
		return text
	}
	if fields := fieldsOf(into, name); len(fields) > 0 {
		return fmt.Sprintf("fields (%s, …), each as name: value", strings.Join(fields[:min(len(fields), 4)], ", "))
	}
	return "a " + name
}

// got is what stands there.
func got(kind, value string) string {
	switch kind {
	case "seq":
		return "a list"
	case "map":
		return "a mapping"
	}
	return fmt.Sprintf("%q", value)
}

var key = regexp.MustCompile(`^[\s-]*["']?([\w-]+)["']?\s*:`)

// fieldAt is the field that a line of the file belongs to: its own, or that of the
// list in which it stands.
func fieldAt(raw string, line int) string {
	lines := strings.Split(raw, "\n")
	for i := min(line, len(lines)); i > 0; i-- {
		if m := key.FindStringSubmatch(lines[i-1]); m != nil {
			return m[1]
		}
	}
	return ""
}

// tabIndents tells whether a line begins with a tab, blanks before it or not.
func tabIndents(raw string, line int) bool {
	lines := strings.Split(raw, "\n")
	return line > 0 && line <= len(lines) && strings.HasPrefix(strings.TrimLeft(lines[line-1], " "), "\t")
}

// Fields lists the fields of a struct, by their names in YAML.
func Fields(t reflect.Type) []string {
	var out []string
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			out = append(out, Fields(field.Type)...)
		case name != "" && name != "-":
			out = append(out, name)
		}
	}
	return out
}

// fieldsOf lists the fields of the struct of a name, among a type and those of its
// fields.
func fieldsOf(t reflect.Type, name string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	if t.String() == name {
		return Fields(t)
	}
	for field := range t.Fields() {
		if out := fieldsOf(field.Type, name); out != nil {
			return out
		}
	}
	return nil
}

// oneLine folds a text into one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
