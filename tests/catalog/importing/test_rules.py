"""Rules that rows of architectures name."""

from perfcore.catalog.importing import architectures, family_rules, rules
from perfcore.catalog.model_entry import ModelEntry


def test_rows_name_rules_that_exist():
    for name, row in architectures.ARCHITECTURES.items():
        assert set(row.rules) <= {*rules.RULES, *family_rules.FAMILY_RULES}, name
        assert set(row.fixed) | set(row.switches) <= set(ModelEntry.model_fields), name
    assert not set(architectures.ARCHITECTURES) & set(architectures.UNSUPPORTED)
