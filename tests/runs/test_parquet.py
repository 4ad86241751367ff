"""Parquet files, as every reader sees them."""

import json

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from perfcore.columns import BY_NAME, SOUGHT
from perfcore.runs.run import sweep
from perfcore.space.space import Space

SPEC = {
    "name": "readers",
    "axes": {
        "model": ["llama-3.1-8b", "mixtral-8x7b"],
        "device": ["h100-sxm", "m5-pro", "groq-lpu"],
        "weight_format": ["bf16", "int4-g128"],
        "tp": [1, 2],
        "pp": [1, 576],
        "batch": {"pow2": [1, 64]},
        "input_len": {"log": [128, 8192], "n": 13},
        "output_len": [64, 256],
    },
    "what_if": {"economics.utilization": [0.4, 0.7]},
    "output": {"columns": "all"},
}
UNKNOWN = "perplexity_increase"  # of int4-g128, which nobody has measured
EXACT = 1e-12  # relative; readers add in different orders, in float64


@pytest.fixture(scope="module", params=["zstd", "lz4", "snappy", "none"])
def run(request, tmp_path_factory):
    spec = {**SPEC, "output": {"columns": "all", "compression": request.param}}
    return sweep(Space.from_dict(spec), tmp_path_factory.mktemp("run") / request.param, 2)


@pytest.fixture(scope="module")
def table(run):
    return ds.dataset(run.data, format="parquet").to_table()


def numbers(table):
    return [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]


def test_readers_agree_on_rows_sums_and_labels(run, table):
    glob = (run.data / "*.parquet").as_posix()
    labels = [name for name in table.column_names if name not in numbers(table)]
    columns = [name for name in numbers(table) if name != UNKNOWN]  # pandas leaves NaN out of sums
    arrow = {name: pa.compute.sum(table[name].cast(pa.float64())).as_py() for name in columns}
    frame = pd.read_parquet(run.data)
    pandas = {name: float(frame[name].astype("float64").sum()) for name in columns}
    lazy = pl.scan_parquet(glob)
    polars = lazy.select(pl.col(columns).cast(pl.Float64).sum()).collect().row(0, named=True)
    sums = ", ".join(f'sum("{name}"::DOUBLE)' for name in columns)
    with duckdb.connect() as connection:
        rows = connection.from_parquet(glob)
        count, *found = rows.aggregate(f"count(*), {sums}").fetchall()[0]
        distinct = {
            name: rows.aggregate(f'"{name}", count(*)', f'"{name}"').fetchall() for name in labels
        }

    assert run.rows == table.num_rows == len(frame) == lazy.select(pl.len()).collect().item()
    assert count == run.rows > 1000
    assert pandas == pytest.approx(arrow, rel=EXACT)
    assert polars == pytest.approx(arrow, rel=EXACT)
    assert dict(zip(columns, found, strict=True)) == pytest.approx(arrow, rel=EXACT)
    for name in labels:
        expected = dict(distinct[name])

        assert frame[name].astype(str).value_counts().to_dict() == expected
        assert dict(lazy.group_by(name).len().collect().rows()) == expected


def test_no_value_is_missing_or_not_a_number(table):
    for name in table.column_names:
        assert table[name].null_count == 0
    for name in numbers(table):
        finite = pa.compute.is_finite(table[name])
        if name == UNKNOWN:
            finite = pa.compute.xor(finite, pa.compute.equal(table["weight_format"], "int4-g128"))
        assert pa.compute.all(finite).as_py(), name


def test_types_are_those_that_every_reader_knows(run):
    for field in pq.read_schema(next(run.data.iterdir())):
        kind = field.type

        assert not field.nullable
        if pa.types.is_dictionary(kind):
            assert kind.value_type == pa.string()
        else:
            assert kind in (pa.int32(), pa.float32(), pa.float64())


def test_fields_say_their_unit_and_meaning(run):
    for field in pq.read_schema(next(run.data.iterdir())):
        column = BY_NAME.get(field.name)

        assert field.metadata[b"meaning"]
        assert b"unit" in field.metadata
        if column is not None:
            assert field.metadata[b"unit"].decode() == column.unit
            assert field.metadata[b"meaning"].decode() == column.meaning


def test_a_file_explains_itself(run):
    metadata = pq.read_schema(next(run.data.iterdir())).metadata
    spec = json.loads(metadata[b"perfcore.spec"])
    entries = json.loads(metadata[b"perfcore.entries"])

    assert spec["name"] == "readers"
    assert spec["axes"]["batch"] == [1, 2, 4, 8, 16, 32, 64]
    assert set(entries["device"]) == {"h100-sxm", "m5-pro", "groq-lpu"}
    assert all(entry["source"] for kind in entries.values() for entry in kind.values())
    assert metadata[b"perfcore.fingerprint"]
    assert metadata[b"perfcore.version"]


def test_columns_are_encoded_as_they_compress_best(run):
    file = pq.ParquetFile(next(run.data.iterdir()))
    group = file.metadata.row_group(0)
    compression = json.loads(file.schema_arrow.metadata[b"perfcore.spec"])["output"]["compression"]
    for number, field in enumerate(file.schema_arrow):
        chunk = group.column(number)
        encodings = set(chunk.encodings)

        assert chunk.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())
        if pa.types.is_floating(field.type):
            metric = field.name in BY_NAME and BY_NAME[field.name].kind == "metric"
            assert ("BYTE_STREAM_SPLIT" in encodings) == metric
        elif pa.types.is_dictionary(field.type):
            assert encodings & {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}
        else:
            assert encodings <= {"PLAIN", "RLE"}
        sought = field.name in ("model", "device", "economics_utilization", *SOUGHT)
        assert (chunk.statistics is not None and chunk.statistics.has_min_max) == sought


def test_data_holds_nothing_but_parquet(run):
    names = [path.name for path in run.data.iterdir()]

    assert names
    assert all(name.startswith("part-") and name.endswith(".parquet") for name in names)
    assert sorted(path.name for path in run.path.iterdir()) == ["data", "manifest.json", "shards"]
    receipts = {path.name for path in (run.path / "shards").iterdir()} - {"run"}
    assert all(name.endswith(".json") for name in receipts)


def test_float64_is_float64_everywhere(tmp_path):
    spec = {**SPEC, "output": {"dtype": "float64"}}
    run = sweep(Space.from_dict(spec), tmp_path / "run")
    schema = pq.read_schema(next(run.data.iterdir()))

    assert schema.field("tpot_s").type == pa.float64()
    assert schema.field("max_batch").type == pa.int32()
