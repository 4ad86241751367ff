"""The option ``--dask`` of the commands whose work a cluster can do."""

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
    help="Work on a Dask cluster: tcp://HOST:PORT or scheduler.json.",
)


def check_dask(address: str | None, workers: int | None) -> None:
    """Refuse options that contradict each other."""
    if address is not None and workers is not None:
        raise click.UsageError(
            "--workers counts threads of this process, --dask has those of its workers; give one"
        )


@contextmanager
def executor_of(address: str | None) -> Iterator["Executor | None"]:
    """Connect to the cluster, if one is asked for."""
    if address is None:
        yield None
        return
    import logging  # noqa: PLC0415 - few need it

    from perfcore.runs.executors import dask_executor  # noqa: PLC0415 - Arrow is slow to import

    with dask_executor(address) as executor:
        # what it has to say of workers that come and go is in the scheduler's log, too
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        yield executor
