// Package tensor holds the kernels of the transformer: matrix products
// on packed panels, the pieces of attention and feed-forward, and the pool of
// threads that runs them.
//
// Every output of a matrix product is one chain of fused multiply-adds over k,
// ascending. Results therefore do not depend on the number of rows computed
// together, on how the work is split, on the number of threads, or on the
// instruction set: AVX-512, AVX2, NEON and plain Go agree (Go emulates the fused
// operation in float64, which rounds twice in very rare ties). Weights may be held
// in bfloat16, which widens exactly and then is the same product; both sides may be
// rounded to bfloat16, and the chain then takes every pair of k the odd one first, as
// the instructions do that multiply pairs; or both are int8, where the chain goes over
// blocks of 32, each an exact sum of integers times both scales.
package tensor

//go:generate go run gen/main.go gen/bf16.go gen/pairs.go gen/int8.go gen/neon.go
