// Package model runs a real transformer over real weights and hands what it
// computed to whoever wants to prune it: it opens a model folder or file,
// prefills a prompt once into a [Prefix], and decodes any number of variants of
// that prefix in lockstep. It knows no pruner: a variant is just a [Keep], the
// positions that stay in the KV cache.
//
// The forward pass is in forward.go and reads in the order data flows. Rooms of
// their own: model/tensor (kernels), model/weights (safetensors and GGUF
// readers), model/tokenizer (tokenizers and chat templates), model/hub (finding
// and fetching models).
package model
