package cluster

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

var job = Job{Name: "big", Config: "/s/run/submit/config.yaml", Dir: "/s/run", Shards: 8, Binary: "/s/refreekv", Flags: []string{"--memory", "8GB"}}

func TestSlurmScript(t *testing.T) {
	j := job
	j.Only, j.Threads, j.Memory, j.Time, j.AtOnce, j.Env = []int{1, 2, 3, 5, 7, 8}, 32, "64G", "12:00:00", 4, []string{"A=it's b"}
	got, err := SlurmScript(j, Slurm{Partition: "long", Account: "me", Container: "/s/my image.sif", Mounts: []string{"/s/data", "/s/cache"}, Modules: []string{"apptainer/1.3"}, Extra: []string{"--qos=long"}})
	if err != nil {
		t.Fatal(err)
	}
	want := `#!/bin/bash
# One task of the array is one shard of the experiment. Written by refreekv submit.
#SBATCH --job-name=refreekv-big
#SBATCH --array=1-3,5,7-8%4
#SBATCH --output=/s/run/submit/slurm-%A_%a.log
#SBATCH --open-mode=append
#SBATCH --ntasks=1
#SBATCH --signal=B:TERM@60
#SBATCH --partition=long
#SBATCH --account=me
#SBATCH --time=12:00:00
#SBATCH --mem=64G
#SBATCH --cpus-per-task=32
#SBATCH --requeue
#SBATCH --qos=long
set -eu
module load apptainer/1.3
export A='it'\''s b'
exec apptainer exec --bind /s/run,/s/data,/s/cache '/s/my image.sif' /s/refreekv run /s/run/submit/config.yaml --out /s/run --shard "$SLURM_ARRAY_TASK_ID/8" --threads 32 --memory 8GB
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSlurmRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*Job, *Slurm)
		want   string
	}{
		"no shard left":     {func(j *Job, _ *Slurm) { j.Only = []int{} }, "no shard"},
		"a line break":      {func(_ *Job, s *Slurm) { s.Partition = "a\n#SBATCH --x" }, "partition"},
		"a blank in a time": {func(j *Job, _ *Slurm) { j.Time = "1 hour" }, "time"},
		"a word for sbatch": {func(_ *Job, s *Slurm) { s.Extra = []string{"qos=long"} }, "--name=value"},
		"a blank folder":    {func(j *Job, _ *Slurm) { j.Dir = "/s/my run" }, "output"},
	} {
		j, s := job, Slurm{}
		c.change(&j, &s)
		if _, err := SlurmScript(j, s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one about %q", what, err, c.want)
		}
	}
}

// What is quoted comes out of a shell as it was.
func TestQuote(t *testing.T) {
	for _, text := range []string{"plain", "", "two words", `it's "quoted" $HOME \ *`, "line\nbreak", "-dash", "~"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q came out as %q (%v)", text, out, err)
		}
	}
}

func TestK8sManifest(t *testing.T) {
	j := job
	j.Dir, j.Binary, j.Threads, j.Memory, j.Env = "/shared/run", "refreekv", 4, "8Gi", []string{"REFREEKV_CACHE=/shared/cache"}
	k := Kubernetes{Namespace: "lab", Image: "registry/refreekv:1", Claim: "disk", MountAt: "/shared", User: "1000:100", Config: "name: big\n"}
	text, err := K8sManifest(j, k)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(text, "---\n")
	if len(parts) != 2 {
		t.Fatalf("%d documents, want a ConfigMap and a Job:\n%s", len(parts), text)
	}
	var config struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Data     map[string]string
	}
	var work struct {
		APIVersion string `yaml:"apiVersion"`
		Metadata   struct{ Name string }
		Spec       struct {
			Completions, Parallelism int
			CompletionMode           string `yaml:"completionMode"`
			Template                 struct {
				Spec struct {
					Containers []struct {
						Image         string
						Command, Args []string
					}
					Volumes         []map[string]any
					SecurityContext map[string]int `yaml:"securityContext"`
				}
			}
		}
	}
	for i, into := range []any{&config, &work} {
		if err := yaml.Load([]byte(parts[i]), into); err != nil {
			t.Fatal(err)
		}
	}
	if config.Kind != "ConfigMap" || config.Data["config.yaml"] != k.Config || config.Metadata.Namespace != "lab" || config.Metadata.Name != work.Metadata.Name {
		t.Errorf("ConfigMap %+v for the Job %s", config, work.Metadata.Name)
	}
	if s := work.Spec; work.APIVersion != "batch/v1" || s.Completions != 8 || s.Parallelism != 8 || s.CompletionMode != "Indexed" || len(s.Template.Spec.Containers) != 1 || len(s.Template.Spec.Volumes) != 2 {
		t.Fatalf("Job %+v", work)
	}
	pod := work.Spec.Template.Spec.Containers[0]
	want := []string{"run", filepath.Join(configAt, "config.yaml"), "--out", "/shared/run", "--shard", "$(JOB_COMPLETION_INDEX)+1/8", "--threads", "4", "--memory", "8GB"}
	if diff := cmp.Diff(want, pod.Args); diff != "" || pod.Image != k.Image || pod.Command[0] != "refreekv" {
		t.Errorf("pod %+v (-want +got):\n%s", pod, diff)
	}
	if diff := cmp.Diff(map[string]int{"runAsUser": 1000, "runAsGroup": 100, "fsGroup": 100}, work.Spec.Template.Spec.SecurityContext); diff != "" {
		t.Errorf("security context (-want +got):\n%s", diff)
	}
	k.Config = "name: other\n"
	if other, err := K8sManifest(j, k); err != nil || strings.Contains(other, work.Metadata.Name) {
		t.Errorf("another config has the same name (%v)", err)
	}
}

func TestK8sRefuses(t *testing.T) {
	good := Kubernetes{Image: "i", Claim: "c", MountAt: "/s"}
	if _, err := K8sManifest(job, good); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		change func(*Job, *Kubernetes)
		want   string
	}{
		"no image":           {func(_ *Job, k *Kubernetes) { k.Image = "" }, "image"},
		"no claim":           {func(_ *Job, k *Kubernetes) { k.Claim = "" }, "claim"},
		"a folder elsewhere": {func(j *Job, _ *Kubernetes) { j.Dir = "/sx/run" }, "/sx/run"},
		"a user's name":      {func(_ *Job, k *Kubernetes) { k.User = "me" }, "UID:GID"},
		"a time limit":       {func(j *Job, _ *Kubernetes) { j.Time = "1:00" }, "time"},
	} {
		j, k := job, good
		c.change(&j, &k)
		_, err := K8sManifest(j, k)
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want one about %q", what, err, c.want)
		}
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "4": {4}, "1-3": {1, 2, 3}, "1,3,5-6": {1, 3, 5, 6}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}
