"""The command line. Commands are imported when they are called, so that help comes at once.

In docstrings a line with a backspace is click's mark for lines that stay as they are.
"""

import difflib
import io
import os
import select
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from perfcore.errors import InputError, PerfcoreError, RenamedWarning, spelled

FAULT: Final = 2
INTERRUPTED: Final = 130
TERMINATED: Final = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends the program as Ctrl-C does, with another exit code."""


class _Home(NamedTuple):
    module: str
    help: str


_COMMANDS: Final = {
    "point": _Home("point", "Explain one configuration, term by term."),
    "compare": _Home("compare", "Put several configurations side by side."),
    "init": _Home("schema", "Write a sweep file to start from."),
    "plan": _Home("plan", "Say how large a sweep is before it runs."),
    "run": _Home("run", "Evaluate a sweep into Parquet files."),
    "verify": _Home("verify", "Check every shard of a run; say what to run again."),
    "finalize": _Home("verify", "Sum up a run whose parts ran apart."),
    "search": _Home("search", "Find the best rows of a sweep."),
    "pareto": _Home("search", "Find the rows of a sweep that no other row beats."),
    "histogram": _Home("search", "Count the rows of a sweep by a metric's value."),
    "diff": _Home("diff", "Compare two runs: rows that moved, and why."),
    "plot": _Home("plot", "Draw a picture of a run or a sweep."),
    "report": _Home("report", "Write one page on a run or a sweep."),
    "warmup": _Home("warmup", "Compile the kernels now, for later runs."),
    "audit": _Home("audit", "Check published claims against physics."),
    "validate": _Home("validate", "Hold predictions against measurements."),
    "calibrate": _Home("calibrate", "Fit an engine's constants to measurements."),
    "measurements": _Home("measurements", "Read results of benchmark tools; explain the format."),
    "models": _Home("catalogue", "List models, show one, or add one."),
    "devices": _Home("catalogue", "List devices, show one, or add one."),
    "formats": _Home("catalogue", "List weight and KV-cache formats, or show one."),
    "engines": _Home("catalogue", "List inference engines, or show one."),
    "economics": _Home("catalogue", "List facilities and how they pay, or show one."),
    "columns": _Home("catalogue", "List the columns of the output, or show one."),
    "schema": _Home("schema", "Print the JSON Schema of sweep files, for editors."),
    "completion": _Home(
        "completion", "Print a script that completes commands and names in a shell."
    ),
}


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End well if nobody reads on, which click takes for a fault."""
    try:
        yield
    except BrokenPipeError as error:
        output = select.poll()
        output.register(sys.stdout, 0)
        if output.poll(0):  # it was this pipe, and no connection
            raise click.exceptions.Exit(0) from None
        raise PerfcoreError(f"{error.strerror}: a connection was closed; run it again") from error


class Program(click.Group):
    """The root command: finds the others, and turns every error into lines and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order of help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"perfcore.cli.{_COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or say which one they may mean."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"unknown command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's
        """Read the arguments; help is printed here."""
        with _reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; errors name its options for the library's arguments."""

        def option(name: str, value: object) -> str:
            inner = click.get_current_context(silent=True)  # of this thread
            command = (
                inner.command if inner else self.get_command(ctx, ctx.invoked_subcommand or "")
            )
            return _option(command, name, value)

        with _reader_may_leave(), spelled(option):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' names and first lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.help) for name, home in _COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run, and exit with 0, 2 after a fault, 130 after Ctrl-C, or 143 after SIGTERM."""
        kwargs |= {"standalone_mode": False}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", RenamedWarning)
                warnings.showwarning = _note  # type: ignore[assignment]  # takes what it needs
                code = super().main(*args, **kwargs)
            sys.stdout.flush()
        except click.Abort as error:
            terminated = isinstance(error.__cause__, Terminated)
            sys.exit(_fail(["interrupted"], TERMINATED if terminated else INTERRUPTED))
        except click.UsageError as error:
            sys.exit(_fail([_usage(error)]))
        except click.ClickException as error:
            sys.exit(_fail([error.format_message()]))
        except InputError as error:
            sys.exit(_fail(list(error.faults)))
        except PerfcoreError as error:
            sys.exit(_fail([str(error)]))
        except BrokenPipeError:
            # the reader has seen enough; what Python flushes at the end goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            sys.exit(_fail([f"{place}{error.strerror or error}"]))
        except MemoryError:
            sys.exit(_fail(["out of memory; use fewer --workers, or list fewer values"]))
        sys.exit(code if isinstance(code, int) else 0)


def _note(message: Warning | str, *_: object) -> None:
    """Print a warning as a line of its own."""
    click.echo(f"note: {message}", err=True)


def _option(command: click.Command | None, name: str, value: object) -> str:
    """Return how a command is given an argument of the library, with a value."""
    params = {param.name: param for param in command.params} if command else {}
    param = params.get(name)
    if isinstance(param, click.Argument) and value is None:
        return param.human_readable_name
    if not isinstance(param, click.Option):
        return name if value is None else f"{name}={value}"
    flag = max(param.opts, key=len)
    if value is None or param.is_flag:
        return flag
    if isinstance(value, Mapping):
        value = [f"{key}={item}" for key, item in value.items()]
    values = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    words = values if param.multiple else [",".join(values)]
    return " ".join(f"{flag} {shlex.quote(word)}" for word in words)


def _fail(faults: list[str], code: int = FAULT) -> int:
    for fault in faults:
        click.echo(f"error: {' '.join(fault.split())}", err=True)
    return code


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    path = error.ctx.command_path if error.ctx else "perfcore"
    return f"{message} (`{path} --help` explains)"


@click.group(cls=Program, invoke_without_command=True)
@click.version_option(package_name="perfcore", message="perfcore %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Model LLM inference: latency, energy and cost per token, and what binds them.

    \b
    perfcore point llama-3-70b h100-sxm --tp 4 --batch 32
    perfcore plan sweep.toml
    perfcore run sweep.toml -o results
    perfcore devices show h100-sxm
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _terminate(*_: object) -> None:
    raise Terminated


def main() -> None:
    """Start the program; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without our letters shows others
            stream.reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, _terminate)
    program(prog_name="perfcore")
