// Package tokenizer turns text into token ids and back, and conversations into
// prompts. It reads Hugging Face's tokenizer.json and GGUF metadata (byte-level
// BPE), gives the ids that Hugging Face's tokenizers library gives, and renders
// a model's own Jinja chat template.
package tokenizer
