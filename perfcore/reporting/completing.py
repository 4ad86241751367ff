"""Sources completed for a picture: columns that a run has not written, and its what-ifs.

A picture of bandwidth or utilisation varies what few sweeps vary, and a run on disk has the columns
that most questions need. Both follow from the sweep, which is evaluated again for the picture.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from perfcore.columns import BY_NAME, METRICS
from perfcore.errors import InputError
from perfcore.reporting.run_source import RunSource
from perfcore.reporting.settling import LackError
from perfcore.reporting.source import Source
from perfcore.reporting.sweep_source import SweepSource
from perfcore.reporting.wording import listing
from perfcore.runs.manifest import fingerprints
from perfcore.space.space import Space, as_space

MOST_ROWS: Final = 20_000_000  # of a sweep that is evaluated again: a few seconds for each query
_SAME: Final = ("axes", "entries", "what_if", "zip", "where", "sample")
_CODE: Final = ("physics", "version")  # fingerprints of what evaluates a sweep
_METRICS: Final = frozenset(column.name for column in METRICS)


def completed(source: Source, lack: LackError) -> tuple[Source, str] | None:
    """Return a completed source, and a sentence on how it was made.

    None if that is impossible: rows are simulations, a run is of other physics or entries, the
    sweep is not a file, an axis is not a what-if, or there are too many rows.
    """
    if source.simulated or (lack.axes and not lack.settings):
        return None
    try:
        space = _space(source, lack)
    except InputError:  # entries of its own, for example, which only the sweep's author has
        return None
    if space is None or space.rows > MOST_ROWS:
        return None
    made = SweepSource(space, source.where, None, source.given)
    made.overrides = (*source.overrides, *lack.settings)
    return made, _told(lack)


def _told(lack: LackError) -> str:
    if lack.axes:
        return f"Varied for this picture only: {', '.join(lack.settings)}."
    return f"Evaluated again, as the run has not written {listing(lack.columns, 9)}."


def _space(source: Source, lack: LackError) -> Space | None:
    if isinstance(source, RunSource):
        spec = source.facts["spec"]
        mapping = _written(spec)
        base = as_space(mapping)
        now = base.spec.to_dict()
        then = cast("dict[str, object]", source.run.manifest["fingerprints"])
        code = fingerprints(base)
        same = all(now[part] == spec[part] for part in _SAME)
        if not same or any(code[part] != then.get(part) for part in _CODE):
            return None
        return as_space(mapping, lack.settings) if lack.settings else base
    if isinstance(source, SweepSource) and Path(source.given).is_file():
        return as_space(source.given, (*source.overrides, *lack.settings))
    return None


def _written(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's specification as a sweep file has it."""
    what_ifs = {how["column"]: (key, how["mode"]) for key, how in spec["what_if"].items()}
    axes: dict[str, Any] = {}
    changed: dict[str, Any] = {}
    for name, values in spec["axes"].items():
        if name in what_ifs:
            key, mode = what_ifs[name]
            changed[key] = {"scale": values} if mode == "scale" else values
        else:
            axes[name] = values
    if axes["tp"] == axes["pp"] == [0]:
        del axes["tp"], axes["pp"]
        axes["devices"] = "auto"
    where = []
    for one in spec["where"]:
        subject = "metric" if one["column"] in _METRICS and one["column"] in BY_NAME else "axis"
        ends = {"min": one["min"], "max": one["max"], "in": one["in"] or None}
        kept = {key: end for key, end in ends.items() if end is not None}
        where.append({subject: one["column"], **kept})
    written = {"name": spec["name"], "description": spec["description"], "axes": axes}
    written |= {"what_if": changed, "where": where}
    written["zip"] = [{"axes": names} for names in spec["zip"]]
    return written if spec["sample"] is None else {**written, "sample": spec["sample"]}
