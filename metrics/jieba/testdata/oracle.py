"""Makes the package's tables and its fixture from the Python package jieba.

    python oracle.py [--data FOLDER]

  ../dictionary.txt.gz  first line: log(frequency) - log(sum of frequencies), as
                        Python computes it, for 1 and each frequency that
                        occurs, ascending; then "word n" in the order of UTF-8 bytes, n
                        the place of its frequency in the first line
  ../hmm.txt.gz         "start", "B", "E", "M", "S" and then each character with
                        four log probabilities: of B, E, M and S after it, or of
                        its emission in them; -3.14e+100 where there is none
  cuts.json.gz          texts of our own with jieba's words, with HMM and without
  records.json.gz       for lines of the benchmark records in --data: where they
                        are and a hash of jieba's words; no text. Written only
                        where --data is given.

Run with: Python 3.11.7, jieba 0.42.1.
"""

import argparse
import gzip
import hashlib
import json
import logging
import math
import random
from pathlib import Path

import jieba
from jieba import finalseg

NEVER = -3.14e100
HERE = Path(__file__).parent


def write(path, text):
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{path}: {path.stat().st_size:,} bytes")


def tables():
    frequency = {w: n for w, n in jieba.dt.FREQ.items() if n}
    total = math.log(jieba.dt.total)
    classes = sorted({1} | set(frequency.values()))  # 1 is that of a character that is no word
    place = {n: i for i, n in enumerate(classes)}
    lines = [" ".join(repr(math.log(n) - total) for n in classes)]
    lines += [f"{w} {place[frequency[w]]}" for w in sorted(frequency, key=str.encode)]
    write(HERE.parent / "dictionary.txt.gz", "\n".join(lines) + "\n")

    def row(name, get):
        return f"{name} " + " ".join(repr(get(s)) for s in "BEMS")

    lines = [row("start", finalseg.start_P.get)]
    lines += [row(a, lambda b: finalseg.trans_P[a].get(b, NEVER)) for a in "BEMS"]
    for c in sorted({c for table in finalseg.emit_P.values() for c in table}):
        lines.append(row(c, lambda s: finalseg.emit_P[s].get(c, NEVER)))
    write(HERE.parent / "hmm.txt.gz", "\n".join(lines) + "\n")


# Our own sentences; the places, names and words in braces are filled by chance.
PATTERNS = [
    "{人}昨天从{地}坐{车}去了{地}，路上看见很多{物}。", "{物}的价格在{数}年上涨了{数}%，{人}觉得太贵。", "我们研究所的{人}教授写了一篇关于{物}的论文。",
    "“{物}在哪里？”{人}问道。", "{地}市{地}区中山路{数}号有一家卖{物}的小店。", "请用python{数}.{数}写一个程序，输出Hello, {人}！\r\n谢谢",
    "{人}{人}{人}", "{数}月{数}日，{人}出生于{地}县。", "乒乓球拍卖完了，{人}没有买到。", "他说的确实在理，{物}和尚未完成的工作都要继续。",
    "结婚的和尚未结婚的{人}都来到{地}。", "{地}{物}厂（{地}）有限公司 Tel: +86-{数}-{数}", "C++和C#都是编程语言，AT&T是一家公司，{人}用过B-{数}。",
    "龘靐齉{人}爨{物}鱻。", "他來到了網易杭研大廈，{人}在{地}讀書。", "{物}\t{物}\n{物}\r\n{物}  {物}", "第{数}段：段落{数}、段落{数}。",
    "e-mail: abc.def_{数}@example.org；网址 https://example.org/{数}?a=b", "一二三四五六七八九十百千万{数}亿", "𠀀𠮷野家{人}㐀㐁{物}",
]
FILL = {
    "人": "王小明 李雷 韩梅梅 张三丰 欧阳娜娜 司马懿 爱因斯坦 老刘 孙悟空 陈独秀 阿里木 小芳".split(),
    "地": "北京 上海 呼和浩特 南京 长江大桥 西湖 青石桥 云梦 拉萨 东莞 石家庄 清河".split(),
    "车": "火车 高铁 马车 三轮车 飞机 拖拉机".split(),
    "物": "豆腐 人工智能 石头 风筝 桥梁 油菜花 机器学习 铜钥匙 琥珀 灯笼 紫砂壶 热干面 量子纠缠 蒹葭".split(),
    "数": "1 23 2024 300 45.6 7 零 十二 100000".split(),
}
ODD = list("的了在是，。！？、；：的a1%.-+ \n") + ["\r\n", "ＡＢ１", "é", "π", "日本語の文", "한국어", "🙂", "\u3000", "々", "〇", "龥", "鿕", "鿖", "3.14%", "v2.0"]


def sentences(chance):
    for i in range(700):
        text = PATTERNS[i % len(PATTERNS)]
        for name, words in FILL.items():
            while "{" + name + "}" in text:
                text = text.replace("{" + name + "}", chance.choice(words), 1)
        if i % 3 == 2:  # spoil it: what is left is often in no dictionary
            letters = list(text)
            for _ in range(1 + len(letters) // 6):
                at = chance.randrange(len(letters))
                letters[at] = chance.choice([chance.choice(letters), "", chance.choice(ODD), chr(chance.randrange(0x4E00, 0x9FD6))])
            text = "".join(letters)
        yield text
    words = sorted(w for w in jieba.dt.FREQ if jieba.dt.FREQ[w])
    for _ in range(100):  # characters of rare words, run together
        yield "".join(chance.choice(words)[chance.randrange(2):] for _ in range(chance.randrange(1, 12)))
    yield from ["", " ", "\r\n", "\n\r", "a", "中", "%", "中a", "a中", "1.5%中", "--", ".5", "5.", "γ射线", "a.b-c"]


def record_lines(folder):
    """The lines of the Chinese records: file, record, field, line."""
    for name, fields in {"dureader": ["input", "context", "answers"], "multifieldqa_zh": ["input", "context", "answers"],
                         "passage_retrieval_zh": ["context"], "vcsum": ["context", "answers"], "lsht": ["input"]}.items():
        for i, line in enumerate((folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()):
            record = json.loads(line)
            for field in fields:
                text = record[field] if isinstance(record[field], str) else "\n".join(record[field])
                lines = text.split("\n")
                for n in range(0, len(lines), max(1, len(lines) // 40)):
                    yield name, i, field, n, lines[n]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="folder of benchmark records")
    args = parser.parse_args()
    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    tables()
    chance = random.Random(20250226)
    cuts = [[t, jieba.lcut(t), jieba.lcut(t, HMM=False)] for t in sentences(chance)]
    write(HERE / "cuts.json.gz", json.dumps(cuts, ensure_ascii=False, separators=(",", ":")))
    print(len(cuts), "texts;", sum(a != b for _, a, b in cuts), "cut otherwise without HMM")
    if args.data:
        def digest(words):
            return hashlib.sha256("\0".join(words).encode()).hexdigest()[:10]
        rows = [[*where, digest(jieba.lcut(t)), digest(jieba.lcut(t, HMM=False))] for *where, t in record_lines(args.data)]
        write(HERE / "records.json.gz", json.dumps(rows, separators=(",", ":")))
        print(len(rows), "lines of records")


if __name__ == "__main__":
    main()
