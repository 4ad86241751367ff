"""Laws that every configuration must satisfy, by topic."""

from collections.abc import Callable
from typing import Final

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
    cached_tokens_cost_no_more,
    cost_follows_price,
    energy_is_power_times_time,
    lower_power_limits_are_no_faster,
    owning_costs_interest,
    power_is_limited,
    requests_pay_for_their_tokens,
)
from perfcore.testing.laws.hybrid import (
    first_tokens_wait_for_host_memory,
    host_and_device_hold_the_model,
    nothing_on_the_cpu_changes_nothing,
    short_memory_is_named,
)
from perfcore.testing.laws.memory import (
    bytes_add_up,
    drafts_take_memory,
    first_tokens_wait_for_offloaded_weights,
    offload_is_no_faster,
    status_follows_from_bytes,
)
from perfcore.testing.laws.parallelism import (
    alone_means_no_network,
    pipelines_do_not_shorten_a_step,
    tensor_parallelism_shares_the_work,
)
from perfcore.testing.laws.serving import (
    cached_prompts_are_no_slower,
    crowds_do_not_lower_throughput,
    disaggregation_only_decodes,
    later_drafts_are_accepted_less,
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
from perfcore.testing.scenario import Scenario

LAWS: Final[tuple[Callable[[Scenario], None], ...]] = (
    is_finite,
    grows_with_batch,
    grows_with_context,
    faster_hardware_is_no_slower,
    ideal_is_a_bound,
    alone_means_no_network,
    scales_with_all_rates,
    parts_sum_up,
    elasticities_sum_to_one,
    elasticities_are_derivatives,
    power_is_limited,
    lower_power_limits_are_no_faster,
    energy_is_power_times_time,
    requests_pay_for_their_tokens,
    utilisation_is_at_most_one,
    arithmetic_takes_its_time,
    bytes_add_up,
    status_follows_from_bytes,
    requests_run_or_wait,
    static_batches_have_no_server,
    disaggregation_only_decodes,
    speculation_gains_at_most_its_tokens,
    offload_is_no_faster,
    first_tokens_wait_for_offloaded_weights,
    drafts_take_memory,
    later_drafts_are_accepted_less,
    cached_prompts_are_no_slower,
    cost_follows_price,
    cached_tokens_cost_no_more,
    owning_costs_interest,
    tpot_excludes_ttft,
    more_bits_are_no_faster,
    tensor_parallelism_shares_the_work,
    pipelines_do_not_shorten_a_step,
    intervals_enclose,
    intervals_change_nothing,
    longer_answers_in_flight_are_no_faster,
    host_time_is_no_gain,
    like_tokens_read_no_more,
    narrow_sums_are_no_slower,
    requests_take_their_time,
    crowds_do_not_lower_throughput,
    nothing_on_the_cpu_changes_nothing,
    host_and_device_hold_the_model,
    short_memory_is_named,
    first_tokens_wait_for_host_memory,
)


def check_laws(scenario: Scenario) -> None:
    """Check all laws for one configuration.

    Raises
    ------
    LawBrokenError
        The message names the law and the values that break it.
    """
    for law in LAWS:
        law(scenario)
