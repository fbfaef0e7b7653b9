// Command refreekv evaluates KV-cache pruning methods: it runs a transformer
// over benchmark records under each method and budget, scores the outputs with
// the benchmarks' own metrics and renders tables and plots. Each file holds one
// subcommand: parse, call, print.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process: it returns the exit code, 0 for success, 2
// for a wrong command line, 1 for everything else.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal stops in good order, a second one at once.
	defer context.AfterFunc(ctx, stop)()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var usage usageError
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "refreekv: interrupted")
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "refreekv: %s\n", oneLine(err))
		return 2
	default:
		fmt.Fprintf(stderr, "refreekv: %s\n", oneLine(err))
	}
	return 1
}

// A usageError is a command line that makes no sense.
type usageError struct{ error }

// oneLine folds an error into the one line that a person is shown.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
