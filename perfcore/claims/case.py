"""A claim as input of physics, on any number of its devices."""

from collections.abc import Iterator
from math import ceil
from typing import Final, NamedTuple

from perfcore import records
from perfcore.catalog import default_economics, load_engine, load_kv_format
from perfcore.claims.claim import Claim
from perfcore.physics.attention import kv_bytes_per_sequence
from perfcore.physics.parallelism import heads_fit
from perfcore.physics.stages.point import Point, evaluate
from perfcore.physics.stages.replica import CONTEXT_TOO_LONG, OK
from perfcore.physics.weights import weight_bytes
from perfcore.records import SCHEDULER_STATIC

MOST_DEVICES: Final = 65_536
_SEARCHED: Final = 256  # device counts that are tried, from the smallest


class Case(NamedTuple):
    """A claim as input of physics."""

    model: records.Model
    device: records.Device
    ideal: records.Engine
    engine: records.Engine
    weight_format: records.WeightFormat
    kv_format: records.KVFormat
    economics: records.Economics
    batch: float
    input_len: float
    output_len: float

    @classmethod
    def of(cls, claim: Claim) -> "Case":
        """Return the case of a claim, with ideal and default engine and a 16-bit KV cache."""
        return cls(
            model=claim.model.record(),
            device=claim.device.record(),
            ideal=load_engine("ideal").record(claim.device),
            engine=load_engine("default").record(claim.device),
            weight_format=claim.weight_format.record(),
            kv_format=load_kv_format("bf16").record(),
            economics=default_economics(),
            batch=float(claim.batch),
            input_len=float(claim.input_len),
            output_len=float(claim.output_len),
        )

    def point(
        self,
        engine: records.Engine,
        degrees: tuple[int, int, int],
        *,
        batch: float | None = None,
        scheduler: float = SCHEDULER_STATIC,
    ) -> Point:
        """Return the result of an engine on tp x pp x dp devices."""
        tp, pp, dp = degrees
        deployment = records.Deployment(
            tp=float(tp),
            pp=float(pp),
            dp=float(dp),
            ep=1.0,
            batch=self.batch if batch is None else batch,
            scheduler=scheduler,
            prefix_hit=0.0,
            draft_len=0.0,
            acceptance=0.0,
            offload=records.OFFLOAD_NONE,
        )
        return evaluate(
            self.model,
            self.device,
            engine,
            self.weight_format,
            self.kv_format,
            deployment,
            self.economics,
            self.input_len,
            self.output_len,
        )

    def layout(self, devices: int) -> tuple[int, int, int]:
        """Return tp, pp, dp: tensor parallelism as far as heads and domain allow, then pipeline."""
        if self.device.spatial == 1.0:
            return 1, devices, 1
        tp = max(
            degree
            for degree in _divisors(devices)
            if degree <= max(self.device.scale_up_domain, 1.0)
            and heads_fit(self.model, self.engine, float(degree))
        )
        return tp, devices // tp, 1

    def predicted(self, devices: int) -> Point:
        """Return the result of the default engine on a number of devices."""
        return self.point(self.engine, self.layout(devices))

    def predicted_at(self, claim: Claim, batch: int) -> float:
        """Return the predicted time per output token on a claim's devices at a batch. [s]"""
        degrees = self.layout(claim.devices)
        return self.point(self.engine, degrees, batch=float(batch)).tpot_s

    def bound(self, devices: int) -> Point:
        """Return the result of the ideal engine in its fastest layout, even if it does not fit."""
        padded = self.ideal._replace(pads_heads=1.0)
        points = [self.point(padded, degrees) for degrees in self._layouts(devices)]
        return min(points, key=lambda point: point.tpot_s)

    def _layouts(self, devices: int) -> Iterator[tuple[int, int, int]]:
        if self.device.spatial == 1.0:
            yield 1, devices, 1
            return
        for pp in _divisors(devices):
            if pp > max(self.model.layers, 1.0):
                continue
            for tp in _divisors(devices // pp):
                yield tp, pp, devices // pp // tp

    @property
    def needed_bytes(self) -> float:
        """Memory for the weights and the KV cache of the batch at full length. [bytes]"""
        length = self.input_len + self.output_len
        per_sequence = kv_bytes_per_sequence(self.model, self.kv_format, length)
        return weight_bytes(self.model, self.weight_format) + self.batch * per_sequence

    def smallest_fit(self) -> int | None:
        """Return the smallest number of devices on which the default engine runs the batch."""
        by_memory = ceil(self.needed_bytes / self.device.memory_capacity)
        if by_memory > MOST_DEVICES:
            return None
        first = max(by_memory, int(self.predicted(by_memory).devices_needed))
        for devices in range(first, min(first + _SEARCHED, MOST_DEVICES + 1)):
            status = self.predicted(devices).status
            if status == CONTEXT_TOO_LONG:
                return None
            if status == OK:
                return devices
        return None

    def fast_enough(self, first: int, tpot_s: float) -> int | None:
        """Return the smallest number of devices, from ``first`` on, that may reach ``tpot_s``.

        That is, the lower end of the predicted 80 % interval is at most ``tpot_s``.
        """
        for devices in range(first, min(first + _SEARCHED, MOST_DEVICES + 1)):
            point = self.predicted(devices)
            if point.status == OK and point.tpot_low_s <= tpot_s:
                return devices
        return None


def _divisors(number: int) -> list[int]:
    low = [step for step in range(1, int(number**0.5) + 1) if number % step == 0]
    return sorted({*low, *(number // step for step in low)})
