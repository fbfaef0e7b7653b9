// Package configs holds the experiments that come with the program, one YAML
// file each; they are embedded, so that an installed program runs them by name
// in any folder. In paper/ is one for each table and figure of arXiv 2502.16886
// with its models, in laptop/ the same with a small one, in audit/ one for each
// oddity of its evaluation.
package configs

import (
	"embed"
	"io/fs"
	"strings"
)

// Files holds the experiment files.
//
//go:embed *.yaml */*.yaml
var Files embed.FS

// Names lists the embedded experiments by name, sorted; those in a folder come
// last and are called by it: "audit/chat-for-all".
func Names() []string {
	var names []string
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		paths, err := fs.Glob(Files, pattern)
		if err != nil {
			panic(err) // the patterns are constant and well-formed
		}
		for _, p := range paths {
			names = append(names, strings.TrimSuffix(p, ".yaml"))
		}
	}
	return names
}
