"""Which Parquet settings write a sweep's rows fastest, and how large the rows are then.

    python benchmarks/explore_parquet.py                     # print the tables
    python benchmarks/explore_parquet.py -o docs/parquet.md  # and write them as a page

Rows of the main sweep are held in memory and written by one thread, a file at a time, under
settings that differ from those of the default profile in one thing each; then under the profiles,
and with fewer and fewer bits of metrics. Repeats are interleaved, the fastest counts. The last line
of stdout is one JSON document.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from perfcore.runs.parquet import ROW_GROUP, schema, writer_options
from perfcore.runs.shards import facts
from perfcore.runs.workers import evaluate_rows
from perfcore.space.profiles import PROFILES
from perfcore.space.sections import Output
from perfcore.space.space import Space
from perfcore.tables import Table, left, markdown, right

SPEC = Path(__file__).parent.parent / "sweeps" / "memory_wall.toml"
DEFAULT = "fast"
BITS = (24, 20, 16, 12, 10, 8)
HEAD = """# Parquet settings

Written by `python benchmarks/explore_parquet.py -o docs/parquet.md`; do not edit. One shard of
`sweeps/memory_wall.toml` with the default columns ({rows:,} rows, {columns} columns), written from
memory by one thread with pyarrow {version}. The fastest of {repeats} interleaved repeats; x is the
time of the default profile `{default}`, measured in the same run, by the time of the line.
"""


class Case(NamedTuple):
    """Rows, and how they are written."""

    table: pa.Table
    options: dict[str, Any]
    row_group: int | None = ROW_GROUP  # rows; None writes the table at once
    files: int = 1  # written at the same time, a thread each


class Found(NamedTuple):
    """What a case takes."""

    seconds: float
    size: int


def settings(table: pa.Table) -> dict[str, Case]:
    """Cases by what they change of the default profile."""
    shipped = writer_options(table.schema, Output(profile=DEFAULT))
    names = table.schema.names
    real = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    text = list(shipped["use_dictionary"])
    whole = [name for name in names if name not in real and name not in text]
    split = shipped["column_encoding"]
    changes: dict[str, dict[str, Any]] = {
        f"profile {DEFAULT}": {},
        "zstd -1": {"compression": "zstd", "compression_level": -1},
        "zstd 1": {"compression": "zstd", "compression_level": 1},
        "zstd 3": {"compression": "zstd", "compression_level": 3},
        "zstd 9": {"compression": "zstd", "compression_level": 9},
        "snappy": {"compression": "snappy"},
        "brotli 1": {"compression": "brotli", "compression_level": 1},
        "no compression": {"compression": "none"},
        "real numbers plain": {"column_encoding": None},
        "real axes split by bytes, too": {
            "column_encoding": dict.fromkeys(real, "BYTE_STREAM_SPLIT")
        },
        "whole numbers by differences": {
            "column_encoding": {**split, **dict.fromkeys(whole, "DELTA_BINARY_PACKED")}
        },
        "whole numbers by dictionary": {"use_dictionary": text + whole},
        "no statistics": {"write_statistics": False},
        "statistics of outermost axes only": {"write_statistics": names[:2]},
        "statistics of all real numbers": {"write_statistics": names[:2] + real},
        "statistics of all columns": {"write_statistics": True},
        "encoder takes 1,024 rows": {"write_batch_size": 1024},
        "encoder takes 16,384 rows": {"write_batch_size": 16_384},
        "pages of 64 KiB": {"data_page_size": 1 << 16},
        "data pages v2": {"data_page_version": "2.0"},
        "checksums of pages": {"write_page_checksum": True},
        "page index": {"write_page_index": True},
    }
    cases = {name: Case(table, {**shipped, **change}) for name, change in changes.items()}
    nullable = pa.schema([field.with_nullable(True) for field in table.schema])
    cases["nullable fields"] = Case(table.cast(nullable), shipped)
    cases["row groups of 61,440"] = Case(table, shipped, 61_440)
    cases["row groups of 245,760"] = Case(table, shipped, 245_760)
    cases["one table, not batches"] = Case(table, shipped, None)
    cases["two files at once"] = Case(table, shipped, files=2)
    return cases


def write(case: Case, path: Path) -> None:
    """Write a table, a batch a row group."""
    with pq.ParquetWriter(path, case.table.schema, **case.options) as writer:
        if case.row_group is None:
            writer.write_table(case.table, row_group_size=ROW_GROUP)
            return
        for batch in case.table.to_batches(max_chunksize=case.row_group):
            writer.write_batch(batch, row_group_size=case.row_group)


def measure(cases: dict[str, Case], repeats: int) -> dict[str, Found]:
    """Fastest time of every case, by turns, and the size of its file."""
    found = {name: Found(float("inf"), 0) for name in cases}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = [Path(folder) / f"{number}.parquet" for number in range(2)]
        for _ in range(repeats):
            for name, case in cases.items():
                start = time.perf_counter()
                list(pool.map(write, [case] * case.files, paths[: case.files]))
                seconds = (time.perf_counter() - start) / case.files
                found[name] = Found(min(found[name].seconds, seconds), paths[0].stat().st_size)
    return found


def tables_of(spec: str) -> dict[int, pa.Table]:
    """The same rows by significant bits of their metrics."""
    tables = {}
    for bits in BITS:
        space = Space.from_toml(spec, [f"output.significant_bits={bits}"])
        arrow_schema = schema(space, facts(space))
        shard = space.shard_range(space.shards // 2)
        tables[bits] = evaluate_rows(space, arrow_schema, *shard).combine_chunks()
    return tables


def column_sizes(tables: dict[int, pa.Table]) -> dict[str, list[float]]:
    """Bytes a row of every metric, by significant bits, in the profile ``small``'s encoding."""
    options = writer_options(tables[BITS[0]].schema, Output(profile="small", compression="zstd"))
    sizes: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        for table in tables.values():
            write(Case(table, options), path)
            metadata = pq.ParquetFile(path).metadata
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            for number, field in enumerate(table.schema):
                if pa.types.is_float32(field.type):
                    size = sum(group.column(number).total_compressed_size for group in groups)
                    sizes.setdefault(field.name, []).append(size / table.num_rows)
    return sizes


def lines(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first column is text."""
    first, *others = head
    return markdown(Table.of((*left(first), *right(*others)), rows), str)


def compared(found: dict[str, Found], base: Found, rows: int) -> list[list[str]]:
    """A line for every case."""
    return [
        [
            name,
            f"{rows / case.seconds / 1e6:.2f}",
            f"{base.seconds / case.seconds:.2f}",
            f"{case.size / rows:.2f}",
        ]
        for name, case in found.items()
    ]


def main() -> None:
    """Measure every setting several times, by turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spec", default=str(SPEC))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, help="page to write")
    options = parser.parse_args()
    tables = tables_of(options.spec)
    usual = PROFILES[DEFAULT].significant_bits
    cases = settings(tables[usual])
    for name, profile in PROFILES.items():
        table = tables[profile.significant_bits]
        output = Output(profile=name, compression=profile.compression)  # type: ignore[arg-type]
        written = writer_options(table.schema, output)
        cases[f"profile `{name}`: {profile.meaning}"] = Case(table, written)
    for bits, table in tables.items():
        cases[f"{bits} significant bits"] = Case(table, cases[f"profile {DEFAULT}"].options)
    found = measure(cases, options.repeats)
    rows = tables[usual].num_rows
    base = found[f"profile {DEFAULT}"]
    parts = {
        "One setting changed": lambda name: name in settings(tables[usual]),
        "Profiles": lambda name: name.startswith("profile `"),
        "Bits of metrics": lambda name: name.endswith("significant bits"),
    }
    head = ["", "M rows/s", "x", "B/row"]
    texts = [
        HEAD.format(
            rows=rows,
            columns=tables[usual].num_columns,
            version=pa.__version__,
            repeats=options.repeats,
            default=DEFAULT,
        )
    ]
    for title, chosen in parts.items():
        part = {name: case for name, case in found.items() if chosen(name)}
        texts.append(f"## {title}\n\n{lines(head, compared(part, base, rows))}\n")
    sizes = column_sizes(tables)
    texts.append(
        "## Bytes a row of each metric, by significant bits (zstd 3)\n\n"
        + lines(
            ["", *map(str, BITS)],
            [[f"`{name}`", *(f"{size:.2f}" for size in line)] for name, line in sizes.items()],
        )
        + "\n"
    )
    page = "\n".join(texts)
    print(page)
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    print(
        json.dumps(
            {
                name: {
                    "rows_per_s": round(rows / case.seconds),
                    "bytes_per_row": round(case.size / rows, 2),
                }
                for name, case in found.items()
            }
        )
    )


if __name__ == "__main__":
    main()
