"""The result of one configuration."""

from naive.bill import Bill


class Naive(Bill):
    """One configuration, evaluated by summing. ``point`` has the result.

    ``running`` is the batch that runs at once, where it is not the whole one.
    """

    def point(self):
        """Return the result, by the names of the columns."""
        status = self.status()
        if status == 7 and not self.static and self.max_batch() >= 1:
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
            return waits.result(waits.status())
        return self.result(status)

    def result(self, status):
        if not self.experts_kernel.flops:
            return {"status": status}
        device, engine = self.device, self.engine
        layout, batch, devices = self.deployment, self.batch, self.devices
        step, prefill = self.decode(), self.prefill()
        prompts = self.prompts() * self.groups
        per_prompt = prefill.total / prompts

        # Other requests' prefill: passes per decode step that it waits for.
        passes = 0.0
        if self.continuous:
            passes = engine.interference * max(batch - 1, 0) / self.output_len / prompts
            passes /= self.at_once()
        prefill_s = passes * prefill.total
        tpot = step.total + prefill_s
        request = (self.output_len - 1) * tpot

        def queue(load):
            load = min(load, 0.95)
            return prefill.total * load / (2 * (1 - load)) if engine.random_arrivals else 0.0

        first = engine.host_per_prefill + prefill.total + self.prefill_offload()
        waiting = (1 - batch / layout.batch) * self.output_len * tpot
        ttft = first
        if self.continuous:
            ttft += step.total / 2 + queue(prefill_s / tpot)
            ttft += engine.queue_weight * max(batch - 1, 0) * per_prompt + waiting
        pool = 0.0
        if self.disaggregated:
            pool = per_prompt * batch / (self.output_len * tpot * engine.prefill_pool_load)
            pool /= self.at_once()
            port = engine.network_efficiency * device.network_bandwidth * self.tp
            cache = self.cache_bytes(self.input_len)
            ttft += queue(engine.prefill_pool_load) + waiting
            ttft += cache / len(self.layers) / port
        latency = ttft + request

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
        late = prefill.parts["start"] + prefill.parts["network_start"]

        size, flop = self.pass_traffic()
        weight_bytes, kv_bytes = self.weight_bytes_per_device(), self.kv_bytes_per_device()
        wall = step.total * self.accepted()  # of a step
        step_bytes, step_flops = size * self.passes, flop * self.passes
        point = {
            "status": status,
            "bound": list(causes.values()).index(max(causes.values())),
            "ttft_s": ttft,
            "tpot_s": tpot,
            "e2e_latency_s": latency,
            "tokens_per_s_per_user": 1 / tpot,
            "tokens_per_s_per_device": batch / tpot / (devices + pool * devices),
            "requests_per_s": batch / (latency if self.static else self.output_len * tpot),
            "running_batch": batch,
            "prefill_pool": pool,
            "weight_bytes_per_device": weight_bytes,
            "kv_bytes_per_device": kv_bytes,
            "total_bytes_per_device": weight_bytes + kv_bytes,
            "offloaded_bytes_per_device": sum(self.offloaded()),
            "max_batch": self.max_batch(),
            "devices_needed": self.devices_needed(),
            "step_bytes": step_bytes,
            "step_flops": step_flops,
            "arithmetic_intensity": step_flops / step_bytes,
            "mbu": step_bytes / (wall * devices * device.memory_bandwidth),
            "mfu": step_flops / (wall * devices * self.experts_kernel.flops),
            "ridge_batch": (
                self.experts_kernel.flops / device.memory_bandwidth * self.weights.bits / 16
            ),
            "elasticity_bandwidth": sum(
                step.parts[name] + passes * prefill.parts[name] for name in streams
            )
            / tpot,
            "elasticity_compute": (step.parts["compute"] + passes * prefill.parts["compute"])
            / tpot,
            "elasticity_link": (transfer + passes * prefill.parts["network_transfer"]) / tpot,
            "elasticity_latency": (fixed + passes * late) / tpot,
        }
        point |= self.bill(step, prefill.total, prefill_s, first, request)
        point |= self.intervals(point)
        for cause, seconds in causes.items():
            point[f"{cause}_s"] = seconds
            point[f"{cause}_share"] = seconds / tpot
        return point

    def intervals(self, point):
        """Return what encloses four of five measurements, by the names of the columns."""
        engine, found = self.engine, {}
        decode, first = "served", "served"
        if self.static:
            decode, first = "single" if self.devices == 1 else "parallel", "static"
        for side in ("low", "high"):
            ttft = point["ttft_s"] * getattr(engine, f"{side}_ttft_{first}")
            tpot = point["tpot_s"] * getattr(engine, f"{side}_tpot_{decode}")
            joules = point["energy_per_output_token_j"] * getattr(engine, f"{side}_energy")
            found[f"ttft_{side}_s"] = ttft
            found[f"tpot_{side}_s"] = tpot
            found[f"e2e_latency_{side}_s"] = ttft + (self.output_len - 1) * tpot
            found[f"energy_per_output_token_{side}_j"] = joules
            watts = point["power_w"] * getattr(engine, f"{side}_power")
            found[f"power_{side}_w"] = watts if side == "low" else min(watts, self.limit)
        return found
