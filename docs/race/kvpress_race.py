"""Runs the variants of race.yaml through kvpress + transformers, one pass for each
press, budget and record, as that library is used, and prints the wall time.

    refreekv show TASK -n N --json [--data DIR] > prompts.jsonl
    python kvpress_race.py --model FOLDER --prompts prompts.jsonl --out preds/

FOLDER is the model as save_pretrained wrote it in float32. Every prompt is
compressed whole after its prefill, then continued greedily. preds/ gets a file
of predictions for each variant, which `refreekv score --predictions` scores.

Needs torch, transformers, kvpress. Loading the model is not timed.
"""

import argparse
import json
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import transformers
from kvpress import KnormPress, ObservedAttentionPress, SnapKVPress, StreamingLLMPress, TOVAPress
from transformers import AutoModelForCausalLM, DynamicCache

BUDGETS = [0.8, 0.6, 0.4, 0.2, 0.1]
PRESSES = {
    "snapkv": lambda ratio: SnapKVPress(ratio, window_size=64, kernel_size=5),
    "streamingllm": lambda ratio: StreamingLLMPress(ratio, n_sink=4),
    "knorm": KnormPress,
    "tova": TOVAPress,
    "observed_attention": ObservedAttentionPress,
}


@torch.no_grad()
def generate(model, ids, press, new_tokens, stop):
    cache = DynamicCache()
    with press(model) if press else nullcontext():
        logits = model(torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]
    out = []
    while len(out) < new_tokens:
        token = logits.argmax().item()
        if token in stop:
            break
        out.append(token)
        position = torch.tensor([[len(ids) + len(out) - 1]])
        logits = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True, position_ids=position).logits[0, -1]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.utils.logging.disable_progress_bar()
    prompts = [json.loads(line) for line in args.prompts.read_text().splitlines()]
    args.out.mkdir(parents=True, exist_ok=True)
    total = 0.0
    for attention in ("sdpa", "eager"):
        model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation=attention).eval()
        names = ["observed_attention"] if attention == "eager" else ["full", *(n for n in PRESSES if n != "observed_attention")]
        for name in names:
            for budget in [1.0] if name == "full" else BUDGETS:
                press = None if name == "full" else PRESSES[name](1 - budget)
                begin = time.perf_counter()
                texts = [generate(model, p["tokens"], press, p["max_new_tokens"], [model.generation_config.eos_token_id]) for p in prompts]
                seconds = time.perf_counter() - begin
                total += seconds
                label = name if name == "full" else f"{name} {budget}"
                print(f"{label}: {seconds:.1f} s", flush=True)
                with open(args.out / f"{label.replace(' ', '-')}.jsonl", "w") as f:
                    for p, tokens in zip(prompts, texts, strict=True):
                        f.write(json.dumps({"tokens": tokens, "answers": p["answers"]}) + "\n")
    print(f"total: {total:.1f} s")


if __name__ == "__main__":
    main()
