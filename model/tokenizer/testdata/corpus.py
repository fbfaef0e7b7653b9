"""The corpus that tokenizers are compared on, and corpus.json.gz: what Hugging
Face's tokenizers does with it.

    python corpus.py --data DATA_FOLDER --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out corpus.json.gz

The corpus has two parts. The own part are the texts of nasty.json and texts made
from a seed; the real part is cut by seed from the records in DATA_FOLDER. Neither
is written down: corpus_test.go makes the same texts from the same numbers. The
tokenizers are the small ones of families.json.gz and SmolLM2's own.

The file is a gzipped JSON object: the data files with their sha256; sha256 of
both parts' texts; and per tokenizer the sha256 over the answers to each part,
with the first 16 bits of every single answer's sha256, which tell the texts that
differ. An answer is: ids, ids with special tokens, the ids' text without and with
special tokens, and the text of the ids in reverse.

Made with tokenizers 0.22.2.
"""

import argparse
import gzip
import hashlib
import json
import struct
from pathlib import Path

import tokenizers

import smollm2

HERE = Path(__file__).parent
OWN, REAL = 1200, 1000  # texts made from a seed, and cut from records

# Ranges of characters: scripts, marks, numbers, symbols, blanks, emoji.
RANGES = [
    (0x0000, 0x0020), (0x0020, 0x007F), (0x0041, 0x005B), (0x0061, 0x007B), (0x0030, 0x003A), (0x007F, 0x00A1), (0x00A1, 0x0180),
    (0x0250, 0x0300), (0x0300, 0x0370), (0x0370, 0x0530), (0x0590, 0x0700), (0x0900, 0x0E00), (0x0E00, 0x1000), (0x10A0, 0x1200),
    (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2190), (0x2190, 0x2C00), (0x2E80, 0x3200), (0x3400, 0x3500), (0x4E00, 0x9FA6),
    (0xAC00, 0xD7A4), (0xE000, 0xE100), (0xF900, 0x10000), (0x10000, 0x11000), (0x1D400, 0x1D800), (0x1F1E6, 0x1F200),
    (0x1F300, 0x1F700), (0x20000, 0x20100), (0xE0000, 0xE01F0), (0x10FF00, 0x110000),
]
BLANKS = [" ", "  ", "\n", "\t", "\r\n", "\n\n", "\u00a0", "\u3000", "\u200b", "\u2028", "\u0085", "\x0b", "\u180e", "\ufeff"]
SUFFIXES = ["'s", "'S", "'t", "'RE", "'ve", "'m", "'ll", "'LL", "'d", "\u2019s", "'x", "''", "'\u017f", "n't"]
SPECIAL = [
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|end|>", "<|user|>", "<|assistant|>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
    "<tool_call>", "</tool_call>", "<think>", "</think>", "<mask>", "<0x41>", "<|im_start", "im_end|>", "\u2581", "\u0120", "<unused7>", "yes",
]
WORDS = [
    "the", "Hello", "world", "tokenization", "antidisestablishmentarianism", "HTTPServer", "snake_case", "x", "I", "42", "3.14", "1,000,000", "2024",
    "na\u00efve", "\u00c5ngstr\u00f6m", "stra\u00dfe", "\u043f\u0440\u0438\u0432\u0435\u0442", "\u03ba\u03cc\u03c3\u03bc\u03b5", "\u6771\u4eac", "\u4f60\u597d", "\ud55c\uad6d\uc5b4",
    "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\U0001f600", "\U0001f469\u200d\U0001f4bb", "e\u0301", "\u1112\u1161\u11ab",
    "{", "}", "();", "=>", "!=", "...", "\u2014", "\"", "\\n", "//", "#", "$", "%", "&amp;", "<b>", "def", "return",
]
MASK = (1 << 64) - 1


class Random:
    """splitmix64 (Steele, Lea and Flood, 2014)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n

    def pick(self, items):
        return items[self.below(len(items))]

    def char(self):
        """Any character of one of RANGES."""
        low, high = self.pick(RANGES)
        return chr(low + self.below(high - low))


def part(r):
    """A part of a text: words with blanks, special tokens, runs, odd characters."""
    kind = r.below(8)
    if kind < 2:
        return r.pick(WORDS)
    if kind == 2:
        return " " + r.pick(WORDS) + r.pick(SUFFIXES)
    if kind == 3:
        return r.pick(BLANKS) * (1 + r.below(6))
    if kind == 4:
        return r.pick(SPECIAL)
    if kind == 5:
        return r.char() * (1 + r.below(30))
    if kind == 6:
        return "".join(str(r.below(10)) for _ in range(1 + r.below(9)))
    low, high = r.pick(RANGES)
    return "".join(chr(low + r.below(high - low)) for _ in range(1 + r.below(12)))


def nasty():
    return [n["text"] * n.get("repeat", 1) for n in json.loads((HERE / "nasty.json").read_text())]


def own_texts():
    r = Random(1)
    return nasty() + ["".join([part(r) for _ in range(1 + r.below(12))]) for _ in range(OWN)]


def data_files(folder):
    return sorted(p for p in folder.iterdir() if p.suffix in (".jsonl", ".json", ".csv"))


def real_texts(folder):
    pools = [[s for record in smollm2.records(p) for s in smollm2.strings(record) if s] for p in data_files(folder)]
    r, texts = Random(2), []
    for _ in range(REAL):
        text = r.pick(r.pick(pools))
        start = r.below(len(text))
        texts.append(text[start:start + 1 + r.below(600)])
    return texts


def digest(texts):
    h = hashlib.sha256()
    for t in texts:
        raw = t.encode()
        h.update(struct.pack("<I", len(raw)) + raw)
    return h.hexdigest()


def answer(tok, text):
    ids = tok.encode(text, add_special_tokens=False).ids
    out = b""
    for seq in (ids, tok.encode(text).ids):
        out += struct.pack(f"<I{len(seq)}i", len(seq), *seq)
    for t in (tok.decode(ids), tok.decode(ids, skip_special_tokens=False), tok.decode(ids[::-1], skip_special_tokens=False)):
        raw = t.encode()
        out += struct.pack("<I", len(raw)) + raw
    return out


def answers(tok, texts):
    all, each = hashlib.sha256(), ""
    for t in texts:
        a = answer(tok, t)
        all.update(a)
        each += hashlib.sha256(a).hexdigest()[:4]
    return {"sha256": all.hexdigest(), "each": each}


def write(out, value):
    out.write_bytes(gzip.compress(json.dumps(value, indent=0).encode(), 9, mtime=0))
    print(f"{out}: {out.stat().st_size} bytes")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "gguf", "out"):
        args.add_argument("--" + name, type=Path, required=True)
    args = args.parse_args()
    own, real = own_texts(), real_texts(args.data)
    toks = {"SmolLM2": tokenizers.Tokenizer.from_str(json.dumps(smollm2.tokenizer_json(smollm2.metadata(args.gguf))))}
    for name, family in json.loads(gzip.decompress((HERE / "families.json.gz").read_bytes())).items():
        toks[name] = tokenizers.Tokenizer.from_str(json.dumps(family["tokenizer"]))
    write(args.out, {
        "data": [{"file": p.name, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()} for p in data_files(args.data)],
        "own": digest(own), "real": digest(real),
        "answers": {name: {"own": answers(t, own), "real": answers(t, real)} for name, t in toks.items()},
    })


if __name__ == "__main__":
    main()
