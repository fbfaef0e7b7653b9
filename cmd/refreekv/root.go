package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refreekv/model/tensor"
	"refreekv/runners"
	"refreekv/spelling"
)

func newRoot() *cobra.Command {
	var verbose, version bool
	var threads int
	root := &cobra.Command{
		Use:   "refreekv",
		Short: "Evaluate KV-cache pruning: what a method keeps, and what it costs",
		Long: `refreekv runs a transformer with real weights over benchmark records under each
KV-cache pruning method and budget, scores the outputs with the benchmarks' own
metrics, and renders tables and plots. One prefill serves all methods.`,
		Example: `  refreekv run quickstart
  refreekv generate --prompt "Name three rivers." --pruner "snapkv budget=0.5"
  refreekv list pruners`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "refreekv version", runners.Version())
				return err
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			slog.SetDefault(slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})))
			if threads < 0 {
				return usageError{fmt.Errorf("--threads %d is negative; 0 means all cores", threads)}
			}
			if threads > 0 {
				tensor.SetThreads(threads)
			}
			return nil
		},
	}
	// Not cobra's own: that asks for the version whatever the command, which takes time.
	root.Flags().BoolVar(&version, "version", false, "print the program's version")
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "log what is done")
	root.PersistentFlags().IntVar(&threads, "threads", 0, "compute on `N` threads (0: all cores); results do not depend on it")
	root.SetFlagErrorFunc(flagError)
	addGroup(root, "Experiments", newRun(), newReport(), newDiff(), newScore(), newSubmit(), newStatus())
	addGroup(root, "One prompt, record or model", newGenerate(), newShow(), newInspect())
	addGroup(root, "What there is, and this machine", newList(), newPull(), newBench())
	root.SetHelpCommand(newHelp())
	// Cobra's own takes any shell's name and shows its help.
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if sub.Name() == "completion" {
			sub.Args = cobra.ArbitraryArgs
			sub.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return unknownCommand(cmd, args[0])
				}
				return cmd.Help()
			}
		}
	}
	setUsage(root)
	return root
}

// newHelp is cobra's help command, except that a misspelt command is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return unknownCommand(cmd.Root(), args[0])
			}
			if len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usageError{fmt.Errorf("unknown command %q%s; see %s --help", name, spelling.Suggest(name, names, ""), root.CommandPath())}
}

// flagError says what is wrong with a flag: the one that a misspelt one is nearest
// to, what a value must be.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		hint := spelling.Suggest("--"+unknown.GetSpecifiedName(), names, "")
		return usageError{fmt.Errorf("%w%s; see %s --help", err, hint, cmd.CommandPath())}
	case errors.As(err, &value):
		f := value.GetFlag()
		if want, ok := flagValues[f.Value.Type()]; ok {
			return usageError{fmt.Errorf("--%s %q: want %s", f.Name, value.GetValue(), want)}
		}
	}
	return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

// flagValues says in words what flags of a type take.
var flagValues = map[string]string{"int": "a whole number", "float64": "a number", "bool": "true or false"}

// notEmpty refuses flags that are given, but with nothing.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		f := cmd.Flags().Lookup(name)
		if text := f.Value.String(); f.Changed && (text == "" || text == "[]") {
			return usageError{fmt.Errorf("--%s is empty; name at least one, or leave the flag out", name)}
		}
	}
	return nil
}

// withFlag says which flag an error is about.
func withFlag(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// exactly wants n arguments, named in the message.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s wants %s; got %s", cmd.CommandPath(), what, plural(len(args), "argument"))}
		}
		return nil
	}
}
