package model

import (
	"fmt"
	"strings"
)

// An architecture says in what a model family departs from Llama (arXiv
// 2302.13971). The forward pass is one; a new variation is a row of the table
// below and, where it has a part that no other has, that part.
type architecture struct {
	hf   string // model_type in config.json
	gguf string // general.architecture in GGUF files

	qkNorm    bool // RMSNorm of each head's queries and keys before rotation
	fused     bool // query, key and value rows in one tensor, gate and up rows in another
	sandwich  bool // norms behind attention and feed-forward too
	onePlus   bool // config.json's models store RMSNorm weights less one
	pairs     bool // GGUF files hold rotary pairs side by side, so query and key rows are permuted
	noRope    bool // some layers have no rotary embedding
	partial   bool // only a part of each head may be rotated
	embedding bool // embeddings are multiplied by the root of their width
	// window tells which layers are local where the config does not list them:
	// none, all, those from max_window_layers on, those without rotary embedding,
	// or all but every n-th.
	window windowRule
	// every is the n of windowAllBut.
	every int
}

type windowRule int

const (
	windowNone   windowRule = iota
	windowAll               // sliding_window holds for all layers
	windowOption            // for layers from max_window_layers on, if use_sliding_window is set
	windowNoRope            // for layers without rotary embedding, if use_sliding_window is set
	windowAllBut            // for all layers but every n-th
)

// architectures are the supported ones.
var architectures = []architecture{
	{hf: "llama", gguf: "llama", pairs: true},
	{hf: "mistral", window: windowAll}, // its GGUF files say llama
	{hf: "qwen2", gguf: "qwen2", window: windowOption},
	{hf: "qwen3", gguf: "qwen3", qkNorm: true, window: windowOption},
	{hf: "smollm3", gguf: "smollm3", pairs: true, noRope: true, window: windowNoRope},
	{hf: "phi3", gguf: "phi3", fused: true, partial: true, window: windowAll},
	{hf: "gemma2", gguf: "gemma2", sandwich: true, onePlus: true, embedding: true, window: windowAllBut, every: 2},
	{hf: "gemma3_text", gguf: "gemma3", qkNorm: true, sandwich: true, onePlus: true, embedding: true, window: windowAllBut, every: 6},
}

// findArchitecture finds an architecture by the name in a field of its files.
func findArchitecture(field, name string, of func(architecture) string) (architecture, error) {
	var known []string
	for _, a := range architectures {
		switch of(a) {
		case "":
		case name:
			return a, nil
		default:
			known = append(known, of(a))
		}
	}
	return architecture{}, fmt.Errorf("%s %q is not supported; supported: %s", field, name, strings.Join(known, ", "))
}

// local reports whether layer l has a sliding window by the architecture's own
// rule. rotated: it has rotary embedding.
func (a architecture) local(l, maxWindowLayers int, rotated bool) bool {
	switch a.window {
	case windowAll:
		return true
	case windowOption:
		return l >= maxWindowLayers
	case windowNoRope:
		return !rotated
	case windowAllBut:
		return (l+1)%a.every != 0
	}
	return false
}

// optional reports whether config.json must ask for windows.
func (a architecture) optional() bool { return a.window == windowOption || a.window == windowNoRope }
