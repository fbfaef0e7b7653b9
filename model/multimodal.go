package model

import (
	"slices"
	"strings"

	"refreekv/model/weights"
)

// textParts are the multimodal models whose language model is a supported
// architecture: model_type in config.json, and that of its text_config. Only the
// text part is run.
var textParts = map[string]string{
	"gemma3":   "gemma3_text",
	"mistral3": "mistral",
}

// otherParts begin the names of the tensors that the text part does without.
var otherParts = []string{"vision_tower", "multi_modal_projector"}

// otherPart names the part, beside the text's, that a multimodal model's tensor
// belongs to; it is empty for the text's own.
func otherPart(tensor string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(tensor, "model."), ".")
	if slices.Contains(otherParts, first) {
		return first
	}
	return ""
}

// textPart gives the names of a language model's tensors inside a multimodal
// model. Files write them in two ways, after the releases of transformers.
func (n tensorNames) textPart(f *weights.File) tensorNames {
	within := func(body, head string) tensorNames {
		in := n
		for _, name := range []*string{&in.embed, &in.norm, &in.layer} {
			*name = body + strings.TrimPrefix(*name, "model.")
		}
		in.head = head + in.head
		return in
	}
	newer := within("model.language_model.", "")
	if _, ok := f.Tensor(newer.embed); ok {
		return newer
	}
	return within("language_model.model.", "language_model.")
}
