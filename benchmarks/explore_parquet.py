"""Which Parquet settings write a sweep's rows fastest, and how large the rows are then.

    python benchmarks/explore_parquet.py

Rows of the main sweep are held in memory and written by one thread under settings that differ
from the shipped ones in one thing each; those come first. Repeats are interleaved, the fastest
counts. The last line of stdout is one JSON document.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.engine import evaluate_rows
from perfcore.run import facts
from perfcore.sinks.parquet import ENCODER_ROWS, FORMAT_VERSION, PAGE_BYTES, ROW_GROUP, schema
from perfcore.space import Space

SPEC = Path(__file__).parent.parent / "sweeps" / "memory_wall.toml"


def settings(arrow_schema: pa.Schema) -> dict[str, dict[str, object]]:
    """Writer options by what they change."""
    names = arrow_schema.names
    real = [field.name for field in arrow_schema if pa.types.is_floating(field.type)]
    text = [field.name for field in arrow_schema if pa.types.is_dictionary(field.type)]
    whole = [name for name in names if name not in real and name not in text]
    shipped: dict[str, object] = {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": text,
        "column_encoding": dict.fromkeys(real, "BYTE_STREAM_SPLIT"),
        "write_statistics": [*names[:2], *real],
        "data_page_size": PAGE_BYTES,
        "write_batch_size": ENCODER_ROWS,
    }
    changes: dict[str, dict[str, object]] = {
        "shipped": {},
        "lz4": {"compression": "lz4", "compression_level": None},
        "snappy": {"compression": "snappy", "compression_level": None},
        "no compression": {"compression": "none", "compression_level": None},
        "zstd -1": {"compression_level": -1},
        "zstd 3": {"compression_level": 3},
        "whole numbers by dictionary": {"use_dictionary": text + whole},
        "encoder takes 1024 rows": {"write_batch_size": 1024},
        "encoder takes 16384 rows": {"write_batch_size": 16384},
        "statistics of nothing": {"write_statistics": False},
        "statistics of metrics only": {"write_statistics": real},
        "statistics of all": {"write_statistics": True},
        "pages of 64 KiB": {"data_page_size": 1 << 16},
        "data pages v2": {"data_page_version": "2.0"},
        "real numbers plain": {"column_encoding": None},
        "row groups of 61,440": {"row_group": 61_440},
        "row groups of 245,760": {"row_group": 245_760},
        "one table, not batches": {"row_group": None},
    }
    return {name: {**shipped, **change} for name, change in changes.items()}


def write(table: pa.Table, path: Path, options: dict[str, object]) -> float:
    """Seconds to write a table, a batch a row group."""
    options = dict(options)
    row_group = options.pop("row_group", ROW_GROUP)
    batches = table.to_batches(max_chunksize=row_group) if row_group else []
    start = time.perf_counter()
    with pq.ParquetWriter(path, table.schema, version=FORMAT_VERSION, **options) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=row_group)
        if row_group is None:
            writer.write_table(table, row_group_size=ROW_GROUP)
    return time.perf_counter() - start


def main() -> None:
    """Measure every setting several times, by turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spec", default=str(SPEC))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    space = Space.from_toml(options.spec)
    shard = space.shards // 2
    arrow_schema = schema(space, facts(space))
    table = evaluate_rows(space, arrow_schema, *space.shard_range(shard)).combine_chunks()
    cases = settings(arrow_schema)
    fastest = dict.fromkeys(cases, float("inf"))
    sizes = dict.fromkeys(cases, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        for _ in range(options.repeats):
            for name, case in cases.items():
                fastest[name] = min(fastest[name], write(table, path, case))
                sizes[name] = path.stat().st_size
    rows = table.num_rows
    document = {}
    for name, seconds in fastest.items():
        rate, each = rows / seconds, sizes[name] / rows
        print(f"{name:28} {rate / 1e6:6.2f} M rows/s {each:6.2f} B/row")
        document[name] = {"rows_per_s": round(rate), "bytes_per_row": round(each, 2)}
    print(json.dumps(document))


if __name__ == "__main__":
    main()
