"""Reads a run's rows.parquet with DuckDB and with pandas, and compares every value
with rows.jsonl. Usage: read_parquet.py RUN (a run's folder). Exit code 77: one of
the packages is not installed."""

import json
import math
import pathlib
import sys

try:
    import duckdb
    import pandas
    import pyarrow.parquet
except ImportError as missing:
    print(missing)
    sys.exit(77)

# Columns that stand in an object of their own in rows.jsonl.
NESTED = {
    "fidelity_tokens": ("fidelity", "tokens"),
    "kl": ("fidelity", "kl"),
    "agreement": ("fidelity", "agreement"),
    "divergence": ("fidelity", "divergence"),
    "reference_tokens": ("fidelity", "reference_tokens"),
    "reference": ("fidelity", "reference"),
    "prefill_seconds": ("timing", "prefill_seconds"),
    "shared_tokens": ("timing", "shared_tokens"),
    "select_seconds": ("timing", "select_seconds"),
    "decode_seconds": ("timing", "decode_seconds"),
    "peak_bytes": ("timing", "peak_bytes"),
}
ABSENT = {"inputs": "", "dtype": "", "kept_density": [], "peak_bytes": 0, "parameters": 0, "labels": {}, "kv_bytes_layers": [], "released_kv_bytes": 0}  # left out of rows.jsonl where they say nothing
TEXT, WHOLE, NUMBER = "VARCHAR", "BIGINT", "DOUBLE"
TYPES = {
    "model": TEXT, "context_length": WHOLE, "task": TEXT, "protocol": TEXT, "record": TEXT, "index": WHOLE,
    "variant": TEXT, "pruner": TEXT, "prompt_tokens": WHOLE, "prompt_hash": TEXT, "truncated": "BOOLEAN",
    "inputs": TEXT, "kept": "DOUBLE[]", "budget": NUMBER, "kv_bytes": WHOLE, "full_kv_bytes": WHOLE,
    "tokens": "INTEGER[]", "text": TEXT, "stop": TEXT, "score": NUMBER, "fidelity_tokens": WHOLE, "kl": NUMBER,
    "agreement": NUMBER, "divergence": WHOLE, "reference_tokens": WHOLE, "reference": NUMBER, "error": TEXT,
    "prefill_seconds": NUMBER, "shared_tokens": WHOLE, "select_seconds": NUMBER, "decode_seconds": NUMBER,
    "peak_bytes": WHOLE, "parameters": WHOLE, "labels": "STRUCT(\"name\" VARCHAR, \"value\" DOUBLE)[]",
    "kv_bytes_layers": "BIGINT[]", "released_kv_bytes": WHOLE, "dtype": TEXT, "kept_density": "VARCHAR[]",
}


def wanted(row, column):
    if column not in NESTED:
        return row.get(column, ABSENT.get(column))
    outer, inner = NESTED[column]
    if outer not in row:
        return None
    return row[outer].get(inner, ABSENT.get(inner))


def plain(value):
    """A value of either reader as Python would hold it; pandas' NaN is no value."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and math.isnan(value) or value is pandas.NA:
        return None
    return value


def same(reader, table, rows):
    assert list(table) == list(TYPES), f"{reader}: columns {list(table)}"
    for column, values in table.items():
        assert len(values) == len(rows), f"{reader}: {len(values)} rows, want {len(rows)}"
        for i, (value, row) in enumerate(zip(values, rows)):
            value, want = plain(value), wanted(row, column)
            if column == "labels":
                value = {label["name"]: label["value"] for label in value}
            assert value == want, f"{reader}: row {i}, {column}: {value!r}, want {want!r}"


def main(folder):
    parquet = str(folder / "rows.parquet")
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]

    described = duckdb.execute("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM read_parquet(?))", [parquet]).fetchall()
    assert dict(described) == TYPES, f"duckdb: types {described}"
    found = duckdb.execute("SELECT * FROM read_parquet(?)", [parquet]).fetchall()
    same("duckdb", {column: [row[i] for row in found] for i, column in enumerate(TYPES)}, rows)
    # A table as a reader would make one: nested lists and nulls in use.
    means = duckdb.execute(
        "SELECT variant, avg(score), avg(kl), sum(len(tokens)), avg(list_sum(kept)), count(error)"
        " FROM read_parquet(?) GROUP BY variant ORDER BY variant", [parquet]).fetchall()
    for variant, score, kl, tokens, kept, errors in means:
        mine = [row for row in rows if row["variant"] == variant]
        divergences = [row["fidelity"]["kl"] for row in mine if "fidelity" in row]
        kepts = [sum(row["kept"]) for row in mine if row["kept"]]
        assert math.isclose(score, sum(row["score"] for row in mine) / len(mine)), variant
        assert math.isclose(kl, sum(divergences) / len(divergences), abs_tol=1e-12), variant
        assert tokens == sum(len(row["tokens"]) for row in mine), variant
        assert math.isclose(kept, sum(kepts) / len(kepts)), variant
        assert errors == sum("error" in row for row in mine), variant
    footer = duckdb.execute("SELECT value FROM parquet_kv_metadata(?) WHERE key = 'run.yaml'", [parquet]).fetchall()
    assert footer == [((folder / "run.yaml").read_bytes(),)], f"duckdb: metadata {footer}"

    frame = pandas.read_parquet(parquet)
    same("pandas", {column: list(frame[column]) for column in frame}, rows)
    for column, kind in TYPES.items():
        nullable = frame[column].isna().any()
        want = {TEXT: "object", WHOLE: "float64" if nullable else "int64", NUMBER: "float64", "BOOLEAN": "bool"}.get(kind, "object")
        got = str(frame[column].dtype)
        assert got == want or kind == TEXT and got in ("str", "string"), f"pandas: {column} is {got}, want {want}"
    meta = pyarrow.parquet.read_metadata(parquet).metadata
    assert meta[b"run.yaml"] == (folder / "run.yaml").read_bytes(), "pyarrow: metadata"

    absent = sum("fidelity" not in row for row in rows)
    print(f"{len(rows)} rows, {absent} of them without fidelity")


main(pathlib.Path(sys.argv[1]))
