package runners

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decode reads a config file. Its errors name the line, the field and what is
// wanted there.
func decode(raw []byte, f *configFile) error {
	err := yaml.Load(raw, f, yaml.WithKnownFields())
	if err == nil {
		return nil
	}
	var first *yaml.LoadError
	if !errors.As(err, &first) {
		return errors.New(oneLine(err))
	}
	at, message := first.Mark.Line, yamlMessage(first)
	switch field := fieldAt(raw, at); {
	case at == 0:
		return errors.New(message)
	case field == "" || !wrongType.MatchString(first.Message):
		return fmt.Errorf("line %d: %s", at, message)
	default:
		return fmt.Errorf("line %d: %s: %s", at, field, message)
	}
}

// decodeField sets one field to a value that is written in YAML.
func decodeField(field, value string, f *configFile) error {
	if !isField(field) {
		return fmt.Errorf("a config has no such field%s; fields: %s", DidYouMean(field, fieldNames()), strings.Join(fieldNames(), ", "))
	}
	var v any
	if strings.TrimSpace(value) != "" {
		if err := yaml.Load([]byte(value), &v); err != nil {
			return errors.New(yamlText(err))
		}
	}
	if v == nil {
		return errors.New("the value is missing")
	}
	raw, err := yaml.Dump(map[string]any{field: v})
	if err != nil {
		return errors.New(oneLine(err))
	}
	if err := yaml.Load(raw, f, yaml.WithKnownFields()); err != nil {
		return errors.New(yamlText(err))
	}
	return nil
}

func yamlText(err error) string {
	var first *yaml.LoadError
	if errors.As(err, &first) {
		return yamlMessage(first)
	}
	return oneLine(err)
}

var (
	unknownField = regexp.MustCompile(`^field (.+) not found in type `)
	wrongType    = regexp.MustCompile("^cannot construct !!(\\w+) (?:`((?s).*)` )?into (.+)$")
)

// wanted says in words what the fields' types take.
var wanted = map[string]string{
	"int": "a whole number", "string": "a text", "[]string": "a list of texts", "[]int": "a list of whole numbers",
	"[]interface {}": "a list", "[]any": "a list",
}

// yamlMessage is what a person needs of a YAML error.
func yamlMessage(e *yaml.LoadError) string {
	if strings.HasSuffix(e.Message, "no documents in stream") {
		return "the file is empty"
	}
	if m := unknownField.FindStringSubmatch(e.Message); m != nil {
		return fmt.Sprintf("no field %q%s; fields: %s", m[1], DidYouMean(m[1], fieldNames()), strings.Join(fieldNames(), ", "))
	}
	m := wrongType.FindStringSubmatch(e.Message)
	if m == nil {
		return "not YAML as a config needs it: " + strings.TrimPrefix(oneLine(errors.New(e.Message)), "yaml: ")
	}
	got := map[string]string{"seq": "a list", "map": "a mapping"}[m[1]]
	if got == "" {
		got = fmt.Sprintf("%q", m[2])
	}
	want, ok := wanted[m[3]]
	if !ok {
		want = "a mapping with fields such as name: and tasks:"
	}
	return fmt.Sprintf("want %s, got %s", want, got)
}

var topLevelKey = regexp.MustCompile(`^["']?([A-Za-z_]+)["']?\s*:`)

// fieldAt is the top-level key that a line of a YAML document belongs to.
func fieldAt(raw []byte, line int) string {
	lines := strings.Split(string(raw), "\n")
	for i := min(line, len(lines)); i > 0; i-- {
		if m := topLevelKey.FindStringSubmatch(lines[i-1]); m != nil {
			return m[1]
		}
	}
	return ""
}

// fieldNames lists the fields of a config file.
func fieldNames() []string {
	var out []string
	for field := range reflect.TypeFor[Config]().Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); name != "-" {
			out = append(out, name)
		}
	}
	return append(out, "variants")
}

func isField(name string) bool {
	for _, n := range fieldNames() {
		if n == name {
			return true
		}
	}
	return false
}

// oneLine folds an error's text into one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
