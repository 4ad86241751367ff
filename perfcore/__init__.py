"""Performance modelling of LLM inference: latency, energy and money per token, in columns."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfcore.api import histogram, pareto, search, sweep
    from perfcore.catalog.loader import load_device, load_model
    from perfcore.configuration.comparison import Comparison, compare
    from perfcore.configuration.configuration import Configuration, evaluate
    from perfcore.errors import InputError, PerfcoreError
    from perfcore.runs.dataset import Dataset
    from perfcore.runs.run import Run, open_run
    from perfcore.space.space import Space

    __version__: str

__all__ = [
    "Comparison",
    "Configuration",
    "Dataset",
    "InputError",
    "PerfcoreError",
    "Run",
    "Space",
    "__version__",
    "compare",
    "evaluate",
    "histogram",
    "load_device",
    "load_model",
    "open_run",
    "pareto",
    "search",
    "sweep",
]

# Imported when first asked for: NumPy, Arrow and Numba take most of a second.
_HOMES = {
    "Comparison": "configuration.comparison",
    "Configuration": "configuration.configuration",
    "Dataset": "runs.dataset",
    "InputError": "errors",
    "PerfcoreError": "errors",
    "Run": "runs.run",
    "Space": "space.space",
    "compare": "configuration.comparison",
    "evaluate": "configuration.configuration",
    "histogram": "api",
    "load_device": "catalog.loader",
    "load_model": "catalog.loader",
    "open_run": "runs.run",
    "pareto": "api",
    "search": "api",
    "sweep": "api",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("perfcore")
    if name not in _HOMES:
        raise AttributeError(f"module 'perfcore' has no attribute {name!r}")
    return getattr(import_module(f"perfcore.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
