"""Traffic, power, energy and money."""

from naive.architecture import routed
from naive.machine import Sum
from naive.passes import GROUPS, Passes


class Bill(Passes):
    """Traffic, power, energy and money."""

    def pass_traffic(self, share):
        """Return the bytes and FLOP of one pass of the decode step on all devices.

        Of its sequences, a ``share`` writes tokens.
        """
        size, flop = self.full_pass_traffic()
        bare = self.groups * self.body_bytes()
        filled = share / self.room()
        return bare + filled * (size - bare), filled * flop

    def full_pass_traffic(self):
        """Return the same if all sequences that have room write tokens."""
        entry, a = self.entry, self.activation
        room = self.room()
        tokens = room * self.sequences * self.groups * self.queries
        size = self.groups * self.body_bytes()
        size += self.touched_bytes(room * self.of_pass * self.queries)
        more, flop = self.token_traffic(tokens)
        size += more + a * tokens * self.moved_by_head()
        flop += 2 * tokens * entry.vocab_size * entry.hidden_size
        copies = self.width * self.kv_share(self.width)
        for kind in ("global", "window", "state"):
            traffic = self.attention_traffic(kind, room * self.sequences * self.groups)
            cache, state, moved, scores, indexed = traffic
            size += cache * copies + state + moved
            flop += scores + indexed
        return size, flop

    def token_traffic(self, tokens):
        """Return the activation bytes and the FLOP of ``tokens`` in all layers' products."""
        entry, a = self.entry, self.activation
        size = flop = 0.0
        for layer in self.layers:
            size += 10 * a * entry.hidden_size * tokens * self.sharers
            if layer.expert:
                size += a * tokens * routed(entry) * self.moved_by_expert(layer.expert)
                flop += 2 * tokens * routed(entry) * layer.expert.elements
        for group in GROUPS:
            elements, parts, whole = self.products(group)
            size += a * tokens * (parts + self.sharers * whole)
            flop += 2 * tokens * elements
        return size, flop

    def products_at_peak(self, tokens, logits, all_tokens, touched):
        """Return the device-seconds of matrix products at peak rates, with empty rows.

        ``tokens`` and ``logits`` are a group's, ``all_tokens`` those of all, ``touched`` the
        distinct experts of a layer. Rows come in tiles, and each expert has an open one.
        """
        entry, seconds = self.entry, 0.0
        body, experts = self.body_kernel, self.experts_kernel
        for layer in self.layers:
            for matrix in layer.matrices:
                rows = self.groups * max(tokens, body.tile)
                seconds += 2 * rows * matrix.elements / body.flops
            if layer.expert:
                rows = all_tokens * self.experts_of_token() + touched * experts.tile
                seconds += 2 * rows * layer.expert.elements / experts.flops
        rows = self.groups * max(logits, 16.0)
        return seconds + 2 * rows * entry.vocab_size * entry.hidden_size / self.attention_flops

    def decode_at_peak(self):
        """Return the device-seconds of a decode pass's arithmetic at peak rates, as executed."""
        each = self.room() * self.queries
        tokens, everyone = self.sequences * each, self.of_pass * each
        touched = self.touched(everyone) if self.entry.num_experts else 0.0
        seconds = self.products_at_peak(tokens, tokens, everyone, touched)
        context = self.input_len + self.decoded / 2
        for kind in ("global", "window", "state"):
            kept = [one for layer in self.layers for one in layer.mixers if one.kind == kind]
            heads = sum(one.decode_score for one in kept) * self.queries
            elements = 2 * sum(one.read for one in kept)
            empty = max(32.0 * elements / heads, 1.0) if heads and elements else 1.0
            flop = 0.0
            for one in kept:
                seen = self.means[one] if one.window or one.topk else context
                flop += one.decode_score * seen * empty + one.index_score * context
                flop += 8 * one.state
            flop *= tokens * self.groups
            seconds += flop / self.attention_flops
        return seconds

    def prefill_at_peak(self):
        """Return the device-seconds of a prefill pass's arithmetic at peak rates, as executed."""
        touched = self.touched(self.touching_tokens()) if self.entry.num_experts else 0.0
        seconds = self.products_at_peak(
            self.prompts() * self.new, self.prompts(), self.all_prompt_tokens(), touched
        )
        flop = sum(self.prefill_attention(self.cached)[3:])
        return seconds + self.groups * flop / self.attention_flops

    def prefill_bytes(self):
        """Return the bytes of a prefill pass on all devices."""
        entry, width = self.entry, self.prefill_width
        prompts = self.prompts() * self.groups
        size, _ = self.token_traffic(self.all_prompt_tokens())
        size += self.groups * self.body_bytes() * self.weight_reads()
        if entry.num_experts:
            size += self.touched_bytes(self.touching_tokens()) * self.weight_reads()
        size += self.activation * prompts * self.moved_by_head()
        cache, state, moved, *_ = self.prefill_attention(self.cached)
        return size + self.groups * (cache * width * self.kv_share(width) + state + moved)

    @property
    def limit(self):
        return min(self.device.board_power, self.device.rated_power)

    def at_least_idle(self, share):
        return max(share * self.device.rated_power, self.device.idle_power)

    def memory_joules(self, size):
        return size * 8 * self.device.energy_per_bit * self.engine.memory_energy_factor

    def full_power(self, size, at_peak, seconds):
        """Return the watts of a board that moves ``size`` bytes in ``seconds`` at full clocks.

        ``at_peak`` are the seconds of its arithmetic at peak rates.
        """
        flop = at_peak * self.attention_flops  # in 16 bit, of the same energy
        joules = self.at_least_idle(self.engine.power_floor) * seconds + self.memory_joules(size)
        joules += flop * self.device.energy_per_flop * self.engine.compute_energy_factor
        return min(joules / seconds, self.device.rated_power)

    def slowing(self, power, size, seconds, streaming):
        """Return how much longer operators take at the clock that the power limit allows.

        ``power`` is drawn at full clocks for ``seconds``, of which memory limits ``streaming``.
        """
        if power <= self.limit:
            return 1.0
        memory = min(self.memory_joules(size) / seconds, power)
        cores = max(power - self.device.idle_power - memory, 0.0)
        room = max(self.limit - self.device.idle_power, 0.02 * self.limit)
        share = min(streaming / seconds, 1.0)

        def longer(clock):
            return share / min(clock / 0.4, 1.0) + (1 - share) / clock

        def watts(clock):
            return memory / longer(clock) + cores * clock * max(clock, 0.6) ** 2

        clock, step = 0.0, 0.5
        while step > 1e-16:
            if watts(clock + step) <= room:
                clock += step
            step /= 2
        return longer(clock)

    def decode_board(self, step):
        """Return bytes, watts at full clocks and seconds of a board that runs operators."""
        boards, each = self.width * self.groups, 1 / self.accepted()  # a token's part of a pass
        size = self.full_pass_traffic()[0] / boards * each
        waits = ("network_start", "network_transfer", "offload", "host")
        running = step.total - sum(step.parts[name] for name in waits)
        return size, self.full_power(size, self.decode_at_peak() / boards * each, running), running

    def step(self, filled):
        """Return a step at the clocks that the power limit allows, and its linear operators."""
        step, *parts = super().step(filled)
        if not filled:
            return step, *parts
        memory = sum(step.parts[name] for name in ("weights", "kv", "activations"))
        self.decode_full = size, power, running = self.decode_board(step)
        if self.device.board_power < self.device.rated_power:
            self.decode_slowing = self.slowing(power, size, running, memory)
            self.decode_streaming = memory
            more = (self.decode_slowing - 1) * running
            factor = 1 + more / (memory + step.parts["compute"])
            for name in ("weights", "kv", "activations", "compute"):
                step.parts[name] *= factor
            step.total += more
        return step, *parts

    def prefill(self):
        """Return the time of one prefill pass at the clocks that the power limit allows."""
        total = super().prefill()
        size = self.prefill_bytes() / (self.prefill_width * self.groups)
        working = self.prefill_work
        at_peak = self.prefill_at_peak() / (self.prefill_width * self.groups)
        self.prefill_full = self.full_power(size, at_peak, working)
        if self.device.board_power >= self.device.rated_power:
            return total
        streaming = size / self.device.memory_bandwidth
        slow = Sum(self.engine.residue, self.device)
        self.prefill_slowing = self.slowing(self.prefill_full, size, working, streaming)
        self.prefill_streaming = streaming / working
        slow.add(total, self.prefill_slowing)
        self.prefill_arithmetic *= self.prefill_slowing
        return slow

    def longer_together(self, prompt, saved, step, steps):
        """Return what a prompt adds to its steps at the clocks that the power of both allows.

        ``prompt`` are its seconds alone, ``saved`` those that it saves in ``steps`` of others.
        """
        size, power, running = self.decode_full
        waits = ("network_start", "network_transfer", "offload", "host")
        alone = steps * (step.total - sum(step.parts[name] for name in waits))
        decode, prompt = alone / self.decode_slowing, prompt / self.prefill_slowing
        joules = decode * power + prompt * self.prefill_full
        joules -= min(saved, prompt) * self.at_least_idle(self.engine.power_floor)
        together = decode + max(prompt - saved, 0.0)
        moved = decode / running * size
        moved += prompt * self.prefill_streaming * self.device.memory_bandwidth
        streaming = decode / running * self.decode_streaming
        streaming = max(streaming, prompt * self.prefill_streaming)
        power = min(joules / together, self.device.rated_power)
        return self.slowing(power, moved, together, streaming) * together - alone

    def decode_power(self, step):
        """Return the mean watts of a board in decode: operators draw those of a full step."""
        engine, parts = self.engine, step.parts
        exchanging = parts["network_start"] + parts["network_transfer"] + parts["offload"]
        running = step.total - exchanging - parts["host"]
        joules = running * min(self.decode_full[1], self.limit)
        joules += exchanging * min(self.at_least_idle(engine.power_network), self.limit)
        joules += parts["host"] * self.host_watts
        busy = self.passes * self.width * self.groups / self.devices
        return busy * joules / step.total + (1 - busy) * self.device.idle_power

    @property
    def host_watts(self):
        return min(self.at_least_idle(self.engine.power_host), self.limit)

    def at_once(self):
        """Return how many prefill passes share the stages: those that one pass leaves idle."""
        busy = self.prefill_width * self.groups / (self.devices * self.pipelined())
        return min(self.passes, max(1 / busy, 1))

    def prefill_power(self):
        """Return the mean watts of a board in prefill."""
        width = self.prefill_width * self.groups
        busy = self.at_once() * width / self.devices / self.pipelined()
        return busy * min(self.prefill_full, self.limit) + (1 - busy) * self.device.idle_power

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

    def cached_token_seconds(self, input_s):
        """Return what a prompt takes longer than its new tokens alone, for each cached one.

        ``input_s`` are the seconds of a prompt: no token costs more than all cost on average.
        """
        if self.deployment.prefix_hit and not self.cached:  # a prompt of one token
            return 0.0
        cached = self.cached or 1.0  # the first one
        seconds = []
        for before in (0.0, cached):
            shares = self.through_stages(*self.parts_of_attention(before))
            seconds.append(sum(part.total * share for part, share in shares))
        each = max(seconds[1] - seconds[0], 0.0) / cached / (self.prompts() * self.groups)
        return min(each / self.at_once(), input_s / self.input_len)

    def sale_price(self):
        return self.economics.token_price or self.entry.token_price or 0.79

    def bill(self, step, prefill, life):
        """Return power, energy and money, by the names of the columns.

        ``prefill`` is the seconds of a pass, ``life`` how a request spends its own.
        """
        economics = self.economics
        devices, batch = self.devices, self.batch
        decode_power = self.decode_power(step)
        ahead = self.ahead
        prefill_power = ahead.prefill_power()
        # of all devices
        pass_s = prefill / (ahead.prompts() * ahead.groups) / ahead.at_once()
        device_s = life.runs / batch
        power = decode_power
        if not self.disaggregated:
            joules = decode_power * life.steps + prefill_power * life.prompts
            power = (joules + self.host_watts * life.outside) / life.runs
        request_energy = devices * power * device_s
        if self.disaggregated:
            request_energy += ahead.devices * prefill_power * pass_s
        output_s = step.total * life.busy / batch
        output_energy = devices * decode_power * output_s
        later = self.output_len - 1
        input_energy = (request_energy - later * output_energy) / self.input_len
        grid = (1 + economics.node_overhead) * economics.pue
        carbon = economics.carbon_intensity / 3.6e6 * 1e6

        # Money.
        rate = self.usd_per_second() * 1e6
        pooled = ahead.usd_per_second() * 1e6 / (ahead.busy if self.disaggregated else 1.0)
        input_s = pass_s if self.disaggregated else device_s - later * output_s
        output_cost = rate * output_s
        input_cost = pooled * input_s / self.input_len
        request_cost = (later * output_cost + self.input_len * input_cost) / 1e6
        return {
            "decode_power_w": decode_power,
            "prefill_power_w": prefill_power,
            "power_w": power,
            "energy_per_output_token_j": output_energy,
            "energy_per_input_token_j": input_energy,
            "energy_per_request_j": request_energy,
            "facility_energy_per_output_token_j": output_energy * grid,
            "tokens_per_s_per_mw": self.output_len / (request_energy * grid / 1e6),
            "cost_per_mtok_output_usd": output_cost,
            "cost_per_mtok_input_usd": input_cost,
            "cost_per_mtok_cached_input_usd": pooled * ahead.cached_token_seconds(input_s),
            "cost_per_request_usd": request_cost,
            "cost_per_mtok_blended_usd": request_cost * 1e6 / (self.input_len + self.output_len),
            "margin": (self.sale_price() - output_cost) / self.sale_price(),
            "break_even_utilization": output_cost * economics.utilization / self.sale_price(),
            "carbon_per_mtok_output_g": output_energy * grid * carbon,
            "carbon_per_mtok_input_g": input_energy * grid * carbon,
        }
