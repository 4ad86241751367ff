"""A script that uses perfcore in a process that lacks what Windows lacks, as far as Linux can tell.

Not a test of Windows: libraries still run their code for Linux. Arguments are a sweep file and an
empty directory. The last line of the output is JSON.
"""

import builtins
import errno
import importlib
import io
import json
import os
import pathlib
import pkgutil
import select
import signal
import sys
import time

# their code for Linux needs what is hidden
import numpy as np  # noqa: F401
import platformdirs  # noqa: F401
import psutil  # noqa: F401
from click.testing import CliRunner

MODULES = (
    "curses",
    "fcntl",
    "grp",
    "pty",
    "pwd",
    "readline",
    "resource",
    "syslog",
    "termios",
    "tty",
)
FUNCTIONS = {
    os: (
        *("chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid"),
        *("getloadavg", "getuid", "killpg", "lchown", "mkfifo", "mknod", "nice", "pread"),
        *("pwrite", "sched_getaffinity", "sched_setaffinity", "setsid", "sync", "sysconf"),
        *("uname", "wait", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC"),
    ),
    select: ("poll", "epoll"),
    signal: ("SIGKILL", "SIGHUP", "SIGALRM", "SIGPIPE", "SIGUSR1", "alarm", "setitimer"),
    time: ("tzset",),
}
SHARING_VIOLATION = 32


def hide():
    """Take away what only POSIX has, and what it allows."""
    for name in MODULES:
        sys.modules[name] = None
    for module, names in FUNCTIONS.items():
        for name in names:
            delattr(module, name)
    os.link = without_links
    io.open = builtins.open = without_system_files(builtins.open)
    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, unless_open(getattr(os, name)))


def without_links(*_, **__):
    raise OSError(errno.EINVAL, "Invalid argument")  # as on FAT


def without_system_files(opened):
    """Open a file unless perfcore asks for one that only Linux has; psutil may."""

    def opening(file, *arguments, **options):
        caller = sys._getframe(1)  # noqa: SLF001 - Path.open is between perfcore and this
        while caller.f_globals["__name__"] == "pathlib":
            caller = caller.f_back
        ours = caller.f_globals["__name__"].startswith("perfcore")
        if ours and str(file).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(file))
        return opened(file, *arguments, **options)

    return opening


def unless_open(change):
    """Refuse, as Windows does, to rename or remove a file that this process has open."""

    def changed(*paths, **options):
        # filelock has other code for Windows
        named = {os.path.realpath(path) for path in paths if ".lock" not in str(path)}
        for handle in pathlib.Path("/proc/self/fd").iterdir():
            if os.path.realpath(handle) in named:
                error = PermissionError(errno.EACCES, "used by another process", paths[0])
                error.winerror = SHARING_VIOLATION
                raise error
        return change(*paths, **options)

    return changed


def main():
    spec, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    sys.stdout.reconfigure(errors="replace")
    hide()
    import perfcore  # noqa: PLC0415 - after what is hidden
    from perfcore.cli import program  # noqa: PLC0415
    from perfcore.runs.resources import memory_free  # noqa: PLC0415

    modules = [module.name for module in pkgutil.walk_packages(perfcore.__path__, "perfcore.")]
    modules.remove("perfcore.__main__")  # it runs the program
    for name in modules:
        importlib.import_module(name)

    def run(*arguments):
        done = CliRunner().invoke(program, list(map(str, arguments)))
        codes.append((arguments[0], done.exit_code))
        print(done.output)  # noqa: T201 - shown if the test fails

    codes = []
    output = folder / "run"
    run("plan", spec)
    run("run", spec, "-o", output)
    (output / "data" / "part-00003.parquet").unlink()
    run("verify", output)
    run("run", spec, "-o", output)
    run("verify", output)
    run("diff", output, output)
    for _ in range(2):  # the second replaces a file
        run("search", spec, "--minimize", "tpot_s", "-o", folder / "best.csv")
    run("plot", "winners", spec, "-o", folder / "winners.svg")
    run("init", folder / "starter.toml")
    run("point", "llama-3-8b", "m3-ultra")

    refused = False
    with (folder / "best.csv").open("rb"):
        try:
            (folder / "best.csv").unlink()
        except PermissionError:
            refused = True
    told = {"modules": len(modules), "codes": codes, "free": memory_free(), "refused": refused}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
