"""Makes smollm2.json, records.json and chat_templates/smollm2.jinja with Hugging Face's tokenizers.

    python smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf [DATA_FOLDER]

The tokenizer.json is built here from the GGUF's metadata, since transformers'
own conversion loses the rule that splits every digit. Of the data only hashes
are kept.
"""
import csv
import hashlib
import json
import pathlib
import struct
import sys

import gguf
import tokenizers

HERE = pathlib.Path(__file__).parent


def metadata(path):
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items() if name.startswith("tokenizer.")}


def tokenizer_json(meta):
    tokens, types = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.token_type"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
            for i, (t, kind) in enumerate(zip(tokens, types)) if kind == 3
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": tokens[meta["tokenizer.ggml.unknown_token_id"]],
            "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": False, "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": meta["tokenizer.ggml.merges"],
        },
    }


def strings(value):
    """The texts of a record: depth first, objects by sorted key, lists in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for v in value:
            yield from strings(v)
    elif isinstance(value, dict):
        for k in sorted(value):
            yield from strings(value[k])


def records(path):
    """A line of .jsonl, a row of .csv, or the whole of a .json is a record."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    if path.suffix == ".json":
        return [json.loads(path.read_text(encoding="utf-8"))]
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.reader(f))


def main():
    meta = metadata(sys.argv[1])
    tok = tokenizers.Tokenizer.from_str(json.dumps(tokenizer_json(meta)))
    encode = lambda s: tok.encode(s, add_special_tokens=False).ids

    items = []
    for n in json.loads((HERE / "nasty.json").read_text()):
        ids = encode(n["text"] * n.get("repeat", 1))
        items.append({"ids": ids, "text": tok.decode(ids, skip_special_tokens=True), "full": tok.decode(ids, skip_special_tokens=False)})
    (HERE / "smollm2.json").write_text("[\n" + ",\n".join(json.dumps(i) for i in items) + "\n]\n")

    (HERE / "chat_templates").mkdir(exist_ok=True)
    (HERE / "chat_templates" / "smollm2.jinja").write_text(meta["tokenizer.chat_template"])

    if len(sys.argv) < 3:
        return
    rows = []
    for path in sorted(pathlib.Path(sys.argv[2]).iterdir()):
        if path.suffix not in (".jsonl", ".json", ".csv"):
            continue
        digest, count, recs = hashlib.sha256(), 0, records(path)
        for record in recs:
            for s in strings(record):
                ids = encode(s)
                digest.update(struct.pack(f"<{len(ids)}i", *ids))
                count += len(ids)
        rows.append({"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "records": len(recs), "ids": count, "ids_sha256": digest.hexdigest()})
    (HERE / "records.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
