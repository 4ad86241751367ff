"""Root command of the command line. Commands are imported on use, so that help is immediate.

In docstrings, a line with a backspace tells click not to rewrap the lines that follow.
"""

import difflib
import errno
import io
import os
import select
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from perfcore.cli.process import (
    INTERRUPTED,
    TERMINATED,
    Terminated,
    discard,
    handle_signals,
    open_streams,
)
from perfcore.cli.waiting import compilation_shown
from perfcore.errors import InputError, PerfcoreError, RenamedWarning, one_line, spelled

FAULT: Final = 2
_UNWRITABLE: Final = (errno.EBADF, errno.EFBIG, errno.EIO, errno.ENOSPC)


class _Home(NamedTuple):
    module: str
    help: str


_COMMANDS: Final = {
    "point": _Home("point", "Explain one configuration, term by term."),
    "simulate": _Home("simulate", "Simulate servers under traffic, request by request."),
    "size": _Home("size", "Find the cheapest fleets that serve traffic within objectives."),
    "compare": _Home("compare", "Compare several configurations side by side."),
    "init": _Home("schema", "Write a starter sweep file."),
    "plan": _Home("plan", "Estimate the size of a sweep before running it."),
    "run": _Home("run", "Run a sweep and write its rows to Parquet files."),
    "verify": _Home("verify", "Check every shard of a run for damage."),
    "finalize": _Home("verify", "Combine the parts of a run made with --shard."),
    "search": _Home("search", "Find the best configurations of a sweep."),
    "pareto": _Home("search", "Find the Pareto-optimal configurations of a sweep."),
    "histogram": _Home("search", "Show the distribution of a metric over a sweep."),
    "diff": _Home("diff", "Compare two runs: rows that changed, and why."),
    "plot": _Home("plot", "Plot the results of a run or a sweep."),
    "explore": _Home("explore", "Write a page that computes configurations in the browser."),
    "report": _Home("report", "Write an HTML report on a run or a sweep."),
    "warmup": _Home("warmup", "Compile the kernels ahead of later runs."),
    "audit": _Home("audit", "Check published performance claims against physics."),
    "check": _Home("check", "Check whether a benchmark result is to be expected."),
    "validate": _Home("validate", "Score predictions against measurements."),
    "calibrate": _Home("calibrate", "Fit an engine's constants to measurements."),
    "measurements": _Home("measurements", "Import benchmark results, or explain their columns."),
    "models": _Home("catalogue", "List models, show one, or add one."),
    "devices": _Home("catalogue", "List devices, show one, or add one."),
    "formats": _Home("catalogue", "List weight and KV-cache formats, or show one."),
    "engines": _Home("catalogue", "List inference engines, or show one."),
    "economics": _Home("catalogue", "List facilities and their prices, or show one."),
    "hosts": _Home("catalogue", "List hosts of devices, or show one."),
    "columns": _Home("catalogue", "List the output columns, or show one."),
    "show": _Home("catalogue", "Show a model, a device, or anything else by its name."),
    "schema": _Home("schema", "Print the JSON Schema of sweep files, for editors."),
    "mcp": _Home("mcp", "Serve agents over the Model Context Protocol."),
    "completion": _Home("completion", "Print a shell completion script."),
}


@contextmanager
def _closed_pipe_is_no_error() -> Iterator[None]:
    """Exit with 0 if the reader of standard output has gone; click would report an error."""
    try:
        yield
    except OSError as error:
        if _reader_has_gone(error):
            raise click.exceptions.Exit(0) from None
        if not isinstance(error, BrokenPipeError):
            raise
        raise PerfcoreError(
            f"{error.strerror}: a connection was closed; run the command again"
        ) from error


def _reader_has_gone(error: OSError) -> bool:
    """Return whether an error says that standard output was closed, not a network connection."""
    if hasattr(select, "poll"):
        if not isinstance(error, BrokenPipeError):
            return False
        output = select.poll()
        output.register(sys.stdout, 0)
        return bool(output.poll(0))
    # Windows: such a write is an invalid argument, and a lost connection a ConnectionResetError
    closed = isinstance(error, BrokenPipeError) or error.errno == errno.EINVAL
    return closed and error.filename is None


class Program(click.Group):
    """Root command: imports the others, and turns every error into lines and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order in which help lists them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None if there is none of this name."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"perfcore.cli.{_COMMANDS[cmd_name].module}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; the error of a typo suggests a name."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, _COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"unknown command {name!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's
        """Parse the arguments. Click prints help here, so the pipe may close here, too."""
        with _closed_pipe_is_no_error():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command; its errors name options in place of the library's arguments."""

        def option(name: str, value: object) -> str:
            inner = click.get_current_context(silent=True)  # of this thread
            command = (
                inner.command if inner else self.get_command(ctx, ctx.invoked_subcommand or "")
            )
            return _option(command, name, value)

        with _closed_pipe_is_no_error(), spelled(option):
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the names and summaries of the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, home.help) for name, home in _COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - click's signature
        """Run, and exit with 0, 2 after an error, 130 after Ctrl-C, or 143 after SIGTERM."""
        kwargs |= {"standalone_mode": False}
        try:
            with warnings.catch_warnings(), compilation_shown():
                warnings.simplefilter("always", RenamedWarning)
                warnings.showwarning = _note  # type: ignore[assignment]  # has fewer parameters
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
        except OSError as error:
            if _reader_has_gone(error):
                discard(sys.stdout)
                sys.exit(0)
            sys.exit(_fail([_of_system(error)]))
        except MemoryError:
            sys.exit(_fail(["out of memory; use fewer --workers, or list fewer values"]))
        sys.exit(code if isinstance(code, int) else 0)


def _note(message: Warning | str, *_: object) -> None:
    """Print a warning as one line."""
    click.echo(f"note: {one_line(str(message))}", err=True)


def _of_system(error: OSError) -> str:
    """Return an error of the operating system as a line, with the file or stream it is about."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _UNWRITABLE:  # errors of files that perfcore writes have names
        discard(sys.stdout)
        return f"standard output cannot be written ({error.strerror}); redirect it to a file"
    try:
        os.getcwd()  # noqa: PTH109 - only asked whether it is there
    except FileNotFoundError:
        return "the current directory has been deleted; change to another"
    return error.strerror or str(error)


def _option(command: click.Command | None, name: str, value: object) -> str:
    """Return the spelling of a library argument, and its value, as an option of a command."""
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
    try:
        for fault in faults:
            click.echo(f"error: {' '.join(one_line(fault).split())}", err=True)
    except OSError:  # e.g. the disk of its log is full
        discard(sys.stderr)
    return code


def _usage(error: click.UsageError) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    path = error.ctx.command_path if error.ctx else "perfcore"
    return f"{message} (see `{path} --help`)"


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="perfcore", message="perfcore %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Predict latency, throughput, energy and cost of LLM inference, and find the bottleneck.

    perfcore is an analytical model: it needs no GPU. Use point to explain one configuration,
    compare to set several side by side, explore to change them in the browser, and init, plan and
    run to sweep over many.

    \b
    perfcore point llama-3.3-70b h100
    perfcore compare llama-3.3-70b --device h100,b200 --batch 32
    perfcore explore llama-3.3-70b -o page.html
    perfcore init sweep.toml
    perfcore plan sweep.toml
    perfcore run sweep.toml -o results
    perfcore devices show h100-sxm
    """  # noqa: D301
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the program; never returns."""
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # substitute characters it lacks
            stream.reconfigure(errors="replace")
    handle_signals()
    program(prog_name="perfcore")
