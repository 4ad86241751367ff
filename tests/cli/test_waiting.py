"""The line that tells how long a kernel has been compiled."""

import os
import pty
import subprocess
import sys

from perfcore.cli.waiting import ERASE

PROGRAM = (
    "import time\n"
    "from perfcore.cli.waiting import compilation_shown\n"
    "from perfcore.kernel.compiling import COMPILATION\n"
    "with compilation_shown():\n"
    "    COMPILATION.begin()\n"
    "    time.sleep({seconds})\n"
    "    COMPILATION.end()\n"
    "    print('result')\n"
)


def written(seconds, stderr=subprocess.PIPE, term="xterm"):
    """Standard output and error of a program that waits for a compiler."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seconds=seconds)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "TERM": term},
        check=True,
    )

    assert done.stdout.split() == [b"result"]
    return done.stderr


def on_terminal(seconds, term="xterm"):
    """What such a program writes on a terminal."""
    main, side = pty.openpty()
    written(seconds, side, term)
    os.write(side, b".")  # there is something to read
    text = ""
    while not text.endswith("."):
        text += os.read(main, 1 << 16).decode()
    os.close(side)
    os.close(main)
    return text[:-1]


def test_seconds_are_shown_on_a_terminal_and_erased_before_anything_else():
    lines = on_terminal(1.6).split(ERASE)

    assert lines[0] == lines[-1] == ""
    assert lines[1] == "compiling a kernel, kept for later: 1 s"
    assert set(lines[1:-1]) <= {f"compiling a kernel, kept for later: {s} s" for s in (1, 2)}


def test_nothing_is_shown_of_small_kernels_in_pipes_and_on_terminals_without_control():
    assert on_terminal(0.1) == ""
    assert on_terminal(1.6, term="dumb") == ""
    assert written(1.6) == b""
