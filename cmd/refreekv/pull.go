package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"refreekv/datasets"
	"refreekv/model/hub"
	"refreekv/runners"
	"refreekv/spelling"
)

func newPull() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull model|dataset NAME",
		Short: "Fetch a model or data set into the cache",
		Long: `Fetches a model or data set into the cache: $REFREEKV_CACHE, or refreekv/ in the
user's cache folder. What is there already is not fetched again; what was cut
off is resumed.`,
		Example: "  refreekv pull model smollm2-135m-instruct\n  refreekv pull dataset gsm8k",
		Args:    exactly(2, "what to fetch (model or dataset) and its name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return usageError{fmt.Errorf("cannot pull a %q%s", args[0], spelling.OneOf(args[0], []string{"model", "dataset"}))}
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "model NAME",
		Short:   "Fetch a model by registry name or hub id (refreekv list models)",
		Example: "  refreekv pull model smollm2-135m-instruct",
		Args:    exactly(1, "the name of one model"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := runners.CheckModel(args[0]); err != nil {
				return usageError{err}
			}
			found, err := hub.Resolve(cmd.Context(), args[0], downloadProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\nfrom %s\n", found.Path, found.Source)
			return nil
		},
	}, &cobra.Command{
		Use:     "dataset NAME",
		Short:   "Fetch a data set from its public source (refreekv list datasets)",
		Example: "  refreekv pull dataset gsm8k",
		Args:    exactly(1, "the name of one data set"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDataset(args[0]); err != nil {
				return usageError{err}
			}
			pulled, err := datasets.Pull(cmd.Context(), args[0], downloadProgress(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\nlicence: %s\nsha256: %s\n", pulled.Path, pulled.Info.Licence, pulled.SHA256)
			return nil
		},
	})
	return cmd
}

// checkDataset refuses a name that is not in the registry.
func checkDataset(name string) error {
	var names []string
	for _, d := range datasets.List() {
		if d.Name == name {
			return nil
		}
		names = append(names, d.Name)
	}
	return fmt.Errorf("no data set %q%s", name, spelling.Suggest(name, names, "refreekv list datasets shows what there is"))
}
