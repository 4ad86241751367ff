"""A configuration on its devices: sequences, kernels and memory."""

import functools
import math

from naive.architecture import (
    embedding_elements,
    layers_of,
    mixer_letters,
    routed,
    small_outside_layers,
)
from naive.attention import mean_visible
from naive.machine import distinct_experts, kernel_of

LARGEST_BATCH = 2**24


class Replica:
    """A configuration on its devices: sequences, kernels and memory."""

    def __init__(
        self,
        entry,
        device,
        engine,
        weights,
        kv,
        economics,
        deployment,
        input_len,
        output_len,
        running=None,
    ):
        self.entry, self.device, self.engine = entry, device, engine
        self.weights, self.kv, self.economics = weights, kv, economics
        self.deployment = deployment
        self.tp, self.pp, self.ep = deployment.tp, deployment.pp, deployment.ep
        self.static = deployment.scheduler == 0.0
        self.continuous = deployment.scheduler == 1.0
        self.disaggregated = deployment.scheduler == 2.0
        self.input_len, self.output_len = input_len, output_len
        self.cached = min(deployment.prefix_hit * input_len, input_len - 1)
        self.new = input_len - self.cached
        self.queries = 1 + deployment.draft_len
        # Every rank holds equally many experts, some of them a second time.
        self.held = -(-entry.num_experts // int(deployment.ep)) * int(deployment.ep)
        self.layers = layers_of(entry)
        self.devices = deployment.tp * deployment.pp * deployment.dp
        self.spatial = bool(device.spatial)

        # Sequences: of the replica, of an attention group, of one pass of a group.
        self.batch = running
        if running is None:
            served = min(deployment.batch, engine.max_sequences * deployment.dp)
            self.batch = deployment.batch if self.static else served
        if self.spatial:
            self.groups = 1
            self.all_groups = 1
            self.width = max(1.0, self.devices / len(self.layers))
            self.stages = self.devices / self.width
            self.expert_width, self.prefill_width = self.width, self.devices
            self.passes = min(self.batch, self.stages)
        else:
            self.groups = min(deployment.dp, self.batch)
            self.all_groups = deployment.dp
            self.width, self.stages = deployment.tp, deployment.pp
            self.expert_width, self.prefill_width = deployment.tp * deployment.dp, deployment.tp
            per_group = max(self.batch / self.groups, 1.0)
            self.passes = 1.0 if self.static else min(per_group, self.pp)
        self.of_group = max(self.batch / self.groups, 1.0)  # a group without requests runs along
        self.sequences = self.of_group / self.passes
        self.of_pass = max(self.batch / self.passes, 1.0)

        self.choose_kernels()
        self.activation = weights.activation_bytes
        self.latent = any(letter in "Aa" for letter in mixer_letters(entry))
        self.kv_heads = self.splittable_heads()
        # Long answers are in flight longer, of requests that come and go.
        self.decoded = output_len * (1.0 if self.static else engine.length_spread)
        attending = [layer.attention for layer in self.layers if self.attends(layer)]
        self.mean_io = sum(kept.io for kept in attending) / max(len(attending), 1)
        self.heads = entry.num_attention_heads if attending else 0
        self.means = {
            kept: mean_visible(kept, input_len, self.decoded)
            for kept in {one for layer in self.layers for one in layer.mixers}
            if kept.window or kept.topk
        }

    def choose_kernels(self):
        """Choose what the routed experts, all other matrices and the lm_head run on."""
        weights, device, engine = self.weights, self.device, self.engine
        experts_alone = self.entry.num_experts and (
            weights.experts_only or (self.published_experts_only and weights.bits < 6)
        )
        self.experts_kernel = kernel_of(
            weights.bits, weights.kernel, weights.arithmetic, device, engine
        )
        plain = 5.0 if weights.kernel == 5.0 else 0.0  # what runs all that is not quantised
        self.body_kernel = self.experts_kernel
        if experts_alone:
            self.body_kernel = kernel_of(weights.body_bits, plain, 1.0, device, engine)
        self.head_kernel = kernel_of(
            weights.embedding_bits,
            plain,
            0.0 if weights.arithmetic == 0.0 else 1.0,
            device,
            engine,
        )
        self.attention_flops = kernel_of(16.0, 0.0, 1.0, device, engine).flops
        self.index_flops = kernel_of(8.0, 1.0, 2.0, device, engine).flops

    @property
    def published_experts_only(self):
        return "experts" in self.entry.native_dtype

    @staticmethod
    def attends(layer):
        return layer.attention is not None and layer.attention.kind != "state"

    def splittable_heads(self):
        """Return the KV heads of the global layers, else of the window layers."""
        entry, letters = self.entry, mixer_letters(self.entry)
        if self.latent:
            return 1
        if "F" in letters or "Q" in letters or "P" in letters:
            return entry.num_global_key_value_heads or entry.num_key_value_heads
        if "S" in letters:
            return entry.swa_num_key_value_heads or entry.num_key_value_heads
        return 1

    def padding(self):
        """Return how much attention's matrices grow by heads that only fill up a device."""
        if self.spatial or not self.heads:
            return 1.0
        return math.ceil(self.heads / self.tp) * self.tp / self.heads

    def kv_share(self, width):
        """Return the share of a layer's cache on one of the devices that share the layer."""
        if self.spatial:
            return 1 / width
        return math.ceil(self.kv_heads / self.tp) / self.kv_heads

    def state_share(self):
        """Return the share of a layer's recurrent states on one device."""
        return 1 / self.tp

    def stage_share(self):
        return math.ceil(len(self.layers) / self.pp) / len(self.layers)

    def drafting(self):
        """Return how many of the model's layers a draft has, as a share of all."""
        if not self.deployment.draft_len:
            return 0.0
        return self.engine.draft_layers / len(self.layers)

    @functools.cache  # noqa: B019 - an oracle is asked for one point
    def expert_bytes(self):
        """Return the bytes of all routed experts."""
        total = 0.0
        for layer in self.layers:
            if layer.expert:
                for _ in range(self.held):
                    total += layer.expert.elements * self.experts_kernel.bits / 8
        return total

    @functools.cache  # noqa: B019
    def body_bytes(self):
        """Return the bytes that every pass reads: all weights but experts and the embedding."""
        total = 2.0 * small_outside_layers(self.entry)
        for layer in self.layers:
            total += 2 * layer.small
            for matrix in layer.matrices:
                total += matrix.elements * self.body_kernel.bits / 8
        table = self.entry.vocab_size * self.entry.hidden_size
        return total + table * self.weights.embedding_bits / 8

    def weight_bytes(self):
        """Return the bytes of all weights."""
        embedding = embedding_elements(self.entry) * self.weights.embedding_bits / 8
        here = 0.0 if self.device.host_memory_capacity else self.table_bytes()
        return self.body_bytes() + embedding + here + self.expert_bytes()

    def table_bytes(self):
        """Return the bytes of n-gram tables, an entry in a byte at least."""
        width = max(self.weights.bits, 8.0)
        return self.entry.ngram_table_parameters * min(width, self.weights.embedding_bits) / 8

    def tables_on_host(self):
        """Return the bytes of n-gram tables in host memory, which has all or none of them."""
        return self.table_bytes() if self.device.host_memory_capacity else 0.0

    def draft_bytes(self):
        """Return the bytes of a draft: without experts, and the experts'. It has no lm_head."""
        table = self.entry.vocab_size * self.entry.hidden_size * self.weights.embedding_bits / 8
        share = self.drafting()
        return share * (self.body_bytes() - table), share * self.expert_bytes()

    def weight_bytes_per_device(self):
        body, experts = self.draft_bytes()
        if self.spatial:
            return (self.weight_bytes() + body + experts) / self.devices
        copied = self.weight_bytes() - self.expert_bytes() + body
        shared = (self.expert_bytes() + experts) / (self.tp * self.deployment.dp)
        return (copied / self.tp + shared) * self.stage_share()

    def cache_bytes(self, context, since=0.0):
        """Return the bytes of the KV cache of a context, states left out.

        Tokens ``since`` the context take up a part of its windows.
        """
        total = 0.0
        for kept in (one for layer in self.layers for one in layer.mixers):
            length = context
            if kept.window:
                length = min(since + context, kept.window) - min(since, kept.window)
            total += kept.kv * length * self.kv.bits / 8 + kept.index * context
        return total

    def state_bytes(self):
        """Return the bytes of a sequence's recurrent states."""
        return sum(4 * one.state for layer in self.layers for one in layer.mixers)

    def kept_answer(self):
        """Return the output tokens in the cache of a running sequence.

        A static batch, and an engine that reserves them, keep room for all. Otherwise sequences are
        met at any point of their answers, in proportion to their lengths.
        """
        if self.static or self.engine.reserves_output:
            return self.output_len
        return min(self.output_len / 2 * self.engine.length_spread, self.output_len)

    def fastest_flops(self):
        """Return the FLOP/s of the fastest arithmetic of weights, scores and indexers."""
        rates = [self.experts_kernel.flops, self.attention_flops]
        if self.entry.index_topk:
            rates.append(self.index_flops)
        return max(rates)

    def own_tokens(self):
        """Return the tokens that a sequence keeps alone, with those of a block that it wastes."""
        waste = 0.0 if self.static else (self.engine.block_tokens - 1) / 2
        return self.new + self.kept_answer() + waste

    def own_cache_bytes(self):
        return self.cache_bytes(self.own_tokens())

    def common_cache_bytes(self):
        """Return the bytes of the cached share of prompts, which all sequences see."""
        return self.cache_bytes(self.cached, self.own_tokens())

    def last_bytes_per_device(self):
        """Return the room for what is left to write of one answer."""
        rest = self.output_len - self.kept_answer()
        now = self.own_tokens()
        return self.on_a_device(self.cache_bytes(now + rest) - self.cache_bytes(now), 0.0)

    def on_a_device(self, cache, state):
        """Return the part of a group's cache and states on its fullest device."""
        cache *= 1 + self.drafting()
        state *= 1 + self.drafting()
        if self.spatial:
            return (cache + state) / self.devices
        return (cache * self.kv_share(self.tp) + state * self.state_share()) * self.stage_share()

    def sequence_bytes_per_device(self):
        return self.on_a_device(self.own_cache_bytes(), self.state_bytes())

    def shared_bytes_per_device(self):
        return self.on_a_device(self.common_cache_bytes(), 0.0)

    def kv_bytes_per_device(self):
        sequences = self.batch / self.groups
        return sequences * self.sequence_bytes_per_device() + self.shared_bytes_per_device()

    def usable(self):
        engine = self.engine
        visible = self.device.memory_capacity - self.device.memory_capacity * (
            engine.memory_driver_share
        )
        others = engine.communicator_memory if self.devices > 1 else 0
        kept = engine.memory_reserve + others + self.activations()
        return max(visible * engine.memory_fraction - kept, 0)

    def activations(self):
        """Return the bytes of the widest layer or, if more, of the sampler at the token budget."""
        engine, entry = self.engine, self.entry
        d, tokens, width = entry.hidden_size, engine.activation_tokens, engine.activation_width
        dense = wide = blocks = experts = 0
        for layer in self.layers:
            for matrix in layer.matrices:
                if matrix.group in ("ffn_in", "ffn_out"):
                    dense += matrix.moved
                    blocks += matrix.group == "ffn_out"
            if layer.expert:
                wide += routed(entry) * layer.expert.io
                experts += 1
        inner = max(dense / blocks - 2 * d, 0) / self.width if blocks else 0
        if experts:
            outputs = routed(entry) * d
            inner = max(inner, max(wide / experts - 2 * outputs, 0) / self.width + outputs)
        sampled = min(engine.sampled_sequences, tokens) * entry.vocab_size * engine.sampler_width
        return max(tokens * width * (3 * d + inner), tokens * width * 1.28 * d + sampled)

    def second_tier(self):
        """Return the bytes of the second tier and the rate at which it is read."""
        device, engine = self.device, self.engine
        if not self.deployment.offload:
            return 0.0, math.inf
        room = device.memory2_capacity or engine.host_memory_bytes
        return room, device.memory2_bandwidth * engine.second_tier_efficiency

    def offloaded(self):
        """Return the bytes of weights and of cache that a device has in its second tier."""
        weights, cache = self.weight_bytes_per_device(), self.kv_bytes_per_device()
        overflow = max(weights + cache - self.usable(), 0.0)
        if self.deployment.offload == 1.0:
            return min(overflow, weights), 0.0
        if self.deployment.offload == 2.0:
            return 0.0, min(overflow, cache)
        return 0.0, 0.0

    def longer_read(self, size):
        """Return how much longer all stages read ``size`` bytes each in the second tier."""
        room, rate = self.second_tier()
        if not room or not size:
            return 0.0
        return self.stages * size / rate

    def offload_times(self):
        """Return the seconds that a pass spends on offloaded weights and on offloaded cache."""
        weights, cache = self.offloaded()
        common = self.shared_bytes_per_device()
        total = self.kv_bytes_per_device()
        of_pass = (total - common) / self.passes + common  # a pass has its sequences' own
        read = cache * of_pass / total if cache else 0.0
        share = self.read_share(self.of_pass * self.queries)
        return self.longer_read(weights * share), self.longer_read(read)

    def read_share(self, tokens):
        """Return the share of a device's weights, no draft, that a pass over ``tokens`` touches."""
        every, some = self.weight_bytes() - self.expert_bytes(), self.expert_bytes()
        read_every, read_some = self.body_bytes(), self.touched_bytes(tokens)
        if not self.spatial:  # each group of a server has its own copy of all but the experts
            some, read_some = some / self.deployment.dp, read_some / self.deployment.dp
        return (read_every + read_some) / (every + some)

    def touched(self, tokens):
        """Return the expected distinct experts of a layer.

        Of the tokens after the first one, only a share chooses on its own.
        """
        if self.engine.dense_experts:
            return self.held
        share = self.engine.routing_independence
        choosing = min(tokens, 1 + share * max(tokens - 1, 0))
        return distinct_experts(self.held, routed(self.entry), choosing)

    def experts_of_token(self):
        """Return how many experts multiply a token: compiled graphs leave none out."""
        return self.entry.num_experts if self.engine.dense_experts else routed(self.entry)

    def touched_bytes(self, tokens):
        """Return the bytes of the experts that ``tokens`` touch, of all layers."""
        return sum(
            self.touched(tokens) * layer.expert.elements * self.experts_kernel.bits / 8
            for layer in self.layers
            if layer.expert
        )

    def max_batch(self):
        """Return the largest batch that fits, by bisection."""
        room = self.usable() + self.second_tier()[0]
        fixed = self.weight_bytes_per_device() + self.shared_bytes_per_device()
        fixed += self.last_bytes_per_device()
        sequence = self.sequence_bytes_per_device()

        def fits(batch):
            return fixed + batch * sequence <= room

        if not fits(0):
            return 0
        if fits(LARGEST_BATCH):
            return LARGEST_BATCH
        low, high = 0, LARGEST_BATCH
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return min(low * self.all_groups, LARGEST_BATCH)

    def devices_needed(self):
        kept = self.common_cache_bytes()
        kept += self.batch * (self.own_cache_bytes() + self.state_bytes())
        everything = self.weight_bytes() + sum(self.draft_bytes()) + (1 + self.drafting()) * kept
        if not self.usable():
            return LARGEST_BATCH
        return min(math.ceil(everything / self.usable()), LARGEST_BATCH)

    def engine_runs(self):
        """Return whether the engine has the layout, and kernels for the weights."""
        tp, dp, ep = self.deployment.tp, self.deployment.dp, self.deployment.ep
        can = {
            "any": True,
            "tp-pp": dp == ep == 1,
            "dp-single": dp == 1 or tp == 1,
            "ep-all": ep in (1, tp * dp),
        }
        return list(can.values())[int(self.deployment.layouts)] and not self.deployment.barred

    def status(self):
        """Return the first reason, in the document's order, why this cannot run."""
        entry, layout = self.entry, self.deployment
        experts = entry.num_experts
        limit = entry.max_position_embeddings or math.inf
        room = self.usable() + self.second_tier()[0]
        unlike = (layout.tp * layout.dp) % self.ep or not experts
        reasons = {
            1: not self.spatial and self.heads % self.tp and not self.engine.pads_heads,
            2: not self.spatial and len(self.layers) < self.pp,
            3: self.ep > 1 and unlike,
            4: not self.experts_kernel.flops,
            12: not self.engine_runs(),
            5: self.weight_bytes_per_device() > room,
            8: self.tables_on_host() > self.device.host_memory_capacity,
            6: self.input_len + self.output_len > limit,
            7: self.batch > self.max_batch(),
        }
        return next((code for code, holds in reasons.items() if holds), 0)
