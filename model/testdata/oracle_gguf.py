"""Writes small models as GGUF files of every type that we read, with the gguf
package, and records what the package and transformers make of them.

    python oracle_gguf.py --models DIR --out gguf_oracle.json.gz

DIR holds tiny-s. The files themselves are not kept: a test that writes the same
bytes finds their SHA-256 in the record.

- Types of 32 values a block, and F16: tiny-s, quantised by the package.
- K-quants, which the package cannot write: a llama with rows of 256 whose blocks
  are drawn by a generator of bytes that a test can repeat (class Bytes).

Needs torch, transformers, tokenizers, gguf and numpy. Made with torch 2.15.0,
transformers 5.2.0, tokenizers 0.22.2, gguf 0.19.0 and numpy 2.4.6.
"""

import argparse
import gzip
import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf.quants import dequantize, quantize
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import DynamicCache, LlamaForCausalLM

STEPS = 64
PROMPT = b"qz71 bm04 xr93 kd58\nqz"
QUANTISED = ("F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
# Half-precision scales of drawn blocks, by their place: they give weights around
# zero that spread by about a sixteenth.
SCALES = {
    "Q4_K": {0: 2.0**-12, 2: 7.5 * 2.0**-12},
    "Q5_K": {0: 2.0**-13, 2: 15.5 * 2.0**-13},
    "Q6_K": {208: 2.0**-14},
}
# The mix that is common in files named Q4_K_M: these tensors are Q6_K.
MIXED = ("token_embd", "attn_v", "ffn_down")
WIDE = dict(layers=2, hidden=256, ffn=256, heads=4, kv_heads=1, head_dim=64, eps=1e-5, theta=10000.0, positions=1024)
TINY = dict(layers=2, hidden=64, ffn=128, heads=4, kv_heads=2, head_dim=16, eps=1e-5, theta=10000.0, positions=1024)


class Bytes:
    """The top bytes of a 64-bit linear congruential generator (Knuth's MMIX)."""

    def __init__(self, seed):
        self.state = seed

    def take(self, n):
        out = bytearray(n)
        for i in range(n):
            self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
            out[i] = self.state >> 56
        return np.frombuffer(bytes(out), dtype=np.uint8)


def shapes(size):
    queries, keys = size["heads"] * size["head_dim"], size["kv_heads"] * size["head_dim"]
    out = {"token_embd.weight": (259, size["hidden"]), "output_norm.weight": (size["hidden"],)}
    for layer in range(size["layers"]):
        for name, shape in {
            "attn_norm": (size["hidden"],), "ffn_norm": (size["hidden"],),
            "attn_q": (queries, size["hidden"]), "attn_k": (keys, size["hidden"]), "attn_v": (keys, size["hidden"]),
            "attn_output": (size["hidden"], queries),
            "ffn_gate": (size["ffn"], size["hidden"]), "ffn_up": (size["ffn"], size["hidden"]), "ffn_down": (size["hidden"], size["ffn"]),
        }.items():
            out[f"blk.{layer}.{name}.weight"] = shape
    return out


def hf_name(name):
    for a, b in {
        "token_embd": "model.embed_tokens", "output_norm": "model.norm", "blk.": "model.layers.", "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }.items():
        name = name.replace(a, b)
    return name


def side_by_side(w, heads):
    """Rows of a query or key projection with rotary pairs as neighbours."""
    return w.reshape(heads, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def quantised(weights, size, kind):
    out = {}
    for name, shape in shapes(size).items():
        w = weights[hf_name(name)]
        if "attn_q" in name or "attn_k" in name:
            w = side_by_side(w, size["kv_heads" if "attn_k" in name else "heads"])
        to = GGMLQuantizationType.F32 if len(shape) == 1 else GGMLQuantizationType[kind]
        out[name] = (quantize(np.ascontiguousarray(w, dtype=np.float32), to), to)
    return out


def drawn(size, kind, seed):
    rng, out = Bytes(seed), {}
    for name, shape in sorted(shapes(size).items()):
        if len(shape) == 1:
            out[name] = (0.5 + rng.take(shape[0]).astype(np.float32) / 256, GGMLQuantizationType.F32)
            continue
        to = kind
        if kind == "Q4_K_M":
            to = "Q6_K" if any(part in name for part in MIXED) else "Q4_K"
        values, width = GGML_QUANT_SIZES[GGMLQuantizationType[to]]
        blocks = rng.take(shape[0] * shape[1] // values * width).copy().reshape(-1, width)
        for at, scale in SCALES[to].items():
            blocks[:, at : at + 2] = np.array([scale], dtype="<f2").view(np.uint8)
        out[name] = (blocks.reshape(shape[0], -1), GGMLQuantizationType[to])
    return out


def write(path, tokens, size, tensors):
    w = GGUFWriter(path, "llama")  # this writes general.architecture
    number = {
        "attention.head_count": size["heads"], "attention.head_count_kv": size["kv_heads"], "attention.key_length": size["head_dim"],
        "attention.layer_norm_rms_epsilon": size["eps"], "attention.value_length": size["head_dim"], "block_count": size["layers"],
        "context_length": size["positions"], "embedding_length": size["hidden"], "feed_forward_length": size["ffn"],
        "rope.dimension_count": size["head_dim"], "rope.freq_base": size["theta"],
    }
    for key, value in sorted(number.items()):
        (w.add_float32 if isinstance(value, float) else w.add_uint32)("llama." + key, value)
    w.add_bool("tokenizer.ggml.add_bos_token", False)
    w.add_uint32("tokenizer.ggml.bos_token_id", 256)
    w.add_uint32("tokenizer.ggml.eos_token_id", 257)
    w.add_array("tokenizer.ggml.merges", ["q z"])
    w.add_string("tokenizer.ggml.model", "gpt2")
    w.add_string("tokenizer.ggml.pre", "gpt-2")
    w.add_array("tokenizer.ggml.token_type", [3 if i in (256, 257) else 1 for i in range(259)])
    w.add_array("tokenizer.ggml.tokens", tokens)
    for name, (data, kind) in sorted(tensors.items()):
        w.add_tensor(name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@torch.no_grad()
def record(path):
    values = hashlib.sha256()
    types = {}
    for tensor in sorted(GGUFReader(path).tensors, key=lambda t: t.name):
        values.update(dequantize(tensor.data, tensor.tensor_type).astype("<f4").tobytes())
        types[tensor.name] = tensor.tensor_type.name
    model = LlamaForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids, cache = list(PROMPT), DynamicCache()
    logits = model(torch.tensor([ids]), past_key_values=cache).logits[0, -1]
    tokens, margins, first = [], [], np.round(logits.double().numpy(), 5).tolist()
    while True:
        best = logits.topk(2).values
        tokens.append(logits.argmax().item())
        margins.append(round((best[0] - best[1]).item(), 5))
        if len(tokens) == STEPS:
            break
        logits = model(torch.tensor([tokens[-1:]]), past_key_values=cache).logits[0, -1]
    print(f"smallest margin {min(margins)}, text {bytes(t for t in tokens if t < 256)!r}")
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "values_sha256": values.hexdigest(), "types": types, "ids": ids,
            "logits": first, "greedy": tokens, "margins": margins}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--models", type=Path, required=True)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    tokenizer = Tokenizer.from_file(str(args.models / "tiny-s" / "tokenizer.json"))
    # The package writes no empty list of merges: <pad> makes room for the result of one.
    tokens = [*(tokenizer.id_to_token(i) for i in range(258)), "qz"]
    weights = load_file(args.models / "tiny-s" / "model.safetensors")
    result = {"made_with": {name: version(name) for name in ("torch", "transformers", "gguf", "numpy")}, "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for kind in (*QUANTISED, *SCALES, "Q4_K_M"):
            path = Path(folder, kind + ".gguf")
            if kind in QUANTISED:
                write(path, tokens, TINY, quantised(weights, TINY, kind))
            else:
                write(path, tokens, WIDE, drawn(WIDE, kind, len(result["cases"])))
            print(kind, end=": ")
            result["cases"][kind] = record(path)
    raw = json.dumps(result, separators=(",", ":")).encode()
    args.out.write_bytes(gzip.compress(raw, 9, mtime=0))


if __name__ == "__main__":
    main()
