package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refreekv/model/tensor"
	"refreekv/runners"
)

func newRoot() *cobra.Command {
	var verbose bool
	var threads int
	root := &cobra.Command{
		Use:   "refreekv",
		Short: "Evaluate KV-cache pruning: does a method keep full-cache quality, at what budget, on which inputs?",
		Long: `refreekv runs a transformer with real weights over benchmark records under each
KV-cache pruning method and budget, scores the outputs with the benchmarks' own
metrics, and renders tables and plots. One prefill serves all methods.`,
		Example:       "  refreekv run quickstart\n  refreekv generate --prompt \"Name three rivers.\" --pruner \"snapkv budget=0.5\"",
		Version:       runners.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
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
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "log what is being done")
	root.PersistentFlags().IntVar(&threads, "threads", 0, "compute threads (0: all cores); results do not depend on it")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w%s; see %s --help", err, flagSuggestion(cmd, err), cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newReport(), newList(), newPull(), newGenerate(), newShow(), newScore(), newInspect(), newStatus(), newSubmit(), newDiff(), newBench())
	root.SetHelpCommand(newHelp())
	return root
}

// newHelp is cobra's help command, except that a misspelt command is an error.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), args[0])
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
	return usageError{fmt.Errorf("unknown command %q%s; see %s --help", name, runners.DidYouMean(name, names), root.Name())}
}

// flagSuggestion names the flag that a misspelt one is nearest to.
func flagSuggestion(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return runners.DidYouMean("--"+unknown.GetSpecifiedName(), names)
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
