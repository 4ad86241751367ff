"""Simulated engine steps per second on one core, and simulations per second.

    python benchmarks/bench_traffic.py

Servers of Llama 3.1 8B on an H100 at several rates; gpt-oss-120b on two, where about one request
ends in every step, so that requests take the time, not steps; then many simulations of 1,000
requests, as a sweep does them; then a day of chat on 8 servers of Llama 3.3 70B. The last line of
stdout is a JSON document.
"""

import json
import resource
import time

from machine import warn_if_busy

from perfcore.configuration.configuration import Configuration
from perfcore.traffic.results import summary
from perfcore.traffic.server import Rules, simulate_requests
from perfcore.traffic.synthetic import Traffic

SMALL = Configuration("llama-3.1-8b", "h100-sxm", engine="vllm")
MIXTURE = Configuration("gpt-oss-120b", "h100-sxm", engine="vllm", tp=2)
LARGE = Configuration(
    "llama-3.3-70b", "h100-sxm", engine="vllm", tp=4, weight_format="fp8", scheduler="continuous"
)


def timed(configuration: Configuration, traffic: Traffic, rules: Rules) -> dict[str, float]:
    """Return the seconds and steps of one simulation, the requests made before."""
    requests = traffic.made()
    started = time.perf_counter()
    found = simulate_requests(configuration, requests, rules)
    seconds = time.perf_counter() - started
    return {
        "batch": round(found.batch_mean, 1),
        "steps": found.steps,
        "seconds": round(seconds, 4),
        "steps_per_s": round(found.steps / seconds),
    }


def main() -> None:
    """Measure and print."""
    warn_if_busy()
    simulate_requests(SMALL, Traffic(rate=1, requests=1).made(), Rules())  # loads compiled code
    found = {}
    for rate in (2, 5, 10, 20):
        traffic = Traffic(rate=rate, requests=20_000, input_len=512, output_len=256)
        for at_once in (True, False):
            name = f"rate {rate}, {'spans' if at_once else 'step by step'}"
            found[name] = timed(SMALL, traffic, Rules(at_once=at_once))
            print(name, found[name])
    traffic = Traffic(rate=29.3, requests=20_000, input_len=512, output_len=256)
    found["mixture, large batch"] = timed(MIXTURE, traffic, Rules())
    print("a mixture at a large batch", found["mixture, large batch"])
    requests = Traffic(rate=5, requests=1000, input_len=512, output_len=256).made()
    started = time.perf_counter()
    for _ in range(200):
        summary(simulate_requests(SMALL, requests, Rules()))
    found["simulations_of_1000_per_s"] = round(200 / (time.perf_counter() - started), 1)
    print("simulations of 1,000 requests per second", found["simulations_of_1000_per_s"])
    day = Traffic(
        rate=5.4, duration="24h", input_len="lognormal:1155,cv=1", output_len="lognormal:211,cv=1"
    )
    for routing in ("round-robin", "least-loaded"):
        found[routing] = timed(LARGE, day, Rules(replicas=8, routing=routing))
        print(f"a day on 8 servers, {routing}", found[routing])
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


if __name__ == "__main__":
    main()
