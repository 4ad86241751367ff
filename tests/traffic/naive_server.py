"""A second simulation of ``docs/traffic.md``: objects, lists, and one step at a time.

It shares nothing with ``perfcore.traffic`` but the time of a step, which it is given.
"""

import heapq
from dataclasses import dataclass, field
from math import ceil


@dataclass
class Job:
    """A request, and how far it is."""

    number: int
    prompt: int
    output: int
    hashes: list
    priority: int
    turn: "Job | None" = None  # the next one of its session
    waiters: list = field(default_factory=list)  # (job, pause)

    arrival: float = None
    admitted: float = None
    first_token: float = None
    finished: float = None
    server: int = None
    cached: int = 0
    preemptions: int = 0

    written: float = 0.0
    left: int = 0
    steps_left: int = 0
    writes: bool = False
    holds: list = field(default_factory=list)
    kept: float = 0.0  # tokens in blocks that its last preemption freed
    kept_at: float = 0.0

    def to_prefill(self):
        return self.prompt + int(self.written)

    def context(self):
        return min(self.prompt + self.written, self.prompt + self.output)


@dataclass
class Rules:
    """Rules of ``docs/traffic.md``."""

    budget: int  # of a pass
    passes: int
    max_sequences: int
    block_tokens: int
    blocks: int
    hashed_tokens: int
    chunked: bool = True
    reserved: bool = False
    by_priority: bool = False
    watermark: int = 0
    routing: str = "round-robin"
    written: float = 1.0  # tokens that a step writes, in the mean
    drafted: int = 1
    keeps: bool = True
    ahead: bool = False  # a step is scheduled when the one before it starts
    receives: bool = False  # prompts arrive with their KV cache
    lower: tuple = ()  # blocks of each lower tier of memory
    load_s: tuple = ()  # time to load a block from there

    def blocks_of(self, tokens):
        return ceil(tokens / self.block_tokens)

    @property
    def hashed_blocks(self):
        return max(self.hashed_tokens // self.block_tokens, 1)


class Server:
    """A server: its running requests, its queue, its cache."""

    def __init__(self, rules, step_time):
        self.rules = rules
        self.step_time = step_time
        self.clock = 0.0
        self.scheduled = 0.0  # when the next step is
        self.busy = 0.0
        self.running = []
        self.queue = []
        self.users = {}  # of each hashed block that is kept
        self.taken = 0.0  # tokens for which room was taken, ever
        self.unused = []  # hashed blocks, least recently used first
        self.lower = [[] for _ in rules.lower]  # of each lower tier, likewise
        self.loading = 0.0
        self.below = 0  # tokens found in lower tiers

    def own(self):
        total = 0
        for job in self.running:
            tokens = job.context() if job.writes else job.to_prefill()
            if self.rules.reserved:
                tokens = job.prompt + job.output
            total += self.rules.blocks_of(tokens) - len(job.holds) * self.rules.hashed_blocks
        return total

    def free(self, needed=0):
        kept = len(self.users) * self.rules.hashed_blocks
        return self.rules.blocks - self.own() - kept - needed

    def evict(self, needed=0):
        while self.free(needed) < 0 and self.unused:
            one = self.unused.pop(0)
            del self.users[one]
            for tier, most in zip(self.lower, self.rules.lower, strict=True):
                if one is None or most == 0:
                    continue
                tier.append(one)
                one = tier.pop(0) if len(tier) > most else None

    def forget_below(self, one):
        """Remove a block from lower tiers; return which had it."""
        had = [place for place, tier in enumerate(self.lower) if one in tier]
        for place in had:
            self.lower[place].remove(one)
        return had

    def hits(self, job):
        most = (job.to_prefill() - 1) // self.rules.hashed_tokens
        found = []
        for one in job.hashes[:most]:
            if one not in self.users and not any(one in tier for tier in self.lower):
                break
            found.append(one)
        return found

    def give_back(self, job):
        for one in reversed(job.hashes):
            if one in job.holds:
                self.users[one] -= 1
                if self.users[one] == 0:
                    self.unused.append(one)
        job.holds = []

    def enqueue(self, job, ahead=False):
        place = 0 if ahead else len(self.queue)
        if self.rules.by_priority:
            ranks = [other.priority for other in self.queue]
            place = sum(r < job.priority or (r == job.priority and not ahead) for r in ranks)
        self.queue.insert(place, job)

    def meet(self, job, time):
        """Take a job that arrives; an idle server begins then."""
        if not self.running and not self.queue:
            self.clock = max(self.clock, time)
        self.enqueue(job)

    def preempt(self):
        job = self.running.pop()
        job.kept = job.to_prefill() - (0 if job.writes else job.left)
        job.kept_at = self.taken
        if self.rules.receives and job.writes:
            job.written -= 1.0  # the step that follows its return writes that token
        job.writes = False
        job.preemptions += 1
        self.give_back(job)
        self.enqueue(job, ahead=True)

    def found_again(self, job):
        """Tokens of a preempted job in blocks that are still as it left them."""
        block = self.rules.block_tokens
        left = min(job.kept - (self.taken - job.kept_at), job.to_prefill() - 1)
        return int(left // block) * block if self.rules.keeps and left >= block else 0

    def admit(self, room):
        """Admit the head of the queue, if it may be."""
        rules = self.rules
        job = self.queue[0]
        found = self.hits(job)
        known = max(len(found) * rules.hashed_tokens, self.found_again(job))
        new = 0 if rules.receives else job.to_prefill() - known
        if not rules.chunked and new > room and room < rules.passes * rules.budget:
            return False
        tokens = job.prompt + job.output if rules.reserved else job.to_prefill()
        needed = rules.blocks_of(tokens) - len(found) * rules.hashed_blocks
        evictable = len([one for one in self.unused if one not in found])
        reserve = rules.watermark if self.running else 0
        reserve += sum(one not in self.users for one in found) * rules.hashed_blocks
        if self.free(needed + reserve) + evictable * rules.hashed_blocks < 0:
            return False
        self.queue.pop(0)
        for one in found:
            for place in self.forget_below(one):
                self.users[one] = 0
                self.loading += rules.load_s[place]
                self.below += rules.hashed_tokens if job.admitted is None else 0
            self.users[one] += 1
            if one in self.unused:
                self.unused.remove(one)
        self.evict(needed)
        job.holds = found
        job.left = new
        self.taken += job.to_prefill() - known
        if job.admitted is None:
            job.admitted = self.clock
            job.cached = len(found) * rules.hashed_tokens
        self.running.append(job)
        return True

    def step(self):
        """One step; return the requests that end with it."""
        rules = self.rules
        begin = self.clock
        if not rules.ahead or not self.running:
            self.scheduled = begin
        done = self.serve()
        self.scheduled = begin
        return done

    def has_one_to_admit(self):
        """Whether the head of the queue was there when the step was scheduled."""
        return bool(self.queue) and self.queue[0].arrival <= self.scheduled

    def serve(self):
        """Fill and take a step."""
        rules = self.rules
        writers = [job for job in self.running if job.writes]
        preempted = False
        if writers and not rules.reserved:
            self.evict()
            while self.free() < 0:
                self.preempt()
                preempted = True
                self.evict()
        writers = [job for job in self.running if job.writes]
        if rules.receives:
            return self.write_received(preempted)
        most = self.room_of_a_pass(writers)
        room = most * rules.passes
        parts = []
        prompts = [job for job in self.running if not job.writes]
        while room > 0:
            if not prompts:
                may = len(self.running) < rules.max_sequences and not preempted
                may = may and self.has_one_to_admit()
                if not may or not self.admit(room):
                    break
                prompts = [self.running[-1]]
            job = prompts.pop(0)
            take = min(job.left, most, room) if rules.chunked else job.left
            parts.append((job, take, job.to_prefill() - job.left))
            job.left -= take
            room -= take
        if parts and not rules.chunked:
            writers = []
        ending = [job for job, _, _ in parts if job.left == 0]
        contexts = [job.prompt + job.written for job in writers]
        seconds = self.step_time(contexts, [part[1:] for part in parts], len(ending))
        seconds = max(seconds, self.loading)
        self.loading = 0.0
        self.clock += seconds
        self.busy += seconds
        return self.write(writers, ending)

    def room_of_a_pass(self, writers):
        """Tokens of prompts, beside the sequences that write in the fullest pass."""
        if not self.rules.chunked:
            return self.rules.budget
        return self.rules.budget - ceil(len(writers) / self.rules.passes) * self.rules.drafted

    def write_received(self, preempted):
        """One step of a server for answers, whose prompts write at once."""
        rules = self.rules
        room = rules.passes * self.room_of_a_pass([job for job in self.running if job.writes])
        while room > 0 and self.has_one_to_admit() and len(self.running) < rules.max_sequences:
            if preempted or not self.admit(room):
                break
            self.start(self.running[-1])
        while not rules.reserved and self.free() < 0:
            self.preempt()
        contexts = [job.prompt + job.written for job in self.running]
        seconds = self.step_time(contexts, [], 0)
        self.clock += seconds
        self.busy += seconds
        return self.write(list(self.running), [])

    def start(self, job):
        """Let a job write from the next step on; its prompt has given it a token."""
        rules = self.rules
        job.written += 1.0
        job.steps_left = ceil(max((job.output - job.written) / rules.written - 1e-9, 0.0))
        job.writes = True

    def write(self, writers, ending):
        """Write the tokens of a step; return the requests that end."""
        rules = self.rules
        done = []
        self.taken += len(writers) * rules.written
        for job in writers:
            job.written += rules.written
            job.steps_left -= 1
        for job in ending:
            whole = job.to_prefill() // rules.hashed_tokens
            for one in job.hashes[:whole]:
                if one not in self.users:
                    self.forget_below(one)
                    self.users[one] = 1
                    job.holds.append(one)
            job.first_token = self.clock if job.first_token is None else job.first_token
            self.start(job)
        self.running.sort(key=lambda job: not job.writes)
        for job in [one for one in self.running if one.writes and one.steps_left == 0]:
            self.running.remove(job)
            job.finished = self.clock
            self.give_back(job)
            if job.turn:
                known = (job.prompt + job.output - 1) // rules.hashed_tokens
                for one in reversed(job.turn.hashes[:known]):
                    if one not in self.users:
                        self.forget_below(one)
                        self.users[one] = 0
                        self.unused.append(one)
            done.append(job)
        return done

    def to_prefill(self):
        waiting = sum(job.to_prefill() for job in self.queue)
        return waiting + sum(job.left for job in self.running if not job.writes)


def route(servers, rules, job, routed):
    """Return the server of a request."""
    if rules.routing == "round-robin":
        return routed % len(servers)
    works = []
    for server in servers:
        requests = len(server.running) + len(server.queue)
        tokens = server.to_prefill() - len(server.hits(job)) * rules.hashed_tokens
        works.append((tokens if rules.routing == "prefix-aware" else 0, requests))
    return works.index(min(works))


def simulate(jobs, arrivals, rules, replicas, step_time):
    """Run jobs that arrive at ``arrivals`` (number, time), and those that wait for them."""
    servers = [Server(rules, step_time) for _ in range(replicas)]
    due = [(time, number) for number, time in arrivals]
    heapq.heapify(due)
    routed = 0
    while True:
        busy = [server for server in servers if server.running or server.queue]
        behind = min(busy, key=lambda server: server.clock, default=None)
        if behind and (not due or behind.clock < due[0][0]):
            for job in behind.step():
                for waiter, pause in job.waiters:
                    heapq.heappush(due, (behind.clock + pause, waiter.number))
            continue
        if not due:
            return servers
        time, number = heapq.heappop(due)
        job = jobs[number]
        job.arrival = time
        if job.prompt + job.output > rules.blocks * rules.block_tokens:
            for waiter, pause in job.waiters:
                heapq.heappush(due, (time + pause, waiter.number))
            continue
        job.server = route(servers, rules, job, routed)
        routed += 1
        servers[job.server].meet(job, time)


def behind_most(pools):
    """The clock, pool and place of the server that is furthest behind; None if all are idle."""
    busy = [
        (server.clock, pool, place)
        for pool, servers in enumerate(pools)
        for place, server in enumerate(servers)
        if server.running or server.queue
    ]
    return min(busy, default=None)


def simulate_pools(jobs, arrivals, rules, replicas, step_times, sent):
    """Run prompts on one pool and answers on another; pairs of settings, prompts first.

    ``sent`` is the time from the end of a prompt to the arrival of its cache, by the length of the
    prompt and the time that it ran. Return copies of the jobs as the second pool ran them.
    """
    pools = [
        [Server(rule, step_time) for _ in range(count)]
        for rule, count, step_time in zip(rules, replicas, step_times, strict=True)
    ]
    answers = [
        Job(
            number=job.number,
            prompt=job.prompt,
            output=job.output,
            hashes=[],
            priority=job.priority,
        )
        for job in jobs
    ]
    for job in jobs:
        job.output = min(job.output, 1)
    due = [(time, 0, number) for number, time in arrivals]
    heapq.heapify(due)
    routed = [0, 0]

    def release(number, now):
        for waiter, pause in jobs[number].waiters:
            heapq.heappush(due, (now + pause, 0, waiter.number))

    while True:
        busy = behind_most(pools)
        if busy and (not due or busy[0] < due[0][0]):
            _, pool, place = busy
            server = pools[pool][place]
            for job in server.step():
                if pool == 0 and answers[job.number].output > 1:
                    after = sent(job.prompt, server.clock - job.admitted)
                    heapq.heappush(due, (server.clock + after, 1, job.number))
                else:
                    release(job.number, server.clock)
            continue
        if not due:
            return answers
        time, pool, number = heapq.heappop(due)
        job = (jobs, answers)[pool][number]
        job.arrival = time
        rule = rules[pool]
        if job.prompt + job.output > rule.blocks * rule.block_tokens:
            release(number, time)
            continue
        job.server = route(pools[pool], rule, job, routed[pool])
        routed[pool] += 1
        pools[pool][job.server].meet(job, time)
