//go:build !race

package tokenizer

// shadowMemory is how many times its memory a process takes.
const shadowMemory = 1
