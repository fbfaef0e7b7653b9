package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"refreekv/runners"
	"refreekv/runners/cluster"
	"refreekv/spelling"
)

// submission is what the flags of submit say.
type submission struct {
	engine, out, memory, binary string
	shards                      int
	dryRun, missing, perModel   bool
	o                           runners.Overrides
	job                         cluster.Job
	slurm                       cluster.Slurm
	k8s                         cluster.Kubernetes
}

// variableName is the name of an environment variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// engines are where submit can send a job.
var engines = []string{"slurm", "k8s"}

func newSubmit() *cobra.Command {
	var s submission
	cmd := &cobra.Command{
		Use:   "submit CONFIG --engine slurm|k8s --shards N",
		Short: "Run an experiment in shards on a Slurm or Kubernetes cluster",
		Long: `Writes a Slurm job array (or the manifest of a Kubernetes Indexed Job) in which
task i runs shard i of the experiment, and submits it. The run's folder, the
data and the models must lie where all nodes see them. The same command again
sends what is missing if --missing is given; nothing is computed twice. Then

  refreekv status DIR                        how far each shard is
  refreekv report DIR/shard-* --out TABLES   the tables and plots of all`,
		Example: `  refreekv submit paper/table-2-llama-3 --shards 16 --cpus 32 --mem 64G \
      --time 12:00:00 --data /shared/data --out /shared/table-2 --dry-run
  refreekv submit my.yaml --shards 16 --out /shared/run --missing
  refreekv submit my.yaml --engine k8s --shards 8 --claim shared \
      --image registry.example/refreekv:1 --out /shared/run --dry-run`,
		Args: exactly(1, "the path or name of one config"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&s.engine, "engine", "slurm", "`WHERE` to run: slurm or k8s")
	f.IntVar(&s.shards, "shards", 0, "cut the work into `N` parts of about equal cost; must be given")
	f.StringVarP(&s.out, "out", "o", "", "the run's `DIR`, on a disk that all nodes see (default results/ and the config's name)")
	f.BoolVar(&s.dryRun, "dry-run", false, "print the script or manifest; write and submit nothing")
	f.BoolVar(&s.missing, "missing", false, "send only shards that lack records and are not running (slurm)")
	f.BoolVar(&s.perModel, "per-model", false, "a job array for each model, in a folder of its own, so that no shard opens two")
	f.IntVar(&s.job.Threads, "cpus", 0, "`N` cores for a shard")
	f.StringVar(&s.job.Memory, "mem", "", "memory of a shard, a `SIZE` as the scheduler writes it: 64G (k8s: 64Gi)")
	f.StringVar(&s.memory, "memory", "", "`SIZE` that weights and the records in hand may take, such as 8GB; as in refreekv run")
	f.IntVar(&s.job.AtOnce, "at-once", 0, "run at most `N` shards at the same time (0: no limit)")
	f.StringArrayVar(&s.job.Env, "env", nil, "set a variable for every shard, `NAME=VALUE`, such as REFREEKV_CACHE=/shared/cache; repeat for more")
	f.StringVar(&s.binary, "binary", "", "`PATH` of refreekv on the nodes (default: this program; in a container: refreekv)")
	groupFlags(f, "The job")
	f.StringVar(&s.job.Time, "time", "", "time `LIMIT` of a shard, such as 12:00:00")
	f.StringVar(&s.slurm.Partition, "partition", "", "`NAME` of the partition")
	f.StringVar(&s.slurm.Account, "account", "", "`NAME` of the account")
	f.StringVar(&s.slurm.Container, "container", "", "`IMAGE` to run in with apptainer; it sees the run's folder, the config's data, models and tasks, and the folders in --env")
	f.StringSliceVar(&s.slurm.Modules, "modules", nil, "environment modules to load first, `NAMES` with commas between")
	f.StringArrayVar(&s.slurm.Extra, "sbatch", nil, "a further `OPTION` of sbatch, such as --sbatch=--qos=long; repeat for more")
	groupFlags(f, "Slurm")
	f.StringVar(&s.k8s.Image, "image", "", "container `IMAGE` that holds refreekv; must be given")
	f.StringVar(&s.k8s.Claim, "claim", "", "`NAME` of the persistent volume claim that holds the run's folder, data and models; must be given")
	f.StringVar(&s.k8s.MountAt, "mount-at", "/shared", "`PATH` where the claim is mounted")
	f.StringVar(&s.k8s.Namespace, "namespace", "", "`NAME` of the namespace")
	f.StringVar(&s.k8s.User, "user", "", "whom pods run as, `UID` or UID:GID (default: the image's user)")
	groupFlags(f, "Kubernetes")
	overrideFlags(f, &s.o)
	groupFlags(f, "Changes to the config")
	return cmd
}

func (s *submission) run(cmd *cobra.Command, name string) error {
	if err := s.check(cmd); err != nil {
		return err
	}
	config, err := runners.LoadConfig(name, s.o)
	if err != nil {
		return asUsage(err)
	}
	dir := s.out
	if dir == "" {
		dir = filepath.Join("results", config.Name)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding the run's folder: %w", err)
	}
	if !s.perModel || len(config.Models) == 1 {
		return s.submit(cmd, config, dir)
	}
	for _, model := range config.Models {
		one := *config
		one.Models = []string{model}
		if err := s.submit(cmd, &one, filepath.Join(dir, folderName(model))); err != nil {
			return err
		}
	}
	return nil
}

// folderName is a model's name as that of a folder.
func folderName(model string) string {
	return strings.Trim(strings.NewReplacer("/", "-", "\\", "-", " ", "-").Replace(model), "-.")
}

func (s *submission) check(cmd *cobra.Command) error {
	switch {
	case s.engine != "slurm" && s.engine != "k8s":
		return usageError{fmt.Errorf("--engine: there is no %q%s", s.engine, spelling.OneOf(s.engine, engines))}
	case !cmd.Flags().Changed("shards"):
		return usageError{errors.New("--shards is missing; give the number of parts, e.g. --shards 16")}
	case s.shards < 1:
		return usageError{fmt.Errorf("--shards %d: want at least 1 part", s.shards)}
	case s.missing && s.engine == "k8s":
		return usageError{errors.New("--missing is for slurm; on Kubernetes delete the finished Job and submit again: pods of shards that lack nothing end at once")}
	case s.job.Threads < 0:
		return usageError{fmt.Errorf("--cpus %d is negative", s.job.Threads)}
	case s.job.AtOnce < 0:
		return usageError{fmt.Errorf("--at-once %d is negative", s.job.AtOnce)}
	}
	if err := checkOverrides(cmd, s.o); err != nil {
		return err
	}
	if _, err := parseMemory(s.memory); err != nil {
		return usageError{err}
	}
	for _, variable := range s.job.Env {
		if name, _, ok := strings.Cut(variable, "="); !ok || !variableName.MatchString(name) {
			return usageError{fmt.Errorf("--env %q: want NAME=value", variable)}
		}
	}
	if s.engine == "slurm" && s.binary == "" && s.slurm.Container == "" {
		path, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w; give its path on the nodes with --binary", err)
		}
		if strings.Contains(path, "go-build") {
			return usageError{errors.New("go run's program is gone when it ends; build one where all nodes see it (go build -o DIR ./cmd/refreekv) and run that, or name it with --binary")}
		}
		s.binary = path
	}
	if s.binary == "" {
		s.binary = "refreekv"
	}
	return nil
}

// submit hands one experiment over.
func (s *submission) submit(cmd *cobra.Command, config *runners.Config, dir string) error {
	job := s.job
	job.Name, job.Dir, job.Shards, job.Binary = config.Name, dir, s.shards, s.binary
	job.Config = runners.SubmitPath(dir, runners.SubmittedConfig)
	if s.memory != "" {
		job.Flags = append(job.Flags, "--memory", s.memory)
	}
	if s.missing {
		only, err := s.lacking(cmd, config, dir)
		if err != nil {
			return err
		}
		if len(only) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: no shard lacks a record that is not being run; there is nothing to submit\n", dir)
			return nil
		}
		job.Only = only
	}
	text, err := s.script(config, job)
	if err != nil {
		return usageError{err}
	}
	switch {
	case s.dryRun:
		fmt.Fprint(cmd.OutOrStdout(), text)
		return nil
	case s.engine == "k8s": // the manifest carries the config: the folder need not be seen from here
		return send(cmd, text, "kubectl", "apply", "-f", "-")
	}
	if err := runners.Submit(dir, config, runners.Submission{Shards: s.shards, Engine: s.engine}); err != nil {
		return err
	}
	path := runners.SubmitPath(dir, "job.sh")
	if err := renameio.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing the job: %w", err)
	}
	return send(cmd, "", "sbatch", path)
}

// script is the text that the scheduler is given.
func (s *submission) script(config *runners.Config, job cluster.Job) (string, error) {
	if s.engine == "slurm" {
		slurm := s.slurm
		slurm.Mounts = mounts(config, job.Env)
		return cluster.SlurmScript(job, slurm)
	}
	raw, err := config.YAML()
	if err != nil {
		return "", err
	}
	k := s.k8s
	k.Config = string(raw)
	return cluster.K8sManifest(job, k)
}

// mounts are what a container must see beside the run's folder: what the config names,
// and folders in variables, such as REFREEKV_CACHE.
func mounts(config *runners.Config, env []string) []string {
	out := config.Paths()
	for _, variable := range env {
		_, value, _ := strings.Cut(variable, "=")
		if info, err := os.Stat(value); err == nil && info.IsDir() && filepath.IsAbs(value) {
			out = append(out, value)
		}
	}
	return out
}

// lacking are the shards that lack records and are not being run.
func (s *submission) lacking(cmd *cobra.Command, config *runners.Config, dir string) ([]int, error) {
	status, err := runners.StatusOf(cmd.Context(), config, dir, s.shards, downloadProgress(cmd.ErrOrStderr()))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, shard := range status {
		if shard.Missing() > 0 && !shard.Running {
			out = append(out, shard.Shard)
		}
	}
	return out, nil
}

// send runs the command that submits a job and passes on what it says.
func send(cmd *cobra.Command, input string, words ...string) error {
	if _, err := exec.LookPath(words[0]); err != nil {
		return fmt.Errorf("%s is not here; submit from where the cluster is, or print the job with --dry-run", words[0])
	}
	c := exec.CommandContext(cmd.Context(), words[0], words[1:]...)
	c.Stdin, c.Stdout = strings.NewReader(input), cmd.OutOrStdout()
	var problem strings.Builder
	c.Stderr = &problem
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(problem.String()))
	}
	fmt.Fprint(cmd.ErrOrStderr(), problem.String())
	return nil
}

// overrideFlags are the flags that change a config.
func overrideFlags(f *pflag.FlagSet, o *runners.Overrides) {
	f.StringSliceVar(&o.Models, "model", nil, "run these `MODELS`, with commas between, instead of the config's")
	f.StringVar(&o.DType, "dtype", "", "hold weights as this `DTYPE`: "+dtypeNames+" (default: the config's, else float32)")
	f.StringSliceVar(&o.Tasks, "tasks", nil, "run these `TASKS`, with commas between, instead of the config's")
	f.StringArrayVar(&o.Variants, "variants", nil, "run this `VARIANT` instead of the config's, such as \"snapkv budget=0.5\"; repeat for more")
	f.IntVar(&o.Limit, "limit", 0, "run only the first `N` records of each task")
	f.StringVar(&o.Data, "data", "", "`DIR` with data sets, looked in first (default: the config's, else $REFREEKV_DATA)")
	f.StringArrayVar(&o.Set, "set", nil, "set a field of the config, `FIELD=VALUE`, such as protocol=paper; repeat for more")
	f.BoolVar(&o.SkipBad, "skip-bad", false, "leave malformed records out and count them, instead of ending the run")
	f.BoolVar(&o.Isolated, "isolated", false, "run every variant by itself over a cache of its own, several times (the config's field isolated: how often), for honest latency and memory")
}
