"""Makes families.json.gz: small tokenizers of every kind that we read, and what
Hugging Face's tokenizers does with the texts of nasty.json.

    python families.py --out families.json.gz

Each tokenizer is trained here on those texts, so no other model's vocabulary is
needed. The file is a gzipped JSON object: per name the tokenizer.json and for
every text the ids, the ids with special tokens, and the texts that decoding
gives without and with special tokens.

Made with tokenizers 0.22.2. Training breaks ties at random: another run gives
other vocabularies, and answers that belong to them.
"""

import argparse
import gzip
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
TEXTS = [n["text"] * n.get("repeat", 1) for n in json.loads((HERE / "nasty.json").read_text())]

# The patterns by which the families cut their words.
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# Added tokens with every option, which texts of nasty.json meet.
ADDED = [
    AddedToken("<mask>", lstrip=True, rstrip=True, special=True, normalized=False),
    AddedToken("yes", single_word=True, special=False, normalized=False),
    AddedToken("ab", special=False, normalized=False),
    AddedToken("abcd", special=False, normalized=False),
    AddedToken("tok\u00e9n", special=False, normalized=True),
    AddedToken("<tool_call>", lstrip=True, special=False, normalized=False),
    AddedToken("</tool_call>", rstrip=True, special=False, normalized=True),
]
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def split(pattern, behavior, invert=False):
    return pre_tokenizers.Split(pattern, behavior, invert)


def bos(t):
    return processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", t.token_to_id("<s>"))])


def byte_level(pre, normalizer=None, post=None, added=False, **options):
    """Words of bytes in GPT-2's spelling."""
    t = Tokenizer(models.BPE())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=480, special_tokens=SPECIAL, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return finish(t, options, post, added)


def characters(pre=None, normalizer=None, decoder=None, post=None, added=False, fallback=True, size=700, **options):
    """Words of characters, as SentencePiece has them."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    if normalizer:
        t.normalizer = normalizer
    # To train, words must end somewhere; the pre-tokenizer proper comes after.
    t.pre_tokenizer = pre or split("\u2581", "merged_with_next")
    t.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL + (BYTES if fallback else []), limit_alphabet=60,
                                                     show_progress=False))
    config = json.loads(t.to_str())
    config["pre_tokenizer"] = json.loads(Tokenizer(models.BPE()).to_str())["pre_tokenizer"] if pre is None else config["pre_tokenizer"]
    if fallback:  # byte tokens are ordinary ones
        config["added_tokens"] = [a for a in config["added_tokens"] if a["content"] not in BYTES]
    t = Tokenizer.from_str(json.dumps(config))
    if decoder:
        t.decoder = decoder
    return finish(t, dict(options, byte_fallback=fallback), post, added)


def finish(t, options, post, added):
    config = json.loads(t.to_str())
    config["model"].update(options)
    t = Tokenizer.from_str(json.dumps(config))
    if post:
        t.post_processor = post(t)
    if added:
        t.add_tokens(ADDED)
    return t


def sentencepiece_normalizer():
    return normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])


def sentencepiece_decoder():
    return decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": False, **options})


def families():
    yield "gpt2", byte_level(level(use_regex=True))
    yield "gpt2, blank in front, added tokens", byte_level(level(use_regex=True, add_prefix_space=True), added=True)
    yield "llama3", byte_level(pre_tokenizers.Sequence([split(Regex(LLAMA3), "isolated"), level()]), post=bos, ignore_merges=True)
    yield "qwen2, added tokens", byte_level(pre_tokenizers.Sequence([split(Regex(QWEN2), "isolated"), level()]), normalizers.NFC(), added=True)
    yield "digits in runs", byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(False), level(use_regex=True)]), normalizers.NFKC())
    yield "digits one by one", byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), level(use_regex=True)]), normalizers.NFD())
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous"]:
        yield f"split, {behavior}", byte_level(pre_tokenizers.Sequence([split(Regex(r"\s|[.,]"), behavior), level()]))
        yield f"split text inverted, {behavior}", byte_level(pre_tokenizers.Sequence([split("a", behavior, True), level()]))
    yield "replacing", byte_level(level(use_regex=True), normalizers.Sequence([normalizers.Replace(Regex(r"\s{2,}"), " "), normalizers.NFKD()]))
    yield "llama2", characters(normalizer=sentencepiece_normalizer(), decoder=sentencepiece_decoder(), post=bos, fuse_unk=True)
    yield "llama2, added tokens", characters(normalizer=sentencepiece_normalizer(), decoder=sentencepiece_decoder(), added=True, fuse_unk=True)
    for scheme in ["always", "first", "never"]:
        for cut in [True, False]:
            meta = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme=scheme, split=cut)
            yield f"metaspace, {scheme}, split {cut}", characters(
                meta, decoder=decoders.Metaspace(replacement="\u2581", prepend_scheme=scheme, split=cut), added=scheme == "first")
    yield "unknown characters fused", characters(pre_tokenizers.Metaspace(), fallback=False, fuse_unk=True, size=250)
    yield "unknown characters one by one", characters(pre_tokenizers.Metaspace(), fallback=False, fuse_unk=False, size=250)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    result = {}
    for name, t in families():
        items = []
        for text in TEXTS:
            ids = t.encode(text, add_special_tokens=False).ids
            items.append({"ids": ids, "special": t.encode(text).ids, "text": t.decode(ids, skip_special_tokens=True),
                          "full": t.decode(ids, skip_special_tokens=False)})
        result[name] = {"tokenizer": json.loads(t.to_str()), "items": items}
    raw = json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()
    args.out.write_bytes(gzip.compress(raw, 9, mtime=0))
    print(f"{len(result)} tokenizers, {args.out.stat().st_size} bytes, {len(raw)} unpacked")


if __name__ == "__main__":
    main()
