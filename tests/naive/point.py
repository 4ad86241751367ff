"""The result of one configuration."""

import functools
import math
from typing import NamedTuple

from naive.bill import Bill
from naive.machine import Sum


class Life(NamedTuple):
    """How a running request spends its seconds."""

    step: Sum  # a decode step that it writes a token in, per token
    slowed: Sum  # how much longer a token takes as others are prefilled
    tpot: float
    first: float  # to the first token
    runs: float  # to the last token
    steps: float  # of decode
    prompts: float  # of prefill, of its own prompt and those of others
    outside: float  # without any device
    busy: float  # time of devices that each of its steps pays for
    share: float  # of the running requests, those that write tokens in a step


class Pace(NamedTuple):
    """How many steps a running request takes, and which prompts come first."""

    writes: float  # steps of its own tokens
    waits: float  # steps up to its first token
    share: float  # of the running requests, those that write tokens in a step
    company: float  # chance that others write tokens while a prompt is prefilled
    busy: float  # time of devices that each of its steps pays for
    ahead: float  # others' prompts before its own
    between: float  # others' prompts between two of its steps


class Naive(Bill):
    """One configuration, evaluated by summing. ``point`` has the result.

    ``running`` is the batch that runs at once, where it is not the whole one. ``given_share`` of
    the requests of a disaggregated server write tokens, if it is given. ``prompts_on`` has the
    device, engine and deployment that run the prompts of a disaggregated server, if they are
    others.
    """

    given_share = None
    prompts_on = None

    @functools.cached_property
    def ahead(self):
        """The configuration that runs the prompts."""
        if self.prompts_on is None or not self.disaggregated:
            return self
        return self.with_prompts_on(self.deployment.batch, self.output_len, self.batch)

    def with_prompts_on(self, batch, output_len, running=None):
        device, engine, deployment = self.prompts_on
        return Naive(
            *(self.entry, device, engine, self.weights, self.kv, self.economics),
            *(deployment._replace(batch=batch), self.input_len, output_len, running),
        )

    def status(self):
        """Return the reason why it cannot run: that it decodes, or that a prompt has no room."""
        status = super().status()
        if self.prompts_on is None or not self.disaggregated or status:
            return status
        return 8 if self.with_prompts_on(1.0, 1.0).status() else 0

    def point(self):
        """Return the result, by the names of the columns."""
        runs = self.as_run()
        return runs.result(runs.status())

    def as_run(self):
        """Return the configuration with as many requests at once as fit."""
        if self.status() == 7 and not self.static and self.max_batch() >= 1:
            waits = Naive(
                self.entry,
                self.device,
                self.engine,
                self.weights,
                self.kv,
                self.economics,
                self.deployment,
                self.input_len,
                self.output_len,
                float(self.max_batch()),
            )
            waits.given_share = self.given_share
            waits.prompts_on = self.prompts_on
            return waits
        return self

    def result(self, status):
        if not self.experts_kernel.flops:
            return {"status": status}
        device = self.device
        batch, devices, written = self.batch, self.devices, self.output_len - 1
        prefill = self.ahead.prefill()
        life = self.life(prefill)
        step, tpot = life.step, life.tpot
        prefill_s = tpot - step.total if self.continuous else 0.0
        waiting = (self.deployment.batch - batch) / batch if not self.static else 0.0
        ttft = life.first + waiting * life.runs
        latency = ttft + written * tpot
        finished = batch / life.runs
        pool = 0.0
        if self.disaggregated:
            prompt_s = prefill.total / self.ahead.groups / self.ahead.at_once()
            pool = self.deployment.prefill_ratio
            pool = pool or finished * prompt_s / self.ahead.engine.prefill_pool_load
            self.ahead.busy = finished * prompt_s / pool
        slowed = life.slowed

        network = step.parts["network_start"] + step.parts["network_transfer"]
        causes = {
            "weights": step.parts["weights"],
            "kv": step.parts["kv"],
            "activations": step.parts["activations"],
            "compute": step.parts["compute"],
            "network": network,
            "latency": step.parts["start"] + step.parts["host"],
            "prefill": prefill_s,
            "offload": step.parts["offload"],
        }
        streams = ("weights", "kv", "activations")
        transfer = step.parts["network_transfer"] + step.parts["offload"]
        fixed = causes["latency"] + step.parts["network_start"]
        late = slowed.parts["start"] + slowed.parts["network_start"]

        size, flop = self.pass_traffic(life.share)
        on_host = self.tables_on_host() / self.devices
        weight_bytes = self.weight_bytes_per_device() + on_host
        kv_bytes = self.kv_bytes_per_device()
        wall = step.total * self.accepted()  # of a step
        step_bytes, step_flops = size * self.passes, flop * self.passes
        point = {
            "status": status,
            "bound": list(causes.values()).index(max(causes.values())),
            "ttft_s": ttft,
            "tpot_s": tpot,
            "e2e_latency_s": latency,
            "tokens_per_s_per_user": 1 / tpot,
            "tokens_per_s_per_device": finished
            * self.output_len
            / (devices + pool * self.ahead.devices),
            "requests_per_s": finished,
            "running_batch": batch,
            "prefill_pool": pool,
            "weight_bytes_per_device": weight_bytes,
            "kv_bytes_per_device": kv_bytes,
            "total_bytes_per_device": weight_bytes + kv_bytes,
            "offloaded_bytes_per_device": sum(self.offloaded()) + on_host,
            "max_batch": self.max_batch(),
            "devices_needed": self.devices_needed(),
            "step_bytes": step_bytes,
            "step_flops": step_flops,
            "arithmetic_intensity": step_flops / step_bytes,
            "mbu": step_bytes / (wall * devices * device.memory_bandwidth),
            "mfu": step_flops / (wall * devices * self.fastest_flops()),
            "ridge_batch": (
                self.experts_kernel.flops / device.memory_bandwidth * self.weights.bits / 16
            ),
            "elasticity_bandwidth": sum(step.parts[name] + slowed.parts[name] for name in streams)
            / tpot,
            "elasticity_compute": (step.parts["compute"] + slowed.parts["compute"]) / tpot,
            "elasticity_link": (transfer + slowed.parts["network_transfer"]) / tpot,
            "elasticity_latency": (fixed + late) / tpot,
        }
        point |= self.bill(step, prefill.total, life)
        point |= self.intervals(point)
        measured = self.weights.perplexity_increase != -1.0
        point["perplexity_increase"] = self.weights.perplexity_increase if measured else math.nan
        for cause, seconds in causes.items():
            point[f"{cause}_s"] = seconds
            point[f"{cause}_share"] = seconds / tpot
        return point

    def life(self, prefill):
        """Return how a request lives, by scheduler."""
        if self.continuous:
            return self.life_among_others(prefill)
        engine, written = self.engine, self.output_len - 1
        nothing = Sum(engine.residue, self.device)
        step, *_ = self.decode()
        weights_once = self.prefill_offload()
        prompts = prefill.total + weights_once
        first = self.ahead.engine.host_per_prefill + prompts
        share = busy = 1.0
        paced = 0.0
        if self.disaggregated:
            first += self.sending(prefill.total)
            writing = written * step.total
            load = self.ahead.engine.prefill_pool_load
            if self.deployment.prefill_ratio:
                each = prefill.total / self.ahead.groups / self.ahead.at_once()
                paced = self.batch * each / self.deployment.prefill_ratio
                load = self.load_of_pool(paced, first + writing, prefill.total)
            first += self.waiting(prefill.total, min(load, 0.95))
            first = max(first, paced - writing)
            share = writing / (writing + first) if self.batch > 1 else 1.0
            if self.given_share is not None:
                share = self.given_share
            step, *_ = self.decode(share)
            first = max(first, paced - written * step.total)
            runs = first + written * step.total
            busy = runs / (max(written, 1) * step.total)
        steps = written * step.total
        return Life(
            step,
            nothing,
            step.total,
            first,
            first + steps,
            steps,
            prompts,
            self.ahead.engine.host_per_prefill,
            busy,
            share,
        )

    def sending(self, seconds):
        """Return how long after a prefill of some seconds the cache arrives, layer by layer."""
        ports = []
        for end in (self, self.ahead):
            network = self.deployment.prefill_link or end.device.network_bandwidth
            ports.append(end.engine.network_efficiency * network * end.tp)
        count = len(self.layers)
        layer = self.cache_bytes(self.input_len) / count / min(ports)
        arrived = 0.0
        for done in range(1, count + 1):
            arrived = max(arrived, seconds * done / count) + layer
        return arrived - seconds

    def waiting(self, seconds, load):
        """Return how long a prompt of some seconds waits for those before it."""
        return self.ahead.engine.random_arrivals * seconds * load / (2 * (1 - load))

    def load_of_pool(self, paced, others, seconds):
        """Return the load at which as many requests are in flight as there are.

        All of them take ``paced`` if the pool is always busy, else ``others`` and a wait.
        """
        low, high = 0.0, 1.0
        while high - low > 1e-15:
            load = (low + high) / 2
            if load * (others + self.waiting(seconds, load)) > paced:
                high = load
            else:
                low = load
        return low

    def pace(self):
        """Return the steps of a request in a server that prefills others meanwhile."""
        engine, others = self.engine, self.batch - 1
        room = engine.prefill_chunk
        writes = (self.output_len - 1) / self.accepted()  # steps
        # The others' prompts: in a wave before its own, or at any of its steps.
        wave = min(engine.queue_weight, 1)
        of_a_prompt = self.new / room
        at_a_step = (1 - wave) / (writes + 1)
        if others:  # no more than fill a step
            at_a_step = min(at_a_step, self.batch / self.sequences / of_a_prompt / others)
        first = 1 - writes * at_a_step
        ahead = others * first
        between = others * at_a_step

        waits = max(of_a_prompt, 1)
        waits += first * max(self.sequences - 1, 0) * of_a_prompt
        tokens = self.sequences * (self.new + self.queries * writes)
        waits = max(waits, tokens / room - writes)
        waits += 0.5  # it arrives in the middle of a step, which does not carry its prompt
        waits += self.engine.scheduled_ahead  # nor does the next, if it is planned already
        # All that run write all their tokens while one of them runs.
        beside = max(self.sequences - 1, 0)  # in the same passes
        company = min(beside * writes / (writes + waits), 1)
        share = writes / (writes + company * waits) if writes else 1 / (1 + beside)
        return Pace(writes, waits, share, company, 1 / share, ahead, between)

    def life_among_others(self, prefill):
        """Return how a request lives in a server that prefills others meanwhile."""
        engine, accepted = self.engine, self.accepted()
        writes, waits, share, company, busy, ahead, between = self.pace()
        step, linear, attention = self.decode(share)
        streaming, arithmetic = linear.parts, linear.arithmetic
        wall = step.total * accepted
        # What a prompt saves in a step of others: start-ups, and arithmetic behind reads.
        shared = self.weight_reads() * self.at_once() / self.passes * self.fill()
        reads = shared * accepted
        saved = Sum(engine.residue, self.device)
        saved.wait("weights", reads * (streaming["weights"] + streaming["activations"]))
        saved.wait("compute", reads * (streaming["compute"] - arithmetic))
        saved.wait("start", shared * self.start_ups())
        added = Sum(engine.residue, self.device)
        if prefill.total > saved.total:
            added.add(prefill, 1)
            added.add(saved, -1)
        if self.device.board_power < self.device.rated_power:
            more = self.longer_together(prefill.total, saved.total, step, reads) - added.total
            added.add(prefill, max(more, 0.0) / prefill.total)
        # A step has time for arithmetic while it waits for bytes; the rest cannot overlap.
        idle = sum(streaming[name] for name in ("weights", "activations", "compute")) - arithmetic
        idle += max(attention.total - attention.arithmetic, 0.0)
        beside = Sum(engine.residue, self.device)
        beside.add(added, engine.interference)
        arithmetic_s = self.prefill_arithmetic
        if not self.spatial:
            working = self.prefill_width * self.groups / self.devices
            arithmetic_s *= self.at_once() * working if self.pp > 1 else 1.0
        arithmetic_s -= reads * idle
        if arithmetic_s > beside.total:
            beside = Sum(engine.residue, self.device)
            beside.wait("compute", arithmetic_s)
            for name in ("weights", "activations", "kv"):
                read = linear.parts[name] + attention.parts[name]
                beside.wait(name, -reads * read)
                beside.wait("compute", reads * read)
        # Without others that write, each step of the prompt waits for the host, too.
        alone = prefill.total + (self.weight_reads() - 1) * self.host(0) / self.passes
        prompts = self.prompts() * self.groups
        own = max(added.total, arithmetic_s)
        own_s = ((1 - company) * alone + company * own) / prompts + self.prefill_offload()
        ahead_s = ((1 - company) * alone + company * beside.total) / prompts / self.at_once()
        # One of its own steps carries what comes between them.
        slowed = Sum(engine.residue, self.device)
        slowed.add(beside, between / accepted / prompts / self.at_once())
        between_s = beside.total * between * writes / prompts / self.at_once()

        outside = engine.host_per_prefill
        first = outside + company * waits * wall + own_s + ahead * ahead_s
        tpot = step.total + slowed.total
        runs = first + (self.output_len - 1) * tpot
        return Life(
            step,
            slowed,
            tpot,
            first,
            runs,
            (writes + company * waits) * wall,
            own_s + ahead * ahead_s + between_s,
            outside,
            busy,
            share,
        )

    def intervals(self, point):
        """Return what encloses four of five measurements, by the names of the columns."""
        engine, found = self.engine, {}
        decode, first = "served", "served"
        if self.static:
            decode, first = "single" if self.devices == 1 else "parallel", "static"
        for side in ("low", "high"):
            ttft = point["ttft_s"] * getattr(self.ahead.engine, f"{side}_ttft_{first}")
            tpot = point["tpot_s"] * getattr(engine, f"{side}_tpot_{decode}")
            joules = point["energy_per_output_token_j"] * getattr(engine, f"{side}_energy")
            found[f"ttft_{side}_s"] = ttft
            found[f"tpot_{side}_s"] = tpot
            found[f"e2e_latency_{side}_s"] = ttft + (self.output_len - 1) * tpot
            found[f"energy_per_output_token_{side}_j"] = joules
            watts = point["power_w"] * getattr(engine, f"{side}_power")
            found[f"power_{side}_w"] = watts if side == "low" else min(watts, self.limit)
        return found
