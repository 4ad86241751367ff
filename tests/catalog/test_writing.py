"""Entries written as commented TOML."""

import tomllib
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perfcore.catalog import toml
from perfcore.catalog.meanings import MODEL
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.writing import added, entry_table, table_text
from perfcore.errors import InputError
from perfcore.testing import model_entries


@given(model_entries())
def test_written_models_load_back_equal(entry):
    text = table_text(entry.name, entry_table(entry), MODEL)
    (name, table), *rest = tomllib.loads(text).items()

    assert not rest
    assert ModelEntry.model_validate({**table, "name": name}) == entry
    assert all("  # " in line for line in text.splitlines()[1:] if line and line[0] != "[")


TEXTS = st.text(st.characters(codec="utf-8"))  # quotes, control characters and DEL among them
SCALARS = TEXTS | st.integers() | st.floats(allow_nan=False) | st.booleans()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)


@given(VALUES)
def test_values_are_toml(value):
    assert tomllib.loads(f"x = {toml.value_text(value)}")["x"] == value


@given(TEXTS, st.dictionaries(TEXTS, SCALARS), st.dictionaries(TEXTS, VALUES, min_size=1), TEXTS)
def test_tables_are_toml(name, fields, inner, place):
    fields.pop(place, None)
    table = toml.table(fields)
    toml.add(table, place, toml.group({name: inner}))

    text = toml.document({name: table}, "of a test\nand of two lines")

    assert tomllib.loads(text) == {name: {**fields, place: {name: inner}}}
    assert text.startswith("# of a test\n# and of two lines\n[")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(InputError, match="write it in UTF-8"):
        toml.value_text("a\udcff")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (3.35e12, "3.35e+12"),
        (1e-05, "1e-05"),
        ((1, 2.5, "é"), '[1, 2.5, "é"]'),
        ({"a": 1, "b c": {}}, '{ a = 1, "b c" = {} }'),
        ('"\\\x00\x7f\n', r'"\"\\\u0000\u007f\n"'),
    ],
)
def test_layout_of_values(value, text):
    assert toml.value_text(value) == text


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
    text = toml.document({name: toml.table({"z": 3})})
    new = added(path, name, text, replace=True)

    assert tomllib.loads(new) == {**tomllib.loads(OLD), name: {"z": 3}}
    assert "# about third" in new
    if name != "new":
        with pytest.raises(InputError, match=r"has .* already; add replace=True"):
            added(path, name, text, replace=False)


def test_text_that_looks_like_a_table_is_text(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text('[a]\nx = """\n[b]\n"""\n[c]\ny = """\n[a]\n"""\n')

    new = added(path, "a", "[a]\nz = 1\n", replace=True)

    assert new == '[c]\ny = """\n[a]\n"""\n\n[a]\nz = 1\n'


def test_text_that_a_program_would_change_is_left_to_people(tmp_path):
    path = tmp_path / "models.toml"
    path.write_text("[ a ]\n[[a.x]]\n\n")

    with pytest.raises(InputError, match="edit it by hand"):
        added(path, "a", "[a]\nz = 1\n", replace=True)


WHOLE = " [ 'a' ] # mine\nz = 0\n# of a\n\n[a.estimated]"
OWNED = ("[a]", WHOLE, "[a.x]")
HEADS = (*OWNED, "[b]", '["a.b"]', "[c.a]", "[d.x.y]", "[d]")
PARTS = (
    "k = 1\n",
    "\nd.e = 2 # ½\n",
    '"l l" = [ 1,\n [2], # [a]\n]\n',
    '# about m\nm = """\n[a]\n"""\n',
)
NEXT = ("", "\n", "\n# about what is next\n  # and more\n\n")
TABLES = st.lists(
    st.tuples(
        st.sampled_from(HEADS),
        st.lists(st.sampled_from(PARTS), unique=True).map("".join),
        st.sampled_from(NEXT),
    ),
    unique_by=lambda found: found[0],
)


@given(st.sampled_from(("", "# top\n", "x = 1 # top\n\n")), TABLES, st.booleans(), st.booleans())
def test_everything_else_stays_byte_for_byte(tmp_path_factory, top, tables, crlf, mark):
    old = kept = top
    for head, values, after in tables:
        whole = f"{head}\n{values}{after}"
        old += whole
        kept += after if head in OWNED else whole
    heads = [head for head, _, _ in tables]
    assume(not any(one in OWNED and two in OWNED for one, two in pairwise(heads)))
    try:
        tomllib.loads(old)
    except tomllib.TOMLDecodeError:
        assume(condition=False)
    own = "[a]\nz = 1\n"
    expected = f"{kept.rstrip()}\n\n{own}" if kept.strip() else own
    if crlf:
        old, expected = (text.replace("\n", "\r\n") for text in (old, expected))
    if "\n" not in old:
        expected = expected.replace("\r\n", "\n")
    path = tmp_path_factory.mktemp("made") / "models.toml"
    path.write_text(old, encoding="utf-8-sig" if mark else "utf-8", newline="")

    new = added(path, "a", own, replace=True)

    assert new == "\ufeff" * mark + expected
