// Package configs holds the experiments that come with the program, one YAML
// file each; they are embedded, so that an installed program runs them by name
// in any folder.
package configs

import (
	"embed"
	"io/fs"
	"strings"
)

// Files holds the experiment files.
//
//go:embed *.yaml
var Files embed.FS

// Names lists the embedded experiments by name, sorted.
func Names() []string {
	paths, err := fs.Glob(Files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is constant and well-formed
	}
	for i, p := range paths {
		paths[i] = strings.TrimSuffix(p, ".yaml")
	}
	return paths
}
