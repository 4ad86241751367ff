"""Option ``--dask`` of the commands that can run on a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from concurrent.futures import Executor

dask_option: Callable[[Any], Any] = click.option(
    "--dask",
    "address",
    metavar="ADDRESS",
    help="Run on a Dask cluster: tcp://HOST:PORT, or a scheduler.json file.",
)


def check_dask(address: str | None, workers: int | None) -> None:
    """Refuse options that contradict each other."""
    if address is not None and workers is not None:
        raise click.UsageError(
            "--workers sets threads of this process, --dask uses those of the cluster; give one"
        )


@contextmanager
def executor_of(address: str | None) -> Iterator["Executor | None"]:
    """Connect to a cluster if an address is given, and yield its executor."""
    if address is None:
        yield None
        return
    import logging  # noqa: PLC0415 - few need it

    from perfcore.runs.executors import dask_executor  # noqa: PLC0415 - Arrow is slow to import

    with dask_executor(address) as executor:
        # its messages about workers that come and go are in the scheduler's log, too
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        yield executor
