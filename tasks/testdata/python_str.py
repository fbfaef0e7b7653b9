"""Makes python_str.json: JSON values and how Python's str prints them.

    python python_str.py

Run with Python 3.11. Values are our own or drawn from a seed.
"""
import json
import pathlib
import random

HERE = pathlib.Path(__file__).parent

VALUES = [
    "null", "true", "false", "0", "-0", "7", "-12", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "123456789012345678901234567890",
    "0.0", "-0.0", "1.0", "-1.5", "0.1", "0.30000000000000004", "1e3", "1E5", "1e15", "1e16", "1.5e16", "123456789012345680.0", "0.0001", "0.00001", "1e-7", "1.25e-10",
    "5e-324", "1.7976931348623157e308", "3.141592653589793", "100000.0", "9999999999999998.0", "1e22", "1e23", "2.5e-5",
    "NaN", "Infinity", "-Infinity",
    "[]", "[1, 2, 3]", "[1.0, 0.5]", "[true, null, false]", "[[1, [2]], []]", '["a"]', '[" (a) "]', "[0.1, \"x\", [1e-05]]",
    '"plain"', '"it\'s"', '""', '"two\\nlines"',
    "[\"it's\"]", '["say \\"hi\\""]', '["it\'s \\"both\\""]', '["back\\\\slash"]', '["tab\\tline\\nreturn\\r"]', '["\\u0000\\u0007\\u001b\\u007f"]',
    '["é ñ 漢字 😀"]', '["\\u00a0\\u00ad\\u200b\\u2028\\u3000\\ufeff\\ue000"]', '["\\u0080\\u009f\\u0301"]', '["\\ud83d\\ude00\\udb40\\udc01"]',
]


def main():
    rng = random.Random(7)
    values = list(VALUES)
    for _ in range(60):
        values.append(repr(rng.choice([rng.uniform(-10, 10), rng.gauss(0, 1) * 10 ** rng.randint(-12, 25), round(rng.uniform(0, 1000), rng.randint(0, 4))])))
    for _ in range(20):
        values.append(json.dumps([rng.choice([rng.randint(-50, 50), rng.random(), rng.choice("abc'\"\\"), True, None]) for _ in range(rng.randint(1, 5))]))
    rows = [{"json": v, "str": str(json.loads(v))} for v in values]
    (HERE / "python_str.json").write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")


if __name__ == "__main__":
    main()
