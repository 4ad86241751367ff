"""Analytical performance model of LLM inference: latency, energy and cost per token."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfcore.accuracy.scores import Score, validate
    from perfcore.api import diff, histogram, pareto, search, sweep
    from perfcore.catalog.loader import load_device, load_model
    from perfcore.claims.audit import Finding, audit
    from perfcore.configuration.comparison import Comparison, compare
    from perfcore.configuration.configuration import Configuration, evaluate
    from perfcore.configuration.simulation import simulate
    from perfcore.diffing.rows import Diff
    from perfcore.errors import InputError, PerfcoreError
    from perfcore.exploring.document import report
    from perfcore.exploring.exploring import explore
    from perfcore.fleets.fleets import Fleet, Sizing, size
    from perfcore.reporting.drawing import draw, plot
    from perfcore.reporting.picture import Picture
    from perfcore.runs.dataset import Dataset
    from perfcore.runs.plan import Plan, plan
    from perfcore.runs.run import Run, open_run
    from perfcore.space.space import Space
    from perfcore.traffic.synthetic import Traffic

    __version__: str

__all__ = [
    "Comparison",
    "Configuration",
    "Dataset",
    "Diff",
    "Finding",
    "Fleet",
    "InputError",
    "PerfcoreError",
    "Picture",
    "Plan",
    "Run",
    "Score",
    "Sizing",
    "Space",
    "Traffic",
    "__version__",
    "audit",
    "compare",
    "diff",
    "draw",
    "evaluate",
    "explore",
    "histogram",
    "load_device",
    "load_model",
    "open_run",
    "pareto",
    "plan",
    "plot",
    "report",
    "search",
    "simulate",
    "size",
    "sweep",
    "validate",
]

# Imported on first use: importing NumPy, Arrow and Numba takes most of a second.
_HOMES = {
    "Comparison": "configuration.comparison",
    "Configuration": "configuration.configuration",
    "Dataset": "runs.dataset",
    "Diff": "diffing.rows",
    "Finding": "claims.audit",
    "Fleet": "fleets.fleets",
    "InputError": "errors",
    "PerfcoreError": "errors",
    "Picture": "reporting.picture",
    "Plan": "runs.plan",
    "Run": "runs.run",
    "Score": "accuracy.scores",
    "Sizing": "fleets.fleets",
    "Space": "space.space",
    "Traffic": "traffic.synthetic",
    "audit": "claims.audit",
    "compare": "configuration.comparison",
    "diff": "api",
    "draw": "reporting.drawing",
    "evaluate": "configuration.configuration",
    "explore": "exploring.exploring",
    "histogram": "api",
    "load_device": "catalog.loader",
    "load_model": "catalog.loader",
    "open_run": "runs.run",
    "pareto": "api",
    "plan": "runs.plan",
    "plot": "reporting.drawing",
    "report": "exploring.document",
    "search": "api",
    "simulate": "configuration.simulation",
    "size": "fleets.fleets",
    "sweep": "api",
    "validate": "accuracy.scores",
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
