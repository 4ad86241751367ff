"""The README says what the model says today, and names files that exist."""

import importlib.util
import re

import pytest
from paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "docs/accuracy.md", "docs/reliability.md"])
def test_tables_are_what_the_model_says(page):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)

    path = generate.ROOT / page
    assert generate.filled(path) == path.read_text(encoding="utf-8")


def test_a_price_in_sql_stands_beside_the_time_of_its_own_row():
    (query,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)

    assert len(re.findall(r"\bmin\(", query.replace("arg_min(", ""))) == 1
    assert "arg_min(tpot_s, cost_per_mtok_output_usd)" in query


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_file_map_names_what_is_there(page):
    listed = (ROOT / page).read_text("utf-8").split("## Where things are")[1].split("## ")[0]
    paths = re.findall(r"`([\w/.]+)`", listed)
    missing = [
        path
        for path in paths
        if not any((ROOT / base / path).exists() for base in ("", "perfcore", "docs"))
    ]

    assert missing == []


@pytest.mark.parametrize("marker", ["run-command", "test-command"])
def test_commands_are_one_line(marker):
    block = re.search(rf"<!-- {marker} -->\n```sh\n(.*?)```", README, re.DOTALL)[1]

    assert block.count("\n") == 1
    assert block.startswith("python3 -m venv .venv && ")
