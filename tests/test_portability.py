"""What macOS and Windows lack or do otherwise, simulated on Linux. Nothing here ran on either."""

import ast
import errno
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from paths import ROOT
from runs import SPEC, hashes

from perfcore import cli, output
from perfcore.accuracy.table import read_measurements
from perfcore.runs import resources
from perfcore.runs.run import sweep
from perfcore.runs.store import Directory, open_store
from perfcore.space.axes import located
from perfcore.space.space import Space
from perfcore.space.starter import starter

pytestmark = pytest.mark.slow

CONFIGS = json.loads((ROOT / "tests" / "data" / "hf_configs.json").read_text("utf-8"))
MODULES = sorted((ROOT / "perfcore").rglob("*.py"))
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_OS = re.compile(
    r"\bos\.(?:fork|forkpty|getuid|geteuid|getgid|getloadavg|killpg|mkfifo|pread|pwrite|sched_\w+|"
    r"setsid|statvfs|sysconf|uname|O_NONBLOCK|O_NOFOLLOW|O_DIRECTORY)\b|"
    r"\bsignal\.SIG(?:KILL|HUP|ALRM|PIPE|USR\d)\b"
)
ON_WINDOWS = re.compile(r'[^<>:"/\\|?*\x00-\x1f]*[^<>:"/\\|?*\x00-\x1f. ]')


def relative(path):
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC.replace("= 40\n", "= 400\n"))  # rows per shard: fewer shards
    return path


def test_a_sweep_without_what_only_posix_has(tmp_path, spec):
    """The same bytes; and names of files that Windows allows."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "elsewhere.py"), str(spec), str(folder)],
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout.splitlines()[-1])
    codes = [code for _, code in told["codes"]]
    assert codes == [0, 0, 2, *[0] * (len(codes) - 3)], done.stdout.decode()
    assert told["modules"] >= len(MODULES) - len({"perfcore/__main__.py", "perfcore/__init__.py"})
    assert told["free"] > 0
    assert told["refused"], "files that are open are not renamed"
    sweep(Space.from_toml(spec), tmp_path / "here")
    assert hashes(folder / "run") == hashes(tmp_path / "here")
    for path in folder.rglob("*"):
        assert ON_WINDOWS.fullmatch(path.name), path
        assert not path.name.startswith(".perfcore"), "nothing unfinished is left"
    for name in ("best.csv", "winners.svg", "starter.toml"):
        assert (folder / name).stat().st_size > 0


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_needs_posix_or_a_locale(path):
    text = path.read_text("utf-8")
    assert not POSIX_OS.search(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert not POSIX & {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.module not in POSIX
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords}
            where = f"{relative(path)}:{node.lineno}"
            if node.func.attr == "read_text":
                assert node.args or "encoding" in given, where
            if node.func.attr == "write_text":
                assert {"encoding", "newline"} <= given, f"{where}: Windows writes other line ends"


@pytest.mark.parametrize(
    "name",
    [r"C:\runs\x", "C:/runs/x", "c://runs/x", r"\\server\share\run", r"..\run", "run", "/runs/x"],
)
def test_paths_of_windows_are_directories(name):
    assert isinstance(open_store(name), Directory)
    assert resources.disk_free(name) is not None


def test_relative_paths_of_windows(tmp_path, monkeypatch):
    assert located(r".\model", tmp_path) == str(tmp_path / r".\model")
    assert located(r"..\chip.toml", tmp_path) == str(tmp_path / r"..\chip.toml")
    assert located("llama-3-8b", tmp_path) == "llama-3-8b"

    def another_drive(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    model = tmp_path / "config.json"
    model.write_text(json.dumps(CONFIGS["llama"]["config"]))
    monkeypatch.setattr("os.path.relpath", another_drive)

    assert f'model = ["{model.as_posix()}"]' in starter(tmp_path / "a.toml", [str(model)], [], None)


def test_line_ends_and_marks_of_windows(tmp_path, spec):
    marked = tmp_path / "marked.toml"
    marked.write_text(spec.read_text(), encoding="utf-8-sig", newline="\r\n")
    assert b"\r\n" in marked.read_bytes()
    assert Space.from_toml(marked).spec == Space.from_toml(spec).spec

    rows = ROOT / "tests" / "data" / "published.csv"
    crlf = tmp_path / "published.csv"
    crlf.write_text(rows.read_text("utf-8"), encoding="utf-8-sig", newline="\r\n")
    assert read_measurements(crlf) == read_measurements(rows)


class InUseError(PermissionError):
    """As Python raises it on Windows."""

    winerror = 32


def test_a_file_in_use_is_replaced_when_it_is_free(tmp_path, monkeypatch):
    attempts, pauses = [], []

    def replace(source, target):
        attempts.append((source, target))
        if len(attempts) < 3:
            raise InUseError(errno.EACCES, "used by another process")

    monkeypatch.setattr("pathlib.Path.replace", replace)
    monkeypatch.setattr("time.sleep", pauses.append)
    output.replace(tmp_path / "a", tmp_path / "b")

    assert len(attempts) == 3
    assert len(pauses) == 2


@pytest.mark.parametrize(("kind", "attempts"), [(InUseError, 21), (PermissionError, 1)])
def test_a_file_that_cannot_be_replaced(tmp_path, monkeypatch, kind, attempts):
    tried = []

    def replace(*_):
        tried.append(1)
        raise kind(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.replace", replace)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(kind):
        output.replace(tmp_path / "a", tmp_path / "b")

    assert len(tried) == attempts


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["schema"]])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.EINVAL])
def test_reader_that_closes_early_where_poll_is_missing(arguments, number):
    """Windows reports it as an invalid argument."""
    code = (
        "import io, os, select, stat, sys; del select.poll\n"
        "class Pipe(io.FileIO):\n"
        "    def write(self, data):\n"
        "        if stat.S_ISFIFO(os.fstat(1).st_mode):\n"
        f"            raise OSError({number}, os.strerror({number}))\n"
        "        return len(data)\n"
        "sys.stdout = io.TextIOWrapper(io.BufferedWriter(Pipe(1, 'w', closefd=False)))\n"
        "from perfcore.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")


def test_errors_of_files_are_not_taken_for_the_reader(monkeypatch):
    monkeypatch.delattr("select.poll")

    for error in (
        OSError(errno.EINVAL, "Invalid argument", "a:b"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        OSError(errno.ENOSPC, "No space left on device"),
    ):
        assert not cli._reader_has_gone(error)  # noqa: SLF001


def test_what_is_said_is_what_was_run():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    systems = [name for name in project["classifiers"] if name.startswith("Operating System")]
    readme = (ROOT / "README.md").read_text("utf-8")

    assert len(systems) == 3
    assert "tests/test_portability.py" in readme
    assert "not been run on macOS or Windows" in " ".join(readme.split())
