package model

import "fmt"

// tensorNames are the names one file format gives to a transformer's tensors.
type tensorNames struct {
	embed, norm, head       string // whole names
	layer                   string // format of a layer's number and the name below it
	attnNorm, q, k, v, o    string
	ffnNorm, gate, up, down string
	attnPost, ffnPost       string // norms behind attention and feed-forward
	qNorm, kNorm            string
	qkv, gateUp             string // where they are fused

	pairs   bool // query and key rows may be permuted so that rotary pairs are neighbours
	plusOne bool // norms that a model stores less one are stored whole
}

var (
	hfNames = tensorNames{
		embed: "model.embed_tokens.weight", norm: "model.norm.weight", head: "lm_head.weight",
		layer:    "model.layers.%d.%s.weight",
		attnNorm: "input_layernorm", q: "self_attn.q_proj", k: "self_attn.k_proj", v: "self_attn.v_proj", o: "self_attn.o_proj",
		ffnNorm: "post_attention_layernorm", gate: "mlp.gate_proj", up: "mlp.up_proj", down: "mlp.down_proj",
		qNorm: "self_attn.q_norm", kNorm: "self_attn.k_norm", qkv: "self_attn.qkv_proj", gateUp: "mlp.gate_up_proj",
	}
	ggufNames = tensorNames{
		embed: "token_embd.weight", norm: "output_norm.weight", head: "output.weight",
		layer:    "blk.%d.%s.weight",
		attnNorm: "attn_norm", q: "attn_q", k: "attn_k", v: "attn_v", o: "attn_output",
		ffnNorm: "ffn_norm", gate: "ffn_gate", up: "ffn_up", down: "ffn_down",
		attnPost: "post_attention_norm", ffnPost: "post_ffw_norm",
		qNorm: "attn_q_norm", kNorm: "attn_k_norm", qkv: "attn_qkv", gateUp: "ffn_up",
		pairs: true, plusOne: true,
	}
)

// of adapts the names to an architecture.
func (n tensorNames) of(a architecture) tensorNames {
	n.pairs = n.pairs && a.pairs
	if a.sandwich && n.attnPost == "" {
		// Hugging Face's name of the norm before the feed-forward layer moves to the
		// norm behind attention.
		n.attnPost, n.ffnNorm, n.ffnPost = n.ffnNorm, "pre_feedforward_layernorm", "post_feedforward_layernorm"
	}
	return n
}

// weight is the whole name of a layer's tensor.
func (n tensorNames) weight(layer int, name string) string { return fmt.Sprintf(n.layer, layer, name) }
