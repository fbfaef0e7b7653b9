package runners

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"refreekv/model/hub"
	"refreekv/spelling"
)

var hubID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

// CheckModel refuses a name that cannot be a model's: neither a registry name,
// nor a folder or file that is there, nor written like a hub id.
func CheckModel(name string) error {
	var names []string
	for _, m := range hub.Models() {
		if m.Name == name {
			return nil
		}
		names = append(names, m.Name)
	}
	if _, err := os.Stat(name); err == nil && name != "" {
		return nil
	}
	if hubID.MatchString(name) && !strings.HasSuffix(name, ".gguf") {
		return nil
	}
	return fmt.Errorf("no model %q%s", name, spelling.Suggest(name, names, "want a name of refreekv list models, a hub id (org/name), a folder or a .gguf file"))
}
