package tasks

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"refreekv/metrics"
)

// decodeStrict decodes one YAML document and refuses unknown fields. Its errors
// are one line, with the line and the field.
func decodeStrict(raw []byte, into any) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("the file is empty")
	}
	err := yaml.Load(raw, into, yaml.WithKnownFields())
	if err == nil {
		return nil
	}
	var first *yaml.LoadError
	if !errors.As(err, &first) {
		return errors.New(oneLine(err.Error()))
	}
	message := yamlMessage(first, raw)
	if first.Mark.Line == 0 {
		return errors.New(message)
	}
	return fmt.Errorf("line %d: %s", first.Mark.Line, message)
}

var (
	unknownField = regexp.MustCompile(`^field (.+) not found in type tasks\.(\w+)$`)
	wrongType    = regexp.MustCompile("^cannot construct !!(\\w+) (?:`((?s).*)` )?into (.+)$")
	fieldTwice   = regexp.MustCompile(`^mapping key "(.+)" already defined at line (\d+)$`)
	fieldOfLine  = regexp.MustCompile(`^\s*["']?([\w-]+)["']?\s*:`)
)

// wanted says in words what the types of fields take.
var wanted = map[string]string{
	"string": "a text", "int": "a whole number", "bool": "true or false", "map[string]string": "a mapping of texts",
	"tasks.Task": "fields such as dataset: and prompt:", "tasks.Settings": "fields such as prompt: and metric:",
}

// yamlMessage is what a person needs of a YAML error.
func yamlMessage(e *yaml.LoadError, raw []byte) string {
	switch {
	case strings.HasSuffix(e.Message, "no documents in stream"):
		return "the file is empty"
	case strings.HasSuffix(e.Message, "expected single document, found multiple"):
		return "the file holds several YAML documents; a task is one"
	}
	if m := unknownField.FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("there is no field %q%s", m[1], suggest(m[1], fieldNames(m[2] == "Task")))
	}
	if m := fieldTwice.FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("field %q stands already in line %s; leave one out", m[1], m[2])
	}
	m := wrongType.FindStringSubmatch(e.Message)
	if m == nil {
		return "no valid YAML: " + strings.TrimPrefix(oneLine(e.Message), "yaml: ")
	}
	what, got := "", map[string]string{"seq": "a list", "map": "a mapping"}[m[1]]
	if got == "" {
		got = fmt.Sprintf("%q", m[2])
	}
	if lines := strings.Split(string(raw), "\n"); e.Mark.Line > 0 && e.Mark.Line <= len(lines) {
		if field := fieldOfLine.FindStringSubmatch(lines[e.Mark.Line-1]); field != nil {
			what = fmt.Sprintf("field %q: ", field[1])
		}
	}
	want, ok := wanted[m[3]]
	if !ok {
		want = "a " + m[3]
	}
	return fmt.Sprintf("%swant %s, got %s", what, want, got)
}

// fieldNames lists the fields of a task file, or of its paper: section.
func fieldNames(task bool) []string {
	types := []reflect.Type{reflect.TypeFor[Settings]()}
	if task {
		types = append(types, reflect.TypeFor[Task]())
	}
	var out []string
	for _, t := range types {
		for field := range t.Fields() {
			if name := yamlName(field); name != "" && name != "-" {
				out = append(out, name)
			}
		}
	}
	return out
}

// yamlName is what a field is called in YAML; "" or "-" is not there.
func yamlName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	return name
}

// suggest is the end of a message on an unknown name: the known one that is most
// like it, if any is.
func suggest(name string, known []string) string {
	best, most := "", 0.0
	for _, k := range known {
		like := metrics.FuzzRatio(strings.ToLower(name), strings.ToLower(k))
		if len(name) >= 3 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(name)) {
			like = max(like, 0.9)
		}
		if like > most {
			best, most = k, like
		}
	}
	if most < 0.7 {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// oneLine folds a text into one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
