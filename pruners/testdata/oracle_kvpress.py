"""Records which cache entries kvpress keeps.

Every press compresses whole prompts of the tiny models and of SmolLM2-135M.
The fixture holds, per layer and KV head, how many positions stay and a checksum
of them, and no text: prompts are token ids of the tiny models' own task, random
ids, or beginnings of benchmark records named by file, line and hash.

    python oracle_kvpress.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --data DIR --out kvpress.json.gz

Needs torch, transformers 5.2.0, kvpress 0.5.5, tokenizers and gguf.

A choice by scores is no better defined than the scores, and two right programs
differ by the rounding of float32. Entries whose score is so close to the cut
that rounding may swap them (--tolerance, relative to the score at the cut) are
listed as "near", those that stay and those that go, with the cause; the checksum
is of the kept positions without them.
"""

import argparse
import gzip
import hashlib
import json
import sys
import tempfile
import time
import zlib
from importlib.metadata import version
from pathlib import Path

import kvpress
import numpy as np
import torch
import transformers
from gguf import GGUFReader
from transformers import AutoModelForCausalLM

MODELS = Path(__file__).resolve().parents[2] / "model" / "testdata"
sys.path.insert(0, str(MODELS))
from oracle_smollm2 import build_tokenizer, hash_ids  # noqa: E402
from oracle_tiny import recall_prompt  # noqa: E402

TINY = ["tiny-s", "tiny-m"]
FAMILIES = ["llama", "qwen2", "qwen3"]
RECALL_PAIRS = [12, 30, 64]
RANDOM_TOKENS = [40, 130]
LAG = 16
FLOOR = 1e-37  # float32 loses digits below 1e-38, and engines cut softmax off there

# file, record (line, from 0), field, characters (code points) from its start
SMOLLM2 = [
    ("qasper.jsonl", 3, "context", 1200),
    ("multi_news.longbench.jsonl", 3, "context", 2400),
    ("lcc.jsonl", 2, "context", 1900),
    ("narrativeqa.jsonl", 1, "context", 8000),
]


# How a press's choice may be swapped by rounding: [KV heads][near positions].
# Each function gets the press, the arguments of its compress, the mask of what
# was kept [KV heads][tokens] and the tolerance.

def swappable(scores, kept, tolerance, scale=None):
    """Entries of a list whose score lies within tolerance of an entry that was
    judged otherwise. scale is what the tolerance is relative to: the score at
    the cut where it is not given."""
    if kept.all():
        return []
    last, first = scores[kept].min(), scores[~kept].max()
    if last < first:
        raise SystemExit(f"kept a score of {last} and dropped {first}: not the scores that chose")
    margin = max(tolerance * (abs(last) if scale is None else scale), FLOOR)
    return np.flatnonzero(np.where(kept, scores - first, last - scores) <= margin).tolist()


def scores_of(press, args):
    return press.score(*args)[0].double().numpy()


def near_top(press, args, kept, tolerance):
    return [swappable(s, k, tolerance) for s, k in zip(scores_of(press, args), kept)]


def near_cosine(press, args, kept, tolerance):
    """Cosines round in proportion to 1, not to themselves."""
    return [swappable(s, k, tolerance, 1) for s, k in zip(scores_of(press, args), kept)]


def near_ada(press, args, kept, tolerance, relative=True):
    """One cut for all heads, and one of each head's safeguard."""
    scores = scores_of(press.press, args)
    heads, n = scores.shape
    budget = kept.sum() // heads
    safe = max(1, int(budget * press.alpha_safeguard))
    scale = None if relative else 1
    guarded = np.zeros_like(kept)
    for h in range(heads):
        if kept[h].sum() == safe:
            guarded[h] = kept[h]
    dropped_best = scores[~kept].max() if not kept.all() else -np.inf
    out = []
    for h in range(heads):
        near = set(swappable(scores[h], kept[h], tolerance, scale)) if guarded[h].any() else set()
        out.append(near)
    free = kept & ~guarded
    if free.any() and not kept.all():
        last = scores[free].min()
        margin = max(tolerance * (abs(last) if relative else 1), FLOOR)
        for h, pos in np.argwhere(np.where(free, scores - dropped_best <= margin, ~kept & (last - scores <= margin))):
            out[h].add(int(pos))
    return [sorted(x) for x in out]


def near_ada_cosine(press, args, kept, tolerance):
    return near_ada(press, args, kept, tolerance, relative=False)


def near_critical(press, args, kept, tolerance):
    """Two stages: the inner score, then that score times the projected norm."""
    inner, final = scores_of(press.press, args), scores_of(press, args)
    out = []
    for h, (scores, second) in enumerate(zip(inner, final)):
        first = second == np.finfo(np.float32).max
        near = set(swappable(scores, first, tolerance))
        rest = np.flatnonzero(~first)
        swaps = min(sum(first[i] for i in near), sum(not first[i] for i in near))
        near |= {int(rest[i]) for i in swappable(second[rest], kept[h][rest], tolerance)}
        # What a swap in the first stage brings into the second changes places there.
        order = rest[np.argsort(-second[rest], kind="stable")]
        cut = kept[h][rest].sum()
        near |= {int(i) for i in order[max(0, cut - swaps):cut + swaps]}
        out.append(sorted(near))
    return out


def near_lag(press, args, kept, tolerance):
    """Ranks within chunks: a swap is one within a chunk."""
    raw = kvpress.LagKVPress(press.compression_ratio, press.n_sink, press.lag_size, cross_scoring=True)
    scores = scores_of(raw, args)
    n = kept.shape[1]
    if n < press.n_sink + 2 * press.lag_size:
        return [[] for _ in kept]
    chunks = (n - press.n_sink) // press.lag_size - 1
    out = []
    for h in range(len(kept)):
        near = []
        for c in range(chunks):
            at = press.n_sink + c * press.lag_size
            part = slice(at, at + press.lag_size)
            if kept[h][part].any():
                near += [at + i for i in swappable(scores[h][part], kept[h][part], tolerance)]
        out.append(near)
    return out


def near_chunks(press, args, kept, tolerance):
    """Whole chunks are swapped."""
    scores = scores_of(press.press, args).sum(0)
    n, size = len(scores), press.chunk_length
    starts = range(0, n, size)
    means = np.array([scores[i:i + size].mean() for i in starts])
    near = swappable(means, kept[0][list(starts)], tolerance)
    return [[p for c in near for p in range(c * size, min(n, (c + 1) * size))] for _ in kept]


def near_lazy(press, args, kept, tolerance):
    """A layer is lazy or not: no threshold of ours is near."""
    n = kept.shape[1]
    if n <= press.n_initial + press.n_recent + press.n_last:
        return [[] for _ in kept]
    module, hidden, keys, _, _, kwargs = args
    weights = kvpress.SnapKVPress.compute_window_attention(module, hidden, keys, press.n_last, kwargs["position_embeddings"]).mean((0, 1, 2))
    mass = (weights[:press.n_initial].sum() + weights[-press.n_recent:].sum()).item()
    if abs(mass - press.lazy_threshold) < tolerance:
        raise SystemExit(f"layer {module.layer_idx} has a mass of {mass}, too near {press.lazy_threshold}")
    return [[] for _ in kept]


class Press:
    """A row of the table: what is compared. make takes the removed share. Budgets
    are numbers of tokens, or shares up to 1 for presses that compute more with
    them than a whole number of tokens."""

    def __init__(self, name, make, near=near_top, least=5, budgets=None, eager=False):
        self.name, self.make, self.near, self.least, self.own, self.eager = name, make, near, least, budgets, eager

    def cause(self, press, args, h, kept):
        """Why scores are near each other: chance, or because they must be."""
        if args[0].layer_idx == 0 and ("Knorm" in self.name or "CUR" in self.name):
            return "token"  # norms of the first layer's keys and values are those of their tokens
        if self.near is near_top and scores_of(press, args)[h][kept].min() < FLOOR:
            return "underflow"
        return "rounding"

    def budgets(self, n):
        if self.own:
            return [b for b in self.own(n) if b > 1 or b * n >= self.least]
        # A budget that does not hold what always stays leaves a choice among equals.
        return sorted({c for c in (int(n * s) for s in (0.1, 0.3, 0.5, 0.8)) if c >= self.least})


def shares(n):
    return [0.125, 0.25, 0.5, 0.75]  # exact in binary: 1-(1-b) is b


def removed(budget, n):
    """The ratio that leaves a budget of n entries."""
    if budget <= 1:
        return 1 - budget
    # n·(1-ratio) is cut off to a whole number: stay clear of budget-1.
    return max(0.0, 1 - (budget + 1e-6) / n)


def lag_budgets(lag):
    """Budgets that every chunk meets with the same number of entries: ranks of
    different chunks are equal, and a choice among equals is arbitrary."""
    def budgets(n):
        if n < 4 + 2 * lag:
            return [int(n * s) for s in (0.3, 0.5, 0.8)]
        chunks = (n - 4) // lag - 1
        fixed = n - chunks * lag
        return [fixed + chunks * int(lag * s) for s in (0, 0.25, 0.5, 0.8)]
    return budgets


def snap(window, kernel):
    return lambda r: kvpress.SnapKVPress(r, window_size=window, kernel_size=kernel)


def ada(make):
    return lambda r: kvpress.AdaKVPress(make(r))


def critical(make):
    return lambda r: kvpress.CriticalKVPress(make(r))


def chunked(make, length):
    return lambda r: kvpress.ChunkKVPress(make(r), chunk_length=length)


PRESSES = [
    Press("StreamingLLM(n_sink=4)", lambda r: kvpress.StreamingLLMPress(r), near=lambda p, a, kept, t: [[] for _ in kept]),
    Press("SnapKV(window=64,kernel=5)", snap(64, 5), least=65),
    Press("SnapKV(window=8,kernel=7)", snap(8, 7), least=9),
    Press("Knorm()", kvpress.KnormPress),
    Press("TOVA()", kvpress.TOVAPress),
    Press("KeyDiff()", kvpress.KeyDiffPress, near=near_cosine),
    Press("ObservedAttention()", kvpress.ObservedAttentionPress, eager=True),
    Press("PyramidKV(window=64,kernel=5,beta=20)", lambda r: kvpress.PyramidKVPress(r), least=64, budgets=shares),
    Press("PyramidKV(window=8,kernel=5,beta=5)", lambda r: kvpress.PyramidKVPress(r, window_size=8, kernel_size=5, beta=5), least=8, budgets=shares),
    Press("ExpectedAttention()", lambda r: kvpress.ExpectedAttentionPress(r)),
    Press("ExpectedAttention(covariance=false,vnorm=false)", lambda r: kvpress.ExpectedAttentionPress(r, use_covariance=False, use_vnorm=False)),
    Press("ExpectedAttention(epsilon=0.02)", lambda r: kvpress.ExpectedAttentionPress(r, epsilon=0.02)),
    Press("LagKV(lag=128)", lambda r: kvpress.LagKVPress(r, lag_size=128), near=near_lag, budgets=lag_budgets(128)),
    Press(f"LagKV(lag={LAG})", lambda r: kvpress.LagKVPress(r, lag_size=LAG), near=near_lag, budgets=lag_budgets(LAG)),
    Press(f"LagKV(lag={LAG},cross)", lambda r: kvpress.LagKVPress(r, lag_size=LAG, cross_scoring=True), least=4 + 2 * LAG),
    Press("CUR()", lambda r: kvpress.CURPress(r)),
    Press("AdaKV(SnapKV(window=64,kernel=5))", ada(snap(64, 5)), near=near_ada, least=64),
    Press("AdaKV(Knorm())", ada(kvpress.KnormPress), near=near_ada),
    Press("AdaKV(KeyDiff())", ada(kvpress.KeyDiffPress), near=near_ada_cosine),
    Press("AdaKV(ExpectedAttention(epsilon=0.02))", ada(lambda r: kvpress.ExpectedAttentionPress(r, epsilon=0.02)), near=near_ada),
    Press("CriticalKV(SnapKV(window=16,kernel=5))", critical(snap(16, 5)), near=near_critical, least=33),
    Press("CriticalKV(Knorm())", critical(kvpress.KnormPress), near=near_critical),
    Press("ChunkKV(SnapKV(window=8,kernel=5),chunk=20)", chunked(snap(8, 5), 20), near=near_chunks, budgets=shares),
    Press("ChunkKV(Knorm(),chunk=20)", chunked(kvpress.KnormPress, 20), near=near_chunks, budgets=shares),
]
for threshold in (0.2, 0.5, 0.9):
    PRESSES.append(Press(f"SimLayerKV(threshold={threshold},recent=32)",
                         lambda r, t=threshold: kvpress.SimLayerKVPress(lazy_threshold=t, n_recent=32), near=near_lazy, budgets=lambda n: [n]))


@torch.no_grad()
def observe(model, ids, visit):
    """Prefills and calls visit with what every layer would hand to compress."""
    handles = []

    def hook(module, _, kwargs, output):
        layer = kwargs["past_key_values"].layers[module.layer_idx]
        visit((module, kwargs["hidden_states"], layer.keys, layer.values, output[1], kwargs))

    for layer in model.model.layers:
        layer.self_attn.rotary_emb = model.model.rotary_emb
        handles.append(layer.self_attn.register_forward_hook(hook, with_kwargs=True))
    model(torch.tensor([ids]), use_cache=True, logits_to_keep=1)
    for h in handles:
        h.remove()


def places_of(keys):
    """Per KV head, where a key is."""
    out = [{k.tobytes(): i for i, k in enumerate(head)} for head in keys[0].numpy()]
    if any(len(places) != keys.shape[2] for places in out):
        raise SystemExit("two positions have the same key")
    return out


def kept_by(press, args, places):
    """[KV heads][tokens] mask of what compress leaves."""
    module, hidden, keys, values, attentions, kwargs = args
    _, heads, n, _ = keys.shape
    left, _ = press.compress(module, hidden, keys.clone(), values.clone(), attentions, kwargs)
    kept = np.zeros((heads, n), bool)
    marked = getattr(module, "masked_key_indices", None)
    if marked is not None:
        module.masked_key_indices = None
        kept[:] = True
        kept[marked[1].numpy(), marked[2].numpy()] = False
        return kept
    for h in range(heads):
        kept[h, [places[h][k.tobytes()] for k in left[0, h].numpy()]] = True
    if kept.sum() != heads * left.shape[2]:
        raise SystemExit("an entry was kept twice")
    return kept


def checksum(positions):
    return f"{zlib.crc32(np.asarray(positions, '<i4').tobytes()):08x}"


def record(model, ids, tolerance):
    n = len(ids)
    cases = []
    for eager in (False, True):
        rows = [p for p in PRESSES if p.eager == eager]
        found = {(p.name, c): {"press": p.name, "budget": c, "counts": [], "checksums": [], "near": []} for p in rows for c in p.budgets(n) if c < n or p.near is near_lazy}

        def visit(args):
            places = places_of(args[2])
            for p in rows:
                for c in p.budgets(n):
                    if (p.name, c) not in found:
                        continue
                    press = p.make(removed(c, n))
                    kept = kept_by(press, args, places)
                    near = p.near(press, args, kept, tolerance)
                    case = found[p.name, c]
                    case["counts"].append(kept.sum(1).tolist())
                    sums = []
                    for h, close in enumerate(near):
                        list_kept = np.flatnonzero(kept[h])
                        sums.append(checksum([i for i in list_kept if i not in close] if close else list_kept))
                        if close:
                            case["near"].append([args[0].layer_idx, h, [i for i in close if kept[h, i]], [i for i in close if not kept[h, i]],
                                                 p.cause(press, args, h, kept[h])])
                    case["checksums"].append("".join(sums))

        model.set_attn_implementation("eager" if eager else "sdpa")
        if found:
            observe(model, ids, visit)
        cases += found.values()
    for case in cases:
        if len({c for layer in case["counts"] for c in layer}) == 1:
            case["counts"] = case["counts"][0][0]
    return cases


def family(name):
    """A model of model/testdata/families, whose files lie flat."""
    weights = json.load(gzip.open(MODELS / "families" / "oracle.json.gz"))["cases"][name].get("weights", name)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "config.json").write_bytes((MODELS / "families" / f"{name}.config.json").read_bytes())
        (folder / "model.safetensors").write_bytes((MODELS / "families" / f"{weights}.safetensors").read_bytes())
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        model.config.head_dim = model.model.layers[0].self_attn.head_dim  # kvpress reads it; Qwen2's config has none
        return model


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--gguf", type=Path, help="without it the real model is left out")
    args.add_argument("--data", type=Path, help="folder with the benchmark records")
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("--tolerance", type=float, default=2e-5)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    transformers.utils.logging.disable_progress_bar()
    started = time.time()
    prompts = []

    def add(model, about, ids):
        cases = record(model, ids, args.tolerance)
        prompts.append({**about, "cases": cases})
        lists = sum(len(s) // 8 for c in cases for s in c["checksums"])
        print(f"{time.time() - started:.0f} s: {about['model']}: {len(ids)} tokens, {len(cases)} cases, {lists} lists, {sum(len(c['near']) for c in cases)} with a near tie", flush=True)

    for name in TINY:
        model = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32).eval()
        rng = np.random.default_rng(17)
        for pairs in RECALL_PAIRS:
            ids = list(recall_prompt(rng, pairs)[0].encode())
            add(model, {"model": name, "ids": ids}, ids)
    for name in FAMILIES:
        model = family(name)
        rng = np.random.default_rng(18)
        for n in RANDOM_TOKENS:
            ids = rng.integers(0, 256, n).tolist()
            add(model, {"model": name, "ids": ids}, ids)
    made = {p: version(p) for p in ("torch", "transformers", "kvpress")}
    if args.gguf:
        tokenizer = build_tokenizer(GGUFReader(args.gguf))
        model = AutoModelForCausalLM.from_pretrained(args.gguf.parent, gguf_file=args.gguf.name, dtype=torch.float32).eval()
        with args.gguf.open("rb") as f:
            made["gguf_sha256"] = hashlib.file_digest(f, "sha256").hexdigest()
        for file, line_number, field, chars in SMOLLM2:
            line = (args.data / file).read_bytes().split(b"\n")[line_number]
            text = json.loads(line)[field][:chars]
            ids = tokenizer.encode(text, add_special_tokens=False)
            add(model, {"model": args.gguf.name, "file": file, "record": line_number, "line_sha256": hashlib.sha256(line).hexdigest(),
                        "field": field, "chars": len(text), "tokens": len(ids), "tokens_sha256": hash_ids(ids)}, ids)

    out = json.dumps({"made_with": made, "tolerance": args.tolerance, "prompts": prompts}, separators=(",", ":"))
    args.out.write_bytes(gzip.compress(out.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
