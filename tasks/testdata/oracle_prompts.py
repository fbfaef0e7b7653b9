"""Makes oracle_prompts.json.gz: the token ids of real records' prompts, as counts and hashes.

    python oracle_prompts.py SmolLM2-135M-Instruct.Q4_1.gguf SPEC_FOLDER DATA_FOLDER

SPEC_FOLDER holds prompts.json, DATA_FOLDER the benchmark records. Run with
Python 3.11, transformers 5.2.0, tokenizers 0.22.2 and gguf 0.19.0.

It follows the description of the two evaluations, not this program:

standard  LongBench. Fill the template (TruthfulQA, CoQA: their own); if it is longer than the context length, join
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
import re
import struct
import sys

import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / ".." / ".." / "model" / "tokenizer" / "testdata"))
from smollm2 import metadata, tokenizer_json  # noqa: E402  the digit rule is explained there

LENGTHS = [1024, 4096]
NO_CHAT = ["trec", "triviaqa", "samsum", "lsht", "lcc", "repobench-p", "truthfulqa"]
NEVER_TRUNCATED = ["gsm8k", "coqa"]

# What prompts.json does not hold: LongBench's Chinese tasks (config/dataset2prompt.json
# and dataset2maxlen.json), and the tasks that borrow another's prompt.
CHINESE = {
    "multifieldqa_zh": ("阅读以下文字并用中文简短回答：\n\n{context}\n\n现在请基于上面的文章回答下面的问题，只告诉我答案，不要输出任何其他字词。\n\n问题：{input}\n回答：", 64),
    "dureader": ("请基于给定的文章回答下述问题。\n\n文章：{context}\n\n请基于上述文章回答下面的问题。\n\n问题：{input}\n回答：", 128),
    "vcsum": ("下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n会议记录：\n{context}\n\n会议总结：", 512),
    "lsht": ("请判断给定新闻的类别，下面是一些例子。\n\n{context}\n{input}", 64),
    "passage_retrieval_zh": ("以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n{context}\n\n下面是一个摘要\n\n{input}\n\n请输入摘要所属段落的编号。答案格式必须是\"段落1\"，\"段落2\"等格式\n\n答案是：", 32),
}
BORROWED = {"leval_qasper": "qasper", "leval_qmsum": "qmsum"}

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
        return "coqa.json", [{"context": s["story"], "input": q["input_text"], "history": earlier(s, i)} for s in stories for i, q in enumerate(s["questions"])]
    elif task == "theoremqa":
        return "theoremqa.json", [{"question": r["Question"]} for r in json.loads((folder / "theoremqa.json").read_text(encoding="utf-8")) if not r["Picture"]]
    elif task == "truthfulqa":
        with (folder / "truthfulqa.csv").open(encoding="utf-8-sig", newline="") as f:
            return "truthfulqa.csv", [{"question": r["Question"]} for r in csv.DictReader(f)]
    elif task == "quality":
        name = "leval.quality.jsonl"
        return name, [r for doc in lines(folder / name) for r in multiple_choice(doc)]
    elif task in BORROWED:
        name = task.replace("_", ".", 1) + ".jsonl"
        return name, [{"context": doc["input"], "input": q} for doc in lines(folder / name) for q in doc["instructions"]]
    else:
        name = task + ".jsonl"
    if not (folder / name).exists():
        return name, []
    return name, lines(folder / name)


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def earlier(story, turn):
    """CoQA's earlier questions and answers, in the layout of the prompt's end."""
    pairs = zip(story["questions"][:turn], story["answers"][:turn])
    return "".join(f"Question: {q['input_text']}\n\nAnswer: {a['input_text']}\n\n" for q, a in pairs)


def multiple_choice(doc):
    """The questions of an L-Eval document: a question, then the options, "(A) text"."""
    out = []
    for text in doc["instructions"]:
        question, *options = re.split(r"\n\s*\([ABCD]\) ", text)
        assert len(options) == 4
        out.append({"article": doc["input"], "question": question.strip(), "options": "\n".join(f"{letter}: {o.strip()}" for letter, o in zip("ABCD", options))})
    return out


def fill(template, record):
    return template.format(**{k: v for k, v in record.items() if "{" + k + "}" in template})


def standard(model, spec, task, record, length):
    template = spec["datasets"][task]["template"]
    if task == "truthfulqa":  # the questions' own layout to the end, as in its authors' preset
        template = template.replace("Q:{question}\n\nA:", "Q: {question}\nA:")
    if task == "coqa":  # the test set is asked turn after turn
        template = template.replace("Question: {input}", "{history}Question: {input}")
    prompt = fill(template, record)
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
    for task, (template, new) in CHINESE.items():
        spec["datasets"][task] = {"template": template, "max_new_tokens_longbench": new, "max_new_tokens_released_code": None}
    for task, base in BORROWED.items():
        spec["datasets"][task] = spec["datasets"][base]
    for task in spec["datasets"]:
        if task in ("gpqa", "mmlu_stem"):
            continue  # no records
        name, recs = records(task, folder)
        if not recs:
            continue
        if task == "quality" or task in BORROWED:
            recs = recs[:10]  # of many questions on the same documents
        out["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for model in models:
            for protocol, build in (("standard", standard), ("paper", paper)):
                if model.family == "llama2" and protocol == "standard":
                    continue  # its hand-built turn belongs to the paper's evaluation
                for length in LENGTHS if model is models[0] else LENGTHS[:1]:
                    rows = []
                    # All records once, a few of them at the other length and with the other models.
                    for record in recs[: len(recs) if model is models[0] and length == LENGTHS[0] else 3 if model is models[0] else 2]:
                        ids = build(model, spec, task, record, length)
                        rows.append([len(ids), hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()])
                    out["prompts"].append({"task": task, "file": name, "model": model.name, "protocol": protocol, "context_length": length, "rows": rows})
        print(task, len(recs))
    text = json.dumps(out, separators=(",", ":")) + "\n"
    (HERE / "oracle_prompts.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
