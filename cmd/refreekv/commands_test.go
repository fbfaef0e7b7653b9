package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"mvdan.cc/sh/v3/syntax"

	"refreekv/model/bench"
	"refreekv/model/tensor"
	"refreekv/reports"
	"refreekv/runners"
	"refreekv/spelling"
	"refreekv/tasks"
)

// root is the repository, from the folder in which the tests run.
const root = "../.."

// commandLines are the calls of refreekv in a text of shell, each as the words
// behind the program's name.
func commandLines(text string) (out [][]string, err error) {
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, fmt.Errorf("no shell: %w", err)
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		var words []string
		for _, arg := range call.Args {
			words = append(words, wordText(arg.Parts))
		}
		if len(words) > 3 && slices.Equal(words[:3], []string{"go", "run", "./cmd/refreekv"}) {
			words = words[2:]
		}
		if len(words) > 0 && path.Base(words[0]) == "refreekv" {
			out = append(out, words[1:])
		}
		return true
	})
	return out, nil
}

// wordText is a word of shell without its quotes; a variable keeps its name.
func wordText(parts []syntax.WordPart) string {
	var out strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			out.WriteString(part.Value)
		case *syntax.SglQuoted:
			out.WriteString(part.Value)
		case *syntax.DblQuoted:
			out.WriteString(wordText(part.Parts))
		case *syntax.ParamExp:
			out.WriteString("$" + part.Param.Value)
		}
	}
	return out.String()
}

// checkCommand tells what is wrong with a command line that need not be able to run
// here: its command and flags must exist, and the tasks, pruners, models, configs
// and so on that it names. Words in capitals (DIR, FILE) stand for a reader's own.
func checkCommand(args []string) error {
	if len(args) > 0 && args[0] == "COMMAND" {
		args = args[1:]
	}
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); errors.Is(err, pflag.ErrHelp) {
		return nil
	} else if err != nil {
		return cmd.FlagErrorFunc()(cmd, err)
	}
	given := cmd.Flags().Args()
	if err := cmd.ValidateArgs(given); err != nil {
		return err
	}
	switch cmd.Name() {
	case "run", "submit":
		return checkConfig(cmd, given[0])
	case "show":
		err = checkTask(given[0])
	case "model":
		err = checkModel(given[0])
	case "dataset":
		if !readersOwn(given[0]) {
			err = checkDataset(given[0])
		}
	}
	if err != nil {
		return err
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, value := range values(f) {
			if wrong := checkValue(f.Name, value); wrong != nil && err == nil {
				err = fmt.Errorf("--%s: %w", f.Name, wrong)
			}
		}
	})
	return err
}

func values(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// checkValue checks a flag's value by the flag's name.
func checkValue(flag, value string) error {
	switch flag {
	case "task":
		return checkTask(value)
	case "pruner":
		_, _, err := findPruner(value)
		return err
	case "model":
		return checkModel(value)
	case "dtype":
		_, err := tensor.ParseDType(value)
		return err
	case "only":
		if !slices.Contains(bench.Sections, value) {
			return fmt.Errorf("there is no %q%s", value, spelling.OneOf(value, bench.Sections))
		}
	case "protocol":
		return tasks.CheckProtocol(value)
	case "format":
		if !reports.IsFormat(value) {
			return fmt.Errorf("there is no %q%s", value, spelling.OneOf(value, reports.Formats))
		}
	case "against":
		if value != "paper" {
			return fmt.Errorf("there is no %q", value)
		}
	}
	return nil
}

// checkConfig loads a config with what a command line changes in it. A reader's own
// file stands for any.
func checkConfig(cmd *cobra.Command, name string) error {
	switch own := filepath.Join(root, name); {
	case isFile(own):
		name = own
	case readersOwn(name):
		name = "quickstart"
	}
	f := cmd.Flags()
	var o runners.Overrides
	o.Models, _ = f.GetStringSlice("model")
	o.Models = slices.DeleteFunc(o.Models, readersOwn)
	o.Tasks, _ = f.GetStringSlice("tasks")
	o.Tasks = slices.DeleteFunc(o.Tasks, readersOwn)
	o.Variants, _ = f.GetStringArray("variants")
	o.Set, _ = f.GetStringArray("set")
	o.Limit, _ = f.GetInt("limit")
	if memory, err := f.GetString("memory"); err == nil {
		if _, err := parseMemory(memory); err != nil {
			return err
		}
	}
	if shard, err := f.GetString("shard"); err == nil {
		if _, err := parseShard(shard); err != nil {
			return err
		}
	}
	_, err := runners.LoadConfig(name, o)
	return err
}

func checkTask(name string) error {
	if readersOwn(name) {
		return nil
	}
	_, err := tasks.Load(name)
	return err
}

func checkModel(name string) error {
	if readersOwn(name) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(root, name)); err == nil {
		return nil
	}
	return runners.CheckModel(name)
}

var placeholder = regexp.MustCompile(`^([A-Z]+|\./.*|.*\.(yaml|gguf))$`)

// readersOwn tells whether a name stands for something of the reader's.
func readersOwn(name string) bool { return placeholder.MatchString(name) }

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// What checkCommand is there to find.
func TestCheckCommand(t *testing.T) {
	for line, want := range map[string]string{
		"refreekv rn quickstart":                                              `unknown command "rn"`,
		"refreekv run quickstrt":                                              `did you mean "quickstart"`,
		"refreekv run my.yaml --limt 3":                                       `did you mean "--limit"`,
		"refreekv run my.yaml --tasks recal":                                  `did you mean "recall"`,
		"refreekv run my.yaml --variants 'snapk budget=0.5'":                  `did you mean "snapkv"`,
		"refreekv run my.yaml --set protcol=paper":                            `did you mean "protocol"`,
		"refreekv run my.yaml --shard 3/2 | cat":                              "want i/n",
		"refreekv run my.yaml --memory 8":                                     "with its unit",
		"refreekv generate --prompt x --pruner 'h2o bugdet=1'":                `did you mean "budget"`,
		"refreekv inspect prune --prompt x --pruner nothing":                  `unknown pruner "nothing"`,
		"refreekv inspect model smollm2-135m-instuct":                         "smollm2-135m-instruct",
		"refreekv show qaspr":                                                 `did you mean "qasper"`,
		"refreekv score --predictions FILE --task qaspr":                      `did you mean "qasper"`,
		"refreekv report results/x --format html":                             `there is no "html"`,
		"refreekv report results/x --against nature":                          `there is no "nature"`,
		"refreekv list pruner":                                                `did you mean "pruners"`,
		"refreekv pull dataset gsm":                                           `did you mean "gsm8k"`,
		"refreekv submit nosuch --shards 2":                                   "no such config",
		"refreekv diff a":                                                     "two runs",
		"cd x && A=b go run ./cmd/refreekv run my.yaml --nosuch":              "--nosuch",
		"refreekv run my.yaml --model FOLDER --tasks own.yaml":                "",
		"refreekv show qasper --protocol paper-chat >out":                     "",
		"x=$(/shared/refreekv status DIR) # refreekv nonsense":                "",
		"refreekv run longbench-mini \\\n  --data DIR --tasks lcc,\\\nqasper": "",
	} {
		lines, err := commandLines(line)
		if err != nil || len(lines) != 1 {
			t.Errorf("%s: %d commands, want 1; %v", line, len(lines), err)
			continue
		}
		err = checkCommand(lines[0])
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
