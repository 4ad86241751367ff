"""Simulated rows: servers of an outer point under its traffic, written to a kernel's output.

A row depends only on its configuration and its traffic. Requests and prepared configurations are
kept for the rows that share them.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from perfcore import records
from perfcore.columns import SIMULATED, SIMULATED_STATUS, SLO
from perfcore.errors import InputError
from perfcore.kernel.layout import Block, Integers, Output, Reals
from perfcore.physics.sizing import of_prompts
from perfcore.physics.stages.beside import DraftMachine, ExpertMachine
from perfcore.physics.stages.replica import OK, PREFILL_POOL_FAILS, Replica, prepare
from perfcore.space.axes import Value
from perfcore.space.overrides import OF_TRACE
from perfcore.space.space import POOL_RECORDS, TABLES, Space
from perfcore.space.traffic import FIELDS, WITHOUT_EFFECT, TrafficSection
from perfcore.traffic import results, server
from perfcore.traffic.intervals import intervals
from perfcore.traffic.others import NO_OTHERS, Others, others_beside
from perfcore.traffic.requests import Requests
from perfcore.traffic.synthetic import Traffic

FLAGS: Final = ("chunked", "prefix_cache")
OF_RULES: Final = (
    *("admission", "order", "budget", "max_sequences", "chunked", "block_tokens", "kv_tokens"),
    *("watermark", "prefix_cache", "kv_tiers", "replicas", "routing"),
)
PREFILL: Final = "prefill_replicas"  # prefill servers
RENAMED: Final = {"requests": "requests_offered", "kv_tokens": "kv_capacity_tokens"}  # figures
MOST_KEPT: Final = 2_000_000  # requests kept over all traffics, about 100 bytes each
_REPLACED: Final = {  # axes that rows lack
    name: records.Deployment._field_defaults[name] for name in WITHOUT_EFFECT
}
NO_ROOM: Final = SIMULATED_STATUS.index("kv cache does not fit")


class Offer:
    """Requests of the traffics of a space, made once while they are kept. Threads share it.

    Raises
    ------
    InputError
        A trace has changed since the sweep was read, or cannot be read.
    """

    def __init__(self, section: TrafficSection) -> None:
        section.check_traces()
        self.section = section
        self.objectives = dict(section.objectives)
        self.lock = threading.Lock()
        self.made: OrderedDict[tuple[tuple[str, object], ...], Requests] = OrderedDict()
        self.kept = 0

    def requests(self, values: Mapping[str, Value], lengths: Mapping[str, float]) -> Requests:
        """Return the requests of a point's values on the axes of traffic, and of its lengths."""
        others = {k: v for k, v in values.items() if k not in (*OF_RULES, PREFILL)}
        fields = {**lengths, **others}
        key = tuple(fields.items())
        with self.lock:
            if key in self.made:
                self.made.move_to_end(key)
                return self.made[key]
        requests = Traffic(**{FIELDS.get(k, k): self._placed(k, v) for k, v in key}).made()
        with self.lock:
            if key not in self.made:
                self.made[key] = requests
                self.kept += len(requests.arrival_s)
            while self.kept > MOST_KEPT and len(self.made) > 1:
                _, oldest = self.made.popitem(last=False)
                self.kept -= len(oldest.arrival_s)
        return requests

    def _placed(self, name: str, value: object) -> Any:  # noqa: ANN401 - a field of Traffic
        """Return a value with the path of the file that it names."""
        if name == "trace":
            return self.section.path_of(str(value))
        if isinstance(value, str) and value.startswith(OF_TRACE):
            return OF_TRACE + self.section.path_of(value.removeprefix(OF_TRACE))
        return value


class Simulating:
    """Simulation of a block of a space into an output, as ``kernel.filling.Filling`` fills one.

    Parameters
    ----------
    traffic
        Values on the axes of traffic at each point of the block.
    proceed
        Called before each simulation; an error that it raises ends the work.
    """

    def __init__(
        self,
        space: Space,
        offer: Offer,
        block: Block,
        traffic: list[dict[str, Value]],
        output: Output,
        proceed: Callable[[], None],
    ) -> None:
        self.tables = dict(zip(TABLES, space.tables, strict=True))
        self.offer = offer
        self.block = block
        self.traffic = traffic
        self.rules = space.rules
        self.output = output
        self.proceed = proceed
        self.rounded = {
            int(bits): np.flatnonzero(output.dropped_bits == bits)
            for bits in np.unique(output.dropped_bits)
        }
        self.replicas: dict[bytes, Replica] = {}
        self.pairs = space.pairs
        self.other = space.other

    def fill(self, cursor: Integers, dropped: Integers, *, keep_infeasible: bool) -> int:
        """Fill the output from ``cursor`` on; return its number of rows.

        Parameters
        ----------
        cursor
            (2,) next outer position, and 0; updated.
        dropped
            Rows left out, by status; the last element counts rows excluded by rules; updated.
        """
        rows = 0
        while cursor[0] < len(self.traffic) and rows < self.output.capacity:
            self.proceed()
            outer = int(cursor[0])
            cursor[0] += 1
            values = self._row(outer)
            status = int(values[0])
            if _cannot_run(status) and not keep_infeasible:
                dropped[status] += 1
            elif self._admits(values):
                self._write(rows, outer, values)
                rows += 1
            else:
                dropped[-1] += 1
        return rows

    def _row(self, outer: int) -> Reals:
        """Return the results of a point, in the order of ``columns.SIMULATED``."""
        values = self.traffic[outer]
        ahead = int(values.get(PREFILL, 0))
        replica = self._replica(outer)
        prompts_on = self._replica(outer, prompts=self.pairs and ahead > 0)
        if replica.status != OK:
            return _nothing(int(replica.status))
        if prompts_on.status != OK:
            return _nothing(int(PREFILL_POOL_FAILS))
        others = self._others(outer, replica)
        if others.status != OK:
            return _nothing(int(others.status))
        input_len, output_len = self.block.lengths[:, outer].tolist()
        lengths = {} if input_len == 0.0 else {"input_len": int(input_len)}
        lengths |= {} if output_len == 0.0 else {"output_len": int(output_len)}
        requests = self.offer.requests(values, lengths)
        rules = server.Rules(**{k: _rule(k, v) for k, v in values.items() if k in OF_RULES})
        try:
            if ahead:
                # other servers have a KV cache of their own size
                kv_tokens = None if self.pairs else rules.kv_tokens
                on_prompts = replace(rules, replicas=ahead, kv_tokens=kv_tokens)
                simulation = server.simulate_replica_pools(
                    prompts_on, replica, requests, on_prompts, rules
                )
            else:
                simulation = server.simulate_replica(replica, requests, rules, others)
        except InputError:  # the only fault of a replica that runs
            return _nothing(NO_ROOM)
        found = results.summary(simulation)
        found |= results.goodput(simulation, self.offer.objectives, found)
        found |= intervals(replica.engine, found)
        figures = {RENAMED.get(name, name): value for name, value in found.items()}
        figures["status"] = SIMULATED_STATUS.index(str(figures["status"]))
        figures["slo"] = SLO.index(str(figures["slo"]))
        return np.array([figures.get(column.name, np.nan) for column in SIMULATED], np.float64)

    def _replica(self, outer: int, *, prompts: bool = False) -> Replica:
        """Return the prepared configuration of a point, or of its prefill pool."""
        rows = self.block.records[:, outer]
        deployment = self.block.deployments[outer]
        key = rows.tobytes() + deployment.tobytes() + bytes([prompts])
        if key not in self.replicas:
            made = records.Deployment(*deployment.tolist())._replace(**_REPLACED)
            if prompts:
                own = [TABLES.index(kind) for kind in POOL_RECORDS]
                rows = rows.copy()
                rows[own] = rows[len(TABLES) :]
                made = of_prompts(made)
            self.replicas[key] = self._prepared(rows, made)
        return self.replicas[key]

    def _others(self, outer: int, replica: Replica) -> Others:
        """Return the draft, or the experts, of a point that are on devices of their own."""
        if self.other not in ("draft", "experts"):
            return NO_OTHERS
        rows = self.block.records[:, outer]
        own = rows[len(TABLES) :]
        model = records.Model(*self._record("model", rows[TABLES.index("model")]))
        draft, experts = None, None
        if self.other == "draft":
            draft = DraftMachine(
                records.Model(*self._record("model", own[0])),
                records.Device(*self._record("device", own[1])),
                records.Engine(*self._record("engine", own[2])),
                replica.weight_format,
            )
        else:
            experts = ExpertMachine(
                records.Device(*self._record("device", own[0])),
                records.Engine(*self._record("engine", own[1])),
            )
        return others_beside(model, replica, draft, experts)

    def _record(self, kind: str, row: int) -> list[float]:
        """Return the numbers of a record."""
        numbers: list[float] = self.tables[kind][row].tolist()
        return numbers

    def _prepared(self, rows: Integers, deployment: records.Deployment) -> Replica:
        def record(kind: str) -> list[float]:
            return self._record(kind, int(rows[TABLES.index(kind)]))

        return prepare(
            records.Model(*record("model")),
            records.Device(*record("device")),
            records.Engine(*record("engine")),
            records.WeightFormat(*record("weight_format")),
            records.KVFormat(*record("kv_format")),
            deployment,
            records.Economics(*record("economics")),
        )

    def _admits(self, values: Reals) -> bool:
        """Return whether results meet all rules, as they are written."""
        rules = self.rules
        written = values[rules.fields].astype(self.output.metrics.dtype)
        for value, bits, (low, high), mask in zip(
            written, rules.dropped_bits, rules.ranges, rules.masks, strict=True
        ):
            rounded = rounded_to(np.array([value]), int(bits))[0]
            if not low <= rounded <= high or (mask != -1 and not int(mask) >> int(rounded) & 1):
                return False
        return True

    def _write(self, row: int, outer: int, values: Reals) -> None:
        output = self.output
        output.axes[:, row] = 0
        output.axes[: len(self.block.axes), row] = self.block.axes[:, outer]
        written = values[output.metric_fields].astype(output.metrics.dtype)
        for bits, places in self.rounded.items():
            written[places] = rounded_to(written[places], bits)
        output.metrics[:, row] = written
        output.codes[:, row] = np.nan_to_num(values[output.code_fields]).astype(np.int32)


def _cannot_run(status: int) -> bool:
    return SIMULATED_STATUS[status] not in {"ok", "overloaded"}


def _nothing(status: int) -> Reals:
    """Return the results of a configuration that cannot run."""
    values = np.full(len(SIMULATED), np.nan)
    values[0] = status
    return values


def _rule(name: str, value: Value) -> Any:  # noqa: ANN401 - a field of Rules
    return value == "on" if name in FLAGS else value


def rounded_to(values: npt.NDArray[Any], dropped: int) -> npt.NDArray[Any]:
    """Return numbers without the last ``dropped`` bits: to nearest, ties away from zero.

    It is what ``kernel.jit.rounded`` does.
    """
    if dropped == 0:
        return values
    whole = values.view(np.dtype(f"u{values.itemsize}"))
    number = whole.dtype.type
    half, kept = number(1 << (dropped - 1)), ~number((1 << dropped) - 1)
    rounded: npt.NDArray[Any] = ((whole + half) & kept).view(values.dtype)
    return rounded
