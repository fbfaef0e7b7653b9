package runners

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"refreekv/spelling"
	"refreekv/yamlfile"
)

// decodeField sets one field to a value that is written in YAML.
func decodeField(field, value string, f *configFile) error {
	if names := yamlfile.Fields(reflect.TypeFor[configFile]()); !slices.Contains(names, field) {
		return fmt.Errorf("a config has no such field%s", spelling.OneOf(field, names))
	}
	var v any
	if strings.TrimSpace(value) != "" {
		if err := yaml.Load([]byte(value), &v); err != nil {
			return fmt.Errorf("%q is no valid YAML: %s", value, oneLine(err))
		}
	}
	if v == nil {
		return errors.New("the value is missing")
	}
	raw, err := yaml.Dump(map[string]any{field: v})
	if err != nil {
		return errors.New(oneLine(err))
	}
	var wrong *yamlfile.Error
	if err := yamlfile.Decode(raw, f); errors.As(err, &wrong) {
		return errors.New(wrong.Message)
	}
	return nil
}

// oneLine folds an error's text into one line.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
