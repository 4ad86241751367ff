"""Any subset of keys: what a file lacks or names otherwise never changes a model in silence."""

import copy
import re

from hypothesis import given
from hypothesis import strategies as st

from catalog.importing.configs import CASES, read
from catalog.importing.test_native import published_bytes
from perfcore.catalog.native import native_format
from perfcore.errors import InputError

SAMPLED = [name for name, case in CASES.items() if len(str(case["config"])) < 3_000]


@given(st.data())
def test_a_key_that_is_removed_or_renamed_changes_nothing_in_silence(data):
    name = data.draw(st.sampled_from(SAMPLED))
    config = copy.deepcopy(CASES[name]["config"])
    known = read(config)
    table = config
    inner = [key for key in ("text_config", "llm_config") if isinstance(config.get(key), dict)]
    if inner:
        table = config[inner[0]]
    keys = data.draw(st.lists(st.sampled_from(sorted(table)), min_size=1, max_size=3, unique=True))
    for key in keys:
        value = table.pop(key)
        if data.draw(st.booleans()):
            table[f"{key}_renamed"] = value
    try:
        found = read(config)
    except InputError:
        return
    same = found.record() == known.record() and published_or_none(found) == published_or_none(known)

    assert same or found.notes != known.notes or found.estimated, (name, keys)


def published_or_none(entry):
    form = native_format(entry)
    return published_bytes(entry) if form else re.sub(r"\s", "", entry.native_dtype)
