package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"refreekv/runners"
	"refreekv/runners/rows"
)

func newReport() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "report RUN…",
		Short:   "Write the tables and plots of stored runs again, merging shards",
		Example: "  refreekv report results/quickstart\n  refreekv report results/big/shard-* --out results/big",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("%s wants at least one run's folder", cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				if len(args) > 1 {
					return usageError{fmt.Errorf("merging %d runs needs a folder of its own: --out DIR", len(args))}
				}
				out = args[0]
			}
			all, title, err := runners.ReadRuns(args)
			if err != nil {
				return err
			}
			if out != args[0] {
				if err := rows.Rewrite(filepath.Join(out, "rows.jsonl"), all); err != nil {
					return err
				}
			}
			return writeReport(cmd, out, title, all, plural(len(all), "row"))
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "folder for the tables and figures (default: the run's own)")
	return cmd
}
