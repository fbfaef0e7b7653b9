package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"refreekv/model/hub"
	"refreekv/runners"
)

// plainEvery is how often progress is told where there is no terminal.
const plainEvery = 10 * time.Second

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// downloadProgress shows downloads: a bar on a terminal, else a line now and
// then.
func downloadProgress(w io.Writer) hub.Progress {
	if !isTerminal(w) {
		return plainDownload(w)
	}
	var bar *progressbar.ProgressBar
	var current string
	return func(label string, done, total int64) {
		if label != current || bar == nil {
			current = label
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(label),
				progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
				progressbar.OptionSetPredictTime(true), progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }))
		}
		if total > 0 && total != bar.GetMax64() {
			bar.ChangeMax64(total)
		}
		bar.Set64(done)
	}
}

func plainDownload(w io.Writer) hub.Progress {
	var current string
	var last time.Time
	return func(label string, done, total int64) {
		finished := total > 0 && done == total
		if label == current && time.Since(last) < plainEvery && !finished {
			return
		}
		current, last = label, time.Now()
		if total > 0 {
			fmt.Fprintf(w, "%s: %.1f of %.1f MB\n", label, float64(done)/1e6, float64(total)/1e6)
			return
		}
		fmt.Fprintf(w, "%s: %.1f MB\n", label, float64(done)/1e6)
	}
}

// runProgress shows how far a run is: records done, tokens per second, time
// left.
func runProgress(w io.Writer) func(runners.Update) {
	if !isTerminal(w) {
		return plainRun(w)
	}
	var bar *progressbar.ProgressBar
	return func(u runners.Update) {
		if bar == nil {
			bar = progressbar.NewOptions(u.Total, progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(24),
				progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false),
				progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }))
		}
		bar.Describe(describe(u))
		bar.Set(u.Done)
	}
}

func plainRun(w io.Writer) func(runners.Update) {
	var last time.Time
	return func(u runners.Update) {
		if time.Since(last) < plainEvery && u.Done < u.Total {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "%d of %d records  %s\n", u.Done, u.Total, describe(u))
	}
}

func describe(u runners.Update) string {
	computed := u.Done - u.Resumed
	if computed == 0 {
		if u.Resumed > 0 {
			return fmt.Sprintf("resuming after %d", u.Resumed)
		}
		return "starting"
	}
	left := time.Duration(u.Seconds / float64(computed) * float64(u.Total-u.Done) * float64(time.Second))
	return fmt.Sprintf("%s  %.0f tok/s  %s left", u.Task, float64(u.Tokens)/u.Seconds, left.Round(time.Second))
}
