"""``perfcore measurements``: import of benchmark results, and the meanings of their columns."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from perfcore.accuracy.importing import TOOLS, Imported, Tool, read_results, settings
from perfcore.accuracy.importing.template import template_rows
from perfcore.accuracy.table import (
    LARGEST,
    Measurement,
    read_measurements,
    write_measurements,
)
from perfcore.catalog import stack
from perfcore.cli.parsing import Group
from perfcore.cli.text import facts, paragraph, rendered, say, set_option
from perfcore.errors import InputError
from perfcore.output import check_output, replacing
from perfcore.units import plural

MEANINGS: Final = {
    "row_id": "identifier of the row; imported rows have a hash of their content",
    "set": "name of a set of rows that are fitted or checked together",
    "mode": "load on the server: static, closed_loop, saturation or disaggregated [static]",
    "source": "origin of the measurement; own for imported rows",
    "source_ref": "where to look it up; imported rows name the file",
    "licence": "licence of the number",
    "date": "date of the measurement, e.g. 2026-03-31; it selects the release of the engine "
    "unless engine_version does",
    "engine": "inference engine, from the catalogue [default]",
    "engine_version": "version, as the engine reports it, e.g. 0.7.3 or b4567; it selects the "
    "release",
    "hardware": "device, from the catalogue or a TOML file",
    "model": "model, from the catalogue or a TOML file",
    "weight_format": "weight format, from the catalogue [bf16]",
    "weight_bits": "bits per quantised weight, including scales, if known",
    "kv_format": "KV-cache format, from the catalogue; empty means 16 bits",
    "tp": "tensor-parallel degree [1]",
    "pp": "pipeline-parallel degree [1]",
    "ep": "expert-parallel degree [1]",
    "dp": "data-parallel replicas [1]",
    "devices": "number of devices: tp x pp x dp",
    "concurrency": "sequences in flight on all devices; empty means as many as fit",
    "input_len": "mean prompt length in tokens",
    "output_len": "mean output length in tokens",
    "metric": "measured quantity: a column of perfcore, or one that docs/measurements.md explains",
    "value": "measured value, in SI units",
    "unit": "unit of the value; it must be that of the metric",
    "task_note": "any remark, such as the data set",
    **{name: meaning for name, meaning in stack.MEANINGS.items() if name != "engine_version"},
    "offload": "none, or what is in host memory: weights, kv or experts",
    "gpu_layers": "layers on the devices; empty means all",
    "cpu_moe_layers": "first layers with experts on the CPU; empty means all, if offloaded",
}


class _Measurements(Group):
    """Group whose help ends with the tools that are read."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a description of each tool."""
        super().format_epilog(ctx, formatter)
        for tool in TOOLS:
            with formatter.section(tool.name):
                formatter.write_dl(_declared(tool))


@click.group(cls=_Measurements, invoke_without_command=True)
@click.pass_context
def measurements(ctx: click.Context) -> None:
    """Import benchmark results, or explain their columns.

    \b
    perfcore measurements import results.json -o own.csv --set hardware=h100-sxm
    perfcore measurements template -o own.csv --set model=llama-3.1-8b --set hardware=l4
    perfcore measurements columns
    perfcore measurements tools
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        rendered(ctx.get_help())


def _declared(tool: Tool) -> list[tuple[str, str]]:
    """Return a reader's declarations about its tool, by label."""
    return [
        ("read", tool.files),
        ("rows", tool.rows),
        ("stated", tool.states),
        ("to be set", tool.lacks),
    ]


@measurements.command()
def tools() -> None:
    """List the tools whose results are read, and what each of them states."""
    for tool in TOOLS:
        say(tool.name, bold=True)
        facts(_declared(tool), "  ")


@measurements.command()
@click.option("-o", "--output", metavar="OUT.csv", required=True, help="Table to write.")
@set_option("model=llama-3.1-8b", "given")
@click.option("--force", is_flag=True, help="Replace an existing table.")
def template(output: str, given: tuple[str, ...], force: bool) -> None:
    """Write a filled-in table to type results of any other source into.

    The table has one line for each metric; replace its values, and remove lines without one. Values
    are in SI units: seconds, not milliseconds.

    \b
    perfcore measurements template -o own.csv --set model=llama-3.1-8b --set hardware=h100-sxm
    """  # noqa: D301
    _existing(output, (), append=False, force=force)
    rows = list(template_rows(settings(given)))
    with replacing(Path(output)) as part:
        write_measurements(part, rows)
    say(f"wrote {plural(len(rows), 'row')} into {output}")
    say("next")
    say(f"  replace the values, which are examples, then perfcore validate --measurements {output}")


@measurements.command()
def columns() -> None:
    """List the columns of a table of measurements.

    model, hardware, metric and value are required; defaults are in brackets.
    """
    facts(MEANINGS.items())


@measurements.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="OUT.csv", required=True, help="Table to write.")
@set_option("hardware=h100-sxm", "given")
@click.option("--append", is_flag=True, help="Add rows to an existing table.")
@click.option("--force", is_flag=True, help="Replace an existing table.")
@click.option(
    "--keep-suspect", is_flag=True, help="Also import means that look wrong, e.g. of a cold start."
)
def import_(
    files: tuple[str, ...],
    output: str,
    given: tuple[str, ...],
    append: bool,
    force: bool,
    keep_suspect: bool,
) -> None:
    """Import results of benchmark tools into a table of measurements.

    FILE is a result of one of the tools that `perfcore measurements tools` lists, as a file that it
    saved or as text that it printed; lines of a log before it are skipped. The tool is recognised
    by the file's content. Use --set for columns that the files do not state; it applies to all
    files. --set concurrency=mean takes the mean in flight of each run at a rate.

    \b
    perfcore measurements import serve-*.json -o own.csv --set hardware=h100-sxm --set tp=8
    perfcore measurements import llama-bench.json -o own.csv --append
    perfcore measurements import latency.json -o own.csv --set model=llama-3.1-8b \\
        --set hardware=l40s --set concurrency=8 --set input_len=32 --set output_len=128
    """  # noqa: D301
    if append and force:
        raise click.UsageError("--append and --force exclude each other; give one")
    before = _existing(output, files, append=append, force=force)
    found = read_results(files, settings(given), keep_suspect=keep_suspect)
    known = {row.row_id for row in before}
    rows = list({row.row_id: row for row in found.rows if row.row_id not in known}.values())
    if len(before) + len(rows) > LARGEST:
        raise InputError(f"{output}: would have more than {LARGEST:,} rows; write another file")
    if rows:
        with replacing(Path(output)) as part:
            write_measurements(part, [*before, *rows])
    _report(found, rows, output, len(before))


def _existing(output: str, files: Sequence[str], *, append: bool, force: bool) -> list[Measurement]:
    """Return the rows to keep of an existing table; refuse to overwrite it without ``--force``."""
    check_output("--output", output, files)
    if not Path(output).exists():
        return []
    if append:
        return read_measurements(output)
    if not force:
        raise InputError(f"{output}: exists; add --append to add rows, or --force to replace it")
    return []


def _report(found: Imported, rows: Sequence[Measurement], output: str, before: int) -> None:
    for note in found.notes:
        say(f"note: {note}", err=True)
    verb = "added" if before else "wrote"
    say(f"{verb} {plural(len(rows), 'row')} {'to' if before else 'into'} {output}")
    facts(((name, f"{n:,}") for name, n in Counter(row.metric for row in rows).items()), "  ")
    repeated = len(found.rows) - len(rows)
    skipped = Counter(f"{skip.file}: {skip.reason}" for skip in found.skipped)
    if repeated:
        skipped["rows already in the table"] = repeated
    if skipped:
        say("left out")
        facts(((f"{count:,}", reason) for reason, count in skipped.items()), "  ")
    if found.assumed:
        paragraph(f"assumed by default: {', '.join(found.assumed)}", "")
    say("next")
    table, engine = shlex.quote(output), shlex.quote(str(Path(output).with_suffix(".toml")))
    say(f"  perfcore validate --measurements {table}")
    say(f"  perfcore calibrate --measurements {table} -o {engine}")
