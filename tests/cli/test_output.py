"""Files that commands write: refused before the work, and there whole or not at all."""

import errno
import os

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.output import check_output, replacing


def refusal(output, inputs=()):
    with pytest.raises(InputError) as caught:
        check_output("--rows", str(output), [str(name) for name in inputs])
    (fault,) = caught.value.faults
    return fault


def test_a_new_file_and_an_old_one_may_be_written(tmp_path):
    old = tmp_path / "old.csv"
    old.write_text("old")

    check_output("--rows", str(tmp_path / "new.csv"), [str(old)])
    check_output("--rows", str(old))


def test_what_cannot_be_written_is_refused(tmp_path):
    read = tmp_path / "read.csv"
    read.write_text("rows")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    assert refusal(tmp_path) == f"--rows: {str(tmp_path)!r} is a directory; name a file"
    assert "'missing' is not a directory; create it first" in refusal("missing/x.csv")
    assert "not a directory" in refusal(read / "x.csv")
    assert "not a regular file" in refusal(pipe)
    assert "is also an input file" in refusal(tmp_path / "." / "read.csv", [read])


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("old")

    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device", "part"), KeyboardInterrupt()]
)
def test_a_file_stays_when_its_successor_fails(tmp_path, error):
    path = tmp_path / "x.csv"
    path.write_text("old")

    def interrupted():
        with replacing(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(type(error)) as caught:
        interrupted()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(path)


@pytest.mark.parametrize(
    "command",
    [
        ("validate", "--rows", "missing/x.csv"),
        ("calibrate", "--engine", "vllm", "-o", "missing/x.toml"),
        ("calibrate", "--all-engines", "-o", "missing"),
    ],
)
def test_commands_check_their_output(command):
    result = CliRunner().invoke(program, command)

    assert result.exit_code == 2
    assert "'missing' is not a directory; create it first" in result.stderr
