"""A static batch on one device and the CPU of its host: each holds a part of every layer."""

from naive.architecture import routed, small_outside_layers
from naive.machine import Sum
from naive.point import Naive

LINK, WAIT = "copies", "cpu"


class Hybrid(Naive):
    """One configuration whose first layers, or whose experts, are in host memory.

    Layers count alike: what is said of some of them holds for that share of each.
    """

    @property
    def dense_away(self):
        """Return the share of each layer that is in host memory, experts left out."""
        here = min(self.deployment.gpu_layers, len(self.layers))
        return 1 - here / len(self.layers)

    @property
    def experts_away(self):
        if not self.entry.num_experts:
            return 0.0
        away = 0.0
        if self.deployment.offload == 3.0:
            away = min(self.deployment.cpu_moe_layers, len(self.layers)) / len(self.layers)
        return max(away, self.dense_away)

    def sum_of(self, *, on_cpu=False):
        device = self.device
        if on_cpu:
            device = device._replace(memory_bandwidth=device.host_memory_bandwidth)
        return Sum(self.engine.residue, device)

    def shares_of_layers(self, tokens, dense, experts, touched, reads=1.0):
        """Return linear and element-wise operators of a share of the layers, on the device."""
        bare, both, small, total = (self.sum_of() for _ in range(4))
        self.linear_operators(bare, tokens, (0, 0), 1, 1, reads)
        self.linear_operators(both, tokens, (touched, tokens), 1, 1, reads)
        self.small_operators(small, tokens, 1)
        total.add(bare, dense - experts)
        total.add(both, experts)
        total.add(small, dense)
        return total

    def starts(self, dense, experts, *, attention=True):
        """Return start-ups of a share of the layers, without the lm_head."""
        of_experts = sum(
            self.experts_kernel.launch_experts for layer in self.layers if layer.expert
        )
        total = (self.launches() - of_experts) * dense + of_experts * experts
        if not attention:
            kept = self.engine.launch_attention * sum(len(layer.mixers) for layer in self.layers)
            total -= dense * kept
        return total

    def bytes_of(self, touched):
        """Return bytes of all layers without experts, and those of ``touched`` experts."""
        body = 2.0 * small_outside_layers(self.entry)
        experts = 0.0
        for layer in self.layers:
            body += 2 * layer.small
            body += sum(matrix.elements for matrix in layer.matrices) * self.body_kernel.bits / 8
            if layer.expert:
                experts += touched * layer.expert.elements * self.experts_kernel.bits / 8
        return body, experts

    def link(self):
        return self.device.memory2_bandwidth * self.engine.second_tier_efficiency

    def crossing(self, tokens):
        """Return the seconds in which activations go from one side to the other."""
        return tokens * self.entry.hidden_size * self.activation / self.link()

    def crossings(self):
        """Return how often a pass goes from one side to the other."""
        with_experts = sum(1 for layer in self.layers if layer.expert)
        there_and_back = 2 * with_experts * (self.experts_away - self.dense_away)
        return there_and_back + min(self.dense_away * len(self.layers), 1)

    def cpu_products(self, tokens, touched, reads):
        """Return the CPU's seconds of linear operators, weights read ``reads`` times."""
        engine, rate = self.engine, self.device.host_flops
        body, experts = self.bytes_of(touched)
        total = self.sum_of(on_cpu=True)
        flop = sum(2 * m.elements for layer in self.layers for m in layer.matrices) * tokens
        chosen = sum(2 * layer.expert.elements for layer in self.layers if layer.expert)
        chosen *= tokens * self.experts_of_token()
        for size, work, away in (
            (body, flop, self.dense_away),
            (experts, chosen, self.experts_away),
        ):
            total.operator(
                [(WAIT, away * size * reads, engine.cpu_memory_efficiency)],
                [(away * work, rate, engine.cpu_compute_efficiency)],
            )
        return total.total

    def cpu_attention(self, size, flop):
        total = self.sum_of(on_cpu=True)
        total.operator(
            [(WAIT, self.dense_away * size, self.engine.cpu_memory_efficiency)],
            [(self.dense_away * flop, self.device.host_flops, self.engine.cpu_compute_efficiency)],
        )
        return total.total

    def cpu_step(self):
        """Return the seconds in which a decode step waits for the CPU."""
        tokens = self.batch
        size = flop = 0.0
        for kind in ("global", "window", "state"):
            cache, state, _, scores, indexed = self.attention_traffic(kind, tokens)
            size += cache + state
            flop += scores + indexed
        seconds = self.cpu_products(tokens, self.touched_there(tokens), 1)
        return seconds + self.cpu_attention(size, flop) + self.crossings() * self.crossing(tokens)

    def touched_there(self, tokens):
        return self.touched(tokens) if routed(self.entry) else 0.0

    def token(self):
        """Return the seconds of a decode step, and those in which it waits for the CPU."""
        tokens, here = self.batch, 1 - self.dense_away
        experts_here = 1 - self.experts_away if self.entry.num_experts else 0.0
        step, attention = self.sum_of(), self.sum_of()
        touched = self.touched_there(tokens)
        step.add(self.shares_of_layers(tokens, here, experts_here, touched), 1)
        self.decode_attention(attention, tokens)
        step.add(attention, here)
        self.head_operator(step, tokens)
        step.wait("start", self.starts(here, experts_here))
        step.wait("start", self.engine.sampling_per_sequence * tokens)
        step.wait("host", self.host(tokens) + self.crossings() * self.engine.cpu_hand_over)
        return step.total + self.cpu_step(), self.cpu_step()

    def first(self):
        """Return the seconds up to the first token."""
        engine, here = self.engine, 1 - self.dense_away
        experts_here = 1 - self.experts_away if self.entry.num_experts else 0.0
        tokens = self.batch * self.new
        total, attention = self.sum_of(), self.sum_of()
        touched = self.touched_there(tokens)
        total.add(self.shares_of_layers(tokens, here, experts_here, touched), 1)
        self.attention_of_prompts(attention, self.cached)
        total.add(attention, here)
        self.head_operator(total, self.batch)
        total.wait("start", self.starts(here, experts_here))
        return total.total + self.prompts_elsewhere(tokens) + engine.host_per_prefill

    def prompts_elsewhere(self, tokens):
        """Return the seconds of prompts in the CPU, or until copied weights have been used."""
        engine = self.engine
        if not self.dense_away and not self.experts_away:
            return 0.0
        parts = max(tokens / engine.prefill_chunk, 1)
        part = tokens / parts
        touched = self.touched_there(part)
        flop = size = 0.0
        cache, _, _, scores, indexed = self.prefill_attention(self.cached)
        flop += scores + indexed
        size += cache  # states stay in the caches of the CPU
        attention = self.cpu_attention(size, flop)
        passing = self.crossing(tokens) + parts * engine.cpu_hand_over

        computed = self.cpu_products(tokens, touched, parts) + self.crossings() * passing
        body, experts = self.bytes_of(touched)
        copied = parts * (self.dense_away * body + self.experts_away * experts) / self.link()
        copied += 2 * self.dense_away * len(self.layers) * passing
        experts_away = self.experts_away if self.entry.num_experts else 0.0
        used = self.shares_of_layers(part, self.dense_away, experts_away, touched)
        copied += parts * used.total
        copied += parts * self.starts(self.dense_away, experts_away, attention=False)
        if not engine.cpu_stream_tokens:
            return attention + min(copied, computed)
        return attention + (copied if part >= engine.cpu_stream_tokens else computed)

    def memory(self):
        """Return bytes on the device and in host memory: weights, then cache."""
        body, experts = self.bytes_of(self.entry.num_experts)
        whole = self.weight_bytes()
        away = self.dense_away * body + self.experts_away * experts
        cache = self.kv_bytes_per_device()
        return whole - away, away, (1 - self.dense_away) * cache, self.dense_away * cache
