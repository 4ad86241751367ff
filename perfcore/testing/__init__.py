"""Hypothesis strategies for every record, and laws that every configuration must satisfy.

They are public: ``check_laws(Scenario(...))`` tests entries of a user's own catalogue. The package
``hypothesis`` is required (``pip install hypothesis``).
"""

from perfcore.testing.laws import LAWS, check_laws
from perfcore.testing.laws.accounting import (
    arithmetic_takes_its_time,
    elasticities_are_derivatives,
    elasticities_sum_to_one,
    intervals_change_nothing,
    intervals_enclose,
    is_finite,
    parts_sum_up,
    tpot_excludes_ttft,
    utilisation_is_at_most_one,
)
from perfcore.testing.laws.cost import (
    cost_follows_price,
    energy_is_power_times_time,
    owning_costs_interest,
    power_is_limited,
)
from perfcore.testing.laws.memory import (
    bytes_add_up,
    offload_is_no_faster,
    status_follows_from_bytes,
)
from perfcore.testing.laws.parallelism import (
    alone_means_no_network,
    pipelines_do_not_shorten_a_step,
    tensor_parallelism_shares_the_work,
)
from perfcore.testing.laws.requirements import LawBrokenError
from perfcore.testing.laws.serving import (
    cached_prompts_are_no_slower,
    crowds_do_not_lower_throughput,
    disaggregation_only_decodes,
    longer_answers_in_flight_are_no_faster,
    requests_run_or_wait,
    requests_take_their_time,
    speculation_gains_at_most_its_tokens,
    static_batches_have_no_server,
)
from perfcore.testing.laws.time import (
    faster_hardware_is_no_slower,
    grows_with_batch,
    grows_with_context,
    host_time_is_no_gain,
    ideal_is_a_bound,
    like_tokens_read_no_more,
    more_bits_are_no_faster,
    narrow_sums_are_no_slower,
    scales_with_all_rates,
)
from perfcore.testing.scenario import Scenario, ideal_engine
from perfcore.testing.strategies import (
    deployments,
    devices,
    economics,
    engines,
    kv_formats,
    model_entries,
    models,
    scenarios,
    spaces,
    weight_formats,
)

__all__ = [
    "LAWS",
    "LawBrokenError",
    "Scenario",
    "alone_means_no_network",
    "arithmetic_takes_its_time",
    "bytes_add_up",
    "cached_prompts_are_no_slower",
    "check_laws",
    "cost_follows_price",
    "crowds_do_not_lower_throughput",
    "deployments",
    "devices",
    "disaggregation_only_decodes",
    "economics",
    "elasticities_are_derivatives",
    "elasticities_sum_to_one",
    "energy_is_power_times_time",
    "engines",
    "faster_hardware_is_no_slower",
    "grows_with_batch",
    "grows_with_context",
    "host_time_is_no_gain",
    "ideal_engine",
    "ideal_is_a_bound",
    "intervals_change_nothing",
    "intervals_enclose",
    "is_finite",
    "kv_formats",
    "like_tokens_read_no_more",
    "longer_answers_in_flight_are_no_faster",
    "model_entries",
    "models",
    "more_bits_are_no_faster",
    "narrow_sums_are_no_slower",
    "offload_is_no_faster",
    "owning_costs_interest",
    "parts_sum_up",
    "pipelines_do_not_shorten_a_step",
    "power_is_limited",
    "requests_run_or_wait",
    "requests_take_their_time",
    "scales_with_all_rates",
    "scenarios",
    "spaces",
    "speculation_gains_at_most_its_tokens",
    "static_batches_have_no_server",
    "status_follows_from_bytes",
    "tensor_parallelism_shares_the_work",
    "tpot_excludes_ttft",
    "utilisation_is_at_most_one",
    "weight_formats",
]
