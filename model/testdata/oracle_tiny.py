"""Records what transformers computes with the tiny models beside this script.

Four prompts per model: token ids, greedy tokens, logits, attention, keys and
values. And greedy decoding over a KV cache that lost entries after prefill,
computed by a plain forward pass of our own, which is first checked against
transformers on the full cache (and, where one list serves all heads, on the
pruned one).

    python oracle_tiny.py --models DIR --out tiny_oracle.json.gz

DIR holds tiny-s and tiny-m. Needs torch, transformers, tokenizers, jinja2.
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, DynamicCache, LlamaForCausalLM

NEW_TOKENS = 8
ATTENTION_ROWS = 8
# Logits reach 25, and after </s> (never trained) they amplify rounding most.
TOLERANCE = 5e-4


def recall_prompt(rng, pairs):
    """A prompt of the task that the models were trained on, and its answer."""
    keys = rng.choice(676, pairs, replace=False)
    words = [chr(97 + k // 26) + chr(97 + k % 26) for k in keys]
    values = [f"{v:02d}" for v in rng.integers(0, 100, pairs)]
    asked = rng.integers(pairs)
    return " ".join(k + v for k, v in zip(words, values)) + "\n" + words[asked], values[asked] + "\n"


class Plain:
    """A Llama forward pass in float32, written out, with a cache per query head.

    Only what is asked of it here: one sequence, rotary embedding without
    scaling, no biases.
    """

    def __init__(self, model):
        c = model.config
        self.layers, self.heads, self.kv_heads, self.dim = c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.eps = c.rms_norm_eps
        self.w = {k: v.float() for k, v in model.state_dict().items()}
        self.freq = 10000.0 ** (-torch.arange(0, self.dim, 2, dtype=torch.float64) / self.dim)

    def norm(self, x, name):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def rotate(self, x, positions):
        """x [heads][tokens][dim]: element i turns with element i + dim/2."""
        angle = positions.double()[:, None] * self.freq
        cos, sin = angle.cos().float(), angle.sin().float()
        a, b = x[..., : self.dim // 2], x[..., self.dim // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def heads_of(self, x, name, count):
        return (x @ self.w[name].T).view(-1, count, self.dim).transpose(0, 1)

    def forward(self, ids, positions, cache):
        """Logits of the last token. cache[layer][query head] is [keys, values]
        and grows by the new tokens; a token sees the cache and the new tokens
        up to itself."""
        x = self.w["model.embed_tokens.weight"][ids]
        group = self.heads // self.kv_heads
        for l in range(self.layers):
            p = f"model.layers.{l}."
            h = self.norm(x, p + "input_layernorm.weight")
            q = self.rotate(self.heads_of(h, p + "self_attn.q_proj.weight", self.heads), positions)
            k = self.rotate(self.heads_of(h, p + "self_attn.k_proj.weight", self.kv_heads), positions)
            v = self.heads_of(h, p + "self_attn.v_proj.weight", self.kv_heads)
            outs = []
            for head in range(self.heads):
                entry = cache[l][head]
                entry[0] = torch.cat([entry[0], k[head // group]])
                entry[1] = torch.cat([entry[1], v[head // group]])
                scores = q[head] @ entry[0].T / self.dim**0.5
                new, total = scores.shape
                scores = scores + torch.full((new, total), float("-inf")).triu(total - new + 1)
                outs.append(scores.softmax(-1) @ entry[1])
            x = x + torch.cat(outs, -1) @ self.w[p + "self_attn.o_proj.weight"].T
            h = self.norm(x, p + "post_attention_layernorm.weight")
            gate = torch.nn.functional.silu(h @ self.w[p + "mlp.gate_proj.weight"].T)
            x = x + (gate * (h @ self.w[p + "mlp.up_proj.weight"].T)) @ self.w[p + "mlp.down_proj.weight"].T
        return self.norm(x[-1], "model.norm.weight") @ self.w["model.embed_tokens.weight"].T

    def prefill(self, ids):
        empty = lambda: [torch.zeros(0, self.dim), torch.zeros(0, self.dim)]
        cache = [[empty() for _ in range(self.heads)] for _ in range(self.layers)]
        return cache, self.forward(torch.tensor(ids), torch.arange(len(ids)), cache)

    def decode(self, ids, keep, steps):
        """Greedy tokens after pruning the prompt's cache to keep, which has one
        list of positions per layer and query head. Generated tokens keep their
        place: the first one's position is len(ids). Returns tokens and the
        logits that chose each."""
        cache, logits = self.prefill(ids)
        for l in range(self.layers):
            for head in range(self.heads):
                at = torch.tensor(keep[l][head])
                cache[l][head] = [x[at] for x in cache[l][head]]
        tokens, chosen_by = [], []
        while True:
            tokens.append(logits.argmax().item())
            chosen_by.append(logits)
            if len(tokens) == steps:
                return tokens, chosen_by
            position = len(ids) + len(tokens) - 1
            logits = self.forward(torch.tensor(tokens[-1:]), torch.tensor([position]), cache)


def decode_transformers(model, ids, keep, steps):
    """As Plain.decode, for keeps of one list per layer, all of one length."""
    cache = DynamicCache()
    out = model(torch.tensor([ids]), past_key_values=cache, use_cache=True)
    for layer, at in zip(cache.layers, keep):
        at = torch.tensor(at)
        layer.keys, layer.values = layer.keys[:, :, at], layer.values[:, :, at]
    kept = len(keep[0])
    tokens, chosen_by, logits = [], [], out.logits[0, -1]
    while True:
        tokens.append(logits.argmax().item())
        chosen_by.append(logits)
        if len(tokens) == steps:
            return tokens, chosen_by
        n = len(tokens)
        out = model(torch.tensor([tokens[-1:]]), past_key_values=cache, use_cache=True,
                    position_ids=torch.tensor([[len(ids) + n - 1]]), cache_position=torch.tensor([kept + n - 1]),
                    attention_mask=torch.ones(1, kept + n, dtype=torch.long))
        logits = out.logits[0, -1]


def same(what, a, b):
    off = max((x - y).abs().max().item() for x, y in zip(a, b, strict=True))
    if off > TOLERANCE:
        raise SystemExit(f"{what}: values differ by {off:.1e}")
    return off


def numbers(tensor, digits=6):
    return np.round(tensor.double().numpy(), digits).tolist()


def keep_lists(rng, n, model):
    """Named choices of positions, as the engine's Keep: per layer one list, one
    per KV head or one per query head."""
    c = model.config
    layers, heads, kv_heads = c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads
    some = lambda share: sorted({0, *np.flatnonzero(rng.random(n) < share).tolist()})
    return {
        "sinks and recent": [[[*range(4), *range(n - 12, n)]] for _ in range(layers)],
        "layers differ": [[some(0.3 + 0.5 * l / layers)] for l in range(layers)],
        "kv heads differ": [[some(0.5) for _ in range(kv_heads)] for _ in range(layers)],
        "query heads differ": [[some(0.5) for _ in range(heads)] for _ in range(layers)],
        "mixed, one layer keeps one entry": [[[n - 1]], *([some(0.7) for _ in range(heads if l % 2 else kv_heads)] for l in range(1, layers))],
    }


def per_query_head(keep, heads):
    return [[lists[h * len(lists) // heads] for h in range(heads)] for lists in keep]


@torch.no_grad()
def record(folder):
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = Plain(model)
    heads, layers = model.config.num_attention_heads, model.config.num_hidden_layers
    rng = np.random.default_rng(7)

    texts = [recall_prompt(rng, pairs) for pairs in (4, 12, 32)]
    texts.append(("Größe: 3 m² – “quoted” 😀\tü\n</s>x", None))
    if tokenizer.chat_template:
        text, answer = recall_prompt(rng, 8)
        texts[1] = (tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False), answer)
    prompts, pruned = [], []
    for i, (text, answer) in enumerate(texts):
        ids = tokenizer.encode(text, add_special_tokens=False)
        if ids != tokenizer.encode(text):
            raise SystemExit("the tokenizer adds special tokens, it should not")
        n = len(ids)
        out = model(torch.tensor([ids]), output_attentions=True, use_cache=True)
        full = [[list(range(n))]] * layers
        tokens, logits = plain.decode(ids, per_query_head(full, heads), NEW_TOKENS)
        theirs, their_logits = decode_transformers(model, ids, [l[0] for l in full], NEW_TOKENS)
        again = [model(torch.tensor([ids + tokens[:t]])).logits[0, -1] for t in range(NEW_TOKENS)]
        if tokens != theirs:
            raise SystemExit(f"prompt {i}: our greedy tokens differ from transformers'")
        off = max(same(f"prompt {i}, cached", logits, their_logits), same(f"prompt {i}, uncached", logits, again))
        if answer and tokenizer.decode(tokens[:3]) != answer:
            print(f"{folder.name} prompt {i}: answers {tokenizer.decode(tokens)!r}, right is {answer!r}")
        layer = i % layers
        cached = out.past_key_values.layers[layer]
        plain_cache, _ = plain.prefill(ids)
        group = heads // model.config.num_key_value_heads
        same(f"prompt {i}, keys", [plain_cache[layer][h][0] for h in range(0, heads, group)], cached.keys[0])
        same(f"prompt {i}, values", [plain_cache[layer][h][1] for h in range(0, heads, group)], cached.values[0])
        prompts.append({
            "text": text, "answer": answer, "ids": ids, "greedy": tokens, "logits": numbers(out.logits[0, -1]),
            "attention": [numbers(a[0, :, -ATTENTION_ROWS:]) for a in out.attentions],
            "kv_layer": layer, "keys": numbers(cached.keys[0], 5), "values": numbers(cached.values[0], 5),
        })
        for name, keep in keep_lists(rng, n, model).items() if i in (1, 2) else []:
            tokens, logits = plain.decode(ids, per_query_head(keep, heads), NEW_TOKENS)
            if name == "sinks and recent":
                theirs, their_logits = decode_transformers(model, ids, [l[0] for l in keep], NEW_TOKENS)
                off = max(off, same(f"prompt {i}, pruned", logits, their_logits))
                if tokens != theirs:
                    raise SystemExit(f"prompt {i}: our pruned greedy tokens differ from transformers'")
            margin = min((l.topk(2).values[0] - l.topk(2).values[1]).item() for l in logits)
            pruned.append({"name": name, "prompt": i, "keep": keep, "greedy": tokens, "smallest_margin": round(margin, 6),
                           "logits": [numbers(l, 5) for l in logits]})
            if margin < 1e-3:
                raise SystemExit(f"prompt {i}, {name}: a near tie of {margin:.1e} would make the fixture ambiguous")
        print(f"{folder.name} prompt {i}: {n} tokens, largest difference to transformers {off:.1e}")
    return {"prompts": prompts, "pruned": pruned}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--models", type=Path, required=True, help="folder that holds tiny-s and tiny-m")
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    torch.set_num_threads(1)
    result = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__}}
    for name in ("tiny-s", "tiny-m"):
        result[name] = record(args.models / name)
    raw = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
    args.out.write_bytes(gzip.compress(raw, 9, mtime=0))
    print(f"{args.out}: {args.out.stat().st_size} bytes, {len(raw)} unpacked")


if __name__ == "__main__":
    main()
