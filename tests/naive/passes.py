"""The time of a decode step and of a prefill pass."""

import functools
import math

from naive.architecture import routed, small_outside_layers
from naive.attention import pairs
from naive.machine import Sum, all_reduce, to_experts_and_back
from naive.replica import Replica

GROUPS = ("attention_in", "attention_out", "ffn_in", "ffn_out", "shared")  # of matrices


class Passes(Replica):
    """The time of a decode step and of a prefill pass."""

    def kv_efficiency(self):
        engine = self.engine
        efficiency = engine.kv_efficiency_quantised if self.kv.quantised else engine.kv_efficiency
        if self.latent:
            return efficiency
        sharing = self.heads / self.kv_heads
        return efficiency / (1 + engine.kv_group_penalty * max(sharing - 1, 0))

    def fullest_rank(self, tokens):
        """Return distinct experts and tokens as if every rank had as many as the fullest."""
        experts, ranks, touched = self.held, self.ep, self.touched(tokens)
        even = self.engine.expert_imbalance != 1 or self.engine.dense_experts
        if ranks <= 1 or even:
            return touched, tokens
        share = touched / ranks
        deviation = math.sqrt(max(2 * share * (1 - touched / experts) * math.log(ranks), 0))
        most = min(touched + ranks * deviation, experts)
        copies = tokens * routed(self.entry) / ranks
        uneven = 1 + math.sqrt(2 * math.log(ranks) / copies) + math.log(ranks) / (3 * copies)
        return most, tokens * min(ranks, uneven)

    def linear_operators(self, total, tokens, loads, width, expert_width, reads=1.0):
        """Add all matrix products but the lm_head of a pass of ``tokens`` tokens a group.

        ``loads`` are the distinct experts of a layer and the tokens that they see. Weights are read
        ``reads`` times.
        """
        entry, a = self.entry, self.activation
        for group in GROUPS:
            kernel = self.body_kernel
            more = self.padding() if group.startswith("attention") else 1.0
            elements, parts, whole = self.products(group)
            weight_bytes = reads * elements * more * kernel.bits / 8
            flop = 2 * tokens * elements * more
            moved = a * tokens * (parts * more + self.sharers * whole)
            total.operator(
                [
                    ("weights", weight_bytes / width, kernel.memory_efficiency),
                    ("activations", moved / width, self.engine.memory_efficiency_16),
                ],
                [(flop / width, kernel.flops, kernel.compute_efficiency)],
            )
        kernel = self.experts_kernel
        weight_bytes = flop = moved = 0.0
        for layer in self.layers:
            if layer.expert:
                experts, seen = loads
                weight_bytes += reads * experts * layer.expert.elements * kernel.bits / 8
                flop += 2 * seen * self.experts_of_token() * layer.expert.elements
                moved += a * seen * routed(entry) * self.moved_by_expert(layer.expert)
        efficiency = kernel.memory_efficiency * self.engine.memory_efficiency_experts
        total.operator(
            [
                ("weights", weight_bytes / expert_width, efficiency),
                ("activations", moved / expert_width, self.engine.memory_efficiency_16),
            ],
            [
                (
                    flop / expert_width,
                    kernel.flops,
                    kernel.compute_efficiency
                    * self.engine.compute_efficiency_experts
                    * self.reached_by_width(),
                )
            ],
        )

    def reached_by_width(self):
        """Return the share of their rate that experts reach, given their columns on a device."""
        engine, kernel = self.engine, self.experts_kernel
        sizes = [layer.expert.elements for layer in self.layers if layer.expert]
        if not sizes:
            return 1.0
        columns = sum(sizes) / len(sizes) / self.entry.hidden_size / 3
        columns /= max((self.width if self.spatial else self.tp * self.deployment.dp) / self.ep, 1)
        half = engine.expert_half_width * min(max(kernel.flops / self.attention_flops, 1), 2)
        if self.weights.kernel == 4.0:  # weight-only on every device
            half = engine.expert_half_width_4_weight_only
        return columns / (columns + half)

    @property
    def sharers(self):
        """Return the devices on which whole activations lie."""
        return 1 if self.spatial else int(self.tp)

    @functools.cache  # noqa: B019 - an oracle is asked for one point
    def products(self, group):
        """Return the elements of a group's matrices, and those that a token moves through them.

        The latter are those in shares of a device, and those that each device has whole.
        """
        elements = parts = whole = 0
        for layer in self.layers:
            for matrix in layer.matrices:
                if matrix.group == group:
                    elements += matrix.elements
                    whole += matrix.launches * self.entry.hidden_size
                    parts += matrix.moved - matrix.launches * self.entry.hidden_size
        return elements, parts, whole

    def moved_by_expert(self, expert):
        """Return the same of a routed expert: its rank's devices have whole inputs and outputs."""
        of_rank = self.sharers * self.groups_there() / self.ep
        return expert.io + max(of_rank - 1, 0) * 2 * self.entry.hidden_size

    def groups_there(self):
        return 1 if self.spatial else self.deployment.dp

    def moved_by_head(self):
        return self.sharers * self.entry.hidden_size + 3 * self.entry.vocab_size

    def small_operators(self, total, tokens, width, stages=1):
        """Add norms and the like; ``stages`` of the layers run at once, each with its own."""
        entry, a = self.entry, self.activation
        small = small_outside_layers(entry) + sum(layer.small for layer in self.layers)
        moved = 10 * a * entry.hidden_size * len(self.layers) * tokens * self.sharers
        efficiency = self.engine.memory_efficiency_16
        total.operator(
            [
                ("weights", 2 * small / stages, efficiency),
                ("activations", moved / width, efficiency),
            ],
            [],
        )

    def launches(self):
        """Return the start-up seconds of a pass without its lm_head."""
        engine, total = self.engine, 0.0
        for layer in self.layers:
            total += 4 * engine.launch_elementwise
            total += sum(matrix.launches * self.body_kernel.launch for matrix in layer.matrices)
            total += self.experts_kernel.launch_experts if layer.expert else 0
            total += engine.launch_attention * len(layer.mixers)
            if self.spatial:
                total += self.device.layer_latency * engine.spatial_latency
        return total

    def head_operator(self, total, tokens):
        entry, kernel = self.entry, self.head_kernel
        elements = entry.vocab_size * entry.hidden_size
        moved = self.activation * tokens * self.moved_by_head()
        total.operator(
            [
                ("weights", elements * kernel.bits / 8 / self.width, kernel.memory_efficiency),
                ("activations", moved / self.width, self.engine.memory_efficiency_16),
            ],
            [(2 * tokens * elements / self.width, kernel.flops, kernel.compute_efficiency)],
        )
        total.wait("start", kernel.launch)

    def attention_traffic(self, kind, sequences):
        """Return cache bytes, state bytes, activation bytes and FLOP of a decode step.

        The last two are the FLOP of scores and of indexers. Each cache is read once, whatever the
        number of drafted tokens; states once a token.
        """
        cache = state = moved = flop = indexed = 0.0
        context = self.input_len + self.decoded / 2
        for kept in (one for layer in self.layers for one in layer.mixers):
            if kept.kind != kind:
                continue
            seen = context
            if kept.window or kept.topk:
                seen = self.means[kept]
            cache += kept.read * self.kv.bits / 8 * seen + kept.index * context
            for _ in range(int(self.queries)):
                state += 2 * 4 * kept.state
                moved += self.activation * self.mean_io if kind != "state" else 0
                flop += kept.decode_score * seen + 8 * kept.state
                indexed += kept.index_score * context
        return tuple(sequences * value for value in (cache, state, moved, flop, indexed))

    def decode_attention(self, total, sequences, kinds=("global", "window", "state")):
        engine, width = self.engine, self.width
        for kind in kinds:
            cache, state, moved, flop, indexed = self.attention_traffic(kind, sequences)
            total.operator(
                [
                    ("kv", cache * self.kv_share(width), self.kv_efficiency()),
                    ("kv", state / width, engine.kv_efficiency),
                    ("activations", moved / width, engine.memory_efficiency_16),
                ],
                [
                    (flop / width, self.attention_flops, engine.attention_decode_efficiency),
                    (indexed / width, self.index_flops, engine.attention_decode_efficiency),
                ],
            )

    def exchanges(self, total, tokens, all_tokens):
        """Add all-reduces and the exchanges of experts; a spatial machine has none."""
        if self.spatial:
            return
        device, engine, layout = self.device, self.engine, self.deployment
        token = self.entry.hidden_size * self.activation
        joined = layout.tp * layout.dp
        for layer in self.layers:
            among = [(self.tp, tokens * token)] * layer.exchanges
            times = []
            if layer.expert and layout.dp > 1:
                among.pop()
                if self.ep > 1:
                    times.append(
                        to_experts_and_back(
                            self.ep,
                            routed(self.entry),
                            all_tokens / joined,
                            self.entry.hidden_size,
                            device,
                            engine,
                            joined / self.ep,
                        )
                    )
                else:
                    among.append((joined, all_tokens * token))
            times += [all_reduce(n, size, device, engine) for n, size in among]
            for start, transfer in times:
                total.wait("network_start", start)
                total.wait("network_transfer", transfer)

    def hand_overs(self, total, tokens):
        if self.spatial:
            return
        size = tokens * self.entry.hidden_size * self.activation
        for _ in range(int(self.pp) - 1):
            total.wait("network_start", self.engine.hop_latency)
            total.wait("network_transfer", size / self.device.link_bandwidth)

    def host(self, sequences):
        """Return what the host, and a server on it, add to a step of a group's ``sequences``."""
        engine = self.engine
        seconds = engine.host_per_step + engine.host_per_sequence * sequences
        further = 0 if self.spatial else int(self.tp * self.pp) - 1
        for _ in range(further):
            seconds += engine.host_per_device
            seconds += 0 if self.static else engine.server_per_device
        if not self.static:
            seconds += engine.server_per_step + engine.server_per_sequence * sequences
        return seconds

    def accepted(self):
        """Return the expected tokens of a step: one, and drafted ones up to the first rejected."""
        total, reached = 0.0, 1.0
        for place in range(int(self.queries)):
            total += reached
            reached *= self.deployment.acceptance * self.deployment.acceptance_decay**place
        return total

    def decode(self, share=1.0):
        """Return the time of one output token, without other requests' prefill.

        ``share`` of the running sequences write tokens, the time of each part on the line from no
        sequence to all that have room; offloaded data are read anyway. Second and third, the same
        of the linear operators alone, and of attention alone.
        """
        room = self.room()
        none, every = self.step(0.0), self.step(room)
        sums = []
        for bare, full in zip(none, every, strict=True):
            line = Sum(self.engine.residue, self.device)
            line.add(bare, 1 - share / room)
            line.add(full, share / room)
            sums.append(line)
        away = Sum(self.engine.residue, self.device)
        away.wait("offload", sum(self.offload_times()))
        sums[0].add(away, 1 / self.accepted())
        return sums

    def room(self):
        """Return the share of the sequences whose tokens fit in one step."""
        if not self.continuous:
            return 1.0
        most = max(self.engine.prefill_chunk / self.queries, 1)
        return min(most / self.sequences, 1)

    def step(self, filled):
        """Return a step of a share of the sequences, as for one output token, and two parts."""
        engine, drafted = self.engine, self.deployment.draft_len
        step, linear, layers, head, token, products = (
            Sum(engine.residue, self.device) for _ in range(6)
        )
        sequences, of_pass = filled * self.sequences, filled * self.of_pass
        tokens, all_tokens = sequences * self.queries, of_pass * self.queries
        experts = self.entry.num_experts and filled
        loads = self.fullest_rank(all_tokens) if experts else (0, 0)
        self.linear_operators(linear, tokens, loads, self.width, self.expert_width)
        self.small_operators(linear, tokens, self.width)
        self.head_operator(linear, tokens)
        linear.wait("start", self.launches())

        loads = (self.touched(of_pass), of_pass) if experts else (0, 0)
        self.linear_operators(layers, sequences, loads, self.width, self.expert_width)
        self.small_operators(layers, sequences, self.width)
        layers.wait("start", self.launches())
        self.head_operator(head, sequences)
        for _ in range(int(drafted)):
            linear.add(layers, engine.draft_layers / len(self.layers))
            linear.add(head, 1.0)

        step.add(linear, 1.0)
        self.decode_attention(step, sequences)
        self.exchanges(step, tokens, all_tokens)
        self.hand_overs(step, tokens)
        step.wait("start", engine.sampling_per_sequence * filled * self.of_group)
        step.wait("host", self.host(filled * self.of_group))
        token.add(step, 1 / self.accepted())
        products.add(linear, 1 / self.accepted())
        attention, scores = (Sum(engine.residue, self.device) for _ in range(2))
        self.decode_attention(attention, sequences, ("global", "window"))
        scores.add(attention, 1 / self.accepted())
        return token, products, scores

    def start_ups(self):
        """Return what a pass takes even without any work."""
        start = Sum(self.engine.residue, self.device)
        start.wait("start", self.launches() + self.head_kernel.launch)
        self.exchanges(start, 0, 0)
        self.hand_overs(start, 0)
        return start.total

    def prompts(self):
        """Return how many prompts a group prefills in one pass."""
        if self.static:
            return self.of_group
        if self.disaggregated:
            return 1.0
        # all chips of a spatial machine prefill together
        joining = self.of_group if self.spatial else self.sequences
        return max(min(joining, self.engine.prefill_chunk / self.new), 1.0)

    def weight_reads(self):
        """Return how often a prefill reads its weights: in each step that a server makes of it."""
        if self.static:
            return 1.0
        return max(self.prompts() * self.new / self.engine.prefill_chunk, 1.0)

    def prefill_attention(self, cached, new=None):
        """Return cache bytes, state bytes, activation bytes and FLOP of a group's prompts.

        The new tokens of each come after ``cached`` ones. The last two are the FLOP of scores and
        of indexers. A query that has chosen its keys multiplies them as in decode.
        """
        cache = moved = state = flop = indexed = 0.0
        counted = {}
        new = self.new if new is None else new
        length = cached + new
        full = (length**2 + length - cached**2 - cached) / 2
        for kept in (one for layer in self.layers for one in layer.mixers):
            if kept not in counted:
                counted[kept] = pairs(kept, cached, length)
            chosen = kept.topk and length > kept.topk
            flop += (kept.decode_score if chosen else kept.prefill_score) * counted[kept]
            indexed += kept.index_score * full
            flop += 8 * kept.state * new
            written, read = new * kept.kv, length * kept.read
            cache += (written + read) * self.kv.bits / 8 + length * kept.index
            state += new * 2 * 4 * kept.state / 64
            moved += new * self.activation * kept.io
        return tuple(self.prompts() * value for value in (cache, state, moved, flop, indexed))

    def all_prompt_tokens(self):
        """Return the new tokens of a pass, of all groups."""
        return self.prompts() * self.groups * self.new

    def touching_tokens(self):
        """Return the tokens that choose experts: those of a static batch smaller than its groups.

        Groups without a prompt run along.
        """
        prompts = self.batch if self.static else self.prompts() * self.groups
        return prompts * self.new

    def parts(self):
        """Return how many parts of a prefill are in different stages of the pipeline at once."""
        if self.spatial or self.pp == 1:
            return 1.0
        tokens = self.prompts() * self.new
        return min(max(tokens / self.engine.pipeline_chunk, 1), self.engine.prefill_overlap)

    def fill(self):
        """Return the time of a prefill in parts through the stages, over that in one piece."""
        if self.spatial:
            return 1.0
        return (self.parts() + self.pp - 1) / (self.parts() * self.pp)

    def prefill_offload(self):
        """Return the seconds that a prefill pass spends on the offloaded weights of its tokens."""
        weights, _ = self.offloaded()
        return self.longer_read(weights * self.read_share(self.touching_tokens()))

    def attention_of_prompts(self, total, cached, new=None):
        """Add the attention of a group's prompts, whose new tokens come after ``cached`` ones."""
        engine, width = self.engine, self.prefill_width
        cache, state, moved, flop, indexed = self.prefill_attention(cached, new)
        efficiency = engine.attention_prefill_memory_efficiency
        total.operator(
            [
                ("kv", cache * self.kv_share(width), efficiency),
                ("kv", state / width, efficiency),
                ("activations", moved / width, efficiency),
            ],
            [
                (flop / width, self.attention_flops, engine.attention_prefill_efficiency),
                (indexed / width, self.index_flops, engine.attention_prefill_efficiency),
            ],
        )

    def parts_of_attention(self, cached):
        """Return the attention of a group's prompts, and that of their last part."""
        whole, longest = (Sum(self.engine.residue, self.device) for _ in range(2))
        self.attention_of_prompts(whole, cached)
        part = self.new / self.parts()
        self.attention_of_prompts(longest, cached + self.new - part, part)
        return whole, longest

    def through_stages(self, whole, longest):
        """Return sums and the share in which each is seen: the longest part passes alone."""
        stages = 1 if self.spatial else self.pp
        return (whole, 1 / stages), (longest, 1 - 1 / stages)

    def prefill(self):
        """Return the time of one prefill pass, without the host's."""
        device, engine = self.device, self.engine
        tokens, width = self.prompts() * self.new, self.prefill_width
        parts, once, links, empty, head, total = (Sum(engine.residue, device) for _ in range(6))
        expert_width = width if self.spatial else self.expert_width
        loads = (0, 0)
        if self.entry.num_experts:
            loads = self.touched(self.touching_tokens()), self.all_prompt_tokens()
        side_by_side = self.stages if self.spatial else 1
        self.linear_operators(parts, tokens, loads, width, expert_width, self.weight_reads())
        self.linear_operators(once, 0, (loads[0], 0), width, expert_width)
        self.small_operators(parts, tokens, width, side_by_side)
        self.small_operators(once, 0, width, side_by_side)
        attention, longest = self.parts_of_attention(self.cached)
        fill = self.fill()
        total.add(parts, fill)
        total.add(once, 1 - fill)
        for each, share in self.through_stages(attention, longest):
            total.add(each, share)

        # Every part, and every step of a server, starts anew.
        starts = max(self.weight_reads(), self.parts()) * fill
        self.exchanges(links, tokens * fill, self.all_prompt_tokens() * fill)
        self.exchanges(empty, 0, 0)
        links.add(empty, starts - 1)
        links.wait("start", starts * (self.launches() + self.head_kernel.launch))
        if not self.spatial:
            links.wait("network_start", starts * (self.pp - 1) * engine.hop_latency)
        total.add(links, 1)
        self.head_operator(head, self.prompts())
        head.wait("start", -self.head_kernel.launch)
        if not self.spatial:
            size = tokens * self.entry.hidden_size * self.activation
            head.wait("network_transfer", (self.pp - 1) * size / device.link_bandwidth)
        total.add(head, 1)

        self.prefill_work = parts.total + attention.total + links.total / fill + head.total
        self.prefill_arithmetic = parts.arithmetic + attention.arithmetic
        return total

    def pipelined(self):
        """Return the time of a prefill over that of its parts, one after another."""
        return Passes.prefill(self).total / self.prefill_work
