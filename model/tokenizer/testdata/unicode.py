"""Records in unicode.json what Hugging Face's tokenizers makes of every character.

    python unicode.py --out unicode.json

The file holds sha256s only: per pattern of the texts between its matches in all
characters, one behind the other; per normal form of the normalised characters,
alone and between marks; of what Digits cuts; and of the ids that tell which
characters belong to words.

Made with tokenizers 0.22.2.
"""

import argparse
import hashlib
import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

# All but surrogates, private use and planes without characters.
CHARS = [chr(c) for c in [*range(0xD800), *range(0xF900, 0x33500), *range(0xE0000, 0xE0200)]]
PATTERNS = [r"\p{L}", r"\p{Lu}", r"\p{Ll}", r"\p{Lt}", r"\p{Lm}", r"\p{Lo}", r"\p{M}", r"\p{N}", r"\p{P}", r"\p{S}", r"\p{Z}", r"\s", r"\d"]


def sha256(parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def pieces(pre):
    return sha256([text for text, _ in pre.pre_tokenize_str("".join(CHARS))])


def words():
    t = Tokenizer(models.BPE({"?": 0}, [], unk_token="?"))
    t.add_tokens([AddedToken("yes", single_word=True, normalized=False)])
    return sha256(str(i) for i in t.encode("".join(f"yes{c} {c}yes " for c in CHARS)).ids)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--out", type=Path, required=True)
    args = args.parse_args()
    forms = {}
    for name in ("NFC", "NFD", "NFKC", "NFKD"):
        form = getattr(normalizers, name)()
        forms[name] = [sha256([form.normalize_str(" ".join(CHARS))]),
                       sha256([form.normalize_str("".join(f"a\u0301{c}\u0316\u0345\u0327\u3099\u0323" for c in CHARS))])]
    args.out.write_text(json.dumps({
        "patterns": {p: pieces(pre_tokenizers.Split(Regex(p), "removed")) for p in PATTERNS},
        "digits": pieces(pre_tokenizers.Digits(True)), "forms": forms, "words": words(),
    }, indent=1) + "\n")


if __name__ == "__main__":
    main()
