// Package cluster writes what hands an experiment's shards to a cluster's own
// scheduler: a Slurm job array or a Kubernetes Indexed Job. It submits nothing.
package cluster
