"""Makes the fixtures of the package metrics from independent programs.

    python oracle.py [--data FOLDER] [--out FOLDER]

  scores.json.gz   texts of our own, made from the word lists below by a seed,
                   with the score of each metric
  records.json.gz  the same for mangled references of benchmark records in
                   --data; holds no text, only where it is, how it was mangled
                   (the Go test mangles alike), a hash and the scores.
                   Written only where --data is given.
  python.json.gz   Python's own behaviour: repr of floats, str.lower, character
                   classes, fuzz.ratio on strings whose share ends in a half,
                   nltk's stems of words

rouge_l is computed by the package rouge, rouge_score_* by rouge-score, bleu and
bleu_t5 by sacrebleu, the ratios of code_sim and code_sim_difflib by fuzzywuzzy
with python-Levenshtein (checked below) and with difflib in its place; Chinese is
cut by jieba. The rest are transcriptions, made for this file, of LongBench's
metrics (MIT), of ReFreeKV's evaluation, of CoQA's, of RULER's and of the needle
scripts'; theoremqa and choice are this project's own definitions, with the
tolerances of TheoremQA's evaluation.

Run with: Python 3.11.7 (Unicode 14.0), rouge 1.0.1, rouge-score 0.1.2, nltk
3.10.4, sacrebleu 2.6.0, fuzzywuzzy 0.18.0, python-Levenshtein 0.27.5, RapidFuzz
3.14.6, jieba 0.42.1.
"""

import argparse
import csv
import difflib
import gzip
import hashlib
import io
import json
import logging
import math
import platform
import re
import string
import struct
import sys
import unicodedata
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import jieba
import sacrebleu
from fuzzywuzzy import fuzz
from fuzzywuzzy.StringMatcher import StringMatcher
from nltk.stem.porter import PorterStemmer
from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer

jieba.setLogLevel(logging.WARNING)
assert fuzz.SequenceMatcher is StringMatcher, "install python-Levenshtein: difflib gives other ratios"


# ---------------------------------------------------------------- the metrics

def words(text):
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def word_f1(p, a):
    same = (Counter(p) & Counter(a)).total()
    if same == 0:
        return 0.0
    precision, recall = same / len(p), same / len(a)
    return 2 * precision * recall / (precision + recall)


def qa_f1(prediction, answer, classes):
    return word_f1(words(prediction), words(answer))


def coqa_f1(prediction, answers, classes):
    def f1(a):
        p, a = words(prediction), words(a)
        return word_f1(p, a) if p and a else float(p == a)

    if len(answers) < 2:
        return sum(map(f1, answers))
    return sum(max(f1(a) for j, a in enumerate(answers) if j != i) for i in range(len(answers))) / len(answers)


ZH_PUNCTUATION = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."


def qa_f1_zh(prediction, answer, classes):
    def tokens(text):
        out = ("".join(c for c in w.lower() if c not in string.punctuation + ZH_PUNCTUATION) for w in jieba.cut(text))
        return [w for w in ("".join(w.split()) for w in out) if w]

    return word_f1(tokens(prediction), tokens(answer))


def rouge(prediction, answer, used):
    # rouge recurses once per word. used is the number of frames of LongBench's
    # evaluation that call it.
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(1000 + depth - used)
    try:
        return Rouge().get_scores([prediction], [answer], avg=True)["rouge-l"]["f"]
    except Exception:  # empty texts: ValueError or AssertionError; long ones: RecursionError
        return 0.0
    finally:
        sys.setrecursionlimit(1000)


def rouge_l(prediction, answer, classes):
    return rouge(prediction, answer, 3)  # the module, the scorer, rouge_score


def rouge_zh(prediction, answer, classes):
    return rouge(" ".join(jieba.cut(prediction)), " ".join(jieba.cut(answer)), 4)  # and rouge_zh_score


def rouge_score(kind, stem):
    scorer = RougeScorer([kind], use_stemmer=stem)
    return lambda prediction, answer, classes: float(scorer.score(answer, prediction)[kind].fmeasure)


ROUGE_SCORE = {f"rouge_score_{kind[5:].lower()}{'_stem' if stem else ''}": rouge_score(kind, stem)
               for kind in ("rouge1", "rouge2", "rougeL", "rougeLsum") for stem in (False, True)}


def bleu(prediction, answers, classes):
    return sacrebleu.sentence_bleu(prediction, answers).score / 100 if answers else 0.0


def bleu_t5(prediction, answer, classes):
    return sacrebleu.corpus_bleu([prediction], [[answer]], smooth_method="exp", smooth_value=0.0, force=False, lowercase=False,
                                 tokenize="intl", use_effective_order=False).score / 100


def code_sim(prediction, answer, classes):
    lines = prediction.lstrip("\n").split("\n")
    code = next((l for l in lines if not any(mark in l for mark in ("`", "#", "//"))), "")
    return fuzz.ratio(code, answer) / 100


def code_sim_difflib(prediction, answer, classes):
    fuzz.SequenceMatcher = difflib.SequenceMatcher  # as where python-Levenshtein is not installed
    try:
        return code_sim(prediction, answer, classes)
    finally:
        fuzz.SequenceMatcher = StringMatcher


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


def retrieval_zh(prediction, answer, classes):
    return count(prediction, re.findall(r"段落(\d+)", answer)[0], classes)


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


def theoremqa_paper(prediction, answer, classes):
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


def choice_paper(prediction, answer, classes):
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


# theoremqa: this project's reading of an answer, TheoremQA's own tolerances.

REWRITES = [
    ("−", "-"), (r"\\(?:text|mathrm|mathbf)\{([^{}]*)\}", r" \1 "), (r"\\(?:left|right|[,;!: ])", " "), (r"\\times|\\cdot|[×·]", "*"),
    (r"\\pi|π", "pi"), (r"([0-9)}]) +x +([0-9(])", r"\1*\2"),
    *[(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"), (r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)")] * 2,
    (r"\{", "("), (r"\}", ")"), (r"([0-9]) *(pi|sqrt)", r"\1*\2"), (r"([0-9]) *%", r"\1/100"),
]
NUMERAL = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
TOKEN = re.compile(rf"[ ]*(?:({NUMERAL})|(pi|sqrt|exp|log|ln|sin|cos)(?![a-zA-Z])|(\*\*|[-+*/^()]))")
NAMES = {n: getattr(math, n) for n in ("pi", "sqrt", "exp", "log", "sin", "cos")} | {"ln": math.log, "__builtins__": {}}


def evaluate(text):
    """The value of the longest run of tokens at the start that is an expression."""
    tokens, at = [], 0
    while m := TOKEN.match(text, at):
        tokens.append(repr(float(m[1])) if m[1] else (m[2] or m[3]).replace("^", "**"))
        at = m.end()
    for end in range(min(len(tokens), 60), 0, -1):
        run = tokens[:end]
        if any(a[0].isalpha() and a != "pi" and b != "(" for a, b in zip(run, run[1:] + [""])):
            continue
        if any(b == "(" and (a == "pi" or a == ")" or a[0].isdigit()) for a, b in zip(run, run[1:])):
            continue  # no call, no product without a sign
        try:
            value = eval(" ".join(run), dict(NAMES))
        except (SyntaxError, TypeError, ArithmeticError, ValueError):
            continue
        if isinstance(value, float) and math.isfinite(value):
            return value
    return None


def value_of(text, told):
    for sign in ("=", "≈", "approximately"):
        if sign in text:
            text, told = text.split(sign)[-1], True
    for _ in range(2):
        text = re.sub(r"([0-9]),([0-9]{3})(?!\w)", r"\1\2", text, flags=re.ASCII)
    for pattern, by in REWRITES:
        text = re.sub(pattern, by, text)
    if told and (value := evaluate(text)) is not None:
        return value
    starts = [m.start() for m in re.finditer("[-+]?" + NUMERAL, text)]
    return evaluate(text[starts[0 if told else -1]:]) if starts else None


def close(value, gold):
    if isinstance(gold, int):
        return round(value) == round(float(gold))
    return gold - abs(gold) * 0.04 <= value <= gold + abs(gold) * 0.04


def theoremqa(prediction, answer, classes):
    told, text = False, prediction
    triggers = list(re.finditer(r"answers?(?:\s+(?:is|are))?\s*:|answers?\s+(?:is|are)(?!\w)", text, re.I | re.A))
    if triggers:
        told, text = True, text[triggers[-1].end():]
    if "\\boxed{" in text:
        told, text, depth = True, text.split("\\boxed{")[-1], 0
        for i, c in enumerate(text):
            depth += (c == "{") - (c == "}")
            if depth < 0:
                text = text[:i]
                break
    for mark in ("$", "`", "\\(", "\\)", "\\[", "\\]", "¥", "°C", "°"):
        text = text.replace(mark, "")
    text = text.strip()
    if told:
        text = text.split("\n")[0].split(". ")[0]
    text = text.rstrip(" \t\r.*:").lstrip(" \t\r*:")
    if text.lower() == answer.lower():
        return 1.0
    which = 0 if told else -1
    if re.fullmatch(r"\([a-f]\)", answer, re.I):
        bare = re.match(r"(?:option +)?([a-f])(?:[).:,]|$)", text.lower())
        found = [f"({bare[1]})"] if bare and told else re.findall(r"\([a-f]\)", text.lower())
        return float(bool(found) and found[which] == answer.lower())
    if answer in ("True", "False"):
        found = re.findall(r"\b(?:true|yes|false|no)\b", text, re.I | re.A)
        return float(bool(found) and (found[which].lower() in ("true", "yes")) == (answer == "True"))
    gold = json.loads(answer) if re.fullmatch(r"\[.*\]|[-+.\de]+", answer) else None
    if isinstance(gold, list):
        for opening, closing in ("[]", "()", "{}"):
            i, j = text.find(opening), text.rfind(closing)
            if 0 <= i < j and "\\" not in text[:i]:
                text = text[i + 1:j]
                break
        items = [value_of(t, True) for t in re.split(r",|;|\band\b", text, flags=re.A) if t.strip()]
        if None in items or len(items) != len(gold):
            return 0.0
        return float(all(close(v, g) for v, g in zip(sorted(items), sorted(gold))))
    value = value_of(text, told)
    return float(gold is not None and value is not None and close(value, gold))


def choice(prediction, answer, classes):
    def pick():
        told = re.findall(r"(?i:answer(?:[\t\n\f\r ]+is)?)[\t\n\f\r ]*:?[\t\n\f\r ]*[*\"'(\[]*([A-D])(?!\w)", prediction)
        if told:
            return told[-1]
        alone = [m for m in re.finditer(r"(?<!\w)[A-D](?!\w)", prediction)
                 if not (m[0] == "A" and re.match(r" +(?!(?:is|was|because|since|as|and|or)(?![a-z]))[a-z]", prediction[m.end():]))]
        if alone and not prediction[:alone[0].start()].strip(" \t\n\f\r*\"'(["):
            return alone[0][0]
        bracketed = {m[0] for m in alone if prediction[m.start() - 1:m.start()] == "(" and prediction[m.end():m.end() + 1] == ")"}
        letters = bracketed or {m[0] for m in alone}
        return letters.pop() if len(letters) == 1 else None

    return float(pick() == answer)


def needle_recall(prediction, answer, classes):
    want = set(answer.lower().split())
    return len(set(prediction.lower().split()) & want) / len(want) if want else 0.0


def exact(prediction, answer, classes):
    return float(prediction.strip() == answer.strip())


def contains(prediction, answers, classes):
    return sum(a.lower() in prediction.lower() for a in answers) / len(answers) if answers else 0.0


def string_match_part(prediction, answers, classes):
    return max(float(a.lower() in prediction.lower()) for a in answers) if answers else 0.0


PER_ANSWER = {m.__name__: m for m in [qa_f1, qa_f1_zh, rouge_l, rouge_zh, bleu_t5, code_sim, code_sim_difflib, classification, count, retrieval,
                                      retrieval_zh, gsm8k, gsm8k_paper, theoremqa, theoremqa_paper, choice, choice_paper, needle_recall,
                                      exact]} | ROUGE_SCORE
OVER_ANSWERS = {m.__name__: m for m in [contains, string_match_part, bleu, coqa_f1]}


def score(name, prediction, answers, classes):
    if name in OVER_ANSWERS:
        return OVER_ANSWERS[name](prediction, answers, classes)
    best = 0.0
    for answer in answers:
        try:
            best = max(best, PER_ANSWER[name](prediction, answer, classes))
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


ZH_SEPARATORS = ["", "", "", " ", "，", "。"]


def mangle_zh(text, more, seed):
    """mangle for texts without blanks: its words are pieces of three characters."""
    return mangle(text, more, seed, [text[i:i + 3] for i in range(0, len(text), 3)] or [""], ZH_SEPARATORS)


def mangle(text, more, seed, pieces=None, separators=SEPARATORS):
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
    for word in pieces or text.split(" "):
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
    return chance.of(PREFIXES) + chance.of(separators).join(out)


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


LINE_PARTS = ["5-3", "1,000.50", "$3.20", "U.S.A.", "e.g.", "&quot;", "&amp;lt;", "&lt;", "R&D", "<skipped>", "well-\nknown", "a-b", "-", "x.y",
              "3.", ".5", "10%", "«oui»", "“yes”", "…", "№5", "²", "½", "€", "日本語。", "—", "it's", "[1]", "{a}", "a/b", "@me", "_x_", "~", "^", "`"]
STEMS = """relation condition national rational valency hesitance digit conform radical different vile analog vietnam predict oper feudal decis hope
callous formal sensit triplic form electr good reviv allow infer airlin gyroscop adjust defens irrit replac depend adopt homolog commun activ
angular effect bowdler probat rate cease controll roll fly tr sk d l t news inn out cann how proc exc succ geo theo archaeo enjoy bay by say
happ agre feed plaster bled motor sing conflat troubl siz hopp tann fall hiss fizz fail fil abl us an on ox ay eye yy syzyg""".split()
SUFFIXES = """s es ies ied ied ed ing eed ying y ly ally ational tional enci anci izer ization ation ator alism iveness fulness ousness aliti iviti
biliti bli abli alli fulli entli eli ousli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent ion sion tion
ou ism ate iti ous ive ize e ll le""".split()


def stemmed_word(chance):
    stem = chance.of(STEMS) if chance.below(4) else "".join(chance.of(list("aeiouybcdlrstz")) for _ in range(1 + chance.below(6)))
    return stem + "".join(chance.of(SUFFIXES) for _ in range(chance.below(3)))


def own_lines(chance):
    """Several lines, words that differ in their endings, and what tokenizers trip over."""
    for i in range(560):
        lines = []
        for _ in range(1 + chance.below(5)):
            parts = [stemmed_word(chance) if chance.below(3) else chance.of(WORDS) for _ in range(chance.below(9))]
            if chance.below(2):
                parts.insert(chance.below(len(parts) + 1), chance.of(LINE_PARTS))
            lines.append(" ".join(parts) + chance.of([".", ",", "", "!", " . "]))
        answers = ["\n".join(lines)]
        if chance.below(3) == 0:
            answers.append(sentence(chance, 9))
        kept = [l for l in lines if chance.below(5)]
        for line in list(kept):
            if chance.below(2):
                other = line.split(" ")
                other[chance.below(len(other))] = stemmed_word(chance) if chance.below(2) else chance.of(LINE_PARTS)
                kept.insert(chance.below(len(kept) + 1), " ".join(other))
        prediction = chance.of(["\n", "\n", "\n\n", " ", "-\n"]).join(kept)
        if chance.below(2):  # the same words with other endings
            prediction = re.sub(r"[a-z]{3,}", lambda m: chance.of([m[0], m[0], m[0].rstrip("s")]) + chance.of(["s", "", "ed", "ing", "ly"]), prediction)
        yield (mangle(prediction, WORDS, chance.below(2**30)) if chance.below(3) == 0 else prediction), answers


def own_long_code(chance):
    """Lines about as long as from where difflib ignores frequent characters."""
    letters = list("etaoinshrdlu_(),.= ") + ["for ", "self.", "return ", "größe", "名"]
    for i in range(240):
        text = "".join(chance.of(letters[:2 + chance.below(len(letters) - 1)]) for _ in range(20 + chance.below(260)))
        text = (text + " ") * (1 + chance.below(3))
        spoiled = list(text)
        for _ in range(chance.below(60)):
            at = chance.below(len(spoiled))
            spoiled[at] = chance.of(["", chance.of(letters), spoiled[at] * 2])
        cut = chance.below(len(spoiled))
        yield "".join(spoiled[cut:] + spoiled[:cut] if chance.below(2) else spoiled), [text[:chance.below(len(text)) + 1]]


ZH = "我们 昨天 在 北京大学 学习 机器学习 的 方法 。 ， 结果 表明 蒹葭苍苍 王小明 喜欢 豆腐 和 人工智能 ！ “ ” 上海 2024年 3.5% Python 程序 设计 （ ） 的确 实在 理 乒乓球 拍卖 完了 龘靐 《 红楼梦 》 、 \u3000 … . ． 答案 是 段落 网易杭研 大厦".split(" ")


def own_zh(chance):
    for i in range(560):
        answers = ["".join(chance.of(ZH) for _ in range(1 + chance.below(24))) for _ in range(1 + chance.below(5) // 3)]
        if i % 29 == 0:
            answers[-1] = chance.of(["", " ", "。", ".", "，。", "\u3000", "\n"])
        yield mangle_zh(chance.of(answers), ZH, chance.below(2**30)), answers


def own_theorem_forms(chance):
    """Answers as models write them."""
    for _ in range(700):
        gold = chance.of([chance.below(200), -chance.below(9), chance.below(4000) / 8, chance.below(100) / 1000, -chance.below(99) / 16, 1e-5 * chance.below(9),
                          chance.below(9) * 1000000, chance.below(2) == 0, "(" + chance.of("abcd") + ")", [chance.below(9), chance.below(9)],
                          [chance.below(9) / 2, 1.5, 3.0], [1, 2.5]])
        if isinstance(gold, bool):
            told = chance.of(["true", "True", "yes", "No", "False", "false.", "not sure", "No, it is true", "**True**", "it is true that", "none"])
        elif isinstance(gold, str):
            letter = chance.of("abcd")
            told = chance.of(["({})", "({}) the first", "{}", "{}.", "option {}", "({}) or (b)", "({}), not (c)", "{} dog", "{})", "\\boxed{{({})}}"]).format(
                letter if chance.below(3) else gold.strip("()"))
        elif isinstance(gold, list):
            items = [number_forms(g, chance) for g in (gold if chance.below(2) else gold[::-1])][:chance.of([9, 9, 9, 9, 1])]
            told = chance.of(["[", "(", "{", "", "x = ", "\\left(", "$["]) + chance.of([", ", ",", " and ", "; "]).join(items) + chance.of(["]", ")", "}", "", "]$"])
        else:
            told = chance.of(["", "", "", "x = ", "approximately ", "f(2) = ", "about ", "$", "≈ ", "\\boxed{"]) + number_forms(gold, chance)
            told += chance.of(["", "", " m/s", "%", " cm", "}", "$", " or 5", " (approx.)", ", since 7 > 5", " °C", " x 2", "e", "! "])
        lead = chance.of(["Therefore, the answer is ", "The answer is: ", "Answer: ", "ANSWER IS ", "the answer is\n", "So ", "The answers are ",
                          "The answer is 5. No, the answer is ", "We get 3 = ", ""])
        yield sentence(chance, 3) + " " + lead + told + chance.of(["", ".", ". Done 8.", "\nThat is 12.", "\n\nProblem: 4"]), [str(gold)]


def number_forms(gold, chance):
    """A number near gold as text, LaTeX or arithmetic."""
    n = chance.of([gold, gold, gold, gold * 1.03, gold * 1.05, gold + 0.4, gold + 1, gold * 2, -gold])
    form = chance.below(14)
    if form == 0:
        return f"{n:,}"
    if form == 1:
        return f"\\frac{{{n * 4}}}{{4}}"
    if form == 2:
        return f"{n * 3} / 3"
    if form == 3:
        return f"{n / 100} \\times 10^{{2}}"
    if form == 4:
        return f"{n / 1000:.6f} x 10^3"
    if form == 5:
        return f"{n:e}"
    if form == 6:
        return f"({n} + 2) - 2"
    if form == 7:
        return f"\\sqrt{{{abs(n) ** 2}}}"
    if form == 8:
        return f"{n / math.pi}\\pi"
    if form == 9:
        return f"{n}".replace("0.", ".")
    if form == 10:
        return chance.of(["2**3", "-2^2", "sqrt(2", "log(-1)", "1/0", "3*(", "((2)", "exp(2)*ln(3)", "2^-1", "sin(0)+cos(0)", "--5", "10^400", "\\dfrac{1}{\\sqrt{4}}", "1.2.3"])
    return str(n)


def own_choice_forms(chance):
    """Choices as models write them."""
    for _ in range(560):
        a, b = chance.of("ABCD"), chance.of("ABCDE")
        text = chance.of(["{a}", "({a})", "{a}: because {b}", "{a}. text", "**{a}**", "The answer is {a}", "The correct answer is ({a}).", "Answer: {a}\nnot {b}",
                          "answer ({a})", "The answer is {b}. No, the answer is {a}", "I think ({a}), not {b}", "A dog chose {a}", "A is right", "{a} is right, {b} is not",
                          "Option {a}", "{a}{b}", "({a}) or ({b})", "it is {a}_1 or {b}", "answer is {a}bc, {b}", "Ä{a} {b}", "Both {a} and {b}", "answer:\n\n[{a}]", "none", "",
                          "Because the {a}-{b} ring", "A because {b}", "A ring of {a}", "Answer is \"{a}\"", "ANSWER {a}", "中{a}", "中 {a}", "the answer isn't {a}"]).format(a=a, b=b)
        yield text + chance.of(["", "", ".", "\n" + sentence(chance, 5)]), [chance.of([a, a, b.replace("E", "A")])]


def own_counts_zh(chance):
    for prediction, answers in own_counts(chance):
        yield prediction.replace("Paragraph ", "段落"), [a.replace("Paragraph ", "段落") for a in answers]


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
    yield "x y\n" * 400 + "z " * 300, ["y x z\n" * 50]
    yield "the " * 5000 + "x", ["x " + "a " * 50]


def own_long_lines(chance):
    """Texts of several hundred words, in few lines and in many."""
    for _ in range(12):
        answer = "\n".join(sentence(chance, 90) for _ in range(1 + chance.below(12)))
        yield mangle(answer, WORDS, chance.below(2**30)), [answer]
    yield "the cat " * 700, ["cat the\n" * 300]


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
SUMMARY = [*ROUGE_SCORE, "bleu", "bleu_t5"]
FILES = {
    "2wikimqa.jsonl": ("answers", ["qa_f1", "contains"], 60), "coqa.json": ("coqa", ["qa_f1", "exact"], 60),
    "hotpotqa.jsonl": ("answers", ["qa_f1", "contains"], 60), "leval.qasper.jsonl": ("outputs", ["qa_f1", "contains"], 80),
    "multifieldqa_en.jsonl": ("answers", ["qa_f1", "coqa_f1", "needle_recall"], 60),
    "multifieldqa_zh.jsonl": ("answers", ["qa_f1_zh", "qa_f1", "rouge_zh"], 120),
    "musique.jsonl": ("answers", ["qa_f1", "exact"], 40), "narrativeqa.jsonl": ("answers", ["qa_f1"], 60),
    "qasper.jsonl": ("answers", ["qa_f1", "coqa_f1"], 80), "triviaqa.jsonl": ("answers", ["qa_f1", "contains", "exact", "string_match_part", "coqa_f1"], 80),
    "dureader.jsonl": ("answers", ["rouge_zh", "rouge_l", "qa_f1_zh"], 60), "gov_report.jsonl": ("answers", ["rouge_l"] + SUMMARY, 30),
    "leval.qmsum.jsonl": ("outputs", ["rouge_l"] + SUMMARY, 60), "multi_news.jsonl": ("answers", ["rouge_l"], 40),
    "multi_news.longbench.jsonl": ("answers", ["rouge_l"], 60), "qmsum.jsonl": ("answers", ["rouge_l"], 60),
    "samsum.jsonl": ("answers", ["rouge_l"] + SUMMARY, 80), "truthfulqa.csv": ("Best Answer", ["rouge_l", "qa_f1"] + SUMMARY, 100),
    "vcsum.jsonl": ("answers", ["rouge_zh", "rouge_l", "qa_f1_zh"], 40), "lcc.jsonl": ("answers", ["code_sim", "code_sim_difflib"], 120),
    "repobench-p.jsonl": ("answers", ["code_sim", "code_sim_difflib"], 120), "trec.jsonl": ("answers", ["classification"], 120),
    "lsht.jsonl": ("answers", ["classification"], 80), "passage_count.jsonl": ("answers", ["count"], 100),
    "passage_retrieval_en.jsonl": ("answers", ["retrieval"], 120), "passage_retrieval_zh.jsonl": ("answers", ["retrieval_zh"], 120), "gsm8k.jsonl": ("answer", ["gsm8k", "gsm8k_paper"], 120),
    "theoremqa.json": ("Answer", ["theoremqa", "theoremqa_paper"], 160),
    "leval.quality.jsonl": ("letters", ["choice", "choice_paper"], 120),
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
            spoil = mangle_zh if any(m.endswith("_zh") for m in metrics) else mangle
            text = spoil(answers[answer], classes, seed)
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


IRREGULAR = """sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed ties dies flies
died spied tried always abbey happily enjoyment y yes yyy sayings agreed feed owed hoping hopping failing falling""".split()


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
        "stems": {w: PorterStemmer().stem(w) for w in sorted(STEMS + IRREGULAR + [stemmed_word(chance) for _ in range(9000)])},
    }


def write(path, content):
    content["made_with"] = {"python": platform.python_version(), "unicode": unicodedata.unidata_version} | {
        p: version(p) for p in (
            "rouge", "rouge-score", "nltk", "sacrebleu", "fuzzywuzzy", "python-Levenshtein", "RapidFuzz", "jieba")}
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()
    path.write_bytes(gzip.compress(data, mtime=0))
    print(f"{path}: {path.stat().st_size:,} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder of benchmark records")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    chance = Chance(20250226)
    texts = ["qa_f1", "coqa_f1", "rouge_l", "code_sim", "code_sim_difflib", "contains", "string_match_part", "needle_recall", "exact"]
    write(args.out / "scores.json.gz", {"groups": [
        own(own_texts(chance), texts + SUMMARY),
        own(own_lines(chance), ["rouge_l"] + SUMMARY),
        own(own_code(chance), ["code_sim", "code_sim_difflib"]),
        own(own_long_code(chance), ["code_sim", "code_sim_difflib"]),
        own(own_gsm8k(chance), ["gsm8k", "gsm8k_paper"]),
        own(own_theoremqa(chance), ["theoremqa", "theoremqa_paper"]),
        own(own_theorem_forms(chance), ["theoremqa", "theoremqa_paper"]),
        own(own_choice(chance), ["choice", "choice_paper"]),
        own(own_choice_forms(chance), ["choice", "choice_paper"]),
        own(own_classes(chance), ["classification"]),
        own(own_counts(chance), ["count", "retrieval"]),
        own(own_counts_zh(chance), ["retrieval_zh"]),
        own(own_zh(chance), ["qa_f1_zh", "rouge_zh"]),
        own(own_long(), ["rouge_l", "rouge_zh", "qa_f1"]),
        own(own_long_lines(chance), ["rouge_score_l", "rouge_score_lsum", "rouge_score_2_stem", "bleu"]),
    ]})
    write(args.out / "python.json.gz", python(chance))
    if args.data:
        write(args.out / "records.json.gz", {"files": records(args.data)})


if __name__ == "__main__":
    main()
