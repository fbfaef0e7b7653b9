package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Kubernetes is what an Indexed Job needs beside the job.
type Kubernetes struct {
	Namespace string // empty: the current one
	Image     string // container image that holds refreekv
	Claim     string // persistent volume claim that all pods mount at MountAt
	MountAt   string // where; the run's folder, data and models lie below it
	User      string // UID or UID:GID that pods run as; empty: the image's
	Config    string // the config's text, which the manifest carries
}

// configAt is where pods find the config that the manifest carries.
const configAt = "/etc/refreekv"

// dnsLabel is a name that Kubernetes takes.
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// k8sMemory is a quantity of memory.
var k8sMemory = regexp.MustCompile(`^\d+(\.\d+)?([kMGTP]|[KMGTP]i)?$`)

// numericUser is a user, and perhaps a group, as numbers.
var numericUser = regexp.MustCompile(`^(\d{1,9})(?::(\d{1,9}))?$`)

// K8sManifest is a ConfigMap with the config and an Indexed Job (batch/v1, for
// backoffLimitPerIndex Kubernetes 1.29 or later): the pod of index i runs shard
// i+1. A pod that is lost is started again and goes on where it was.
func K8sManifest(j Job, k Kubernetes) (string, error) {
	// A config of another content is another object: pods never see it change.
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", j.Shards, k.Config))
	name := dnsName("refreekv-"+j.Name) + "-" + hex.EncodeToString(sum[:4])
	switch {
	case !dnsLabel.MatchString(name):
		return "", fmt.Errorf("the experiment's name %q gives no name that Kubernetes takes", j.Name)
	case k.Image == "":
		return "", errors.New("the image is missing; give a container image that holds refreekv (--image)")
	case k.Claim == "":
		return "", errors.New("the volume is missing; give a persistent volume claim that all pods can write to (--claim)")
	case j.Time != "":
		return "", errors.New("a pod of a Job has no time limit of its own; leave the time out")
	case j.Memory != "" && !k8sMemory.MatchString(j.Memory):
		return "", fmt.Errorf("mem: %q is no size as Kubernetes reads it; write it as 64Gi or 512Mi", j.Memory)
	case k.User != "" && !numericUser.MatchString(k.User):
		return "", fmt.Errorf("user: %q is no user of a pod; write it as numbers, UID or UID:GID (id -u, id -g)", k.User)
	case !strings.HasPrefix(j.Dir+"/", strings.TrimSuffix(k.MountAt, "/")+"/"):
		return "", fmt.Errorf("the run's folder %s does not lie below %s, where pods see the volume", j.Dir, k.MountAt)
	}
	meta := map[string]any{"name": name, "labels": map[string]any{"app": "refreekv"}}
	if k.Namespace != "" {
		meta["namespace"] = k.Namespace
	}
	job := j
	job.Config = configAt + "/config.yaml"
	atOnce := j.AtOnce
	if atOnce == 0 || atOnce > j.Shards {
		atOnce = j.Shards
	}
	pod := map[string]any{
		"restartPolicy":                 "Never",
		"terminationGracePeriodSeconds": stopBefore,
		"containers":                    []any{job.container(k)},
		"volumes": []any{
			map[string]any{"name": "shared", "persistentVolumeClaim": map[string]any{"claimName": k.Claim}},
			map[string]any{"name": "config", "configMap": map[string]any{"name": name}},
		},
	}
	if k.User != "" {
		pod["securityContext"] = securityContext(k.User)
	}
	spec := map[string]any{
		"completions": j.Shards, "parallelism": atOnce, "completionMode": "Indexed",
		"backoffLimitPerIndex": 5, "maxFailedIndexes": j.Shards,
		// A pod that its node lost, or that makes room for another, is no failure.
		"podFailurePolicy": map[string]any{"rules": []any{
			map[string]any{"action": "Ignore", "onPodConditions": []any{map[string]any{"type": "DisruptionTarget", "status": "True"}}},
		}},
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "refreekv"}},
			"spec":     pod,
		},
	}
	var out strings.Builder
	for i, document := range []any{
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": map[string]any{"config.yaml": k.Config}},
		map[string]any{"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec},
	} {
		raw, err := yaml.Dump(document)
		if err != nil {
			return "", fmt.Errorf("writing the manifest: %w", err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(raw)
	}
	return out.String(), nil
}

// securityContext makes a pod run as a user, and volumes that can be given to a group
// writable to theirs.
func securityContext(user string) map[string]any {
	m := numericUser.FindStringSubmatch(user)
	number := func(s string) int {
		n, _ := strconv.Atoi(s) // at most nine digits
		return n
	}
	out := map[string]any{"runAsUser": number(m[1])}
	if m[2] != "" {
		out["runAsGroup"], out["fsGroup"] = number(m[2]), number(m[2])
	}
	return out
}

func (j Job) container(k Kubernetes) map[string]any {
	env := []any{}
	for _, variable := range j.Env {
		name, value, _ := strings.Cut(variable, "=")
		env = append(env, map[string]any{"name": name, "value": value})
	}
	resources := map[string]any{}
	if j.Threads > 0 {
		resources["cpu"] = fmt.Sprint(j.Threads)
	}
	if j.Memory != "" {
		resources["memory"] = j.Memory
	}
	out := map[string]any{
		"name": "refreekv", "image": k.Image, "command": []any{j.Binary},
		// Kubernetes counts indices from 0.
		"args": j.args(fmt.Sprintf("$(JOB_COMPLETION_INDEX)+1/%d", j.Shards)),
		"volumeMounts": []any{
			map[string]any{"name": "shared", "mountPath": k.MountAt},
			map[string]any{"name": "config", "mountPath": configAt, "readOnly": true},
		},
	}
	if len(env) > 0 {
		out["env"] = env
	}
	if len(resources) > 0 {
		out["resources"] = map[string]any{"requests": resources, "limits": resources}
	}
	return out
}

// dnsName makes a name that Kubernetes takes of an experiment's.
func dnsName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s[:min(len(s), 50)], "-")
}
