"""Makes oracle_prompts.json.gz: the token ids of real records' prompts, as counts and hashes.

    python oracle_prompts.py SmolLM2-135M-Instruct.Q4_1.gguf SPEC_FOLDER DATA_FOLDER

SPEC_FOLDER holds prompts.json, DATA_FOLDER the benchmark records. Run with
Python 3.11, transformers 5.2.0, tokenizers 0.22.2 and gguf 0.19.0.

It follows the description of the two evaluations, not this program:

standard  LongBench. Fill the template; if it is longer than the context length, join
          the texts of its first and last floor(length / 2) tokens; then wrap it in
          the chat template, except for few-shot and code tasks. What is wrapped is
          tokenised without adding special tokens, what is not with them.
paper     ReFreeKV's evaluation. Fill the template; wrap system text and prompt in the
          chat template; tokenise with special tokens added; if that is longer than
          the context length - new tokens - 20 (not for GSM8K and CoQA), join the
          texts of the first and last half, special tokens left out, and tokenise
          that, special tokens added again.

Models: SmolLM2 as it is (it adds no BOS, so adding special tokens changes nothing),
and three made of it that add a BOS, with chat templates in the manner of other
families, so that the BOS rules, trimming and system texts show.
"""
import csv
import gzip
import hashlib
import json
import pathlib
import struct
import sys

import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / ".." / ".." / "model" / "tokenizer" / "testdata"))
from smollm2 import metadata, tokenizer_json  # noqa: E402  the digit rule is explained there

LENGTHS = [1024, 4096]
NO_CHAT = ["trec", "triviaqa", "samsum", "lsht", "lcc", "repobench-p"]
NEVER_TRUNCATED = ["gsm8k", "coqa"]

LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '<|im_end|>\n\n' }}"
    "{{ message['content'] | trim + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_end|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}{% set turns = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
    "{{ bos_token }}{% for turn in turns %}{{ '[INST] ' + system + turn['content'] + '[/INST]' }}{% endfor %}"
)


class Model:
    def __init__(self, name, family, meta, template=None, bos=False):
        self.name, self.family, self.bos = name, family, bos
        self.template = template or meta["tokenizer.chat_template"]
        tok = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(meta)))
        if bos:
            tok.post_processor = tokenizers.processors.TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)])
        self.tok = tok
        self.fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|im_start|>", eos_token="<|im_end|>")

    def ids(self, text, special):
        return self.tok.encode(text, add_special_tokens=special).ids

    def text(self, ids):
        return self.tok.decode(ids, skip_special_tokens=True)

    def chat(self, system, user):
        messages = [{"role": "system", "content": system}] if system is not None else []
        messages.append({"role": "user", "content": user})
        return self.fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, chat_template=self.template)


def records(task, folder):
    """File name and the records' template fields."""
    if task == "gsm8k":
        name = "gsm8k.jsonl"
    elif task == "coqa":
        stories = json.loads((folder / "coqa.json").read_text(encoding="utf-8"))["data"]
        return "coqa.json", [{"context": s["story"], "input": q["input_text"]} for s in stories for q in s["questions"]]
    elif task == "theoremqa":
        return "theoremqa.json", [{"question": r["Question"]} for r in json.loads((folder / "theoremqa.json").read_text(encoding="utf-8")) if not r["Picture"]]
    elif task == "truthfulqa":
        with (folder / "truthfulqa.csv").open(encoding="utf-8-sig", newline="") as f:
            return "truthfulqa.csv", [{"question": r["Question"]} for r in csv.DictReader(f)]
    else:
        name = task + ".jsonl"
    if not (folder / name).exists():
        return name, []
    return name, [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n") if line.strip()]


def fill(template, record):
    return template.format(**{k: v for k, v in record.items() if "{" + k + "}" in template})


def standard(model, spec, task, record, length):
    prompt = fill(spec["datasets"][task]["template"], record)
    ids = model.ids(prompt, True)
    if len(ids) > length:
        half = int(length / 2)
        prompt = model.text(ids[:half]) + model.text(ids[-half:])
    if task in NO_CHAT:
        return model.ids(prompt, True)
    # TheoremQA's answer format is told in a system text under both protocols.
    system = spec["system_prompts"]["theoremqa (all models)"] if task == "theoremqa" else None
    return model.ids(model.chat(system, prompt), False)


def paper(model, spec, task, record, length):
    facts = spec["datasets"][task]
    prompt = fill(facts["template"], record)
    texts = spec["system_prompts"]
    others = texts["every other dataset"]
    # A family that the evaluation does not know gets what most families get.
    system = texts.get(task + " (all models)") or others.get(model.family) or others["llama3"]
    if model.family == "llama2":
        rendered = f"[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{prompt.strip()} [/INST]"
    else:
        rendered = model.chat(system, prompt)
    ids = model.ids(rendered, True)
    new = facts["max_new_tokens_released_code"] or facts["max_new_tokens_longbench"]
    most = length - new - 20
    if task in NEVER_TRUNCATED or len(ids) <= most:
        return ids
    half = int(most / 2)
    return model.ids(model.text(ids[:half]) + model.text(ids[-half:]), True)


def main():
    meta = metadata(sys.argv[1])
    spec = json.loads((pathlib.Path(sys.argv[2]) / "prompts.json").read_text(encoding="utf-8"))
    folder = pathlib.Path(sys.argv[3])
    models = [
        Model("smollm2", "other", meta),
        Model("llama3-like", "llama3", meta, LLAMA3, bos=True),
        Model("mistral-like", "mistral", meta, MISTRAL, bos=True),
        Model("llama2-like", "llama2", meta, LLAMA3, bos=True),
    ]
    out = {
        "models": [{"name": m.name, "family": m.family, "template": m.template if m.bos else "", "bos": m.bos} for m in models],
        "files": {}, "prompts": [],
    }
    for task in spec["datasets"]:
        if task in ("gpqa", "mmlu_stem", "quality"):
            continue  # no records
        name, recs = records(task, folder)
        if not recs:
            continue
        out["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for model in models:
            for protocol, build in (("standard", standard), ("paper", paper)):
                if model.family == "llama2" and protocol == "standard":
                    continue  # its hand-built turn belongs to the paper's evaluation
                for length in LENGTHS if model is models[0] else LENGTHS[:1]:
                    rows = []
                    for record in recs if model is models[0] else recs[:2]:
                        ids = build(model, spec, task, record, length)
                        rows.append([len(ids), hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()])
                    out["prompts"].append({"task": task, "file": name, "model": model.name, "protocol": protocol, "context_length": length, "rows": rows})
        print(task, len(recs))
    text = json.dumps(out, separators=(",", ":")) + "\n"
    (HERE / "oracle_prompts.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
