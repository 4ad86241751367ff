"""Traffic, power, energy and money."""

import math

from naive.architecture import routed
from naive.machine import Sum
from naive.passes import Passes


class Bill(Passes):
    """Traffic, power, energy and money."""

    def pass_traffic(self):
        """Return the bytes and FLOP of one pass of the decode step on all devices."""
        entry, a = self.entry, self.activation
        tokens = self.sequences * self.groups * self.queries
        size = self.groups * self.body_bytes() + self.touched_bytes(self.of_pass * self.queries)
        more, flop = self.token_traffic(tokens)
        size += more + a * tokens * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * tokens * entry.vocab_size * entry.hidden_size
        copies = self.width * self.kv_share(self.width)
        for kind in ("global", "window", "state"):
            traffic = self.attention_traffic(kind, self.sequences * self.groups)
            cache, state, moved, scores, indexed = traffic
            size += cache * copies + state + moved
            flop += scores + indexed
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
        size += self.groups * self.body_bytes()
        if entry.num_experts:
            size += self.touched_bytes(self.touching_tokens())
        size += self.activation * prompts * (entry.hidden_size + 3 * entry.vocab_size)
        flop += 2 * prompts * entry.vocab_size * entry.hidden_size
        cache, state, moved, scores, indexed = self.prefill_attention(self.cached)
        size += self.groups * (cache * width * self.kv_share(width) + state + moved)
        return size, flop + self.groups * (scores + indexed)

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

    def cached_token_seconds(self, per_prompt):
        """Return what a prompt takes longer than its new tokens alone, for each cached one.

        ``per_prompt`` are the seconds of a prompt: no token costs more than all cost on average.
        """
        cached = self.cached or 1.0  # the first one
        alone, behind = (Sum(self.engine.residue, self.device) for _ in range(2))
        self.attention_of_prompts(alone, 0.0)
        self.attention_of_prompts(behind, cached)
        longer = max(behind.total - alone.total, 0.0) * self.fill()
        each = longer / cached / (self.prompts() * self.groups)
        return min(each, per_prompt / self.input_len) / self.at_once()

    def bill(self, step, prefill, prefill_s, first, request):
        """Return power, energy and money, by the names of the columns.

        ``first`` and ``request`` are the seconds to a static batch's first token and after it.
        """
        device, engine, economics = self.device, self.engine, self.economics
        devices, batch = self.devices, self.batch
        per_prompt = prefill / (self.prompts() * self.groups)
        size, flop = self.pass_traffic()
        decode_power = self.decode_power(step, size, flop)
        prefill_power = self.prefill_power(prefill)
        if self.static:
            joules = prefill_power * (first - engine.host_per_prefill) + decode_power * request
            joules += engine.power_host * device.board_power * engine.host_per_prefill
            power = joules / (first + request)
        else:
            power = (decode_power * step.total + prefill_power * prefill_s) / (
                step.total + prefill_s
            )
        output_energy = devices * decode_power * step.total / batch
        input_energy = devices * prefill_power * per_prompt / self.input_len / self.at_once()
        grid = (1 + economics.node_overhead) * economics.pue
        carbon = economics.carbon_intensity / 3.6e6 * 1e6

        # Money.
        rate = self.usd_per_second() * 1e6
        pooled = 1 / engine.prefill_pool_load if self.disaggregated else 1.0
        output_cost = rate * step.total / batch
        return {
            "decode_power_w": decode_power,
            "prefill_power_w": prefill_power,
            "power_w": power,
            "energy_per_output_token_j": output_energy,
            "energy_per_input_token_j": input_energy,
            "energy_per_request_j": self.input_len * input_energy
            + (self.output_len - 1) * output_energy,
            "facility_energy_per_output_token_j": output_energy * grid,
            "cost_per_mtok_output_usd": output_cost,
            "cost_per_mtok_input_usd": rate * pooled * per_prompt / self.input_len / self.at_once(),
            "cost_per_mtok_cached_input_usd": rate * pooled * self.cached_token_seconds(per_prompt),
            "break_even_utilization": output_cost * economics.utilization / economics.token_price,
            "carbon_per_mtok_output_g": output_energy * grid * carbon,
            "carbon_per_mtok_input_g": input_energy * grid * carbon,
        }
