package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"refreekv/runners"
)

func newStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status RUN",
		Short: "Say how far a run is, shard by shard",
		Long: `Says how many records of a run are done, running and missing, for each of its
shards. A record is one prompt under one model and context length, with all
variants. The records are worked out from the run's config, so its data must be
at hand; no model is opened.`,
		Example: "  refreekv status results/quickstart\n  refreekv status results/big --json",
		Args:    exactly(1, "one run's folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			shards, err := runners.Status(cmd.Context(), args[0], downloadProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), shards)
			}
			printStatus(cmd.OutOrStdout(), shards)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array, an object for each shard")
	return cmd
}

func printStatus(w io.Writer, shards []runners.ShardStatus) {
	var total runners.ShardStatus
	running := 0
	table(w, func(row func(string, ...any)) {
		row("shard\trecords\tdone\terrors\tmissing\tstate")
		for _, s := range shards {
			row("%d of %d\t%d\t%d\t%d\t%d\t%s", s.Shard, s.Shards, s.Records, s.Done, s.Errors, s.Missing(), state(s))
			total.Records += s.Records
			total.Done += s.Done
			total.Errors += s.Errors
			if s.Running {
				running++
			}
		}
		if len(shards) > 1 {
			row("all\t%d\t%d\t%d\t%d\t%s", total.Records, total.Done, total.Errors, total.Missing(), fmt.Sprintf("%d running", running))
		}
	})
}

func state(s runners.ShardStatus) string {
	switch {
	case s.Running:
		return "running"
	case s.Missing() == 0:
		return "done"
	case s.Done == 0:
		return "not begun"
	}
	return "stopped"
}
