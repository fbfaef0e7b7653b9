"""Makes the Parquet files of this folder and what stands in them, with pyarrow.

    python make_parquet.py

Texts are our own. Run with Python 3.11 and pyarrow 26.0.1. *.parquet are laid out
as Hugging Face lays data sets out, hub/ and shards/ in several files; expected.json
holds, per file or folder, the records that pyarrow itself reads from it.
"""
import datetime
import decimal
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent

COLOURS = ["red", "green", "blue"]


def longbench(n):
    """Records with LongBench's columns: repeated values, a list, nulls, an empty list."""
    return [{
        "_id": f"p{i}",
        "input": "" if i == 2 else f"Which colour has the cart number {i}?",
        "context": f"The cart number {i} is {COLOURS[i % 3]}. " + "It stands beside the mill, déjà vu, 車輪 🛞. " * (i % 4),
        "answers": [COLOURS[i % 3], COLOURS[i % 3].upper()] if i % 4 else [f"only {i}"],
        "length": 10 + i,
        "dataset": "carts",
        "language": "en" if i % 5 else None,
        "all_classes": None if i % 3 == 0 else [] if i % 3 == 1 else list(COLOURS),
    } for i in range(n)]


LONGBENCH = pa.schema([
    ("_id", pa.string()), ("input", pa.string()), ("context", pa.large_string()), ("answers", pa.list_(pa.string())),
    ("length", pa.int32()), ("dataset", pa.dictionary(pa.int32(), pa.string())), ("language", pa.string()),
    ("all_classes", pa.list_(pa.string())),
])

# One column per kind of value that a data set may hold.
KINDS = pa.schema([
    ("id", pa.int64()), ("flag", pa.bool_()), ("small", pa.int8()), ("unsigned", pa.uint32()), ("large", pa.uint64()), ("larger", pa.uint64()),
    ("half", pa.float32()), ("double", pa.float64()), ("bytes", pa.binary()), ("nothing", pa.null()),
    ("numbers", pa.list_(pa.int64())), ("nested", pa.list_(pa.list_(pa.float64()))),
    ("turn", pa.struct([("who", pa.string()), ("said", pa.string()), ("marks", pa.list_(pa.int32()))])),
    ("turns", pa.list_(pa.struct([("who", pa.string()), ("said", pa.string())]))),
    ("one", pa.struct([("only", pa.string())])),
    ("ones", pa.list_(pa.struct([("only", pa.string())]))),
    ("list", pa.struct([("list", pa.list_(pa.struct([("element", pa.string())])))])),  # named like Parquet's own wrapping of a list
    ("fixed", pa.list_(pa.int32(), 2)), ("large_list", pa.large_list(pa.large_string())), ("map", pa.map_(pa.string(), pa.int32())),
    ("tiny", pa.uint8()), ("price", pa.decimal128(9, 2)), ("kind", pa.dictionary(pa.int8(), pa.string())),
])


def kinds():
    full = {
        "id": 1, "flag": True, "small": -7, "unsigned": 4000000000, "large": 9000000000000000000, "larger": 18000000000000000000, "half": 0.5, "double": 1e-7, "bytes": b"raw",
        "nothing": None, "numbers": [3, 1, 2], "nested": [[1.5], [], [2.5, 3.5]],
        "turn": {"who": "Anneke", "said": "hello", "marks": [1, 2]},
        "turns": [{"who": "Bruno", "said": "yes"}, {"who": "Celia", "said": None}],
        "one": {"only": "alone"}, "ones": [{"only": "a"}, {"only": "b"}], "list": {"list": [{"element": "e"}]}, "fixed": [4, 5],
        "large_list": ["p", "q"], "map": {"k": 1, "l": 2}, "tiny": 200, "price": decimal.Decimal("12.25"), "kind": "cart",
    }
    empty = {name: None for name in full} | {"id": 2}
    bare = full | {"id": 3, "flag": False, "numbers": [], "nested": [], "turns": [], "ones": [], "turn": {"who": None, "said": "", "marks": []}, "one": {"only": None}}
    holes = full | {"id": 4, "numbers": [1, None, 3], "nested": [None, [None, 1.0]], "turns": [None, {"who": None, "said": "last"}]}
    return [full, empty, bare, holes]


# Times, numbers and nesting beyond that.
MORE = pa.schema([
    ("id", pa.string()), ("date", pa.date32()), ("utc", pa.timestamp("us", tz="UTC")), ("local", pa.timestamp("ms")), ("fine", pa.timestamp("ns")),
    ("time", pa.time64("us")), ("short", pa.time32("ms")), ("long", pa.decimal128(30, 10)), ("negative", pa.decimal128(5, 3)), ("half", pa.float16()),
    ("sixteen", pa.binary(4)), ("large", pa.list_(pa.uint64())), ("dates", pa.list_(pa.date32())), ("flags", pa.list_(pa.list_(pa.list_(pa.bool_())))),
    ("deep", pa.list_(pa.struct([
        ("inner", pa.list_(pa.struct([("b", pa.struct([("c", pa.list_(pa.string()))])), ("n", pa.int16())]))),
        ("map", pa.map_(pa.string(), pa.list_(pa.struct([("x", pa.int64())])))),
    ]))),
    ("story", pa.struct([("questions", pa.list_(pa.struct([("input_text", pa.string()), ("turn_id", pa.int32())]))), ("source", pa.string())])),
])


def more():
    at = datetime.datetime(2024, 5, 1, 12, 30, 15, 250000)
    full = {
        "id": "full", "date": at.date(), "utc": at.replace(tzinfo=datetime.timezone.utc), "local": at, "fine": at, "time": at.time(), "short": at.time(),
        "long": decimal.Decimal("12345678901234567890.0123456789"), "negative": decimal.Decimal("-0.125"), "half": np.float16(-1.5), "sixteen": b"abcd",
        "large": [18000000000000000000, 1], "dates": [at.date(), None], "flags": [[[True], []], [], [[False, None], None]],
        "deep": [{"inner": [{"b": {"c": ["x", None]}, "n": 1}, {"b": None, "n": None}, None], "map": {"k": [{"x": 1}, None], "l": []}}, {"inner": [], "map": None}, None],
        "story": {"questions": [{"input_text": "why?", "turn_id": 1}, {"input_text": "when?", "turn_id": 2}], "source": "made up"},
    }
    old = {name: None for name in full} | {"id": "old", "date": datetime.date(1969, 12, 31), "utc": datetime.datetime(1969, 12, 31, 23, 59, 59, 1, datetime.timezone.utc),
        "local": datetime.datetime(1, 1, 1), "long": decimal.Decimal("-1"), "negative": decimal.Decimal("0.1"), "half": np.float16(2 ** -24)}
    return [full, old, full | {"id": "again", "story": {"questions": [], "source": None}, "deep": []}]


def plain(value):
    """What JSON can hold, as the reader gives it: bytes as text, times in ISO 8601
    without zeros at the end, a decimal that no float holds as its digits."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, decimal.Decimal):
        return float(value) if decimal.Decimal(repr(float(value))) == value else f"{value:f}"
    if isinstance(value, (datetime.datetime, datetime.time)):
        text = value.isoformat().removesuffix("+00:00")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return text + ("Z" if value.tzinfo else "")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def main():
    expected = {}

    def write(name, rows, schema, **options):
        path = HERE / name
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, **options)
        expected[name] = [plain(r) for r in pq.read_table(path).to_pylist(maps_as_pydicts="strict")]

    write("snappy.parquet", longbench(7), LONGBENCH, compression="snappy", row_group_size=3)
    write("zstd.parquet", longbench(70), LONGBENCH, compression="zstd", data_page_version="2.0", data_page_size=256, write_page_index=True)
    write("plain.parquet", longbench(5), LONGBENCH, compression="none", use_dictionary=False, use_compliant_nested_type=False)
    write("gzip.parquet", longbench(5), LONGBENCH, compression="gzip", column_encoding={
        "_id": "DELTA_BYTE_ARRAY", "input": "DELTA_LENGTH_BYTE_ARRAY", "length": "DELTA_BINARY_PACKED"}, use_dictionary=["dataset"])
    write("kinds.parquet", kinds(), KINDS)
    write("none.parquet", [], LONGBENCH)
    write("more.parquet", more(), MORE)

    def split(folder, names, rows, schema):
        (HERE / folder).mkdir(parents=True, exist_ok=True)
        size = -(-len(rows) // len(names))
        for i, name in enumerate(names):
            pq.write_table(pa.Table.from_pylist(rows[i * size:(i + 1) * size], schema=schema), HERE / folder / name)
        tables = [pq.read_table(HERE / folder / name) for name in names]
        expected[folder] = [plain(r) for r in pa.concat_tables(tables).to_pylist(maps_as_pydicts="strict")]

    split("hub/default/test", ["0000.parquet", "0001.parquet"], longbench(5), LONGBENCH)
    split("shards", [f"test-{i:05}-of-00003.parquet" for i in range(3)], longbench(7), LONGBENCH)
    (HERE / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
