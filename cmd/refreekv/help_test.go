package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// commands are a command and all below it, cobra's own left out.
func commands(c *cobra.Command) []*cobra.Command {
	out := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.Name() != "completion" {
			out = append(out, commands(sub)...)
		}
	}
	return out
}

// Help fits 80 columns, and every command but help has examples that can be given.
func TestHelp(t *testing.T) {
	for _, c := range commands(newRoot()) {
		var stdout, stderr strings.Builder
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		if code := run(args, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Errorf("%s --help: exit code %d, %s", c.CommandPath(), code, stderr.String())
		}
		for line := range strings.Lines(stdout.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), n, line)
			}
		}
		if c.Example == "" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		if err := (document{}).checkShell(c.Example); err != nil {
			t.Errorf("%s --help: %v", c.CommandPath(), err)
		}
	}
}
