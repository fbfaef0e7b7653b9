package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how many columns help takes: those of the narrowest terminals.
const helpWidth = 80

// usageTemplate is cobra's, with flags in groups and lines that fit a terminal.
const usageTemplate = `Usage:{{if .Runnable}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$commands := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if not .AllChildCommandsHaveGroup}}

{{if .Groups}}Other commands:{{else}}Commands:{{end}}{{range $commands}}{{if and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{flags .}}{{if .HasAvailableSubCommands}}

{{.CommandPath}} COMMAND --help says more about a command.{{end}}
`

// setUsage gives a command and those below it the template.
func setUsage(root *cobra.Command) {
	cobra.AddTemplateFunc("flags", flagUsages)
	root.SetUsageTemplate(usageTemplate)
	cobra.EnableCommandSorting = false // they stand in the order in which they are needed
}

// addGroup adds commands under a title.
func addGroup(root *cobra.Command, title string, commands ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: title, Title: title + ":"})
	for _, c := range commands {
		c.GroupID = title
	}
	root.AddCommand(commands...)
}

// flagGroup is the annotation that holds the title of a flag's group.
const flagGroup = "group"

// groupFlags puts the flags that are defined up to now, and are in no group yet,
// under a title. They are listed as they were defined.
func groupFlags(f *pflag.FlagSet, title string) {
	f.SortFlags = false
	f.VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[flagGroup] == nil {
			flag.Annotations = map[string][]string{flagGroup: {title}}
		}
	})
}

// flagUsages lists a command's flags: its groups in the order of their first
// flags, what is in none, then the flags of all commands.
func flagUsages(cmd *cobra.Command) string {
	var titles []string
	sets := map[string]*pflag.FlagSet{}
	add := func(title string, flag *pflag.Flag) {
		if sets[title] == nil {
			sets[title] = pflag.NewFlagSet(title, pflag.ContinueOnError)
			sets[title].SortFlags = false
			titles = append(titles, title)
		}
		sets[title].AddFlag(flag)
	}
	for _, grouped := range []bool{true, false} {
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			title := flag.Annotations[flagGroup]
			switch {
			case flag.Hidden || grouped != (title != nil):
			case grouped:
				add(title[0], flag)
			default:
				add("Flags", flag)
			}
		})
	}
	cmd.InheritedFlags().VisitAll(func(flag *pflag.Flag) { add("Flags of all commands", flag) })
	var out strings.Builder
	for _, title := range titles {
		out.WriteString("\n\n" + title + ":\n" + strings.TrimRight(sets[title].FlagUsagesWrapped(helpWidth), "\n"))
	}
	return out.String()
}
