"""The progress bar of a run."""

import os
import pty
import subprocess
import sys

import pytest

from cli.command import START

pytestmark = pytest.mark.slow


def test_progress_is_drawn_on_a_terminal_only(tmp_path, spec):
    arguments = [sys.executable, "-c", START, "run", str(spec), "-o"]
    piped = subprocess.run([*arguments, str(tmp_path / "a")], capture_output=True, check=True)

    assert piped.stderr == b""
    main, side = pty.openpty()
    shown = subprocess.run(
        [*arguments, str(tmp_path / "b")],
        stdout=subprocess.PIPE,
        stderr=side,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        check=True,
    )
    os.close(side)

    assert b"rows/s" in os.read(main, 1 << 16)
    assert b"\x1b" not in shown.stdout
    os.close(main)
