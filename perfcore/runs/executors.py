"""Executors for shards: Dask, or any ``concurrent.futures.Executor``.

A task consists of some shards. Its worker makes the space from the specification, and stores the
shards in the run's directory or returns the rows that a search keeps. It holds nothing that another
task needs, so a lost task is simply repeated.
"""

import asyncio
import json
import pickle
import platform
import zlib
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from perfcore.errors import InputError, OutputError, PerfcoreError, argument
from perfcore.reading.files import read_text
from perfcore.runs.manifest import fingerprint
from perfcore.space.space import Space
from perfcore.space.spec import Spec

TRIES: Final = 3  # attempts per failing task; Dask itself counts those lost to dying workers
ROOM: Final = 1024  # tasks submitted at once: more than most clusters have threads
SECONDS: Final = 30  # timeout for reaching the scheduler, and then for a first worker


def packed_spec(spec: Spec) -> bytes:
    """Return a specification with its catalogue entries, compressed for a task."""
    return zlib.compress(pickle.dumps(spec))


@lru_cache(maxsize=2)
def unpacked_space(spec: bytes, run: str) -> Space:
    """Return the space of a task, if this worker computes the same as the client."""
    unpacked: Spec = pickle.loads(zlib.decompress(spec))  # noqa: S301 - from our own client
    space = Space(unpacked)
    own = fingerprint(space)
    if own != run:
        raise InputError(
            f"worker {platform.node()}: has another version of perfcore ({own}, expected {run}); "
            "install the same version everywhere"
        )
    return space


def retry_or_raise(item: object, error: Exception, times: int) -> None:
    """Return to retry a failed task, or raise the error that ends the run."""
    place = f"shard {item}" if isinstance(item, int) else "search"
    if isinstance(error, InputError):
        raise error
    if isinstance(error, BrokenExecutor | CancelledError):
        raise OutputError(
            f"{place}: its workers are gone ({str(error) or 'cancelled'}); start them and run "
            "again, which keeps complete shards"
        ) from error
    if times >= TRIES:
        if isinstance(error, PerfcoreError):
            raise error
        raise OutputError(
            f"{place}: failed {times} times on its workers ({type(error).__name__}: {error}); "
            "see their logs, and run again, which keeps complete shards"
        ) from error


def _address_in(path: str) -> str:
    """Return the address in a scheduler file."""
    if not Path(path).is_file():
        raise InputError(
            f"{argument('address')}: {path}: no such file; start `dask scheduler` first"
        )
    try:
        told = json.loads(read_text(path, ".json"))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("address"), str):
        raise InputError(
            f"{argument('address')}: {path}: has no address; "
            "name the file that `dask scheduler` has written"
        )
    return str(told["address"])


def _reach(scheduler: str, given: str) -> None:
    """Connect once, because closing a client that cannot connect takes a minute."""
    from distributed import Security  # noqa: PLC0415 - optional dependency
    from distributed.comm import connect  # noqa: PLC0415

    async def reach(security: dict[str, Any]) -> None:
        connecting = connect(scheduler, timeout=SECONDS, **security)
        # its own time-out ends before the first answer, which may never come
        (await asyncio.wait_for(connecting, SECONDS + 1)).abort()

    try:
        security = Security().get_connection_args("client")
        if scheduler.startswith(("tls://", "wss://")) and security.get("ssl_context") is None:
            raise InputError(
                f"{argument('address')}: {given}: TLS needs a certificate; name one in Dask's "
                "configuration, distributed.comm.tls"
            )
        with ThreadPoolExecutor(
            1
        ) as pool:  # the caller's thread may have an event loop, e.g. in a notebook
            pool.submit(asyncio.run, reach(security)).result()
    except (OSError, ValueError, TypeError, MemoryError) as error:  # a time-out is an OSError
        if isinstance(error, InputError):
            raise
        why = "another program answers" if isinstance(error, MemoryError) else str(error)
        why = why or f"no answer within {SECONDS} s"
        raise InputError(
            f"{argument('address')}: {given}: no scheduler answers ({why}); "
            "start `dask scheduler`, or give tcp://HOST:PORT"
        ) from error


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a Dask scheduler, by ``tcp://HOST:PORT`` or its JSON scheduler file.

    Raises
    ------
    InputError
        Dask is not installed, no scheduler answers, or it has no worker.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - optional dependency
    except ImportError:
        raise InputError(
            f"{argument('address')}: needs distributed; pip install distributed"
        ) from None
    scheduler = _address_in(address) if address.endswith(".json") else address
    _reach(scheduler, address)
    with Client(address=scheduler, timeout=SECONDS, set_as_default=False) as client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            raise InputError(
                f"{argument('address')}: {address}: has no worker; start `dask worker {address}`"
            ) from None
        yield client.get_executor(pure=False)
