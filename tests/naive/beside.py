"""A static batch whose draft, or whose experts, are on devices beside those of the model."""

import heapq

from naive.architecture import routed
from naive.machine import Sum
from naive.point import Naive

THERE, BACK = 1.03, 2.0  # bytes of an element on its way to an expert, and on its way back


def step_of(model, sequences, *, experts=True):
    """Return operators, exchanges and start-ups of a step of ``sequences``, and its host."""
    total = Sum(model.engine.residue, model.device)
    tokens = sequences * model.queries
    loads = model.fullest_rank(tokens) if experts and model.entry.num_experts else (0, 0)
    model.linear_operators(total, tokens, loads, model.width, model.expert_width)
    model.small_operators(total, tokens, model.width)
    model.head_operator(total, tokens)
    model.decode_attention(total, sequences)
    model.exchanges(total, tokens, tokens)
    launches = model.launches() - (0 if experts else launches_of_experts(model))
    total.wait("start", launches + model.engine.sampling_per_sequence * sequences)
    return total.total, model.host(sequences)


def launches_of_experts(model):
    return sum(model.experts_kernel.launch_experts for layer in model.layers if layer.expert)


def port(model, stated):
    return model.engine.network_efficiency * (stated or model.device.network_bandwidth)


class WithDraft(Naive):
    """One configuration and its draft, which is a configuration, too."""

    def answers(self, draft):
        """Return the seconds of a token, and up to the first."""
        drafts, stated = self.deployment.draft_len, self.deployment.draft_link
        step = sum(step_of(self, self.batch))
        for _ in range(int(drafts)):
            step += draft.decode()[0].total
        slower = min(port(self, stated), port(draft, stated))
        sent = self.batch * 4 * drafts  # tokens that the model verifies,
        returned = self.batch * 4 * (drafts + 1)  # and those that it wrote
        step += self.engine.network_latency + draft.engine.network_latency
        step += (sent + returned) / slower
        first = max(self.prefill().total, draft.prefill().total) + self.engine.host_per_prefill
        return step / self.accepted(), first


class Apart(Naive):
    """One configuration whose experts are on devices of another one of the same model."""

    def experts_of(self, there, tokens):
        """Return the seconds of all experts of a pass over ``tokens``."""
        bare, both = (Sum(there.engine.residue, there.device) for _ in range(2))
        loads = there.fullest_rank(tokens)
        there.linear_operators(bare, tokens, (0, 0), there.width, there.expert_width)
        there.linear_operators(both, tokens, loads, there.width, there.expert_width)
        return both.total - bare.total + launches_of_experts(there)

    def link(self, there, tokens):
        """Return the seconds that ``tokens`` are on the way there, and back, and the latency."""
        copies = there.ep * (1 - (1 - 1 / there.ep) ** routed(self.entry)) if there.ep > 1 else 1
        slower = min(
            self.devices * port(self, self.stated), there.devices * port(there, self.stated)
        )
        layers = sum(1 for layer in self.layers if layer.expert)
        each = layers * tokens * copies * self.entry.hidden_size / slower
        late = layers * (self.engine.network_latency + there.engine.network_latency)
        return each * THERE, each * BACK, late

    @property
    def stated(self):
        return self.deployment.expert_link

    def answers(self, there):
        """Return the seconds of a token, and up to the first."""
        parts = min(self.deployment.expert_parts or 2, self.batch)
        share = self.batch / parts
        attention, _ = step_of(self, share, experts=False)
        tokens = share * self.queries
        to, back, late = self.link(there, tokens)
        stations = [attention, to, self.experts_of(there, tokens), back]
        step = self.host(self.batch) + pace(stations, late, int(parts))

        tokens = self.batch * self.new
        first = self.prefill_without_experts() + self.engine.host_per_prefill
        first += self.experts_of(there, tokens) + sum(self.link(there, tokens))
        return step / self.accepted(), first

    def prefill_without_experts(self):
        """Return the seconds of a prefill of one chunk on the devices of attention."""
        total = Sum(self.engine.residue, self.device)
        tokens = self.batch * self.new
        self.linear_operators(total, tokens, (0, 0), self.width, self.expert_width)
        self.small_operators(total, tokens, self.width)
        self.attention_of_prompts(total, self.cached)
        self.exchanges(total, tokens, tokens)
        self.head_operator(total, self.batch)
        total.wait("start", self.launches() - launches_of_experts(self))
        return total.total


def pace(stations, late, parts, rounds=200):
    """Return how often each of ``parts`` goes round all ``stations``, by following them.

    A station serves one part at a time, in the order in which they come. ``late`` is what a round
    takes on the way.
    """
    free = [0.0] * len(stations)
    coming = [(0.0, part, 0, 0) for part in range(parts)]
    ends = []
    while coming:
        time, part, station, gone = heapq.heappop(coming)
        done = max(time, free[station]) + stations[station]
        free[station] = done
        if station + 1 < len(stations):
            heapq.heappush(coming, (done, part, station + 1, gone))
            continue
        done += late
        if part == 0:
            ends.append(done)
        if gone + 1 < rounds:
            heapq.heappush(coming, (done, part, 0, gone + 1))
    half = len(ends) // 2
    return (ends[-1] - ends[half - 1]) / (len(ends) - half)
