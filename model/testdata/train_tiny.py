"""Trains the two tiny Llama models that the tests run on.

The task is associative recall over bytes: a prompt lists pairs of a two-letter
key and a two-digit value, then names one key again; the model answers with that
key's digits, a line break and </s>:

    "qz71 bm04 xr93\nqz" -> "71\n</s>"

Keys of one prompt differ. Attention must find one place in the prompt, so
pruning the KV cache shows in the score at once.

    python train_tiny.py --size s --out DIR/tiny-s
    python train_tiny.py --size m --out DIR/tiny-m

Needs torch, transformers and safetensors. The seed is fixed; the same library
versions and thread count give the same weights.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

BOS, EOS, PAD, VOCAB = 256, 257, 258, 259

# levels: most pairs per prompt, one step of the curriculum each; tokens: per
# training step at that level. steps: after the last level was reached, over
# which the learning rate falls. bos: share of batches that start with <s>.
SIZES = {
    "s": dict(layers=2, hidden=64, heads=4, kv_heads=2, head_dim=16, ffn=128, dtype=torch.float32, shards=1,
              chat=False, bos=0.0, lr=4e-3, levels=[4, 8, 16, 32], tokens=[6000] * 4, steps=1000, seed=1),
    "m": dict(layers=4, hidden=128, heads=8, kv_heads=2, head_dim=16, ffn=256, dtype=torch.bfloat16, shards=2,
              chat=True, bos=0.5, lr=2e-3, levels=[8, 16, 32, 64], tokens=[3000, 3000, 4000, 5000],
              steps=800, seed=2),
}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ message['content'] | trim }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + '\\n' + eos_token }}"
    "{% else %}{{ raise_exception('unknown role ' + message['role']) }}{% endif %}{% endfor %}"
)


def batch(rng, rows, pairs, queries, bos):
    """Token ids [rows][length], positions that carry loss, and their targets.

    Every query's answer is trained, and </s> as what follows its line break,
    even where the sequence goes on with the next query.
    """
    keys = np.argsort(rng.random((rows, 676)), axis=1)[:, :pairs]
    values = rng.integers(0, 100, (rows, pairs))
    key_bytes = np.stack([97 + keys // 26, 97 + keys % 26], -1)
    value_bytes = np.stack([48 + values // 10, 48 + values % 10], -1)
    space = np.full((rows, pairs, 1), 32)
    listing = np.concatenate([key_bytes, value_bytes, space], -1).reshape(rows, -1)[:, :-1]

    asked = np.argsort(rng.random((rows, pairs)), axis=1)[:, :queries]
    at = np.arange(rows)[:, None]
    line_break = np.full((rows, queries, 1), 10)
    lines = np.concatenate([line_break, key_bytes[at, asked], value_bytes[at, asked]], -1).reshape(rows, -1)

    parts = [listing, lines, line_break[:, 0]]
    if bos:
        parts.insert(0, np.full((rows, 1), BOS))
    ids = torch.from_numpy(np.concatenate(parts, 1))

    first = ids.shape[1] - 1 - 5 * queries + 2
    where = (first + 5 * torch.arange(queries)[:, None] + torch.arange(4)).reshape(-1)
    target = ids[:, (where + 1).clamp(max=ids.shape[1] - 1)].clone()
    target[:, 3::4] = EOS
    return ids, where, target


def logits_at(model, ids, where):
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, where]
    return F.linear(hidden, model.lm_head.weight)


@torch.no_grad()
def recall(model, pairs, count, seed, bos=False):
    """Share of prompts whose whole answer, up to </s>, comes out greedily."""
    rng = np.random.default_rng(seed)
    good = 0
    for start in range(0, count, 100):
        ids, where, target = batch(rng, min(100, count - start), pairs, 1, bos)
        # The answer given so far is right wherever this counts, so feeding the
        # true digits equals feeding the generated ones.
        good += (logits_at(model, ids, where).argmax(-1) == target).all(-1).sum().item()
    return good / count


def train(size):
    torch.manual_seed(size["seed"])
    rng = np.random.default_rng(size["seed"])
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=size["hidden"], intermediate_size=size["ffn"], num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"], num_key_value_heads=size["kv_heads"], head_dim=size["head_dim"],
        max_position_embeddings=1024, rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=0.08,
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, attn_implementation="sdpa",
    ))
    params = list(model.parameters())
    opt = torch.optim.AdamW(params, lr=size["lr"], betas=(0.9, 0.98), weight_decay=0.01)
    level, right, step, final, started = 0, 0.0, 0, 0, time.time()
    while final < size["steps"]:
        most = size["levels"][level]
        last = level == len(size["levels"]) - 1
        pairs = int(rng.integers(max(4, most // 2), most + 1)) if rng.random() < 0.75 else int(rng.integers(4, most + 1))
        queries = min(pairs, 32)
        rows = max(4, size["tokens"][level] // (5 * (pairs + queries)))
        ids, where, target = batch(rng, rows, pairs, queries, rng.random() < size["bos"])
        scale = min(1, (step + 1) / 100)
        if last:
            scale *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * final / size["steps"]))
            final += 1
        for group in opt.param_groups:
            group["lr"] = size["lr"] * scale
        logits = logits_at(model, ids, where)
        loss = F.cross_entropy(logits.reshape(-1, VOCAB), target.reshape(-1))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        now = (logits.argmax(-1) == target).reshape(rows, queries, 4).all(-1).float().mean().item()
        right = 0.95 * right + 0.05 * now
        step += 1
        if step % 50 == 0:
            print(f"{time.time() - started:6.0f} s  step {step}  up to {most} pairs  loss {loss.item():.4f}  right {right:.3f}", flush=True)
        if not last and right > 0.9:
            level, right = level + 1, 0.0
    return model


def byte_names():
    """The printable character that GPT-2's byte-level vocabulary gives each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def write(model, size, out):
    out.mkdir(parents=True, exist_ok=True)
    dtype = size["dtype"]
    tensors = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    if size["shards"] == 1:
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    else:
        names = sorted(tensors)
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        shards, filled = [[] for _ in range(size["shards"])], 0
        for name in names:
            shards[min(filled * size["shards"] // total, size["shards"] - 1)].append(name)
            filled += tensors[name].numel() * tensors[name].element_size()
        index = {}
        for i, shard in enumerate(shards):
            file = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
            save_file({n: tensors[n] for n in shard}, out / file, metadata={"format": "pt"})
            index.update({n: file for n in shard})
        write_json(out / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})

    write_json(out / "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "vocab_size": VOCAB, "hidden_size": size["hidden"], "intermediate_size": size["ffn"],
        "num_hidden_layers": size["layers"], "num_attention_heads": size["heads"],
        "num_key_value_heads": size["kv_heads"], "head_dim": size["head_dim"], "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": True, "attention_bias": False,
        "mlp_bias": False, "bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD,
        "torch_dtype": str(dtype).removeprefix("torch."),
    })
    specials = [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                for i, c in [(BOS, "<s>"), (EOS, "</s>"), (PAD, "<pad>")]]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    write_json(out / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": specials, "normalizer": None,
        "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {c: i for i, c in enumerate(byte_names())}, "merges": []},
    })
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
                        "pad_token": "<pad>", "clean_up_tokenization_spaces": False, "model_max_length": 1024}
    if size["chat"]:
        tokenizer_config["chat_template"] = CHAT_TEMPLATE
    write_json(out / "tokenizer_config.json", tokenizer_config)
    write_json(out / "generation_config.json",
               {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD, "do_sample": False, "max_new_tokens": 8})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--size", choices=SIZES, required=True)
    args.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    size = SIZES[args.size]
    model = train(size)
    write(model, size, args.out)
    model = LlamaForCausalLM.from_pretrained(args.out, dtype=torch.float32, attn_implementation="sdpa")
    for bos in ([False, True] if size["bos"] else [False]):
        for pairs in (4, 8, 16, 32, 48, 64):
            print(f"recall as saved, {pairs} pairs{', after <s>' if bos else ''}: {recall(model, pairs, 1000, 99, bos):.3f}", flush=True)


if __name__ == "__main__":
    main()
