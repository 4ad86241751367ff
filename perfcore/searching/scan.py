"""Scans: threads read the parts of a space or run and reduce their rows."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Generic

import numpy as np

from perfcore.kernel.layout import Integers
from perfcore.runs.workers import run_shards
from perfcore.searching.reductions import Kept, S


class Scan(ABC, Generic[S]):
    """Scan of parts with one reduction per thread. All threads share the object.

    Parameters
    ----------
    make
        Factory of empty reductions.
    """

    def __init__(self, make: Callable[[], S]) -> None:
        self.make = make
        self.sinks: list[S] = []
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.local = threading.local()

    def work(self, part: int) -> None:
        """Reduce the rows of a part."""
        if self.stopped.is_set():
            return
        if not hasattr(self.local, "sink"):
            self.local.sink = self.make()
            self.begin()
            with self.lock:
                self.sinks.append(self.local.sink)
        self.look(part, self.local.sink)

    def begin(self) -> None:
        """Set up further state of a thread in ``local``."""

    @abstractmethod
    def look(self, part: int, sink: S) -> None:
        """Add the rows of a part to a reduction."""

    def result(self) -> S:
        """Return the reduction of all rows."""
        merged, *others = self.sinks or [self.make()]
        for other in others:
            merged.merge(other)
        return merged

    def over(self, parts: Iterable[int], workers: int | None) -> S:
        """Return the reduction of all parts, in ``workers`` threads or one per processor."""
        run_shards(self, parts, workers or os.cpu_count() or 1)
        return self.result()


def places_in_order(kept: Kept) -> Integers:
    """Return the places of the kept rows, ordered by group, then value, then place."""
    values, groups, places = kept.entries()
    ordered: Integers = places[np.lexsort((places, *values[::-1], groups))]
    return ordered
