"""What docs/analysis.md shows is executed, and all tools give one answer."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys

import duckdb
import pytest
from click.testing import CliRunner
from markdown import Block, code_blocks
from paths import ROOT

import perfcore
from perfcore.cli import program

PAGE = ROOT / "docs" / "analysis.md"
BLOCKS = code_blocks(PAGE)
SPEC = {
    "name": "analysis",
    "axes": {
        "model": ["llama-3-8b", "llama-3-70b"],
        "device": ["h100-sxm", "h200-sxm", "mi300x"],
        "tp": [1, 4, 8],
        "batch": [1, 64],
    },
}
QUESTION = """
SELECT device, min(tpot_s) AS tpot_s FROM run WHERE model = 'llama-3-70b' AND batch = 1
GROUP BY device ORDER BY tpot_s
"""
R = """
cat(jsonlite::toJSON(answer, digits = NA, dataframe = "rows"))
"""
SPARK = """
import json
print(json.dumps([row.asDict() for row in answer.collect()]))
spark.stop()
"""


def label(block):
    return f"{block.language}-{block.line}"


def of(language, *, spark=False):
    found = [b for b in BLOCKS if b.language == language and ("pyspark" in b.code) == spark]
    return pytest.mark.parametrize("block", found, ids=label)


def asks(block):
    """Whether a block asks the question that all tools answer."""
    return block.line < next(b.line for b in BLOCKS if "perfcore.sweep(" in b.code)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory where RUN is a run."""
    path = tmp_path_factory.mktemp("docs")
    perfcore.sweep(SPEC, path / "RUN")
    perfcore.sweep({**SPEC, "output": {"dtype": "float64"}}, path / "NEW")
    axes = "\n".join(f"{name} = {json.dumps(values)}" for name, values in SPEC["axes"].items())
    (path / "sweep.toml").write_text(f"[axes]\n{axes}\n")
    return path


@pytest.fixture(scope="module")
def expected(home):
    found = perfcore.open_run(home / "RUN").sql(QUESTION).to_pylist()
    assert len(found) == 3
    return found


def rows(answer):
    """Return what a tool found as plain rows."""
    if hasattr(answer, "to_pylist"):  # Arrow, perfcore
        return answer.to_pylist()
    if hasattr(answer, "to_dicts"):  # Polars
        return answer.to_dicts()
    if hasattr(answer, "fetchall"):  # DuckDB
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    return answer.to_dict("records")  # pandas


def test_every_tool_is_shown():
    assert {block.language for block in BLOCKS} == {"sql", "python", "r", "sh"}
    shown = [block.code for block in BLOCKS if block.language == "python"]
    for tool in ("polars", "pandas", "pyspark", "pyarrow", "perfcore"):
        assert any(f"import {tool}" in code or f"from {tool}" in code for code in shown)


@of("sql")
def test_sql(block, home, expected, monkeypatch):
    monkeypatch.chdir(home)

    assert rows(duckdb.sql(block.code)) == expected


@of("python")
def test_python(block, home, expected, monkeypatch):
    monkeypatch.chdir(home)
    names = {}
    exec(compile(block.code, f"{PAGE.name}:{block.line}", "exec"), names)  # noqa: S102

    if asks(block):
        assert rows(names["answer"]) == expected
    elif not isinstance(names["answer"], str):
        assert rows(names["answer"])
    else:
        assert "ml-engineering" in names["answer"]
        assert names["unit"] == b"s"


@of("python", spark=True)
def test_spark(block, home, expected):
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed")
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", block.code + SPARK],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected


@of("sh")
def test_sh(block, home, monkeypatch):
    monkeypatch.chdir(home)
    codes = []
    for line in block.code.splitlines():
        name, *arguments = shlex.split(line)
        assert name == "perfcore"
        result = CliRunner().invoke(program, arguments)
        assert result.stderr == ""
        codes.append(result.exit_code)

    assert codes == [0, 0, 1]


@of("r")
def test_r(block, home, expected):
    program = shutil.which("Rscript")
    if program is None:
        pytest.skip("R is not installed")
    has = "quit(status = !all(c('arrow', 'dplyr', 'jsonlite') %in% rownames(installed.packages())))"
    if subprocess.run([program, "-e", has], check=False).returncode:
        pytest.skip("the R packages arrow, dplyr and jsonlite are not installed")
    done = subprocess.run(
        [program, "-e", block.code + R], cwd=home, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [row["device"] for row in found] == [row["device"] for row in expected]


def test_blocks_of_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```sh\nperfcore --help\n```\n\n~~~~python title\nx = '''\n```\n'''\n~~~~\n\n"
        "```\nplain\n```\nlast `inline` ```no block```\n"
    )

    assert code_blocks(page) == [
        Block("sh", "", "perfcore --help\n", 4),
        Block("python", "title", "x = '''\n```\n'''\n", 8),
        Block("", "", "plain\n", 14),
    ]
    assert code_blocks(page, "sh") == code_blocks(page)[:1]


def test_nobody_is_told_to_install_a_package_that_is_not_published():
    written = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "perfcore").rglob("*.py")]
    pages = [*ROOT.glob("*.md"), *written]
    named = re.compile(r"pip install (?:-\S+ )*['\"]?perfcore")
    told = [page.name for page in pages if named.search(page.read_text(encoding="utf-8"))]

    assert told == []
