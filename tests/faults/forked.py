"""Process with ``inject.c`` preloaded that runs the command line in forks of itself.

Everything is imported and compiled once, so that a run with a fault takes a fraction of a second.
``Forking`` is its side in the test.
"""

import ctypes
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

# the order of both is that in inject.c
CALLS = (
    "open",
    "write",
    "read",
    "close",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "flock",
    "stat",
    "list",
)
ACTIONS = ("nothing", "fail", "fail after", "shorten", "kill before", "kill after")
SOURCE = Path(__file__).parent / "inject.c"
SECONDS = 60  # a run that takes longer hangs


@dataclass(frozen=True)
class Fault:
    """The call that meets the fault, and what happens to it; nothing by default."""

    call: str = "open"
    number: int = 0
    action: str = "nothing"
    error: int = 0
    lasting: bool = False


@dataclass(frozen=True)
class Outcome:
    """The end of a process (its exit code, or minus the signal), and its calls."""

    code: int
    stdout: str
    stderr: str
    fired: int
    counts: dict[str, int]


class Plan(ctypes.Structure):
    """``struct plan`` of ``inject.c``."""

    _fields_ = (
        ("call", ctypes.c_int),
        ("action", ctypes.c_int),
        ("error", ctypes.c_int),
        ("lasting", ctypes.c_int),
        ("number", ctypes.c_long),
        ("fired", ctypes.c_long),
        ("counts", ctypes.c_long * len(CALLS)),
    )


def lacking():
    """Return why faults cannot be injected here; empty if they can."""
    if sys.platform != "linux":
        return "faults of system calls are injected by LD_PRELOAD, on Linux"
    return "" if shutil.which("cc") else "no C compiler: cc is not on PATH"


class Forking:
    """A process that runs commands in forks, after it has run the sweep ``spec`` itself."""

    def __init__(self, folder, spec):
        library = folder / "inject.so"
        # fortified headers define some of the functions themselves
        options = ["-O1", "-U_FORTIFY_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC"]
        subprocess.run(
            ["cc", *options, str(SOURCE), "-o", str(library), "-ldl"],  # noqa: S607
            check=True,
        )
        self.output = folder / "output"
        here = str(SOURCE.parent.parent)
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "faults.forked", library, self.output, spec],
            env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, root, arguments, fault):
        """Run a command in a fork, with a fault on files below ``root``."""
        asked = {"root": str(root), "arguments": [*map(str, arguments)], "fault": asdict(fault)}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return Outcome(**json.loads(self.process.stdout.readline()))

    def close(self):
        """End the process."""
        self.process.stdin.close()
        assert self.process.wait(SECONDS) == 0
        self.process.stdout.close()


def main(library, output, spec):
    """Answer each line of standard input, a command and a fault, by a line with its outcome."""
    from perfcore.cli import program  # noqa: PLC0415 - only in this process

    with suppress(SystemExit):
        program(["run", spec, "-o", f"{output}.run", "--quiet"])
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads have been
    injector = ctypes.CDLL(library)
    with mmap.mmap(-1, ctypes.sizeof(Plan)) as shared:
        plan = Plan.from_buffer(shared)
        for line in sys.stdin:
            asked = json.loads(line)
            fault = Fault(**asked["fault"])
            ctypes.memset(ctypes.byref(plan), 0, ctypes.sizeof(plan))
            plan.call, plan.action = CALLS.index(fault.call), ACTIONS.index(fault.action)
            plan.number, plan.error, plan.lasting = fault.number, fault.error, fault.lasting
            files = [Path(f"{output}.{number}") for number in (1, 2)]
            pid = os.fork()
            if not pid:
                for number, file in enumerate(files, 1):
                    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
                signal.alarm(SECONDS)
                injector.inject_arm(asked["root"].encode(), ctypes.byref(plan))
                leave(program, asked["arguments"])
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            counts = dict(zip(CALLS, plan.counts, strict=True))
            texts = [file.read_text("utf-8") for file in files]
            print(json.dumps(asdict(Outcome(code, *texts, plan.fired, counts))), flush=True)  # noqa: T201
        del plan


def leave(program, arguments):
    """Run a command and end this process with its exit code, or 1 after any other error."""
    code = 1
    try:
        program(arguments, prog_name="perfcore")
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter would do
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
