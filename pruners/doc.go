// Package pruners holds the KV-cache pruning methods, one file each. A method
// sees a [model.Prefix], the prompt after full-attention prefill, and returns
// the positions that stay. To add one, write its file and add its row to the
// registry in registry.go.
package pruners
