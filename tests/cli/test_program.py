"""The program: help, light commands, and terminals that end early."""

import os
import subprocess
import sys

import pytest

import perfcore
from cli.command import START, invoke
from perfcore import cli
from perfcore.cli import program

COMMANDS = [
    "init",
    "run",
    "verify",
    "finalize",
    "search",
    "pareto",
    "histogram",
    "diff",
    "plot",
    "explore",
    "report",
    "warmup",
    "plan",
    "point",
    "show",
    "simulate",
    "size",
    "compare",
    "audit",
    "check",
    "validate",
    "calibrate",
    "measurements",
    "models",
    "devices",
    "formats",
    "engines",
    "hosts",
    "economics",
    "columns",
    "schema",
    "completion",
    "mcp",
]
GROUPS = ["models", "devices", "formats", "engines", "economics", "columns"]


# Help


def test_program_alone_prints_help():
    assert invoke() == invoke("--help")
    assert "perfcore point llama-3.3-70b h100" in invoke()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command):
    text = invoke(command, "--help")

    assert text.startswith("Usage: ")
    assert f"\n  perfcore {command}" in text


@pytest.mark.parametrize("command", GROUPS)
def test_help_of_show(command):
    assert f"perfcore {command} show " in invoke(command, "show", "--help")


def test_list_of_commands_repeats_their_first_lines():
    ctx = program.make_context("perfcore", ["--help"], resilient_parsing=True)

    assert program.list_commands(ctx) == list(cli._COMMANDS)  # noqa: SLF001
    for name, home in cli._COMMANDS.items():  # noqa: SLF001
        assert program.get_command(ctx, name).help.splitlines()[0] == home.help
    assert sorted(COMMANDS) == sorted(program.list_commands(ctx))


def test_version():
    assert invoke("--version") == f"perfcore {perfcore.__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], {"numba", "numpy", "pyarrow", "pydantic", "rich"}),
        (["--version"], {"numba", "numpy", "pyarrow", "pydantic", "rich"}),
        *(([command], {"numba", "numpy", "pyarrow"}) for command in GROUPS),
        *(([command, "--help"], {"numba", "pyarrow", "pandas", "scipy"}) for command in COMMANDS),
        (["devices", "show", "h100"], {"numba", "numpy", "pyarrow"}),
        (["point", "llama-3-8b", "h100-sxm"], {"numba", "pyarrow"}),
    ],
)
def test_light_commands_import_nothing_heavy(arguments, absent):
    code = (
        "import sys; from perfcore.cli import program; "
        f"program.main({arguments!r}, prog_name='perfcore')"
    )
    code = (
        "import atexit, sys; "
        "atexit.register(lambda: print(' '.join(sys.modules), file=sys.stderr)); " + code
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not absent & set(done.stderr.split())
    assert done.stdout


def processor_time_of_children():
    """Return what does not depend on who else uses the processors."""
    used = os.times()
    return used.children_user + used.children_system


def test_help_comes_at_once():
    times = []
    for _ in range(3):
        before = processor_time_of_children()
        subprocess.run(
            [sys.executable, "-c", START, "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(processor_time_of_children() - before)

    assert min(times) < 0.3


# Sweeps


def test_terminal_without_our_letters_is_no_error():
    done = subprocess.run(
        [sys.executable, "-c", START, "point", "llama-3-8b", "h100-sxm"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )

    assert done.stderr == b""
    assert b"ideal engine" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["point", "--help"], ["models"], ["schema"]])
def test_reader_that_closes_early_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_connection_that_breaks_is_an_error():
    code = (
        "from perfcore.catalog import loader\n"
        "def lose(*_):\n    raise BrokenPipeError(32, 'Broken pipe')\n"
        "loader.load_model = lose\n" + START
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "show", "llama-3-8b"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "error: Broken pipe: a connection was closed; run the command again\n"
