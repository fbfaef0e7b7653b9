"""Records greedy decoding with eviction, as the papers of H2O, TOVA and
StreamingLLM define it: a plain loop over lists of cache entries.

    python oracle_evict.py --models ../../model/testdata --out evict.json.gz

A cache entry is (position, key before rotary embedding, value). With positions
"cache" keys are rotated by their place in the cache and the query by the last
place, with "absolute" by position. Prefill is full causal attention; then the
prompt's entries are chosen; then every token is fed, attends to the cache with
itself in it, and what is over the budget leaves.

Needs torch, transformers, numpy. The forward pass is Plain of oracle_tiny.py,
which that script checks against transformers.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[2] / "model" / "testdata"))
from oracle_tiny import Plain, recall_prompt  # noqa: E402

STEPS = 24


class Evicting(Plain):
    def project(self, x, l):
        p = f"model.layers.{l}."
        h = self.norm(x, p + "input_layernorm.weight")
        return [self.heads_of(h, p + f"self_attn.{n}_proj.weight", c)
                for n, c in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads))]

    def finish(self, x, attended, l):
        p = f"model.layers.{l}."
        x = x + attended @ self.w[p + "self_attn.o_proj.weight"].T
        h = self.norm(x, p + "post_attention_layernorm.weight")
        gate = torch.nn.functional.silu(h @ self.w[p + "mlp.gate_proj.weight"].T)
        return x + (gate * (h @ self.w[p + "mlp.up_proj.weight"].T)) @ self.w[p + "mlp.down_proj.weight"].T

    def logits(self, x):
        return self.norm(x[-1], "model.norm.weight") @ self.w["model.embed_tokens.weight"].T

    def prompt(self, ids):
        """Entries [layer][query head], attention [layer][head][n][n], logits."""
        n, group = len(ids), self.heads // self.kv_heads
        at = torch.arange(n)
        x = self.w["model.embed_tokens.weight"][torch.tensor(ids)]
        cache, attention = [], []
        for l in range(self.layers):
            q, k, v = self.project(x, l)
            rows, outs = [], []
            for head in range(self.heads):
                scores = self.rotate(q[head:head + 1], at)[0] @ self.rotate(k[head // group:head // group + 1], at)[0].T / self.dim**0.5
                rows.append((scores + torch.full((n, n), float("-inf")).triu(1)).softmax(-1))
                outs.append(rows[-1] @ v[head // group])
            cache.append([[(j, k[h // group, j], v[h // group, j]) for j in range(n)] for h in range(self.heads)])
            attention.append(rows)
            x = self.finish(x, torch.cat(outs, -1), l)
        return cache, attention, self.logits(x)

    def step(self, token, position, cache, positions):
        """Feeds one token; returns logits and its attention [layer][head]."""
        group = self.heads // self.kv_heads
        x = self.w["model.embed_tokens.weight"][torch.tensor([token])]
        attention = []
        for l in range(self.layers):
            q, k, v = self.project(x, l)
            rows, outs = [], []
            for head in range(self.heads):
                entries = cache[l][head]
                entries.append((position, k[head // group, 0], v[head // group, 0]))
                places = torch.tensor([e[0] for e in entries]) if positions == "absolute" else torch.arange(len(entries))
                keys = self.rotate(torch.stack([e[1] for e in entries])[None], places)[0]
                query = self.rotate(q[head:head + 1], places[-1:])[0]
                row = (query @ keys.T / self.dim**0.5).softmax(-1)[0]
                rows.append(row)
                outs.append((row @ torch.stack([e[2] for e in entries]))[None])
            attention.append(rows)
            x = self.finish(x, torch.cat(outs, -1), l)
        return self.logits(x), attention


def lowest(scores, among):
    """The entry of lowest score, the newest of equals, and how far the next is."""
    ordered = sorted(among, key=lambda i: (scores[i], -i))
    gap = scores[ordered[1]] - scores[ordered[0]] if len(ordered) > 1 else float("inf")
    return ordered[0], gap


class Streaming:
    def __init__(self, n, c, positions, roll, frozen=()):
        self.c, self.sinks, self.positions, self.roll, self.frozen = c, 4, positions, roll, frozen

    def choose(self, cache, attention):
        n = len(cache[0][0])
        keep = [*range(self.sinks), *range(n - (self.c - self.sinks), n)]
        return [[[*range(n)] if l in self.frozen else keep] * len(layer) for l, layer in enumerate(cache)]

    def evict(self, cache, attention):
        if self.roll:
            for l, layer in enumerate(cache):
                for entries in layer:
                    if l not in self.frozen:
                        del entries[self.sinks]
        return float("inf")


class HeavyHitters:
    """kv: one list per KV head, scores added over its group."""

    positions = "absolute"

    def __init__(self, n, c, recent, kv, group):
        self.c, self.recent, self.size = c, recent, group if kv else 1

    def groups(self, layer):
        return [range(h, h + self.size) for h in range(0, len(layer), self.size)]

    def choose(self, cache, attention):
        n = len(cache[0][0])
        self.scores, keep = [], []
        for rows in attention:
            sums = [r.double().sum(0) for r in rows]
            self.scores.append([{j: s[j].item() for j in range(n)} for s in sums])
            lists = []
            for heads in self.groups(rows):
                total = sum(sums[h] for h in heads)[: n - self.recent]
                best = sorted(range(len(total)), key=lambda j: (-total[j].item(), j))[: self.c - self.recent]
                lists += [sorted([*best, *range(n - self.recent, n)])] * len(heads)
            keep.append(lists)
        return keep

    def evict(self, cache, attention):
        gap = float("inf")
        for l, rows in enumerate(attention):
            for heads in self.groups(rows):
                for h in heads:
                    for (pos, _, _), a in zip(cache[l][h], rows[h].tolist(), strict=True):
                        self.scores[l][h][pos] = self.scores[l][h].get(pos, 0.0) + a
                held = [pos for pos, _, _ in cache[l][heads[0]]]
                total = {pos: sum(self.scores[l][h][pos] for h in heads) for pos in held}
                if len(held) > self.c:
                    now = max(held)
                    gone, off = lowest(total, [p for p in held if p <= now - self.recent])
                    gap = min(gap, off)
                    for h in heads:
                        cache[l][h] = [e for e in cache[l][h] if e[0] != gone]
        return gap


class TOVA:
    positions = "absolute"

    def __init__(self, n, c):
        self.c = c

    def choose(self, cache, attention):
        n = len(cache[0][0])
        keep = []
        for rows in attention:
            mean = sum(r[-1].double() for r in rows)[: n - 1]
            best = sorted(range(n - 1), key=lambda j: (-mean[j].item(), j))[: self.c - 1]
            keep.append([sorted([*best, n - 1])] * len(rows))
        return keep

    def evict(self, cache, attention):
        gap = float("inf")
        for l, rows in enumerate(attention):
            mean = sum(r.double() for r in rows).tolist()
            held = [pos for pos, _, _ in cache[l][0]]
            gone, off = lowest(dict(zip(held, mean)), held[:-1])
            gap = min(gap, off)
            for h in range(len(rows)):
                cache[l][h] = [e for e in cache[l][h] if e[0] != gone]
        return gap


def run(model, ids, method):
    cache, attention, logits = model.prompt(ids)
    keep = method.choose(cache, attention)
    for l, lists in enumerate(keep):
        for h, at in enumerate(lists):
            cache[l][h] = [cache[l][h][j] for j in at]
    tokens, margin, gap = [], float("inf"), float("inf")
    while True:
        best = logits.topk(2)
        tokens.append(best.indices[0].item())
        margin = min(margin, (best.values[0] - best.values[1]).item())
        if len(tokens) == STEPS:
            held = [[[e[0] for e in entries] for entries in layer] for layer in cache]
            return {"greedy": tokens, "smallest_margin": margin, "smallest_gap": min(gap, 1.0), "keep": keep, "held": held}
        logits, attention = model.step(tokens[-1], len(ids) + len(tokens) - 1, cache, method.positions)
        gap = min(gap, method.evict(cache, attention))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    runs = []
    for name in ("tiny-s", "tiny-m"):
        folder = args.models / name
        model = Evicting(LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval())
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rng = np.random.default_rng(11)
        for pairs in (6, 20):
            ids = tokenizer.encode(recall_prompt(rng, pairs)[0], add_special_tokens=False)
            n, group = len(ids), model.heads // model.kv_heads
            for c in (16, n // 2, n):
                methods = {
                    f"streamingllm budget={c} positions=cache": Streaming(n, c, "cache", False),
                    f"streamingllm budget={c} positions=cache decode=evict": Streaming(n, c, "cache", True),
                    f"streamingllm budget={c} decode=evict": Streaming(n, c, "absolute", True),
                    f"streamingllm budget={c} frozen_layers=0": Streaming(n, c, "absolute", False, [0]),
                    f"streamingllm budget={c} frozen_layers=1 decode=evict": Streaming(n, c, "absolute", True, [1]),
                    f"streamingllm budget={c} frozen_layers=0,1 positions=cache decode=evict": Streaming(n, c, "cache", True, [0, 1]),
                    f"h2o budget={c} rows=all split=half decode=evict": HeavyHitters(n, c, c // 2, False, group),
                    f"h2o budget={c} rows=all decode=evict heads=kv group=sum": HeavyHitters(n, c, 8, True, group),
                    f"tova budget={c} decode=evict": TOVA(n, c),
                }
                for spec, method in methods.items():
                    r = {"model": name, "ids": ids, "spec": spec, **run(model, ids, method)}
                    print(f"{name} n={n} {spec}: margin {r['smallest_margin']:.1e}, gap {r['smallest_gap']:.1e}")
                    runs.append(r)
    args.out.write_bytes(gzip.compress(json.dumps(runs).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
