"""Traffic, power, energy and money."""

import math

from naive.architecture import routed
from naive.passes import Passes


class Bill(Passes):
    """Traffic, power, energy and money."""

    def pass_traffic(self, share):
        """Return the bytes and FLOP of one pass of the decode step on all devices.

        Of its sequences, a ``share`` writes tokens.
        """
        size, flop = self.full_pass_traffic()
        bare = self.groups * self.body_bytes()
        return bare + share * (size - bare), share * flop

    def full_pass_traffic(self):
        """Return the bytes and FLOP of one pass of the decode step on all devices."""
        entry, a = self.entry, self.activation
        tokens = self.sequences * self.groups * self.queries
        size = self.groups * self.body_bytes() + self.touched_bytes(self.of_pass * self.queries)
        more, flop = self.token_traffic(tokens)
        size += more + a * tokens * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * tokens * entry.vocab_size * entry.hidden_size
        copies = self.width * self.kv_share(self.width)
        for kind in ("global", "window", "state"):
            cache, state, moved, scores = self.attention_traffic(kind, self.sequences * self.groups)
            size += cache * copies + state + moved
            flop += scores
        return size, flop

    def token_traffic(self, tokens):
        """Return the activation bytes and the FLOP of ``tokens`` in all layers' products."""
        entry, a = self.entry, self.activation
        size = flop = 0.0
        for layer in self.layers:
            size += 10 * a * entry.hidden_size * tokens
            for matrix in layer.matrices:
                size += a * tokens * matrix.moved
                flop += 2 * tokens * matrix.elements
            if layer.expert:
                size += a * tokens * routed(entry) * layer.expert.io
                flop += 2 * tokens * routed(entry) * layer.expert.elements
        return size, flop

    def prefill_traffic(self):
        """Return the bytes and FLOP of a prefill pass on all devices."""
        entry, width = self.entry, self.prefill_width
        prompts = self.prompts() * self.groups
        size, flop = self.token_traffic(self.all_prompt_tokens())
        size += self.groups * self.body_bytes() * self.weight_reads()
        if entry.num_experts:
            size += self.touched_bytes(self.touching_tokens()) * self.weight_reads()
        size += self.activation * prompts * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * prompts * entry.vocab_size * entry.hidden_size
        cache, state, moved, scores = self.prefill_attention()
        size += self.groups * (cache * width * self.kv_share(width) + state + moved)
        return size, flop + self.groups * scores

    def running_power(self, size, flop, width, seconds, attention=0.0):
        """Return the watts of ``width`` boards that share bytes and FLOP, while operators run.

        ``attention`` are those of the seconds that the cache takes.
        """
        engine, device = self.engine, self.device
        memory = size / (width * device.memory_bandwidth * seconds)
        compute = flop / (width * self.experts_kernel.flops * seconds)
        share = engine.power_floor + engine.power_memory * memory
        share += engine.power_compute * math.sqrt(compute)
        share += engine.power_attention * attention / seconds
        return min(1.0, share) * device.board_power

    def decode_power(self, step, size, flop):
        """Return the mean watts of a board in decode."""
        engine, board = self.engine, self.device.board_power
        network = step.parts["network_start"] + step.parts["network_transfer"]
        exchanging = network + step.parts["offload"]
        host = step.parts["host"]
        running = step.total - exchanging - host
        working = self.width * self.groups
        each = 1 / self.accepted()  # a token's part of a pass
        watts = self.running_power(size * each, flop * each, working, running, step.parts["kv"])
        joules = running * watts
        joules += exchanging * engine.power_network * board + host * engine.power_host * board
        busy = self.passes * working / self.devices
        return busy * joules / step.total + (1 - busy) * self.device.idle_power

    def at_once(self):
        """Return how many prefill passes share the stages: those that chunks leave idle."""
        busy = self.prefill_width * self.groups / (self.devices * self.fill())
        return min(self.passes, max(1 / busy, 1))

    def prefill_power(self, seconds):
        """Return the mean watts of a board in prefill."""
        width = self.prefill_width * self.groups
        working = seconds / self.fill()  # of the parts one after another, each on one stage
        power = self.running_power(*self.prefill_traffic(), width, working)
        busy = self.at_once() * working * width / self.devices / seconds
        return busy * power + (1 - busy) * self.device.idle_power

    def usd_per_second(self):
        device, economics = self.device, self.economics
        hour = device.price_per_hour
        if economics.purchase == 1.0:
            hour = device.spot_price_per_hour
        if economics.purchase == 2.0:
            capital = device.purchase_price * economics.server_factor
            kilowatts = device.board_power * (1 + economics.node_overhead) * economics.pue / 1000
            hour = capital * (self.annuity() + economics.operations) / 8760
            hour += kilowatts * economics.electricity_price
        hour *= economics.price_multiplier * self.devices
        return hour / 3600 / economics.utilization

    def annuity(self):
        """Return the yearly payment for one dollar of capital."""
        interest = self.economics.interest
        years = self.economics.lifetime / (8760 * 3600)
        if interest < 1e-9:  # the limit, with its first-order term
            return 1 / years + interest * (1 + 1 / years) / 2
        return interest / (1 - (1 + interest) ** -years)

    def cached_token_seconds(self):
        """Return the seconds of attention that all new tokens pay to one cached token."""
        flop = sum(
            layer.attention.prefill_score * self.new
            for layer in self.layers
            if layer.attention and layer.attention.kind == "global"
        )
        rate = self.attention_flops * self.engine.attention_prefill_efficiency
        return flop / (rate * self.prefill_width * self.groups)

    def bill(self, step, prefill, life, traffic):
        """Return power, energy and money, by the names of the columns.

        ``prefill`` is the seconds of a pass, ``life`` how a request spends its own, and ``traffic``
        the bytes and FLOP of a decode pass.
        """
        device, engine, economics = self.device, self.engine, self.economics
        devices, batch = self.devices, self.batch
        decode_power = self.decode_power(step, *traffic)
        prefill_power = self.prefill_power(prefill)
        waiting_power = engine.power_host * device.board_power
        pass_s = prefill / (self.prompts() * self.groups) / self.at_once()  # of all devices
        device_s = life.runs / batch
        power = decode_power
        if not self.disaggregated:
            joules = decode_power * life.steps + prefill_power * life.prompts
            power = (joules + waiting_power * life.outside) / life.runs
        request_energy = devices * power * device_s
        if self.disaggregated:
            request_energy += devices * prefill_power * pass_s
        output_s = step.total * life.busy / batch
        output_energy = devices * decode_power * output_s
        later = self.output_len - 1
        input_energy = (request_energy - later * output_energy) / self.input_len
        grid = (1 + economics.node_overhead) * economics.pue
        carbon = economics.carbon_intensity / 3.6e6 * 1e6

        # Money.
        rate = self.usd_per_second() * 1e6
        pooled = 1 / engine.prefill_pool_load if self.disaggregated else 1.0
        input_s = pass_s if self.disaggregated else device_s - later * output_s
        output_cost = rate * output_s
        return {
            "decode_power_w": decode_power,
            "prefill_power_w": prefill_power,
            "power_w": power,
            "energy_per_output_token_j": output_energy,
            "energy_per_input_token_j": input_energy,
            "energy_per_request_j": request_energy,
            "facility_energy_per_output_token_j": output_energy * grid,
            "cost_per_mtok_output_usd": output_cost,
            "cost_per_mtok_input_usd": rate * pooled * input_s / self.input_len,
            "cost_per_mtok_cached_input_usd": rate * pooled * self.cached_token_seconds(),
            "break_even_utilization": output_cost * economics.utilization / economics.token_price,
            "carbon_per_mtok_output_g": output_energy * grid * carbon,
            "carbon_per_mtok_input_g": input_energy * grid * carbon,
        }
