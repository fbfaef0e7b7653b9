// Package tokenizer turns text into the token ids of a model and back, and
// renders conversations with the model's own chat template.
//
// It reads a tokenizer from Hugging Face's tokenizer.json ([Load]) or from the
// metadata of a GGUF file ([FromGGUF]); both give byte-pair encoding, over the
// bytes of the text (GPT-2, Llama 3, Qwen2 and 3, SmolLM, Mistral Nemo) or over its
// characters (SentencePiece's kind: Llama 2, Mistral, Gemma, Phi 3). The pipeline and its rules are those
// of Hugging Face's tokenizers library:
//
//	text → added tokens cut out → normalizer → pre-tokenizer → BPE → post-processor
//
// A tokenizer.json that asks for anything else is refused with an error that
// names it, since a rule left out would silently give other ids.
package tokenizer
