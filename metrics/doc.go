// Package metrics scores a text against references. Every metric is a pure
// function into 0..1; the registry names them for tasks. Each follows the
// program that the benchmark's authors use, including where that is odd.
package metrics
