package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"refreekv/runners"
)

// A Slurm is what a Slurm job array needs beside the job; what is empty is left to
// the cluster's defaults.
type Slurm struct {
	Partition string
	Account   string
	Container string   // image that apptainer runs the program in; it must hold refreekv
	Mounts    []string // absolute paths that the container sees beside the run's folder
	Modules   []string // environment modules that are loaded first
	Extra     []string // further options of sbatch, e.g. --qos=long
}

// stopBefore is how many seconds before a shard's time limit, or its removal for
// another job, it is told to stop, so that it can finish the record in hand.
const stopBefore = 60

// slurmTime and slurmMemory are what --time and --mem of sbatch take.
var (
	slurmTime   = regexp.MustCompile(`^(\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2})$`)
	slurmMemory = regexp.MustCompile(`^\d+[KMGTkmgt]?$`)
)

// SlurmScript is the script of a job array for sbatch: task i runs shard i. A task
// that is lost or pre-empted is queued again and goes on where it was; one that
// runs twice finds the folder locked, or nothing to do.
func SlurmScript(j Job, s Slurm) (string, error) {
	if len(j.shards()) == 0 {
		return "", errors.New("no shard is left to run")
	}
	switch {
	case j.Time != "" && !slurmTime.MatchString(j.Time):
		return "", fmt.Errorf("time: %q is no limit as Slurm reads it; write hours:minutes:seconds, such as 12:00:00, or days-hours", j.Time)
	case j.Memory != "" && !slurmMemory.MatchString(j.Memory):
		return "", fmt.Errorf("mem: %q is no size as Slurm reads it; write it as 64G or 512M", j.Memory)
	}
	array := ranges(j.shards())
	if j.AtOnce > 0 {
		array += fmt.Sprintf("%%%d", j.AtOnce)
	}
	options := []struct{ name, value string }{
		{"job-name", "refreekv-" + j.Name},
		{"array", array},
		{"output", runners.SubmitPath(j.Dir, "slurm-%A_%a.log")},
		{"open-mode", "append"},
		{"ntasks", "1"},
		{"signal", fmt.Sprintf("B:TERM@%d", stopBefore)},
		{"partition", s.Partition},
		{"account", s.Account},
		{"time", j.Time},
		{"mem", j.Memory},
	}
	if j.Threads > 0 {
		options = append(options, struct{ name, value string }{"cpus-per-task", fmt.Sprint(j.Threads)})
	}
	var b strings.Builder
	b.WriteString("#!/bin/bash\n# One task of the array is one shard of the experiment. Written by refreekv submit.\n")
	for _, o := range options {
		if o.value == "" {
			continue
		}
		if !plain.MatchString(o.value) {
			return "", fmt.Errorf("%s: %q cannot stand in a job script; use letters, digits and ._/:=,@%%+-", o.name, o.value)
		}
		fmt.Fprintf(&b, "#SBATCH --%s=%s\n", o.name, o.value)
	}
	b.WriteString("#SBATCH --requeue\n")
	for _, extra := range s.Extra {
		if !strings.HasPrefix(extra, "-") || !plain.MatchString(extra) {
			return "", fmt.Errorf("%q is no option of sbatch; write it as --name=value", extra)
		}
		fmt.Fprintf(&b, "#SBATCH %s\n", extra)
	}
	b.WriteString("set -eu\n")
	for _, module := range s.Modules {
		fmt.Fprintf(&b, "module load %s\n", quote(module))
	}
	for _, variable := range j.Env {
		name, value, _ := strings.Cut(variable, "=")
		fmt.Fprintf(&b, "export %s=%s\n", name, quote(value))
	}
	var words []string
	if s.Container != "" {
		words = append(words, "apptainer", "exec", "--bind", quote(strings.Join(append([]string{j.Dir}, s.Mounts...), ",")), quote(s.Container))
	}
	words = append(words, quote(j.Binary))
	const shard = `"$SLURM_ARRAY_TASK_ID/%d"`
	for _, arg := range j.args(shard) {
		if arg == shard {
			words = append(words, fmt.Sprintf(shard, j.Shards))
			continue
		}
		words = append(words, quote(arg))
	}
	// exec: signals then reach the program, not the shell around it.
	fmt.Fprintf(&b, "exec %s\n", strings.Join(words, " "))
	return b.String(), nil
}

// plain are words that a shell, and sbatch in an #SBATCH line, takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=,@%+-]+$`)

// quote makes a text one word of a shell.
func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
