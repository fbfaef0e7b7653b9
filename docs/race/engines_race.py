"""Races `refreekv bench` against transformers and llama.cpp on the CPU: prefill and
decoding of one stream, and the logits of a real text beside float32 transformers'.

    python engines_race.py prepare --gguf SmolLM2-135M-Instruct.Q4_1.gguf --models DIR
    python engines_race.py time PEER --models DIR --refreekv BIN --out race.jsonl
    refreekv show TASK -n 1 --json [--data DIR] > prompts.jsonl
    python engines_race.py quality --prompts prompts.jsonl --models DIR --refreekv-repo REPO
    python engines_race.py table race.jsonl

PEER is transformers-float32, transformers-bfloat16, or llama.cpp-FORMAT with FORMAT
one of q4_1, q8_0, f16, bf16, f32, and -fa behind it for flash attention. `time` is
one round: ours, then the peer; call it again for more. `table` takes the
fastest of a peer's rounds on both sides, without what ran while others took more than
3 % of the processors. prepare makes all formats from the one file, so that all but
Q8_0, F16 and BF16, which round once more, have the same weights. Prompts are random
tokens in both engines; loading is not timed; both make the logits of the last token
only and choose the largest.

Needs torch, transformers, gguf, llama-cpp-python (built with -DGGML_NATIVE=ON).
"""

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LENGTHS = [512, 2048, 8192]
CONTEXTS = [128, 2048]
STEPS = 32
VOCABULARY = 49152
# The format of ours that is nearest to the peer's, for the table.
OURS = {"float32": "float32", "bfloat16": "bfloat16-both", "f32": "float32", "f16": "float32", "bf16": "bfloat16-both", "q4_1": "int8", "q8_0": "int8"}
DISTURBED = 0.03
FORMATS = {"f32": 0, "f16": 1, "bf16": 32, "q4_1": None, "q8_0": 7}  # llama.cpp's numbers for what it converts to


def prepare(args):
    import llama_cpp
    import torch
    from transformers import AutoModelForCausalLM

    args.models.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(args.gguf.parent, gguf_file=args.gguf.name, dtype=torch.float32)
    model.save_pretrained(args.models / "float32")
    for name, number in FORMATS.items():
        to = args.models / f"{name}.gguf"
        if number is None:
            to.write_bytes(args.gguf.read_bytes())
            continue
        params = llama_cpp.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize, params.pure = number, True, True
        if llama_cpp.llama_model_quantize(str(args.gguf).encode(), str(to).encode(), ctypes.byref(params)) != 0:
            sys.exit(f"llama.cpp cannot convert {args.gguf} to {name}")


class Transformers:
    def __init__(self, peer, models, threads, context=0, all_logits=False):
        import torch
        from transformers import AutoModelForCausalLM, DynamicCache

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch, self.cache_type = torch, DynamicCache
        dtype = getattr(torch, peer.split("-")[1])
        self.model = AutoModelForCausalLM.from_pretrained(models / "float32", dtype=dtype, attn_implementation="sdpa").eval()

    def prefill(self, tokens):
        self.cache = self.cache_type()
        return self._feed(tokens)

    def step(self, token):
        return self._feed([token])

    def _feed(self, tokens):
        logits = self.model(self.torch.tensor([tokens]), past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits
        return logits[0, -1].argmax().item()

    def logits(self, tokens):
        return self.model(self.torch.tensor([tokens])).logits[0].float().numpy()


class LlamaCpp:
    def __init__(self, peer, models, threads, context=0, all_logits=False):
        import llama_cpp
        import numpy

        self.numpy = numpy
        name = peer.removeprefix("llama.cpp-")
        # The context of a prompt is as long as it need be: llama.cpp may look at all of it.
        self.model = llama_cpp.Llama(
            model_path=str(models / f"{name.removesuffix('-fa')}.gguf"), n_ctx=context, n_threads=threads, n_threads_batch=threads,
            flash_attn=name.endswith("-fa"), logits_all=all_logits, verbose=False,
        )

    def prefill(self, tokens):
        self.model.reset()
        return self._feed(tokens)

    def step(self, token):
        return self._feed([token])

    def _feed(self, tokens):
        self.model.eval(tokens)
        logits = self.numpy.ctypeslib.as_array(self.model._ctx.get_logits_ith(-1), shape=(VOCABULARY,))
        return int(logits.argmax())

    def logits(self, tokens):
        self.model.reset()
        self.model.eval(tokens)
        return self.model.scores[: len(tokens)].astype("float32")


def engine(peer):
    return Transformers if peer.startswith("transformers-") else LlamaCpp


def random_tokens(n):
    import random

    return [random.Random(n).randrange(VOCABULARY) for _ in range(n)]


def time_peer(args):
    """Prints tokens per second of the peer, in a process of its own."""
    out = {"prefill": {}, "decode": {}}
    for n in args.lengths:
        model = engine(args.peer)(args.peer, args.models, args.threads, context=max(n, max(CONTEXTS)) + STEPS + 8)
        model.prefill(random_tokens(64))  # warms up
        tokens, rates = random_tokens(n), []
        for _ in range(1 if n > 4096 else 2):
            begin = time.perf_counter()
            model.prefill(tokens)
            rates.append(n / (time.perf_counter() - begin))
        out["prefill"][n] = statistics.median(rates)
    for n in [] if args.no_decode else CONTEXTS:
        model = engine(args.peer)(args.peer, args.models, args.threads, context=n + 3 * STEPS + 8)
        token, rates = model.prefill(random_tokens(n)), []
        token = model.step(token)  # warms up
        for _ in range(3):
            begin = time.perf_counter()
            for _ in range(STEPS):
                token = model.step(token)
            rates.append(STEPS / (time.perf_counter() - begin))
        out["decode"][n] = statistics.median(rates)
    print(json.dumps(out))


def alone(command):
    """Runs a command and returns what it prints and the share of the machine's processor
    time that others took meanwhile."""

    def busy():
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
        return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")

    def children():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    begin, before, own = time.perf_counter(), busy(), children()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    others = busy() - before - (children() - own)
    return out, max(0.0, others / (time.perf_counter() - begin) / os.cpu_count())


def ours(args, dtype):
    sections = "prefill" if args.no_decode else "prefill,decode"
    command = [args.refreekv, "bench", "--quick", "--json", "--model", args.models / "q4_1.gguf", "--only", sections,
               "--lengths", ",".join(map(str, args.lengths)), "--threads", str(args.threads)]
    if dtype != "float32":
        command += ["--dtype", dtype]
    out, others = alone(command)
    report = json.loads(out)
    return {
        "others": others,
        "prefill": {p["tokens"]: p["tokens_s"] for p in report["prefill"]},
        "decode": {d["context"]: d["tokens_s"] for d in report.get("decode", [])},
    }


def time_round(args):
    result = {"peer": args.peer, "threads": args.threads, "ours": {dtype: ours(args, dtype) for dtype in args.dtypes}}
    command = [sys.executable, __file__, "time-peer", args.peer, "--models", args.models, "--threads", str(args.threads),
               "--lengths", *map(str, args.lengths)] + (["--no-decode"] if args.no_decode else [])
    out, others = alone(command)
    result["theirs"] = json.loads(out.splitlines()[-1]) | {"others": others}
    line = json.dumps(result)
    print(line)
    with open(args.out, "a") as f:
        f.write(line + "\n")


def table(args):
    rounds = [json.loads(line) for line in args.results.read_text().splitlines()]
    columns = [("prefill", str(n)) for n in LENGTHS] + [("decode", str(n)) for n in CONTEXTS]

    def quiet(side, what, n):
        return side and n in side[what] and side.get("others", 0) <= DISTURBED

    def best(values):
        return "–" if not values else f"{max(values):.0f}" if max(values) >= 100 else f"{max(values):.1f}"

    def row(name, values):
        print("| " + " | ".join([name, *values]) + " |")

    row("tok/s", [f"{what} {n}" for what, n in columns])
    print("|---|" + "---:|" * len(columns))
    dtypes = list(dict.fromkeys(d for r in rounds for d in r["ours"]))
    peers = list(dict.fromkeys(r["peer"] for r in rounds))
    for d in dtypes:
        row(f"refreekv, {d}", [best([r["ours"][d][w][n] for r in rounds if quiet(r["ours"].get(d), w, n)]) for w, n in columns])
    for p in peers:
        row(p, [best([r["theirs"][w][n] for r in rounds if r["peer"] == p and quiet(r["theirs"], w, n)]) for w, n in columns])
    print()
    row("ours over the peer", ["ours in", *(f"{what} {n}" for what, n in columns)])
    print("|---|---|" + "---:|" * len(columns))
    for p in peers:
        for d in [d for d in dtypes if d == OURS[p.removesuffix("-fa").split("-")[1]] or args.all]:
            pairs = [(r["ours"].get(d), r["theirs"]) for r in rounds if r["peer"] == p]
            values = []
            for w, n in columns:
                mine = [o[w][n] for o, t in pairs if quiet(o, w, n)]
                theirs = [t[w][n] for o, t in pairs if quiet(t, w, n)]
                values.append(f"{max(mine) / max(theirs):.2f}" if mine and theirs else "–")
            row(p, [d, *values])


def quality(args):
    import numpy

    tokens = json.loads(args.prompts.read_text().splitlines()[0])["tokens"]
    positions = numpy.arange(args.every, len(tokens) + 1, args.every) - 1  # the last token that each logits saw

    def distributions(logits):
        logits = logits.astype("float64")
        logits -= logits.max(axis=1, keepdims=True)
        return logits - numpy.log(numpy.exp(logits).sum(axis=1, keepdims=True))

    reference = distributions(Transformers("transformers-float32", args.models, args.threads).logits(tokens)[positions])
    print(f"{len(positions)} predictions on {len(tokens)} tokens\n\n| logits against transformers, float32 | mean KL | same top token |\n|---|---:|---:|")

    def compare(name, logits):
        other = distributions(logits)
        kl = (numpy.exp(reference) * (reference - other)).sum(axis=1)
        same = (reference.argmax(axis=1) == other.argmax(axis=1)).mean()
        print(f"| {name} | {kl.mean():.2g} | {100 * same:.1f} % |", flush=True)

    for dtype in args.dtypes:
        # logits.go writes the logits after every so many tokens.
        command = ["go", "run", "docs/race/logits.go", str(args.models.resolve() / "q4_1.gguf"), str(args.every), dtype]
        raw = subprocess.run(command, cwd=args.refreekv_repo, input=json.dumps(tokens).encode(), check=True, stdout=subprocess.PIPE).stdout
        compare(f"refreekv, {dtype}", numpy.frombuffer(raw, "<f4").reshape(len(positions), -1))
    peers = ["transformers-bfloat16"] + [f"llama.cpp-{name}{fa}" for name in FORMATS for fa in ("", "-fa")]
    for peer in peers:
        compare(peer, engine(peer)(peer, args.models, args.threads, context=len(tokens) + 8, all_logits=True).logits(tokens)[positions])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def command(name, run):
        p = commands.add_parser(name)
        p.set_defaults(run=run)
        return p

    p = command("prepare", prepare)
    p.add_argument("--gguf", type=Path, required=True)
    p.add_argument("--models", type=Path, required=True)
    for name, run in (("time", time_round), ("time-peer", time_peer)):
        p = command(name, run)
        p.add_argument("peer")
        p.add_argument("--models", type=Path, required=True)
        p.add_argument("--threads", type=int, default=2)
        p.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
        p.add_argument("--no-decode", action="store_true")
        if name == "time":
            p.add_argument("--refreekv", required=True)
            p.add_argument("--out", type=Path, required=True)
            p.add_argument("--dtypes", nargs="+", default=["float32"])
    p = command("quality", quality)
    p.add_argument("--prompts", type=Path, required=True)
    p.add_argument("--models", type=Path, required=True)
    p.add_argument("--refreekv-repo", type=Path, default=".")
    p.add_argument("--every", type=int, default=16)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--dtypes", nargs="+", default=["float32"])
    p = command("table", table)
    p.add_argument("results", type=Path)
    p.add_argument("--all", action="store_true", help="every peer against each format of ours")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
