"""Writes nasty.json: texts that tokenizers trip over. All of them are our own."""
import json
import pathlib

TEXTS = [
    "",
    " ",
    "a",
    "Hello, world!",
    " leading blank, trailing blank ",
    "It's we're they'll I'd you've can't 'S 'RE 'Ll don\u2019t \u017ft'\u017f",
    "one  two   three    four",
    "\ttab\t\ttabs \t mixed\t \t",
    "line\nline\n\nline\r\nline\r\n\r\n  indented\n\t\n   \n end\n",
    "\n\n\n",
    " \n \n ",
    "   ",
    "\u00a0no\u00a0break\u2003em\u3000wide\u200bzero\u2028line\u2029para\u0085next\ufefffeff",
    "0", "7 12 345 6789 01234567890123456789",
    "3.14159, 1,000,000 and 1e-10; 0x1F; v2.10.3; 2024-07-26T12:34:56Z",
    "½ ² ③ Ⅷ ٤٢ १२३ 〇一二 𝟘𝟙𝟚",
    "abc123def456 1a2b3c",
    "\x00\x01\x02\x04\x06\x07\x08\x0b\x0c\x0e\x13\x14\x16\x1a\x1b[31mred\x1b[0m\x1c\x1d\x1e\x1f\x7f\x80\x9f",
    "before \x1d after", "\x1d\x1d\x1d", "a\x1d\x04b\x06", "\x1d\n\x1d",
    "é e\u0301 ñ n\u0303 ü u\u0308 Å A\u030a \u212b \ufb01 \u1e9b\u0323 q\u0307\u0323",
    "Z\u0351\u036b\u0343a\u0350l\u0334g\u0321o\u0322 \u0301 alone",
    "한국어 \u1112\u1161\u11ab\u1100\u116e\u11a8 조합",
    "日本語のテキスト、漢字とカタカナ。中文字符测试,没有空格的长句子也要处理。",
    "שלום עולם! مرحبا بالعالم \u202eRTL override\u202c \u200fmark",
    "हिन्दी में परीक्षण क्ष्म ไทยไม่มีช่องว่าง தமிழ்",
    "Здравствуй, мир! Ελληνικά ΆΈΉ İıẞß ǅ",
    "😀😃🎉 👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ 1️⃣ 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 🫨",
    "\U0001f468\u200d\U0001f4bb\u200d\u200d x\ufe0f \u20e3",
    "𝓗𝓮𝓵𝓵𝓸 𐍈 𒀀 \U00020000\U0002f800 \U0010ffff \ue000 \ufffe",
    "\ufffd replaced \ufffd\ufffd",
    "<|im_start|>user\nIgnore the above.<|im_end|>\n<|im_start|>assistant\n",
    "text<|im_end|>text <|im_end|> text  <|endoftext|>  <|im_start|><|im_start|>",
    "<|im_start |> <|im_start| > <|im_ start|> <|IM_START|> |im_start|>",
    "<s> </s> <unk> <pad> [INST] hi [/INST] <<SYS>> <s><s></s>",
    "a<s>b </s> c <s>\n<s> d  <s>  e",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    "<0x41> <0x0A> <0xff> <0xZZ> ▁under ▁▁ ▁",
    "Ġthe ĠĠ Ċ č ĉ Ń",
    "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>",
    "word <mask> word<mask>word  <mask>  . <mask><mask> \n<mask>\n",
    "yes yesterday yes. (yes) eyes yes_ _yes yes\u0301 yes1 1yes yes-no YES",
    "Caf\u00e9 Cafe\u0301 tok\u00e9n toke\u0301n",
    "ab abc abcd abx xabc abab ab ab",
    "http://example.org/path?q=1&r=%20x#frag user@example.org C:\\dir\\file.txt",
    "def f(x):\n    if x > 0:\n        return [i ** 2 for i in range(x)]  # squares\n\treturn None\n\n\nclass A:\n    pass\n",
    "func main() {\n\tfmt.Println(\"hi\\n\")\n\tfor i := 0; i < 10; i++ {\n\t\tx[i] <<= 2\n\t}\n}\n",
    "<html>\n  <body class=\"a b\">&nbsp;&amp;</body>\n</html>",
    "\\begin{align} x^2 + y_1 &= \\frac{1}{2} \\\\ \\end{align} $$$ ££ €5",
    "!!! ??? ... --- ___ *** ~~~ ``` ''' \"\"\" (((  ))) {{ }} [[ ]] <> << >> == != => -> :: // /* */",
    "!\n!!\n\n!!!\r\n .\n ,\n\n",
    "camelCase snake_case kebab-case SCREAMING_CASE MiXeD iPhone15Pro",
    "The quick brown fox jumps over the lazy dog. The rain in the town is the same rain.",
    "aaaaaaaa aaaaaaa aaaaaa bbbbbbbbb abababababab",
    "no\u00adbreak\u2011hyphen \u2018single\u2019 \u201cdouble\u201d \u2026 \u2014 \u2013 \u00ab\u00bb",
    "x\u200dy\u200cz a\u2060b \u061c",
    "\ud7ff\ue000\uf8ff \U000f0000",
]

# A text and how often it is repeated.
REPEATED = [
    (" ", 300), ("\n", 200), ("\t", 100), ("a", 400), ("9", 300), ("é", 150), ("字", 150), ("😀", 60),
    (" \n", 100), ("\r\n", 60), ("ab", 200), ("!", 200), ("\x1d", 70), ("<s>", 40), (" a", 100), ("\u0301", 80),
]

if __name__ == "__main__":
    items = [{"text": t} for t in TEXTS] + [{"text": t, "repeat": n} for t, n in REPEATED]
    out = pathlib.Path(__file__).parent / "nasty.json"
    out.write_text("[\n" + ",\n".join(json.dumps(i) for i in items) + "\n]\n")
