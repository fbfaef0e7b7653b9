package model

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"refreekv/model/tensor"
)

// The text part of a multimodal model is the same under both of the names that
// transformers gave its tensors.
func TestMultimodalNames(t *testing.T) {
	tokens := randomTokens(rand.New(rand.NewPCG(15, 16)), 40)
	newer := strings.NewReplacer("language_model.model.", "model.language_model.", "language_model.lm_head", "lm_head",
		"vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector.")
	for _, name := range []string{"gemma3-vision", "mistral3"} {
		t.Run(name, func(t *testing.T) {
			want := openFamily(t, name, name)
			tensors := map[string]stored{}
			for name, s := range readTensors(t, want.file) {
				tensors[newer.Replace(name)] = s
			}
			config := changes(readObject(t, "testdata/families/"+name+".config.json"))
			got := mustOpen(t, writeFolder(t, "tiny-s", config, tensors, encodings[0]))
			if diff := cmp.Diff(want.Config, got.Config, allOfConfig); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			if !slices.Equal(prefill(t, want, tokens, Needs{}).Logits(), prefill(t, got, tokens, Needs{}).Logits()) {
				t.Error("logits differ")
			}
		})
	}
}

// What is left out of a multimodal model is counted by its name; the text part's
// tensors must be all there and no others.
func TestMultimodalParts(t *testing.T) {
	m := openFamily(t, "gemma3-vision", "gemma3-vision")
	text, others, tensors := int64(0), map[string]int64{}, readTensors(t, m.file)
	for name, s := range tensors {
		if part, _, _ := strings.Cut(name, "."); part == "language_model" {
			text += int64(len(s.values))
		} else {
			others[part] += int64(len(s.values))
		}
	}
	d, err := Describe(context.Background(), m.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(others, d.LeftOut); diff != "" || len(others) != 2 {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if d.Parameters != text || d.Types["BF16"] != text || d.Memory(1, tensor.Float32) < 4*text {
		t.Errorf("%d parameters, %v; want %d in BF16; %d bytes of memory", d.Parameters, d.Types, text, d.Memory(1, tensor.Float32))
	}
	config := changes(readObject(t, "testdata/families/gemma3-vision.config.json"))
	with := func(name string) map[string]stored {
		out := maps.Clone(tensors)
		out[name] = stored{[]int{1}, []float32{1}}
		return out
	}
	missing := maps.Clone(tensors)
	delete(missing, "language_model.model.layers.1.mlp.up_proj.weight")
	for name, c := range map[string]struct {
		tensors map[string]stored
		config  changes
		want    string
	}{
		"a tensor missing":   {missing, nil, "tensor language_model.model.layers.1.mlp.up_proj.weight is missing"},
		"no text part":       {nil, nil, "tensor language_model.model.embed_tokens.weight is missing"},
		"an unknown part":    {with("audio_tower.weight"), nil, "tensor audio_tower.weight belongs to no part of a gemma3_text"},
		"no text_config":     {tensors, changes{"text_config": nil}, "text_config is missing"},
		"a list":             {tensors, changes{"text_config": []int{}}, "text_config"},
		"another text":       {tensors, changes{"text_config": map[string]any{"model_type": "llama"}}, `text_config: model_type "llama" is not supported here; supported: gemma3_text`},
		"an empty text":      {tensors, changes{"text_config": map[string]any{}}, "text_config: this makes no transformer"},
		"quantised":          {tensors, changes{"quantization_config": map[string]any{"quant_method": "fp8"}}, `quant_method "fp8" is not supported`},
		"text of other size": {tensors, changes{"text_config": map[string]any{"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}}, "tensor language_model.model.embed_tokens.weight has shape [260 24], the config asks for [262208 8]"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, writeFolder(t, "tiny-s", c.config.apply(config), c.tensors, encodings[0]), c.want)
		})
	}
	t.Run("other parts beside a llama", func(t *testing.T) {
		all := tinyTensors(t, "tiny-s")
		all["vision_tower.x"] = stored{[]int{1}, []float32{1}}
		refused(t, writeFolder(t, "tiny-s", nil, all, encodings[0]), "tensor vision_tower.x belongs to no part of a llama")
	})
}
