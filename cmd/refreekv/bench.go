package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"refreekv/model"
	"refreekv/model/bench"
	"refreekv/model/tensor"
	"refreekv/runners"
	"refreekv/spelling"
)

// benchOptions are the flags of refreekv bench.
type benchOptions struct {
	bench.Options
	model, dtype string
	json         bool
}

func newBench() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine: kernels, prefill, decoding, memory",
		Long: `Measures the multiply-adds and reads that the machine can do at most, and in the
same minutes, round by round, what the engine makes of them. Figures are
medians; shares are medians of the rounds' shares. Run it alone on the machine.`,
		Example: "  refreekv bench --quick\n  refreekv bench --only prefill,decode --lengths 1024,4096\n  refreekv bench --model FOLDER --json > bench.json",
		Args:    exactly(0, "no arguments, only flags"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", defaultModel, "`MODEL`: a registry name, hub id, folder or .gguf file")
	f.StringVar(&o.dtype, "dtype", string(tensor.Float32), "hold weights as this `DTYPE`: "+dtypeNames)
	f.BoolVar(&o.Quick, "quick", false, "shorter prompts and fewer rounds: about 20 seconds for the default model on two cores")
	f.StringSliceVar(&o.Only, "only", nil, "measure only these `PARTS`: "+strings.Join(bench.Sections, ", "))
	f.IntSliceVar(&o.Lengths, "lengths", nil, "prompt `LENGTHS` in tokens (default 512,2048,8192; with --quick 512,2048)")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func runBench(cmd *cobra.Command, o benchOptions) error {
	for _, name := range o.Only {
		if !slices.Contains(bench.Sections, name) {
			return usageError{fmt.Errorf("--only: nothing named %q is measured%s", name, spelling.OneOf(name, bench.Sections))}
		}
	}
	if err := runners.CheckModel(o.model); err != nil {
		return usageError{withFlag("--model", err)}
	}
	dtype, err := tensor.ParseDType(o.dtype)
	if err != nil {
		return usageError{withFlag("--dtype", err)}
	}
	m, err := model.Find(cmd.Context(), o.model, dtype, downloadProgress(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer m.Close()
	report, err := bench.Run(cmd.Context(), m, o.Options)
	if err != nil {
		return err
	}
	report.Version = runners.Version()
	if o.json {
		return printJSON(cmd.OutOrStdout(), report)
	}
	printBench(cmd.OutOrStdout(), report)
	return nil
}

// printBench prints the sections that were measured, a table each.
func printBench(w io.Writer, r *bench.Report) {
	m := r.Machine
	fmt.Fprintf(w, "%s, %s, %s kernels, %s; L2 %s, L3 %s\n", m.CPU, m.System, m.Kernels, plural(m.Threads, "thread"), size(m.L2), size(m.L3))
	fmt.Fprintf(w, "%s, %s of %s weights, %s of cache per token; refreekv %s, %s\n", r.Model.Name, size(r.Model.WeightBytes), r.Model.DType, size(r.Model.KVTokenBytes), r.Version, m.Go)
	section := func(measured bool, title string, lines func(row func(string, ...any))) {
		if measured {
			fmt.Fprintf(w, "\n%s\n", title)
			table(w, lines)
		}
	}
	section(len(r.Peak) > 0, "Limits", func(row func(string, ...any)) {
		for _, p := range r.Peak {
			row("multiply-adds\tfloat32, in registers\t%s\t%.1f GFLOP/s", plural(p.Threads, "thread"), p.GFLOPs)
			row("multiply-adds\tbfloat16, in registers\t%s\t%.1f GFLOP/s", plural(p.Threads, "thread"), p.BFloat16)
			row("multiply-adds\tint8, in registers\t%s\t%.1f GOP/s", plural(p.Threads, "thread"), p.Int8)
		}
		for _, b := range r.Bandwidth {
			row("reads\t%s, %s\t%s\t%.1f GB/s", b.From, size(b.Bytes), plural(b.Threads, "thread"), b.GBs)
		}
	})
	section(len(r.Products) > 0, "Matrix products, all threads", func(row func(string, ...any)) {
		row("product\tM × N × K\tGFLOP/s\tof peak\tGB/s of weights\tof bandwidth")
		for _, p := range r.Products {
			row("%s, %s\t%d × %d × %d\t%.1f\t%s\t%.1f\t%s of %s", p.Phase, p.Name, p.Rows, p.N, p.K, p.GFLOPs, percent(p.ShareOfPeak), p.GBs, percent(p.ShareOfBandwidth), p.From)
		}
	})
	section(len(r.Attention) > 0, "Prefill attention, one layer", func(row func(string, ...any)) {
		row("tokens\tseconds\tGFLOP/s\tof peak")
		for _, a := range r.Attention {
			row("%d\t%.4g\t%.1f\t%s", a.Tokens, a.Seconds, a.GFLOPs, percent(a.ShareOfPeak))
		}
	})
	section(len(r.Prefill) > 0, "Prefill", func(row func(string, ...any)) {
		row("tokens\tseconds\ttok/s\tGFLOP/s\tof peak")
		for _, p := range r.Prefill {
			row("%d\t%.4g\t%.0f\t%.1f\t%s", p.Tokens, p.Seconds, p.TokensPerSecond, p.GFLOPs, percent(p.ShareOfPeak))
		}
	})
	section(len(r.Recording) > 0, "Recording while prefilling", func(row func(string, ...any)) {
		row("tokens\twhat\tseconds\tof plain prefill")
		for _, p := range r.Recording {
			row("%d\t%s\t%.4g\t%.3f times", p.Tokens, p.What, p.Seconds, p.Slowdown)
		}
	})
	section(len(r.Decode) > 0, "Decode, one stream", func(row func(string, ...any)) {
		row("context\ttok/s\tread per token\tGB/s\tof bandwidth")
		for _, d := range r.Decode {
			row("%d\t%.1f\t%s\t%.1f\t%s of %s", d.Context, d.TokensPerSecond, size(d.BytesPerToken), d.GBs, percent(d.ShareOfBandwidth), d.From)
		}
	})
	section(len(r.Lockstep) > 0, "Decode, variants together", func(row func(string, ...any)) {
		row("variants\tcontext, kept\ttok/s\tover one")
		for _, l := range r.Lockstep {
			row("%d\t%d, %s\t%.1f\t%.2f times", l.Variants, l.Context, percent(l.Kept), l.TokensPerSecond, l.Speedup)
		}
	})
	section(r.Memory != nil, "Memory of prefill", func(row func(string, ...any)) {
		row("tokens\tpeak\tweights\tkeys and values\tover both")
		row("%d\t%s\t%s\t%s\t%.3f times", r.Memory.Tokens, size(r.Memory.PeakBytes), size(r.Memory.WeightBytes), size(r.Memory.KVBytes), r.Memory.Over)
	})
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// size writes bytes as people do: in thousands.
func size(bytes int64) string {
	x, unit := float64(bytes), "B"
	for _, larger := range []string{"kB", "MB", "GB"} {
		if x < 1000 {
			break
		}
		x, unit = x/1000, larger
	}
	return fmt.Sprintf("%.4g %s", x, unit)
}
