"""Makes the fixtures of the package metrics from independent programs.

    python oracle.py [--data FOLDER] [--out FOLDER]

  scores.json.gz   texts of our own, made from the word lists below by a seed,
                   with the score of each metric
  records.json.gz  the same for mangled references of benchmark records in
                   --data; holds no text, only where it is, how it was mangled
                   (the Go test mangles alike), a hash and the scores.
                   Written only where --data is given.
  python.json.gz   Python's own behaviour: repr of floats, str.lower, character
                   classes, fuzz.ratio on strings whose share ends in a half

rouge_l is computed by the package rouge, code_sim's ratio by fuzzywuzzy with
python-Levenshtein (checked below); the other metrics are transcriptions, made
for this file, of LongBench's metrics (MIT) and of ReFreeKV's evaluation.

Run with: Python 3.11.7 (Unicode 14.0), rouge 1.0.1, fuzzywuzzy 0.18.0,
python-Levenshtein 0.27.5, RapidFuzz 3.14.6.
"""

import argparse
import csv
import gzip
import hashlib
import io
import json
import platform
import re
import string
import struct
import sys
import unicodedata
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from fuzzywuzzy import fuzz
from fuzzywuzzy.StringMatcher import StringMatcher
from rouge import Rouge

assert fuzz.SequenceMatcher is StringMatcher, "install python-Levenshtein: difflib gives other ratios"


# ---------------------------------------------------------------- the metrics

def qa_f1(prediction, answer, classes):
    def words(text):
        kept = "".join(c for c in text.lower() if c not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", kept).split()

    p, a = words(prediction), words(answer)
    same = (Counter(p) & Counter(a)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(p), same / len(a)
    return 2 * precision * recall / (precision + recall)


def rouge_l(prediction, answer, classes):
    # rouge recurses once per word. LongBench's evaluation calls it from a
    # function of a function of the main module, so two frames are in use.
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(1000 + depth - 3)
    try:
        return Rouge().get_scores([prediction], [answer], avg=True)["rouge-l"]["f"]
    except Exception:  # empty texts: ValueError or AssertionError; long ones: RecursionError
        return 0.0
    finally:
        sys.setrecursionlimit(1000)


def code_sim(prediction, answer, classes):
    lines = prediction.lstrip("\n").split("\n")
    code = next((l for l in lines if not any(mark in l for mark in ("`", "#", "//"))), "")
    return fuzz.ratio(code, answer) / 100


def classification(prediction, answer, classes):
    found = [c for c in classes if c in prediction]
    for name in found:  # the list shrinks under the loop, as in LongBench
        if name in answer and name != answer:
            found.remove(name)
    return 1.0 / len(found) if answer in found else 0.0


def count(prediction, answer, classes):
    found = re.findall(r"\d+", prediction)
    return found.count(answer) / len(found) if found else 0.0


def retrieval(prediction, answer, classes):
    return count(prediction, re.findall(r"Paragraph (\d+)", answer)[0], classes)


def numbers(text):
    return [float(n) if "." in n else int(n) for n in re.findall(r"[-+]?\d*\.\d+|[-+]?\d+", text)]


def gold_gsm8k(answer):
    found = re.search(r"#### (-?[0-9.,]+)", answer.replace(",", ""))
    return found.group(1) if found else answer.replace(",", "").strip()


def gsm8k_paper(prediction, answer, classes):
    found = numbers(prediction.lower().split(":")[-1].replace(",", ""))
    return float(bool(found) and str(found[-1]) == gold_gsm8k(answer))


def gsm8k(prediction, answer, classes):
    found, gold = numbers(prediction.replace(",", "")), numbers(gold_gsm8k(answer))
    return float(bool(found) and bool(gold) and found[-1] == gold[0])


def theoremqa(prediction, answer, classes):
    if "answer" not in prediction.lower():
        return 0.0
    text = prediction.split("answer")[-1]
    found, gold = numbers(text), numbers(answer)
    if len(found) == 1 and len(gold) == 1:
        if found[0] == gold[0]:
            return 1.0
        if int(found[0]) != int(gold[0]):
            return 0.0
    if answer.startswith("[") and answer.endswith("]") and "(" not in text and "[" not in text:
        return 0.0
    return float(answer.lower() in text.lower())


def choice(prediction, answer, classes):
    def letters(text):
        return [c for c in "ABCD" if c in text]

    found = letters(prediction)
    if answer not in ("A", "B", "C", "D") or not found:
        return 0.0
    if len(found) == 1:
        return float(found[0] == answer)
    if prediction[0] == answer:
        return 1.0
    if prediction[0] not in "ABCD" and ":" in prediction:
        return float(letters(prediction.split(":")[0]) == [answer])
    return 0.0


def exact(prediction, answer, classes):
    return float(prediction.strip() == answer.strip())


def contains(prediction, answers, classes):
    return sum(a.lower() in prediction.lower() for a in answers) / len(answers) if answers else 0.0


PER_ANSWER = [qa_f1, rouge_l, code_sim, classification, count, retrieval, gsm8k, gsm8k_paper,
              theoremqa, choice, exact]
METRICS = {m.__name__: m for m in PER_ANSWER} | {"contains": contains}


def score(name, prediction, answers, classes):
    metric = METRICS[name]
    if metric is contains:
        return contains(prediction, answers, classes)
    best = 0.0
    for answer in answers:
        try:
            best = max(best, metric(prediction, answer, classes))
        except (IndexError, OverflowError, ValueError):
            pass  # the official program stops here; we give 0
    return best


# ------------------------------------------------- chance, the same here and in Go

class Chance:
    """A linear congruential generator modulo 2**64, of which the upper half counts."""

    def __init__(self, seed):
        self.state = seed
        self.below(1)

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def of(self, items):
        return items[self.below(len(items))]


ODD = [
    "the", "a", "An", "THE", "the_", "_a", "a-n", "a\u0301", "e\u0301t", "\u0130stanbul", "\u0131", "ΟΔΟΣ", "Σ", "ΑΣ.", "ΣΑΣ'Α",
    "ʰΣ", "中文", "東京は", "，", "。", "don't", "U.S.A.", "...", ". .", ".", "!?", "—", "\u00a0", "\x1c", "\x1f", "\u2028",
    "\u200b", "\ufeff", "12", "٣٤", "७", "１２", "²", "½", "Ⅷ", "3.5", ".5", "-7", "+7", "1,000", "18.0", "1e5", "ß", "ẞ", "ǅ",
    "ﬁ", "👩‍💻", "`", "#", "//", "A", "B:", "C", "D", ":", "answer", "Answer", "[", "(", "True", "Paragraph", "Paragraph 3",
]
SEPARATORS = [" ", " ", " ", "\n", "\u00a0", "\x1d", "  ", ". ", "\t", "\r\n"]
PREFIXES = ["", "", "", "\n\n", "The answer is ", "The answer is: ", "Answer: ", "(", "So it is "]


def swap_case(word):
    return "".join(c.swapcase() if c in string.ascii_letters else c for c in word)


def mangle(text, more, seed):
    """Spoils a text. more are words to throw in; the Go test has the same steps."""
    chance = Chance(seed)
    kind = chance.below(24)
    if kind == 0:
        return text
    if kind == 1:
        return ""
    if kind == 2:
        return "...!?"
    if kind == 3:
        return swap_case(text)
    rate = 4 + chance.below(40)
    out = []
    for word in text.split(" "):
        step = chance.below(rate)
        if step == 0:
            continue
        if step == 1:
            word = chance.of(ODD)
        if step == 2:
            word = swap_case(word)
        if step == 3:
            word = word + "."
        if step == 4 and more:
            word = word + " " + chance.of(more)
        out.append(word)
        if step == 5:
            out.append(word)
        if step == 6 and len(out) > 1:
            out[-1], out[-2] = out[-2], out[-1]
        if step == 7:
            out.append(chance.of(ODD))
    return chance.of(PREFIXES) + chance.of(SEPARATORS).join(out)


# ----------------------------------------------------------------- our own texts

WORDS = """river stone bridge amber kettle window garden seven lantern the a an The of in was and is to
harbour engine copper A signal meadow violet thunder paper market Captain Anna Berlin blue green quick
slowly carried because although winter summer bread cheese north south letter music""".split()

CODE = ["int i = 0;", "return x + y;", "for (i = 0; i < n; i++) {", "    if node.kind == wanted:", "# a comment",
        "// a comment", "```python", "```", "", "x = `ls`", "self.assertEqual(a, b)", "}", "def f(x):", "\treturn None",
        "url = 'http://example.org'", "print(\"ok\")", "let größe = 'ΣΑΣ';", "名前 = 1", "    ", "a#b"]

CLASSES = ["Food", "Seafood", "food", "Date", "Other", "Other location", "Other entity", "location", "Order, rank", "rank",
           "Person", "Person's name", "name", "Number", "Number of something", "Human", "a", "教育", "文学、艺术", "艺术"]


def sentence(chance, longest):
    out = []
    for _ in range(1 + chance.below(longest)):
        word = chance.of(WORDS) if chance.below(8) else chance.of(ODD)
        out.append(word + ("." if chance.below(9) == 0 else ""))
    return " ".join(out)


def digits_of(n, chance):
    """A number, sometimes in another script or another writing."""
    text = str(n)
    zero = chance.of(["0", "0", "0", "0", "0", "٠", "०", "０", "𝟎", "𝟬"])
    text = "".join(chr(ord(zero) + int(c)) if c in string.digits else c for c in text)
    return chance.of(["", "", "", "", "", "0", "+", "-", "$", "."]) + text + chance.of(["", "", "", "", ".", ".0", ",000", "%", ".50", ".5.7"])


def number(chance):
    return chance.of([chance.below(10), chance.below(100), chance.below(100000), chance.below(1000) / 8,
                      -chance.below(50), 10 ** chance.below(22), 10.0 ** chance.below(25), 1 / (1 + chance.below(50000)),
                      9007199254740992 + chance.below(3), float(chance.below(5))])


def own_texts(chance):
    for i in range(560):
        answers = [sentence(chance, 14) for _ in range(1 + chance.below(5) // 2)]
        if i % 29 == 0:
            answers[-1] = chance.of(["", " ", ".", "..", "!?", "the", "\u00a0\x1c", "\n"])
        prediction = mangle(chance.of(answers), WORDS, chance.below(2**30))
        yield prediction, answers


def own_code(chance):
    for _ in range(520):
        answer = chance.of(CODE)
        lines = [chance.of(CODE) for _ in range(chance.below(4))]
        lines.insert(chance.below(len(lines) + 1), mangle(answer, CODE, chance.below(2**30)))
        yield "\n" * chance.below(3) + "\n".join(lines), [answer]


def own_gsm8k(chance):
    for _ in range(560):
        n = chance.of([chance.below(20), chance.below(2000) * 50, -chance.below(20), chance.below(100) / 4])
        parts = [sentence(chance, 4) for _ in range(chance.below(3))]
        parts.insert(chance.below(len(parts) + 1), digits_of(n if chance.below(4) else number(chance), chance))
        shown = f"{n:,}" if chance.below(2) else str(n)
        yield chance.of([" ", ": ", ":", ",", " = "]).join(parts), [sentence(chance, 5) + "\n#### " + shown]


def own_theoremqa(chance):
    for _ in range(560):
        gold = chance.of([number(chance), number(chance), number(chance), chance.below(2) == 0, "(" + chance.of("abcd") + ")",
                          [chance.below(9), chance.below(9)], [chance.below(9) / 2, 1.0]])
        shown = str(gold)
        near = [gold + 1, gold - 0.5, gold * 1.0] if type(gold) in (int, float) else [gold]
        told = chance.of([digits_of(gold, chance), digits_of(chance.of(near), chance), shown, shown, shown.lower(), digits_of(number(chance), chance), shown.replace("[", "(").replace("]", ")"),
                          shown.strip("[]"), shown + ".", shown[:-1], shown + " or " + shown, mangle(shown, ODD, chance.below(2**30))])
        lead = chance.of(["The answer is ", "Answer: ", "ANSWER ", "so ", "The answer 5 gives the answer ", "answer", "\u0130 answer\x1c"])
        yield sentence(chance, 3) + " " + lead + told + chance.of(["", "", ".", "\n", " Answer 4"]), [shown]


def own_choice(chance):
    for _ in range(560):
        parts = []
        for _ in range(chance.below(4)):
            parts.append(chance.of(["A", "B", "C", "D", "A", "B", "(C)", "D:", "E", "a", ":", "Because", "the", "Ä", "Α", "\n", "中",
                                    "Answer", "option", "É", "Option D", ""]))
        yield chance.of(["", " ", ": ", "."]).join(parts), [chance.of("ABCD" * 5 + "E") if chance.below(40) else ""]


def own_classes(chance):
    for _ in range(560):
        classes = [chance.of(CLASSES) for _ in range(1 + chance.below(14))]
        answer = chance.of(classes if chance.below(12) else CLASSES)
        told = [chance.of(CLASSES) if chance.below(3) else answer for _ in range(chance.below(5))]
        prediction = chance.of([" ", ", ", ""]).join(told)
        if chance.below(4) == 0:
            prediction = mangle(prediction, CLASSES, chance.below(2**30))
        if chance.below(30) == 0:
            classes.append("")
        yield prediction, [answer], classes


def own_counts(chance):
    for _ in range(560):
        n = chance.below(30)
        told = [digits_of(n if chance.below(2) else chance.below(30), chance) for _ in range(chance.below(4))]
        answer = "".join(c for c in digits_of(n, chance) if c.isdecimal()) if chance.below(6) == 0 else str(n)
        lead = chance.of(["Paragraph ", "Paragraph ", "Paragraph ", "See Paragraph ", "paragraph "])
        yield chance.of(["", "Paragraph ", "It is "]) + chance.of([" ", ", ", "."]).join(told), [answer, lead + answer]


def own_long():
    for extra in range(985, 993):  # the recursion of rouge ends here
        yield "w" + " y" * extra, ["w x"]
        yield "w x", ["w" + " y" * extra]
        yield "one. two. w" + " y" * extra, ["one. two"]
    for n in (300, 989, 990, 991):
        yield "x " * n, ["x " * n]
        yield "x " * n + ". y", ["x " * 5 + ". y"]
    yield "x " * 20000, ["x y " * 20]
    yield ". " * 300, ["x. " * 300]
    yield "the " * 5000 + "x", ["x " + "a " * 50]


def own(texts, names):
    cases = []
    for prediction, answers, *classes in texts:
        classes = classes[0] if classes else []
        cases.append([prediction, answers, classes, [score(n, prediction, answers, classes) for n in names]])
    for i, name in enumerate(names):
        scores = [c[3][i] for c in cases]
        print(f"  {name:15}{len(cases):5} cases, {sum(s == 0 for s in scores):4} score 0, {sum(s == 1 for s in scores):4} score 1,"
              f" {len(set(scores)):4} different scores")
    return {"metrics": names, "cases": cases}


# ------------------------------------------------------------ benchmark records

# What a file holds the references in, the metrics to compute, and mangled texts per file.
FILES = {
    "2wikimqa.jsonl": ("answers", ["qa_f1", "contains"], 60), "coqa.json": ("coqa", ["qa_f1", "exact"], 60),
    "hotpotqa.jsonl": ("answers", ["qa_f1", "contains"], 60), "leval.qasper.jsonl": ("outputs", ["qa_f1", "contains"], 80),
    "multifieldqa_en.jsonl": ("answers", ["qa_f1"], 60), "multifieldqa_zh.jsonl": ("answers", ["qa_f1"], 60),
    "musique.jsonl": ("answers", ["qa_f1", "exact"], 40), "narrativeqa.jsonl": ("answers", ["qa_f1"], 60),
    "qasper.jsonl": ("answers", ["qa_f1"], 80), "triviaqa.jsonl": ("answers", ["qa_f1", "contains", "exact"], 80),
    "dureader.jsonl": ("answers", ["rouge_l"], 30), "gov_report.jsonl": ("answers", ["rouge_l"], 30),
    "leval.qmsum.jsonl": ("outputs", ["rouge_l"], 60), "multi_news.jsonl": ("answers", ["rouge_l"], 40),
    "multi_news.longbench.jsonl": ("answers", ["rouge_l"], 60), "qmsum.jsonl": ("answers", ["rouge_l"], 60),
    "samsum.jsonl": ("answers", ["rouge_l"], 80), "truthfulqa.csv": ("Best Answer", ["rouge_l", "qa_f1"], 100),
    "vcsum.jsonl": ("answers", ["rouge_l"], 30), "lcc.jsonl": ("answers", ["code_sim"], 120),
    "repobench-p.jsonl": ("answers", ["code_sim"], 120), "trec.jsonl": ("answers", ["classification"], 120),
    "lsht.jsonl": ("answers", ["classification"], 80), "passage_count.jsonl": ("answers", ["count"], 100),
    "passage_retrieval_en.jsonl": ("answers", ["retrieval"], 120), "gsm8k.jsonl": ("answer", ["gsm8k", "gsm8k_paper"], 120),
    "theoremqa.json": ("Answer", ["theoremqa"], 160), "leval.quality.jsonl": ("letters", ["choice"], 120),
}


def references(path, field):
    """The references and class names of each record of a file."""
    text = path.read_bytes().decode("utf-8-sig")
    if field == "coqa":
        return [([a["input_text"]], []) for d in json.loads(text)["data"] for a in d["answers"]]
    if path.suffix == ".csv":
        return [([row[field]], []) for row in csv.DictReader(io.StringIO(text, newline=""))]
    records = json.loads(text) if path.suffix == ".json" else [json.loads(l) for l in text.split("\n") if l]
    if field == "letters":  # QuALITY's answers read "(B) because …"; the letter is the reference
        return [([o], []) for r in records for o in r["outputs"]]
    out = []
    for r in records:
        value = r[field] if isinstance(r[field], list) and field != "Answer" else [str(r[field])]
        out.append((value, r.get("all_classes") or []))
    return out


def records(folder):
    files = {}
    for name, (field, metrics, n) in FILES.items():
        listed, rows = references(folder / name, field), []
        for i in range(n):
            record = i % len(listed)
            answers, classes = listed[record]
            answer = i // len(listed) % len(answers)
            seed = int.from_bytes(hashlib.sha256(f"{name} {i}".encode()).digest()[:4], "big")
            text = mangle(answers[answer], classes, seed)
            golds = [answers[0][1]] if field == "letters" else answers
            rows.append([record, answer, seed, hashlib.sha256(text.encode()).hexdigest()[:12],
                         [score(m, text, golds, classes) for m in metrics]])
        scores = [s for row in rows for s in row[4]]
        print(f"  {name:28}{n:5} texts, {sum(s == 0 for s in scores):4} score 0, {sum(s == 1 for s in scores):4} score 1,"
              f" {len(set(scores)):4} different scores")
        files[name] = {"field": field, "metrics": metrics, "rows": rows}
    return files


# ------------------------------------------------------------------- Python itself

def ranges(predicate):
    """The code points for which a predicate holds, as first and last in turn."""
    out = []
    for r in range(0x110000):
        if 0xD800 <= r < 0xE000 or not predicate(chr(r)):
            continue
        if out and out[-1] == r - 1:
            out[-1] = r
        else:
            out += [r, r]
    return out


def floats(chance):
    values = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-4, 9.999999999999999e-05, 1e-5, 1e15, 9999999999999998.0, 1e16, 1e17, 1.5e300, 5e-324,
              2.2250738585072014e-308, 1.7976931348623157e308, 123456789.125, 0.30000000000000004, 2.0**53, 2.0**-20,
              float("inf"), float("-inf"), float("nan")]
    values += [chance.below(10**6) / 10 ** chance.below(9) for _ in range(300)]
    values += [(-1) ** chance.below(2) * chance.below(2**31) * 2.0 ** (chance.below(160) - 80) for _ in range(300)]
    while len(values) < 1000:
        x = struct.unpack("<d", struct.pack("<II", chance.below(2**31) * 2 + chance.below(2), chance.below(2**31)))[0]
        values.append(x)
    return [[struct.pack(">d", x).hex(), repr(x)] for x in values]


def sigmas(chance):
    letters = ["Σ", "Σ", "σ", "a", "A", "'", ".", "\u0301", "-", " ", "1", "ʰ", "\u00ad", "Ⅷ", "\u0130", "\u2019", ":", "_", "中",
               "\ufeff", "ª", "ⓐ", "\u0345", "ͺ", "ǅ", "ẞ", "·", "՟"]
    texts = ["".join(chance.of(letters) for _ in range(1 + chance.below(8))) for _ in range(1500)]
    texts += ["a" + "'" * n + "Σ" for n in (29, 31, 200)] + ["aΣ" + "'" * n + "a" for n in (29, 31, 200)]
    return [[t, t.lower()] for t in texts]


def halves():
    """Shared letters, letters of the first and of the second only, and fuzz.ratio."""
    out = []
    for length in range(1, 1001):
        for shared in range(0, length // 2 + 1):
            if 400 * shared % length == 0 and 400 * shared // length % 2 == 1:
                first = (length - 2 * shared) // 3
                second = length - 2 * shared - first
                out.append([shared, first, second, fuzz.ratio("s" * shared + "f" * first, "s" * shared + "t" * second)])
    return out


def python(chance):
    return {
        "floats": floats(chance),
        "lower": sigmas(chance),
        "lower_runes": {c: c.lower() for c in map(chr, range(0x110000)) if c.lower() != c},
        "sigma": {p: ranges(lambda c: "ς" in p.format(c).lower()) for p in ("a{}Σ", "{}Σ", "aΣ{}a")},
        "assigned": ranges(lambda c: unicodedata.category(c) != "Cn"),
        "space": ranges(str.isspace),
        "word": ranges(lambda c: re.match(r"\w", c)),
        "digit": ranges(lambda c: re.match(r"\d", c)),
        "digit_values": "".join(str(int(chr(r))) for r in range(0x110000) if chr(r).isdecimal()),
        "punctuation": string.punctuation,
        "ratios": halves(),
    }


def write(path, content):
    content["made_with"] = {"python": platform.python_version(), "unicode": unicodedata.unidata_version} | {
        p: version(p) for p in ("rouge", "fuzzywuzzy", "python-Levenshtein", "RapidFuzz")}
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, mtime=0))
    print(f"{path}: {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder of benchmark records")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    chance = Chance(20250226)
    write(args.out / "scores.json.gz", {"groups": [
        own(own_texts(chance), ["qa_f1", "rouge_l", "code_sim", "contains", "exact"]),
        own(own_code(chance), ["code_sim"]),
        own(own_gsm8k(chance), ["gsm8k", "gsm8k_paper"]),
        own(own_theoremqa(chance), ["theoremqa"]),
        own(own_choice(chance), ["choice"]),
        own(own_classes(chance), ["classification"]),
        own(own_counts(chance), ["count", "retrieval"]),
        own(own_long(), ["rouge_l", "qa_f1"]),
    ]})
    write(args.out / "python.json.gz", python(chance))
    if args.data:
        write(args.out / "records.json.gz", {"files": records(args.data)})


if __name__ == "__main__":
    main()
