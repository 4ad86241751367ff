"""Environments that lack something: a home, a stream, a directory, an answer, a whole cache."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from runs import SPEC, command, perfcore

from perfcore.errors import InputError
from perfcore.kernel import jit
from perfcore.runs import executors
from perfcore.runs.executors import dask_executor
from perfcore.runs.store import open_store

pytestmark = pytest.mark.slow

PATIENCE = 5.0  # s from a signal to the end of the process
NOBODY = 54_321  # a user without an entry in /etc/passwd
SIGNALS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SPEC)
    return path


def refused(done):
    """The only line of a command that failed."""
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


# Cache of compiled code


def double(number):
    return 2.0 * number


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The files of a compiled function in a cache of their own."""
    monkeypatch.setattr(jit, "CACHE", tmp_path)
    assert compiled(2.0)(2.0) == 4.0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".nbc", ".nbi"]
    assert hits() == 1
    return tmp_path


def compiled(argument):
    function = jit.kernel(double)
    function(argument)
    return function


def hits():
    return sum(compiled(2.0).stats.cache_hits.values())


DAMAGE = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda _: b"\x80garbage" * 20,
    "executable": lambda _: b"cos\n_exit\n(I9\ntR.",
    "one bit": lambda content: content[:-99] + bytes([content[-99] ^ 1]) + content[-98:],
}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_of_the_cache_is_replaced(cache, suffix, damage):
    (path,) = cache.glob(f"*{suffix}")
    path.write_bytes(DAMAGE[damage](path.read_bytes()))

    assert hits() == 0
    assert hits() == 1


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_directory_in_place_of_a_file_of_the_cache(cache, suffix):
    (path,) = cache.glob(f"*{suffix}")
    path.unlink()
    path.mkdir()

    assert hits() == 0
    assert compiled(2.0)(2.0) == 4.0


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_a_file_of_the_cache_that_may_not_be_read_is_replaced(suffix, monkeypatch):
    read = Path.read_bytes

    def refuse(path):
        if path.suffix == suffix:
            raise PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert hits() == 0
    assert hits() == 1


def test_code_of_another_signature_is_not_taken(cache):
    """Two processes that compile at the same time may choose the same file."""
    compiled(2)
    first, second = sorted(cache.glob("*.nbc"))
    second.write_bytes(first.read_bytes())

    assert sum(compiled(2).stats.cache_hits.values()) == 0
    assert compiled(2)(3) == 6.0


def test_cache_directories(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PERFCORE_CACHE", str(tmp_path / "file" / "cache"))
    assert jit.cache_directory() is None

    monkeypatch.delenv("PERFCORE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    private = tmp_path / f"perfcore-{os.geteuid()}"
    assert private in jit.cache_directory().parents
    assert private.stat().st_mode & 0o777 == 0o700

    private.chmod(0o770)  # another user may have put code there
    assert jit.cache_directory() is None


# Home directory


ADD = ["devices", "add", "mine", "--source", "sheet", "--class", "asic", "--price", "2.5USD/h"]
ADD += ["--memory", "80GB", "--memory-bandwidth", "3TB/s", "--fp16", "1PFLOP/s", "--power", "700W"]


@as_root
@pytest.mark.parametrize("home", [{}, {"HOME": "relative"}, {"HOME": "/dev/null"}], ids=str)
def test_user_without_a_home(tmp_path, home):
    (tmp_path / "tmp").mkdir()
    # the real user decides which home is looked up, the effective one what may be read
    become = (
        f"import os; os.chdir({str(tmp_path)!r}); os.setreuid({NOBODY}, -1); "
        "from perfcore.kernel import jit; print(jit.CACHE); "
    )
    environment = {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path), **home}

    def run(*arguments):
        return subprocess.run(
            command(*arguments, before=become),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    for arguments in (["point", "llama-3-8b", "h100-sxm"], ["models"]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(str(tmp_path / "tmp" / f"perfcore-{os.geteuid()}"))
    added = refused(run(*ADD))
    assert ("cannot be created" if home.get("HOME") == "/dev/null" else "no home direct") in added
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


# Standard streams


def shell(redirection, *arguments):
    words = [sys.executable, "-m", "perfcore", *arguments]
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
@pytest.mark.parametrize("arguments", [["models"], ["--help"]], ids=str)
def test_output_that_cannot_be_written(redirection, arguments):
    assert "standard output cannot be written" in refused(shell(redirection, *arguments))


@pytest.mark.parametrize(
    ("redirection", "code"),
    [("2>&-", 0), ("2>/dev/full", 0), ("<&-", 0), (">&- 2>&-", 2), (">/dev/full 2>&1", 2)],
)
def test_streams_that_are_closed_or_full(redirection, code):
    done = shell(redirection, "devices", "show", "h100-sxm")

    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_error_that_cannot_be_written(redirection):
    assert shell(redirection, "devices", "show", "nothing").returncode == 2


# Signals


@contextmanager
def silent_server():
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server, f"http://127.0.0.1:{server.getsockname()[1]}"


def interrupted(process, number, code):
    """Send a signal to a process; return what it says."""
    process.send_signal(number)
    sent = time.monotonic()
    stdout, stderr = process.communicate(timeout=60)

    assert time.monotonic() - sent < PATIENCE
    assert process.returncode == code, stderr
    assert "Traceback" not in stderr
    return stdout + stderr


def started(arguments, environment):
    return subprocess.Popen(
        command(*arguments),
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@SIGNALS
@pytest.mark.parametrize("sweeps", [False, True], ids=["warmup", "run"])
def test_signals_while_a_kernel_compiles(tmp_path, spec, number, code, sweeps):
    arguments = ["run", spec, "-o", tmp_path / "run", "--force"] if sweeps else ["warmup"]
    process = started(arguments, {"PERFCORE_CACHE": str(tmp_path / "cache")})
    while not list(tmp_path.glob("cache/numba/*/loops.bind*.nbc")):  # fill_columns is next
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(1)

    assert "interrupted" in interrupted(process, number, code)
    assert not list(tmp_path.glob("run/data/*"))


@SIGNALS
@pytest.mark.parametrize("arguments", [["verify"], ["run", "SPEC", "--force", "-o"]], ids=str)
def test_signals_while_a_store_hangs(spec, number, code, arguments):
    words = [str(spec) if word == "SPEC" else word for word in arguments]
    with silent_server() as (server, address):
        process = started(
            [*words, "s3://bucket/run"],
            {
                "AWS_ENDPOINT_URL": address,
                "AWS_ACCESS_KEY_ID": "somebody",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            assert "interrupted" in interrupted(process, number, code)


# Addresses


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("file:x", "write the directory alone, x"),
        ("file:///a/x", "write the directory alone, /a/x"),
        ("s3:/b", "write s3://b, or ./s3:/b for a directory"),
        ("S3:b/x", "write s3://b/x, or ./S3:b/x for a directory"),
        ("s3:", "write s3://BUCKET/NAME"),
        ("s3:///x", "write s3://BUCKET/NAME"),
        ("s3://b/x#1", "choose a NAME without it"),
        ("s3://b/x?y=1", "write s3://BUCKET/NAME"),
        ("s3://b/x\n", "write s3://BUCKET/NAME"),
        ("http://b/x", "use a directory, or one of s3://"),
    ],
)
def test_addresses_that_are_none(address, remedy):
    with pytest.raises(InputError) as caught:
        open_store(address)

    (fault,) = caught.value.faults
    assert remedy in fault


def test_schemes_in_capitals():
    assert open_store("GS://bucket/Run").location == "gs://bucket/Run"


# Working directory


@pytest.mark.usefixtures("whole")  # Numba compiles nothing without a working directory
def test_a_working_directory_that_was_deleted(tmp_path, spec):
    def run(*arguments):
        (tmp_path / "gone").mkdir()
        before = f"import os; os.chdir({str(tmp_path / 'gone')!r}); os.rmdir(os.getcwd()); "
        return perfcore(*arguments, before=before)

    for arguments in (["models"], ["point", "llama-3-8b", "h100-sxm"], ["verify", tmp_path / "r"]):
        assert "current directory" not in run(*arguments).stderr
    assert run("run", spec, "-o", tmp_path / "run", "--quiet").stderr == ""
    for arguments in (["init"], ["run", spec, "-o", "run"]):
        assert "the current directory has been deleted" in refused(run(*arguments))


# Dask


def test_dask_over_tls_without_a_certificate():
    with pytest.raises(InputError, match="TLS needs a certificate"), dask_executor("tls://host:1"):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "silent"])
def test_no_scheduler_at_an_address(address, monkeypatch):
    monkeypatch.setattr(executors, "SECONDS", 1)
    start = time.monotonic()
    with (
        silent_server() as (_, silent),
        pytest.raises(InputError, match="no scheduler answers") as caught,
        dask_executor(silent.replace("http", "tcp") if address == "silent" else address),
    ):
        pass

    assert len(caught.value.faults) == 1
    assert time.monotonic() - start < 10


# Forks

FORK = """
import os, threading, time
import perfcore
from runs import space
perfcore.sweep(space(2), "first")  # imports and compiles everything
large, small = space(4000), space(10)
thread = threading.Thread(target=lambda: perfcore.sweep(large, "run", workers=4), daemon=True)
thread.start()
while not os.path.isdir("run/data"):
    time.sleep(0.001)
for number in range(3):
    child = os.fork()
    if child == 0:
        perfcore.sweep(small)
        perfcore.sweep(small, f"child-{number}", workers=2)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(number, thread.is_alive())
os._exit(0)
"""


def test_forks_while_threads_sweep(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{FORK}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "0 True" in done.stdout
