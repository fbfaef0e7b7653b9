"""Records what transformers computes with SmolLM2-135M-Instruct (Q4_1, GGUF).

The GGUF's weights are dequantised to float32, so that an engine which loads the
same file can be compared number by number. Prompts are beginnings of real
benchmark records; the fixture names them by file, record and hash and holds no
text of theirs.

    python oracle_smollm2.py --gguf SmolLM2-135M-Instruct.Q4_1.gguf --data DIR --out smollm2_oracle.json

Needs torch, transformers, tokenizers and gguf.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

STEPS = 48
ATTENTION_LAYERS = [0, 14, 29]

# file, record (line, from 0), field, characters (code points) from its start
PROMPTS = [
    ("gsm8k.jsonl", 0, "question", 200),
    ("gsm8k.jsonl", 7, "question", 400),
    ("multi_news.longbench.jsonl", 3, "context", 1400),
    ("samsum.jsonl", 1, "context", 1000),
    ("trec.jsonl", 0, "context", 1500),
    ("hotpotqa.jsonl", 2, "context", 2200),
    ("lcc.jsonl", 2, "context", 1800),
    ("repobench-p.jsonl", 4, "context", 3500),
    ("multifieldqa_zh.jsonl", 0, "context", 120),
    ("dureader.jsonl", 1, "context", 400),
    ("qasper.jsonl", 3, "context", 4000),
    ("narrativeqa.jsonl", 1, "context", 6000),
    ("gov_report.jsonl", 0, "context", 22000),
]
ATTENTION_PROMPT = 2

CHATS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": "Answer in one short sentence."},
     {"role": "user", "content": "A train leaves at 10:45 and rides for 130 minutes. When does it arrive?"}],
]


def build_tokenizer(gguf):
    """The tokenizer as Hugging Face's own tokenizer.json defines it.

    transformers' conversion of GGUF files forgets that every digit is split off
    by itself (tokenizer.ggml.pre = smollm), and puts <|im_start|> in front.
    """
    meta = {k: gguf.fields["tokenizer.ggml." + k].contents() for k in
            ["tokens", "token_type", "merges", "pre", "eos_token_id", "bos_token_id"]}
    if meta["pre"] != "smollm":
        raise SystemExit(f"tokenizer.ggml.pre is {meta['pre']!r}, this script knows smollm only")
    t = Tokenizer(models.BPE({s: i for i, s in enumerate(meta["tokens"])}, [tuple(m.split(" ")) for m in meta["merges"]]))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, normalized=False, special=True)
                          for s, kind in zip(meta["tokens"], meta["token_type"]) if kind == 3])
    if [t.id_to_token(t.encode(d).ids[0]) for d in "0123456789"] != list("0123456789") or len(t.encode("1234").ids) != 4:
        raise SystemExit("digits are not split one by one")
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token=meta["tokens"][meta["bos_token_id"]],
                                   eos_token=meta["tokens"][meta["eos_token_id"]],
                                   chat_template=gguf.fields["tokenizer.chat_template"].contents())


@torch.no_grad()
def greedy(model, ids, steps, stop=None):
    """Greedy tokens after ids, and what was seen on the way.

    Per step the second-best token and how far its logit lies below the best
    one's. The token stop is kept and ends the text; None never ends it.
    """
    out = model(torch.tensor([ids]), use_cache=True, logits_to_keep=1)
    first = out.logits[0, -1].clone()
    tokens, seconds, margins = [], [], []
    while True:
        best = out.logits[0, -1].topk(2)
        tokens.append(best.indices[0].item())
        seconds.append(best.indices[1].item())
        margins.append(round((best.values[0] - best.values[1]).item(), 6))
        if len(tokens) == steps or tokens[-1] == stop:
            break
        out = model(torch.tensor([[tokens[-1]]]), past_key_values=out.past_key_values, use_cache=True)
    top = first.topk(20)
    logits = first.double()
    return {
        "tokens": tokens, "second": seconds, "margins": margins,
        "first_top": {"ids": top.indices.tolist(), "logits": [round(v, 5) for v in top.values.tolist()]},
        "first_sum": logits.sum().item(), "first_l2": logits.norm().item(),
    }


def hash_ids(ids):
    return hashlib.sha256(np.asarray(ids, "<i4").tobytes()).hexdigest()


@torch.no_grad()
def last_attention(model, ids):
    """Attention of the last token, [layer][head][position], and its logits."""
    model.set_attn_implementation("eager")
    out = model(torch.tensor([ids]), output_attentions=True, logits_to_keep=1)
    model.set_attn_implementation("sdpa")
    rows = {l: [[round(v, 6) for v in head[-1].tolist()] for head in out.attentions[l][0]] for l in ATTENTION_LAYERS}
    return rows, out.logits[0, -1]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--gguf", type=Path, required=True)
    args.add_argument("--data", type=Path, required=True, help="folder with the benchmark records")
    args.add_argument("--out", type=Path, required=True)
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    started = time.time()

    tokenizer = build_tokenizer(GGUFReader(args.gguf))
    model = AutoModelForCausalLM.from_pretrained(args.gguf.parent, gguf_file=args.gguf.name, dtype=torch.float32,
                                                 attn_implementation="sdpa").eval()
    print(f"{time.time() - started:.0f} s: loaded", flush=True)

    prompts, attention = [], None
    for i, (file, record, field, chars) in enumerate(PROMPTS):
        line = (args.data / file).read_bytes().split(b"\n")[record]
        text = json.loads(line)[field][:chars]
        ids = tokenizer.encode(text, add_special_tokens=False)
        if any(t in tokenizer.all_special_ids for t in ids) or tokenizer.decode(ids) != text:
            raise SystemExit(f"{file} record {record}: ids do not stand for the text alone")
        entry = {"file": file, "record": record, "line_sha256": hashlib.sha256(line).hexdigest(), "field": field,
                 "chars": len(text), "prompt_tokens": len(ids), "prompt_sha256": hash_ids(ids)}
        entry.update(greedy(model, ids, STEPS))
        prompts.append(entry)
        if i == ATTENTION_PROMPT:
            rows, logits = last_attention(model, ids)
            attention = {"prompt": i, "layers": rows}
            off = abs(logits[entry["first_top"]["ids"]] - torch.tensor(entry["first_top"]["logits"])).max().item()
            print(f"eager and sdpa logits differ by at most {off:.1e}")
            if off > 1e-3:
                raise SystemExit("the two attention paths disagree")
        print(f"{time.time() - started:.0f} s: {file} {record}: {len(ids)} tokens, smallest margin {min(entry['margins']):.4f}", flush=True)

    chats = []
    for messages in CHATS:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False)
        entry = {"messages": messages, "rendered": text, "prompt_ids": ids}
        entry.update(greedy(model, ids, STEPS, stop=tokenizer.eos_token_id))
        entry["text"] = tokenizer.decode(entry["tokens"], skip_special_tokens=True)
        chats.append(entry)
        print(f"{time.time() - started:.0f} s: chat: {entry['text']!r}", flush=True)

    with args.gguf.open("rb") as f:
        gguf_sha256 = hashlib.file_digest(f, "sha256").hexdigest()
    made = {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}

    def rows(entries):
        return "[\n" + ",\n".join("  " + json.dumps(e, ensure_ascii=False) for e in entries) + "\n ]"

    args.out.write_text(
        "{\n"
        f' "model": {json.dumps({"file": args.gguf.name, "sha256": gguf_sha256})},\n'
        f' "made_with": {json.dumps(made)},\n'
        f' "prompts": {rows(prompts)},\n'
        f' "chats": {rows(chats)},\n'
        f' "attention": {json.dumps(attention)}\n'
        "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
