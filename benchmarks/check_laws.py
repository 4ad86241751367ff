"""Laws of a server, on random configurations of the whole catalogue, in the compiled kernel.

``python benchmarks/check_laws.py [CONFIGURATIONS] [SEED]`` prints, for each law, how many of the
configurations that run break it and by how much, and ends with 1 if any does.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from perfcore.accuracy.prediction import Batch, evaluate_points
from perfcore.catalog import loader, names
from perfcore.catalog.engine_entry import EngineEntry
from perfcore.catalog.schema import DeviceEntry
from perfcore.physics.operators import flops_per_token
from perfcore.physics.stages.point import Point
from perfcore.records import (
    OFFLOAD_NONE,
    SCHEDULER_DISAGGREGATED,
    Deployment,
    Device,
    Engine,
    Model,
)
from perfcore.testing.scenario import COMPUTE_RATES, ideal_engine

Floats = npt.NDArray[np.float64]
Results = Mapping[str, Floats]
Excess = Callable[[Results, Results], Floats]

TOLERANCE: Final = 1e-9
KINDS: Final = ("model", "device", "weight_format", "kv_format", "economics")
BATCHES: Final = (1, 2, 3, 4, 7, 8, 16, 31, 64, 100, 256, 1024, 4096)
RATES: Final = (*COMPUTE_RATES, "flops_fp16_narrow")
LENGTHS: Final = (1, 2, 16, 100, 128, 511, 1024, 2048, 8192, 32768, 131072)


class Law(NamedTuple):
    """A law: what is changed, and which results may not fall.

    It is checked on ``base`` of a sample, which leaves out what it does not hold for.
    """

    name: str
    change: Callable[["Sample"], "Sample"]
    excess: Excess  # relative; above 0 where the law is broken
    base: Callable[["Sample"], "Sample"] | None = None
    tolerance: float = TOLERANCE


class Sample(NamedTuple):
    """Configurations as tables and records, one column each."""

    batch: Batch
    engines: Floats

    def results(self) -> Results:
        """Return the results of all configurations."""
        points = evaluate_points(self.batch, self.engines)
        return dict(zip(Point._fields, points, strict=True))

    def arithmetic_s(self) -> Floats:
        """Return the device-seconds of a request's linear products at the fastest rate. [s]"""
        device = self.batch.tables[1][self.batch.records[1]]
        plan = self.batch.deployments
        rates = device[:, [Device._fields.index(name) for name in RATES]].max(axis=1)
        flops = np.array([flops_per_token(Model(*row)) for row in self.batch.tables[0]])
        input_len, output_len = self.batch.lengths
        hit, tp, pp, dp = (
            plan[:, Deployment._fields.index(name)] for name in ("prefix_hit", "tp", "pp", "dp")
        )
        tokens = (1.0 - hit) * input_len
        scheduler = plan[:, Deployment._fields.index("scheduler")]
        tokens = np.where(scheduler == SCHEDULER_DISAGGREGATED, 0.0, tokens) + output_len - 1.0
        return tokens * flops[self.batch.records[0]] / (rates * tp * pp * dp)

    def with_deployment(self, field: str, change: Callable[[Floats], Floats]) -> "Sample":
        """Return the configurations with another value of a field of the deployment."""
        deployments = self.batch.deployments.copy()
        place = Deployment._fields.index(field)
        deployments[:, place] = change(deployments[:, place])
        return self._replace(batch=self.batch._replace(deployments=deployments))

    def with_full_interference(self) -> "Sample":
        """Return the configurations with prompts that delay the steps of others in full."""
        engines = self.engines.copy()
        engines[:, Engine._fields.index("interference")] = 1.0
        return self._replace(engines=engines)

    def with_ideal_engines(self) -> "Sample":
        """Return the configurations with the physical bound of each engine."""
        engines = [ideal_engine(Engine(*row)) for row in self.engines]
        return self._replace(engines=np.array(engines, np.float64))

    def with_device(self, field: str, factor: float) -> "Sample":
        """Return the configurations with a field of the device scaled."""
        tables = list(self.batch.tables)
        tables[1] = tables[1].copy()
        tables[1][:, Device._fields.index(field)] *= factor
        return self._replace(batch=self.batch._replace(tables=cast("tuple", tuple(tables))))

    def with_lengths(self, place: int, change: Callable[[Floats], Floats]) -> "Sample":
        """Return the configurations with other input (0) or output (1) lengths."""
        lengths = self.batch.lengths.copy()
        lengths[place] = change(lengths[place])
        return self._replace(batch=self.batch._replace(lengths=lengths))


def sample(count: int, seed: int) -> Sample:
    """Return random configurations of every entry of the catalogue."""
    rng = np.random.default_rng(seed)
    entries = {kind: [loader.load(kind, name) for name in names(kind)] for kind in KINDS}
    tables = tuple(
        np.array([entry.record() for entry in entries[kind]], np.float64)  # type: ignore[attr-defined]
        for kind in KINDS
    )
    chosen = [rng.integers(len(table), size=count) for table in tables]
    engines = [cast("EngineEntry", loader.load("engine", name)) for name in names("engine")]
    devices = cast("list[DeviceEntry]", entries["device"])
    records = np.array([engine.record(device) for engine in engines for device in devices])
    engine = rng.integers(len(engines), size=count) * len(devices) + chosen[1]
    degrees = np.array([1.0, 1.0, 2.0, 4.0, 8.0])
    tp = rng.choice(degrees, count)
    dp = np.where(rng.random(count) < 0.8, 1.0, rng.choice(degrees, count))
    deployments = np.zeros((count, len(Deployment._fields)))
    values = {
        "scheduler": rng.integers(3, size=count),
        "gpu_layers": Deployment().gpu_layers,
        "cpu_moe_layers": Deployment().cpu_moe_layers,
        "offload": np.where(rng.random(count) < 0.9, 0, rng.integers(3, size=count)),
        "tp": tp,
        "pp": np.where(rng.random(count) < 0.8, 1.0, rng.choice(degrees, count)),
        "dp": dp,
        "ep": np.where(rng.random(count) < 0.5, 1.0, tp * dp),
        "prefix_hit": np.where(rng.random(count) < 0.7, 0.0, rng.random(count) * 0.99),
        "draft_len": np.where(rng.random(count) < 0.8, 0, rng.integers(1, 6, size=count)),
        "acceptance": rng.random(count),
        "batch": rng.choice(BATCHES, count),
    }
    for name, column in values.items():
        deployments[:, Deployment._fields.index(name)] = column
    lengths = rng.choice(LENGTHS, (2, count)).astype(np.float64)
    return Sample(
        Batch(
            questions=cast("tuple", tuple(range(count))),
            tables=cast("tuple", tables),
            records=np.array([*chosen[:2], engine, *chosen[2:]], np.int64),
            deployments=deployments,
            lengths=lengths,
            engines=(),
        ),
        records,
    )


def rises(name: str) -> Excess:
    """Return by how much a result fell that may only rise."""
    return lambda before, after: 1.0 - after[name] / before[name]


def falls(name: str) -> Excess:
    """Return by how much a result rose that may only fall."""
    return lambda before, after: after[name] / before[name] - 1.0


def like_loads(
    excess: Callable[[Results, Results], Floats],
) -> Callable[[Results, Results], Floats]:
    """Return ``excess`` where as many requests run, or nothing is offloaded.

    Of B requests with a cache of K bytes each, all but U bytes are read from the second tier:
    B / (B K - U) requests finish per second, fewer the more run at once.
    """

    def alike(before: Results, after: Results) -> Floats:
        same = before["running_batch"] == after["running_batch"]
        same |= before["offloaded_bytes_per_device"] == 0.0
        return np.where(same, excess(before, after), 0.0)

    return alike


def broken(law: Law, drawn: Sample, before: Results) -> Floats:
    """Return by how much each configuration breaks a law; 0 if it does not, or does not run."""
    base = drawn
    if law.base is not None:
        base = law.base(drawn)
        before = base.results()
    changed = law.change(base)
    after = before if changed is base else changed.results()
    with np.errstate(all="ignore"):
        excess = law.excess(before, after)
    excess = np.where(np.isnan(excess), np.inf, excess)
    runs = (before["status"] == 0) & (after["status"] == 0)
    return np.where(runs & (excess > law.tolerance), excess, 0.0)


def same(sample: Sample) -> Sample:
    """Return the sample itself."""
    return sample


def laws(sample: Sample) -> tuple[Law, ...]:
    """Return the laws of a sample."""
    batch = sample.batch.deployments[:, Deployment._fields.index("batch")]
    board_w = sample.batch.tables[1][sample.batch.records[1], Device._fields.index("board_power")]
    idle_w = sample.batch.tables[1][sample.batch.records[1], Device._fields.index("idle_power")]

    arithmetic_s = sample.arithmetic_s()

    def faster(drawn: Sample) -> Sample:
        return drawn.with_device("memory_bandwidth", 2.0)

    def in_memory(drawn: Sample) -> Sample:
        """Prompts delay others in full, and nothing is offloaded."""
        kept = drawn.with_full_interference()
        return kept.with_deployment("offload", lambda x: np.full_like(x, OFFLOAD_NONE))

    def of_some_tokens(drawn: Sample) -> Sample:
        """As ``in_memory``, with prompts and answers of at least 16 tokens.

        Requests of a few tokens have next to no steps between their prompts: crowds of them are
        slower by up to 4 %.
        """
        base = in_memory(drawn)
        for place in (0, 1):
            base = base.with_lengths(place, lambda tokens: np.maximum(tokens, 16.0))
        return base

    return (
        Law(
            "requests in flight = throughput x time",
            same,
            lambda r, _: np.abs(r["requests_per_s"] * r["e2e_latency_s"] / batch - 1.0),
        ),
        Law("MFU is at most 1", same, lambda r, _: r["mfu"] - 1.0),
        Law("MBU is at most 1", same, lambda r, _: r["mbu"] - 1.0),
        Law("power of decode <= board", same, lambda r, _: r["decode_power_w"] / board_w - 1.0),
        Law("power of decode >= idle", same, lambda r, _: 1.0 - r["decode_power_w"] / idle_w),
        Law("high end of power <= board", same, lambda r, _: r["power_high_w"] / board_w - 1.0),
        Law("no faster than the bound", Sample.with_ideal_engines, falls("e2e_latency_s")),
        Law(
            "arithmetic of requests takes its time",
            same,
            lambda r, _: r["requests_per_s"] * arithmetic_s - 1.0,
            Sample.with_ideal_engines,
        ),
        Law("more bandwidth, no slower first token", faster, falls("ttft_s")),
        Law("more bandwidth, no slower end", faster, falls("e2e_latency_s")),
        Law(
            "a longer answer is done no sooner",
            lambda s: s.with_lengths(1, lambda x: x * 2.0),
            like_loads(rises("e2e_latency_s")),
            Sample.with_full_interference,
            0.01,  # prompts hide behind the first decode steps, if there are any
        ),
        Law(
            "a longer prompt is done no sooner",
            lambda s: s.with_lengths(0, lambda x: x * 2.0),
            like_loads(rises("e2e_latency_s")),
            tolerance=1e-5,  # a few more tokens hide, in steps in which a little fewer write
        ),
        Law(
            "more cached, no slower end",
            lambda s: s.with_deployment("prefix_hit", lambda x: 0.5 + 0.5 * x),
            like_loads(falls("e2e_latency_s")),
        ),
        Law(
            "more in flight, no less throughput",
            lambda s: s.with_deployment("batch", lambda x: 2.0 * x),
            rises("requests_per_s"),
            of_some_tokens,
            0.03,  # crowds that prefill leave less to hide behind
        ),
    )


def main(count: int = 100_000, seed: int = 0) -> int:
    """Print the laws, and return 1 if one is broken."""
    drawn = sample(count, seed)
    before = drawn.results()
    failed = 0
    print(f"{count:,} configurations, {int((before['status'] == 0).sum()):,} run")
    for law in laws(drawn):
        excess = broken(law, drawn, before)
        faults = int((excess > 0.0).sum())
        failed += faults
        where = f"; worst {excess.max():+.2%} at {int(excess.argmax())}" if faults else ""
        print(f"{faults:8,}  {law.name}{where}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
