"""Entries written as commented TOML."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfcore.catalog.meanings import MODEL
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.writing import added, entry_table, table_text, toml_value
from perfcore.errors import InputError
from perfcore.testing import model_entries


@given(model_entries())
def test_written_models_load_back_equal(entry):
    text = table_text(entry.name, entry_table(entry), MODEL)
    (name, table), *rest = tomllib.loads(text).items()

    assert not rest
    assert ModelEntry.model_validate({**table, "name": name}) == entry
    assert all("  # " in line for line in text.splitlines()[1:] if line and line[0] != "[")


@given(st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_values_are_toml(value):
    if isinstance(value, str):
        value = value.encode("utf-8", "ignore").decode()

    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


OLD = """# mine
[first]
a = [
  [1, 2],
]
# about second
["sec.ond"]
a = 1
["sec.ond".estimated]
b = "c"

# about third
[third]
a = 2
"""


@pytest.mark.parametrize("name", ["first", "sec.ond", "third", "new"])
def test_other_tables_stay_as_they_are(tmp_path, name):
    path = tmp_path / "models.toml"
    path.write_text(OLD)
    text = f"[{toml_value(name)}]\nz = 3\n"
    new = added(path, name, text, replace=True)

    assert tomllib.loads(new) == {**tomllib.loads(OLD), name: {"z": 3}}
    assert "# about third" in new
    if name != "new":
        with pytest.raises(InputError, match=r"has .* already; add --force"):
            added(path, name, text, replace=False)


def test_text_that_looks_like_a_table_is_left_to_people(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text('[a]\nx = """\n[b]\n"""\n[c]\ny = 1\n')

    with pytest.raises(InputError, match="edit it by hand"):
        added(path, "a", "[a]\nz = 1\n", replace=True)
