//go:build race

package tokenizer

// shadowMemory is how many times its memory a process takes: the race detector
// keeps a record of it.
const shadowMemory = 10
