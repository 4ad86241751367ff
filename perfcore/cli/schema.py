"""Commands ``schema`` and ``init``, which help to write sweep files."""

import shlex
from pathlib import Path

import click

from perfcore.cli.completion import entry_name
from perfcore.cli.parsing import Command
from perfcore.cli.text import rendered, say
from perfcore.errors import InputError
from perfcore.output import check_output, replacing

_DEFAULT = "sweep.toml"


@click.command(cls=Command)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="Write to a file instead of printing."
)
def schema(output: str | None) -> None:
    """Print the JSON Schema of sweep files, for editors.

    With the line `#:schema FILE` at the top of a sweep file, editors that support JSON Schema
    complete its keys and names, and mark errors. The schema knows all names in the catalogue,
    including your own entries.

    \b
    perfcore schema
    perfcore schema -o sweep.schema.json
    """  # noqa: D301
    from perfcore.space.schema import text  # noqa: PLC0415 - pydantic is slow to import

    if output is None:
        rendered(text(), nl=False)
        return
    check_output("--output", output)
    with replacing(Path(output)) as part:
        part.write_text(text(), encoding="utf-8", newline="")


@click.command(cls=Command)
@click.argument("file", metavar="[FILE]", type=click.Path(), default=_DEFAULT)
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    shell_complete=entry_name("model"),
    help="Model to sweep [llama-3.1-8b]. Repeatable.",
)
@click.option(
    "--device",
    "devices",
    metavar="NAME",
    multiple=True,
    shell_complete=entry_name("device"),
    help="Device to sweep [h100-sxm]. Repeatable.",
)
@click.option("--question", metavar="TEXT", help="Question that the sweep answers.")
def init(
    file: str, models: tuple[str, ...], devices: tuple[str, ...], question: str | None
) -> None:
    """Write a starter sweep file.

    The sweep runs as written. Every other axis and section is in the file as a comment that
    explains it. FILE is sweep.toml by default; an existing file is never overwritten.

    \b
    perfcore init
    perfcore init edge.toml --model llama-3.2-3b --device m4-max --question "How fast at home?"
    """  # noqa: D301
    from perfcore.space.starter import starter  # noqa: PLC0415 - pydantic is slow to import

    path = Path(file)
    if path.suffix != ".toml":
        named = path.with_suffix(".toml") if path.stem.strip(".") else _DEFAULT
        raise InputError(f"FILE: {file!r} must end in .toml; write {named}")
    check_output("FILE", file)
    if path.exists():
        raise InputError(f"FILE: {file!r} exists; name another, or delete it")
    text = starter(path, models, devices, question)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
    say(f"wrote {file}")
    say(f"next: {shlex.join(['perfcore', 'plan', file])}")
