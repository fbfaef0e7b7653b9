"""Makes tiny random models of every supported family and records what
transformers computes with them.

    python oracle_families.py --out DIR

writes to DIR: a .safetensors file per set of weights, a .config.json per case as
save_pretrained writes it (cases that differ in the config alone share weights),
old/NAME.config.json for three of them in the style of older releases, and
oracle.json.gz. Seeds are fixed. Needs torch, transformers, safetensors, numpy.

Made with torch 2.15.0, transformers 5.2.0, safetensors 0.8.0, numpy 2.4.6.
"""

import argparse
import contextlib
import copy
import gzip
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import DynamicCache
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

LENGTHS = (1, 7, 40, 100)
NEW_TOKENS = 64
PRUNED_TOKENS = 24
# Two right programs may round differently: no token that is recorded may hang on
# less, and float64 may differ from float32 by no more than this share of the
# largest logit.
MARGIN = 5e-3
ROUNDING = 2e-5
WINDOW = 16

COMMON = dict(vocab_size=260, max_position_embeddings=256, bos_token_id=256, eos_token_id=257, pad_token_id=258)
SMALL = dict(hidden_size=32, intermediate_size=44, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
LLAMA = dict(**SMALL, head_dim=12, tie_word_embeddings=False)
QWEN2 = dict(hidden_size=48, intermediate_size=40, num_hidden_layers=3, num_attention_heads=6, num_key_value_heads=2,
             tie_word_embeddings=True)
SMOLLM3 = dict(**{**SMALL, "num_hidden_layers": 4}, no_rope_layer_interval=2, tie_word_embeddings=True)
PHI3 = dict(**SMALL, tie_word_embeddings=False)
TINY = dict(hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=3)
WIDE = dict(**{**TINY, "num_attention_heads": 4}, num_key_value_heads=2, head_dim=8)  # heads wider together than hidden


def scaled(kind, **more):
    return {"rope_type": kind, "rope_theta": 10000.0, **more}


# Name: weights, family, configuration.
CASES = {
    "llama": ("llama", "Llama", LLAMA),
    "llama-linear": ("llama", "Llama", dict(**LLAMA, rope_parameters=scaled("linear", factor=4.0))),
    "llama-dynamic": ("llama", "Llama", dict(**LLAMA, max_position_embeddings=64, rope_parameters=scaled("dynamic", factor=4.0))),
    "llama-llama3": ("llama", "Llama", dict(**LLAMA, rope_parameters=scaled(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    "llama-yarn": ("llama", "Llama", dict(**LLAMA, rope_parameters=scaled("yarn", factor=4.0, original_max_position_embeddings=64))),
    "llama-bias": ("llama-bias", "Llama", dict(**{**SMALL, "num_key_value_heads": 1}, attention_bias=True, tie_word_embeddings=True)),
    "mistral": ("mistral", "Mistral", dict(**LLAMA, sliding_window=WINDOW)),
    "qwen2": ("qwen2", "Qwen2", QWEN2),
    "qwen2-window": ("qwen2", "Qwen2", dict(**QWEN2, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1)),
    "qwen3": ("qwen3", "Qwen3", dict(**SMALL, head_dim=16, tie_word_embeddings=True)),
    "smollm3": ("smollm3", "SmolLM3", SMOLLM3),
    "smollm3-window": ("smollm3", "SmolLM3", dict(**SMOLLM3, use_sliding_window=True, sliding_window=WINDOW)),
    "phi3": ("phi3", "Phi3", dict(**PHI3, sliding_window=WINDOW + 3, partial_rotary_factor=0.5)),
    "phi3-longrope": ("phi3", "Phi3", dict(**PHI3, original_max_position_embeddings=64, partial_rotary_factor=0.75, rope_parameters=scaled(
        "longrope", short_factor=[1.0, 1.1, 1.25], long_factor=[1.05, 2.5, 6.0]))),
    "gemma2": ("gemma2", "Gemma2", dict(**SMALL, head_dim=16, sliding_window=WINDOW, query_pre_attn_scalar=12,
                                        attn_logit_softcapping=6.0, final_logit_softcapping=12.0)),
    "gemma3": ("gemma3", "Gemma3Text", dict(**{**SMALL, "num_hidden_layers": 4, "num_key_value_heads": 1}, head_dim=16,
               sliding_window=WINDOW, sliding_window_pattern=3, query_pre_attn_scalar=20, rope_parameters={
                   "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000000.0},
                   "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}})),
    "llama2": ("llama2", "Llama", dict(**TINY, num_key_value_heads=3, tie_word_embeddings=False)),
    "llama3.2": ("llama3.2", "Llama", dict(**TINY, num_key_value_heads=1, tie_word_embeddings=True, rope_parameters=scaled(
        "llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64))),
    "qwen2-untied": ("qwen2-untied", "Qwen2", dict(**TINY, num_key_value_heads=1, tie_word_embeddings=False)),
    "qwen3-untied": ("qwen3-untied", "Qwen3", dict(**WIDE, tie_word_embeddings=False)),
    "gemma3-vision": ("gemma3-vision", "Gemma3", dict(image_token_index=259, mm_tokens_per_image=1, vision_config=dict(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=8),
        text_config=dict(**{**WIDE, "num_hidden_layers": 3}, sliding_window=WINDOW, sliding_window_pattern=3, query_pre_attn_scalar=20))),
    "mistral3": ("mistral3", "Mistral3", dict(image_token_index=259, vision_config=dict(
        model_type="pixtral", hidden_size=8, head_dim=4, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=8),
        text_config=dict(model_type="mistral", **WIDE, sliding_window=None, tie_word_embeddings=False))),
}
PRUNED = ("llama", "mistral", "qwen2-window", "smollm3-window", "phi3", "phi3-longrope", "gemma2", "gemma3")


def new_model(family, settings):
    name, settings = family.removesuffix("Text"), copy.deepcopy(settings)
    if "text_config" in settings:
        settings["text_config"] |= COMMON
    else:
        settings |= {k: v for k, v in COMMON.items() if k not in settings}
    config = getattr(transformers, family + "Config")(**settings)
    config._attn_implementation = "eager"
    return getattr(transformers, name + ("ForConditionalGeneration" if "text_config" in settings else "ForCausalLM"))(config).eval()


def randomise(model, seed):
    """Weights that make attention peaked and logits far apart; norms and biases
    far from one and zero. All are BF16 values."""
    rng = torch.Generator().manual_seed(seed)
    gemma = model.config.model_type.startswith("gemma")
    for name, p in sorted(model.named_parameters()):
        x = torch.randn(p.shape, generator=rng)
        if name.endswith("norm.weight") or "layernorm" in name:
            x = x * 0.3 + (0 if gemma else 1)
            if "q_norm" in name or "k_norm" in name:
                x += 0.6
            elif gemma and ("post_" in name or name.endswith("model.norm.weight")):
                x += 2  # or the token's own embedding drowns what the layers add
        elif x.dim() == 1:
            x *= 0.7
        elif "embed_tokens" in name:
            x *= 1 / 4 if gemma else 1
        elif "lm_head" not in name:
            gain = 1.7 if any(s in name for s in ("q_proj", "k_proj", "qkv")) else 2
            x *= gain / math.sqrt(p.shape[1])
        p.data = x.bfloat16().float()


def step(model, ids, at, cache, attentions=False):
    """One forward pass over ids at positions at…; the cache never drops entries,
    so that its keys can be recorded: the masks alone make windows."""
    return model(torch.tensor([ids]), position_ids=torch.arange(at, at + len(ids))[None], past_key_values=cache, use_cache=True,
                 output_attentions=attentions)


def greedy(model, logits, cache, n, steps):
    """Tokens, the logits that chose each, and the smallest margins."""
    tokens, chosen_by = [], []
    while True:
        tokens.append(logits.argmax().item())
        chosen_by.append(logits)
        if len(tokens) == steps:
            best = [l.topk(2).values for l in chosen_by]
            return tokens, chosen_by, [(b[0] - b[1]).item() for b in best]
        logits = step(model, tokens[-1:], n + len(tokens) - 1, cache).logits[0, -1]


@contextlib.contextmanager
def hiding(model, keep, n):
    """Hides from every later query the prompt positions that keep leaves out:
    keep has per layer one list, one per KV head or one per query head."""
    module = sys.modules[type(model).__module__]
    original = module.eager_attention_forward
    heads = model.config.num_attention_heads

    def masked(self, query, key, value, attention_mask, *args, **kwargs):
        mask = torch.zeros(1, heads, query.shape[2], key.shape[2], dtype=query.dtype)
        lists = keep[self.layer_idx]
        for h in range(heads):
            gone = sorted(set(range(n)) - set(lists[h * len(lists) // heads]))
            mask[:, h, :, gone] = torch.finfo(torch.float32).min
        if attention_mask is not None:
            mask = torch.maximum(mask + attention_mask, torch.tensor(torch.finfo(torch.float32).min, dtype=query.dtype))
        return original(self, query, key, value, mask, *args, **kwargs)

    module.eager_attention_forward = masked
    try:
        yield
    finally:
        module.eager_attention_forward = original


def numbers(tensor, digits=5):
    return np.round(tensor.double().numpy(), digits).tolist()


def off(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


def fresh(family, settings, weights):
    # Rotary embeddings that depend on the length keep that of the longest
    # sequence seen: every recording needs a model of its own.
    model = new_model(family, settings)
    missing = model.load_state_dict(weights, strict=False)
    if missing.unexpected_keys or [k for k in missing.missing_keys if k != "lm_head.weight"]:
        raise SystemExit(f"weights do not fit: {missing}")
    model.tie_weights()
    return model


def record_prompt(family, settings, weights, ids):
    model, cache = fresh(family, settings, weights), DynamicCache()
    n = len(ids)
    out = step(model, ids, 0, cache, attentions=True)
    logits = out.logits[0, -1]
    if len(out.attentions) != model.config.get_text_config().num_hidden_layers or out.attentions[0].shape[-1] != n:
        raise SystemExit("attention rows are not whole")
    positions = sorted({*range(0, n, 19), *range(max(0, n - 3), n)})
    keys = [numbers(l.keys[0][:, positions]) for l in cache.layers]
    values = [numbers(l.values[0][:, positions]) for l in cache.layers]
    tokens, chosen_by, margins = greedy(model, logits, cache, n, NEW_TOKENS)
    if min(margins) < MARGIN or len(set(tokens)) < 12:
        return False, 0, None
    double, other = fresh(family, settings, weights).double(), DynamicCache()
    exact = [step(double, ids, 0, other).logits[0, -1]]
    for t, token in enumerate(tokens[:-1]):
        exact.append(step(double, [token], n + t, other).logits[0, -1])
    worst = max(off(a.double(), b) for a, b in zip(chosen_by, exact, strict=True))
    # transformers' own cache, which drops what a window hides, must agree.
    own = fresh(family, settings, weights)
    rolling = DynamicCache(config=own.config)
    theirs, _, _ = greedy(own, step(own, ids, 0, rolling).logits[0, -1], rolling, n, NEW_TOKENS)
    return worst <= ROUNDING and theirs == tokens, worst, {
        "ids": ids, "logits": numbers(logits), "attention": [numbers(a[0, :, -1], 6) for a in out.attentions],
        "positions": positions, "keys": keys, "values": values,
        "greedy": tokens, "margins": [round(m, 4) for m in margins], "last": numbers(chosen_by[-1]),
    }


def record_pruned(family, settings, weights, ids, keep):
    model, cache = fresh(family, settings, weights), DynamicCache()
    n = len(ids)
    logits = step(model, ids, 0, cache).logits[0, -1]
    with hiding(model, keep, n):
        tokens, chosen_by, margins = greedy(model, logits, cache, n, PRUNED_TOKENS)
    double, other = fresh(family, settings, weights).double(), DynamicCache()
    exact = [step(double, ids, 0, other).logits[0, -1]]
    with hiding(double, keep, n):
        for t, token in enumerate(tokens[:-1]):
            exact.append(step(double, [token], n + t, other).logits[0, -1])
    worst = max(off(a.double(), b) for a, b in zip(chosen_by, exact, strict=True))
    ok = min(margins) >= MARGIN and worst <= ROUNDING
    return ok, worst, {"keep": keep, "greedy": tokens, "margins": [round(m, 4) for m in margins], "last": numbers(chosen_by[-1])}


def keeps(rng, config, n):
    some = lambda share: sorted({int(rng.integers(n)), *np.flatnonzero(rng.random(n) < share).tolist()})
    layers, heads, kv_heads = config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads
    return {
        "sinks and recent": [[[*range(4), *range(n - 9, n)]] for _ in range(layers)],
        "nothing in the window": [[[*range(0, n - 40, 3)]] for _ in range(layers)],
        "kv heads differ": [[some(0.4) for _ in range(kv_heads)] for _ in range(layers)],
        "query heads differ": [[some(0.4) for _ in range(heads)] for _ in range(layers)],
    }


@torch.no_grad()
def record(name, family, settings, weights):
    prompts, pruned = [], []
    rng = np.random.default_rng(sum(name.encode()))
    for n in LENGTHS:
        for attempt in range(400):
            ids = rng.integers(0, 256, n).tolist()
            ok, worst, result = record_prompt(family, settings, weights, ids)
            if ok:
                break
        else:
            raise SystemExit(f"{name}: no prompt of {n} tokens with clear margins")
        print(f"{name}: prompt of {n} tokens, attempt {attempt + 1}, rounding {worst:.1e}, {len(set(result['greedy']))} different tokens")
        prompts.append(result)
    config = new_model(family, settings).config
    for i in range(4) if name in PRUNED else ():
        for attempt in range(60):
            which, keep = list(keeps(rng, config, LENGTHS[-1]).items())[i]
            ids = prompts[-1]["ids"]
            if i < 2 and attempt:  # these are always the same: try another prompt
                break
            ok, worst, result = record_pruned(family, settings, weights, ids, keep)
            if ok:
                pruned.append({"name": which, "prompt": len(LENGTHS) - 1, **result})
                break
        print(f"{name}: {which}, {'attempt ' + str(attempt + 1) if ok else 'left out, it is no clear case'}, rounding {worst:.1e}")
    if name in PRUNED and len(pruned) < 3:
        raise SystemExit(f"{name}: fewer than 3 clear cases of pruning")
    return {"prompts": prompts, "pruned": pruned}


def write_model(out, name, weights_name, family, settings):
    """Saves a case's config, and its weights where it is the first to have them."""
    model = new_model(family, settings)
    randomise(model, sum(weights_name.encode()))
    with tempfile.TemporaryDirectory() as folder:
        model.to(torch.bfloat16).save_pretrained(folder)
        saved = load_file(Path(folder, "model.safetensors"))
        (out / f"{name}.config.json").write_bytes(Path(folder, "config.json").read_bytes())
    path = out / f"{weights_name}.safetensors"
    if not path.exists():
        save_file(saved, path, metadata={"format": "pt"})
        path.chmod(0o644)
    first = load_file(path)
    if first.keys() != saved.keys() or any(not torch.equal(first[k], saved[k]) for k in saved):
        raise SystemExit(f"{name}: its weights are not those of {weights_name}")
    return {k: v.clone() for k, v in model.float().state_dict().items()}


def write_old(out):
    """Three configs as releases before 5 wrote them."""
    (out / "old").mkdir(exist_ok=True)
    for name in ("llama-llama3", "phi3-longrope", "gemma3"):
        config = json.loads((out / f"{name}.config.json").read_text())
        rope = config.pop("rope_parameters")
        if name == "gemma3":
            full = rope["full_attention"]
            config["rope_theta"], config["rope_local_base_freq"] = full.pop("rope_theta"), rope["sliding_attention"]["rope_theta"]
            config["rope_scaling"] = full
            del config["layer_types"]
            config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 3)
            rope = full
        else:
            config["rope_theta"] = rope.pop("rope_theta")
            if "partial_rotary_factor" in rope:
                config["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
                del rope["original_max_position_embeddings"]
                rope["type"] = rope.pop("rope_type")
            config["rope_scaling"] = rope
        config["torch_dtype"] = config.pop("dtype")
        (out / "old" / f"{name}.config.json").write_text(json.dumps(config, indent=2) + "\n")
        transformers.AutoConfig.for_model(**config)  # it must be one that transformers takes


def rope_cases():
    """Rotary embeddings of real models and odd ones: config and lengths."""
    common = dict(hidden_size=1024, num_attention_heads=16, num_hidden_layers=1, intermediate_size=64, vocab_size=260)
    llama = lambda rope, **more: ("Llama", dict(**{**common, **more}, rope_parameters=rope))
    longrope = dict(short_factor=[1 + i / 40 for i in range(24)], long_factor=[1 + i * i / 9 for i in range(24)])
    return [
        (*llama({"rope_type": "default", "rope_theta": 10000.0}), [10]),
        (*llama({"rope_type": "default", "rope_theta": 5000000.0}, head_dim=128), [10]),
        (*llama({"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}), [10]),
        (*llama({"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}, max_position_embeddings=2048), [1, 2048, 2049, 3000, 4096]),
        (*llama({"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                 "original_max_position_embeddings": 8192}, max_position_embeddings=131072), [10]),
        (*llama({"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                 "original_max_position_embeddings": 8192}, max_position_embeddings=131072, head_dim=128), [10]),
        (*llama({"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 32768},
                max_position_embeddings=131072, head_dim=128), [10]),
        (*llama({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 40.0, "original_max_position_embeddings": 4096,
                 "mscale": 0.707, "mscale_all_dim": 1.0, "beta_fast": 24.0, "beta_slow": 2.0}, max_position_embeddings=163840), [10]),
        (*llama({"rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "original_max_position_embeddings": 4096,
                 "truncate": False}, max_position_embeddings=131072), [10]),
        (*llama({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 2048,
                 "attention_factor": 1.5}, max_position_embeddings=4096), [10]),
        ("Phi3", dict(**common, max_position_embeddings=131072, original_max_position_embeddings=4096, partial_rotary_factor=0.75,
                      rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **longrope}), [10, 4096, 4097]),
        ("Phi3", dict(**common, max_position_embeddings=131072, original_max_position_embeddings=4096, partial_rotary_factor=0.75,
                      rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "attention_factor": 1.25, **longrope}), [10, 5000]),
        ("Phi3", dict(**common, partial_rotary_factor=0.25, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), [10]),
    ]


def record_ropes():
    out = []
    for family, settings, lengths in rope_cases():
        config = getattr(transformers, family + "Config")(**settings)
        kind = config.rope_parameters["rope_type"]
        for n in lengths:
            if kind == "default":
                module = sys.modules[getattr(transformers, family + "Model").__module__]
                of = getattr(module, family + "RotaryEmbedding").compute_default_rope_parameters
            else:
                of = ROPE_INIT_FUNCTIONS[kind]
            frequencies, scale = of(config, torch.device("cpu"), seq_len=n)
            out.append({"config": config.to_dict(), "tokens": n, "frequencies": [float(f"{f:.9g}") for f in frequencies.tolist()], "scale": scale})
    return out


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("--only", nargs="*", help="record these cases alone, to try the script")
    args = args.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob("*.safetensors"):
        old.unlink()
    result = {"made_with": {m.__name__: m.__version__ for m in (torch, transformers, safetensors, np)}, "cases": {}, "ropes": record_ropes()}
    for name, (weights_name, family, settings) in CASES.items():
        if args.only and name not in args.only:
            continue
        weights = write_model(args.out, name, weights_name, family, settings)
        result["cases"][name] = {"weights": weights_name, **record(name, family, settings, weights)}
    if not args.only:
        write_old(args.out)
    raw = json.dumps(result, separators=(",", ":")).encode()
    (args.out / "oracle.json.gz").write_bytes(gzip.compress(raw, 9, mtime=0))
    print(f"{sum(p.stat().st_size for p in args.out.rglob('*') if p.is_file())} bytes in {args.out}, oracle {len(raw)} unpacked")


if __name__ == "__main__":
    main()
