// Package rows is the record of what a run measured: the row type, its JSON
// Lines store that survives being killed, and its Parquet form. Runners write
// rows, reports read them.
package rows

// A Row is one measurement: one variant on one record of one task, for one
// model and context length. All but Timing is a function of the inputs, so an
// interrupted and resumed run holds the same rows as an undisturbed one.
type Row struct {
	Model         string `json:"model"`          // the model's short name
	ContextLength int    `json:"context_length"` // longest prompt allowed, in tokens
	Task          string `json:"task"`
	Protocol      string `json:"protocol"` // standard or paper
	Record        string `json:"record"`   // the record's id in its data set
	Index         int    `json:"index"`    // the record's place in its data set
	Variant       string `json:"variant"`  // pruner and settings, canonical: "snapkv budget=0.5"
	Pruner        string `json:"pruner"`   // the pruner's name: "snapkv"

	// Parameters is the size of the model, 0 in rows of versions that did not tell.
	Parameters int64 `json:"parameters,omitempty"`
	// DType is the format in which its weights were multiplied: float32, bfloat16, bfloat16-both or
	// int8; empty, in rows of versions that did not tell, is float32.
	DType string `json:"dtype,omitempty"`
	// Labels say where a generated record stands in its set's grid: target_length
	// (tokens of the whole prompt) and depth (of a needle, 0..1). nil: it has none.
	Labels map[string]float64 `json:"labels,omitempty"`

	PromptTokens int    `json:"prompt_tokens"`
	PromptHash   string `json:"prompt_hash"` // first 16 hex digits of the SHA-256 of the prompt's token ids
	Truncated    bool   `json:"truncated"`   // the prompt was longer than the context length

	// Inputs is the first 16 hex digits of a SHA-256 over all that determines what
	// follows, Timing aside. It is empty in runs of versions that had none, and
	// beside an Error that is no function of the inputs, such as too little memory.
	Inputs string `json:"inputs,omitempty"`

	Kept []float64 `json:"kept"` // [layers] kept prompt entries, mean over heads
	// Density says where the kept entries stand: see NewDensity. It is absent in rows
	// of versions that did not tell.
	Density []string `json:"kept_density,omitempty"`

	Budget      float64 `json:"budget"`        // kept share of the prompt, 0..1, mean over layers
	KVBytes     int64   `json:"kv_bytes"`      // bytes of keys and values the variant's cache holds after selection, float32
	FullKVBytes int64   `json:"full_kv_bytes"` // bytes of the full cache of the same prompt, kept once per KV head
	// KVBytesLayers is KVBytes per layer: [layers]. ReleasedKVBytes is what the
	// method's released code holds for the same choice: where it repeats keys and
	// values to the query heads, every kept entry once per query head. Both are
	// absent in rows of versions that did not tell.
	KVBytesLayers   []int64 `json:"kv_bytes_layers,omitempty"`
	ReleasedKVBytes int64   `json:"released_kv_bytes,omitempty"`

	Tokens []int32 `json:"tokens"` // generated token ids, the stop token left out
	Text   string  `json:"text"`
	Stop   string  `json:"stop"`  // why decoding ended: eos, length or stop
	Score  float64 `json:"score"` // the task's metric, 0..1

	// Fidelity is the likeness to the full cache; nil where it was not measured.
	Fidelity *Fidelity `json:"fidelity,omitempty"`

	Error  string `json:"error,omitempty"` // set when the record could not be run; the figures above are then zero
	Timing Timing `json:"timing"`
}

// Fidelity compares a variant with the full cache when both are fed the full
// cache's own text, from its second token on (the first never differs).
type Fidelity struct {
	Tokens          int     `json:"tokens"`           // predictions that were compared
	KL              float64 `json:"kl"`               // mean KL(full ‖ variant) of a prediction, nats
	Agreement       float64 `json:"agreement"`        // share of predictions in which both prefer the same token, 0..1
	Divergence      int     `json:"divergence"`       // index of the first token in which the greedy texts differ, -1: none among those compared
	ReferenceTokens int     `json:"reference_tokens"` // tokens of the reference answer that were scored
	Reference       float64 `json:"reference"`        // mean log-likelihood of those, nats; 0 where there are none
}

// Timing holds seconds of wall time. Unless the run is isolated, prefill and
// decode are shared by all variants of a record, and records decode together:
// Prefill is that of the whole record, Decode the time of the decode steps until
// this variant stopped, of each step the record's share by its variants that took
// part. So the slowest variants' Decode add up to the time that all records took;
// for the latency of one variant run it isolated.
type Timing struct {
	Prefill float64 `json:"prefill_seconds"`
	// Shared is how many of the prompt's tokens needed no prefill, since the record
	// that was run before begins with them too.
	Shared int     `json:"shared_tokens"`
	Select float64 `json:"select_seconds"`
	Decode float64 `json:"decode_seconds"`
	// Peak is the most memory that the process held while the variant ran by
	// itself, weights included, in bytes; 0 where variants ran together or the
	// system does not tell.
	Peak int64 `json:"peak_bytes,omitempty"`
}
