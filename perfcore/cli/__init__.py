"""The command line. Commands are imported when they are called, so that help comes at once.

In docstrings a line with a backspace is click's mark for lines that stay as they are.
"""

import difflib
import io
import os
import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from perfcore.errors import InputError, PerfcoreError

FAULT: Final = 2
INTERRUPTED: Final = 130


class _Home(NamedTuple):
    module: str
    help: str


_COMMANDS: Final = {
    "point": _Home("point", "Explain one configuration, term by term."),
    "plan": _Home("plan", "Say how large a sweep is before it runs."),
    "run": _Home("run", "Evaluate a sweep into Parquet files."),
    "search": _Home("search", "Find the best rows of a sweep."),
    "pareto": _Home("search", "Find the rows of a sweep that no other row beats."),
    "histogram": _Home("search", "Count the rows of a sweep by a metric's value."),
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
}


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
        if name not in _COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"unknown command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands' names and first lines without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.help) for name, home in _COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run, and exit with 0, 2 after a fault, or 130 after Ctrl-C."""
        kwargs |= {"standalone_mode": False}
        try:
            code = super().main(*args, **kwargs)
            sys.stdout.flush()
        except click.Abort:
            sys.exit(_fail(["interrupted"], INTERRUPTED))
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


def main() -> None:
    """Start the program; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without our letters shows others
            stream.reconfigure(errors="replace")
    program(prog_name="perfcore")
