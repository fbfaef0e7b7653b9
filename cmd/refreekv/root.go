package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

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
				return usageError{fmt.Errorf("unknown command %q%s", args[0], suggestion(cmd, args[0]))}
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
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newReport(), newList(), newPull(), newGenerate(), newShow())
	return root
}

func suggestion(cmd *cobra.Command, name string) string {
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Sprintf("; did you mean %q?", near[0])
	}
	return "; see refreekv --help"
}

// exactly wants n arguments, named in the message.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("%s wants %s; got %d arguments", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}
