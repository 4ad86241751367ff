"""Every code block of README, docs and sweeps is executed, page by page in a directory of its own.

Shell blocks hold ``perfcore`` commands, Python blocks of a page share their names, TOML blocks are
sweeps or files that a later block uses, SQL is DuckDB's. A ``text`` block is what the block before
it prints, where ``…`` stands for anything. Comments right above a block say more:

    <!-- file: NAME -->       the block is saved under this name
    <!-- not run: REASON -->  the block is not executed; ``NOT_RUN`` counts these

``PERFCORE_WRITE_PAGES=1 pytest tests/test_pages.py`` writes what is printed today into the pages.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
from pathlib import Path

import duckdb
import pytest
from accuracy.importing.samples import SERVE
from click.testing import CliRunner
from markdown import code_blocks
from paths import ROOT
from test_sweeps import REDUCED

import perfcore
from perfcore.cli import program
from perfcore.space.space import Space

pytestmark = pytest.mark.slow

ELSEWHERE = {  # and the test that executes it
    "docs/analysis.md": "tests/test_docs.py",  # R and Spark where they are installed
    "docs/clusters.md": "tests/test_clusters.py",
    "sweeps/README.md": "tests/test_sweeps.py",
}
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "sweeps" / "README.md")
)
# Blocks that are not executed, by page: what installs, what other tools run, what is only a form.
NOT_RUN = {
    "docs/howto/compare-two-runs.md": 1,
    "docs/howto/explore.md": 1,
    "docs/howto/set-up-my-editor.md": 1,
    "docs/howto/add-a-model.md": 1,
    "docs/howto/simulate-traffic.md": 2,
    "docs/howto/size-a-fleet.md": 1,
    "docs/howto/validate-my-benchmark.md": 1,
    "docs/large-searches.md": 1,
    "docs/measurements.md": 3,
    "docs/tutorial.md": 1,
}
SWEEP_COMMANDS = {"plan", "run", "search", "pareto", "histogram"}
COMMENT = re.compile(r"<!-- (?P<key>[a-z -]+?)(?:: (?P<value>.*))? -->")
OUTPUT = {"text"}


def comments(lines, block):
    """The comments right above a block, by their key."""
    found = {}
    place = block.line - 3  # the line above the fence, counted from 0
    while place >= 0 and (match := COMMENT.fullmatch(lines[place])):
        found[match["key"]] = match["value"]
        place -= 1
    return found


def blocks_of(page):
    """The blocks of a page with their comments; directives of the site and equations are none."""
    path = ROOT / page
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        (block, comments(lines, block))
        for block in code_blocks(path)
        if not block.info.startswith("{") and block.language != "math"
    ]


def skipped(said):
    """Whether a block is not executed: the tests' own command would start them again."""
    return "not run" in said or "test-command" in said


def commands(code):
    """The commands of a shell block: words, and the file that they print into."""
    for line in code.replace("\\\n", " ").splitlines():
        # what sets everything up has been done
        words = shlex.split(line.rpartition(".venv/bin/")[2], comments=True)
        if words:
            file = words.pop() if words[-2:-1] == [">"] else None
            yield words[:-1] if file else words, file


class Page:
    """A page while it is executed: a directory, Python's names, and what was printed last."""

    def __init__(self, page):
        self.page = page
        self.names = {}
        self.printed = ""
        self.later = ""  # the code of the blocks that follow

    def run(self, block, said):
        """Execute a block."""
        if "file" in said:
            Path(said["file"]).write_text(block.code, encoding="utf-8")
            assert said["file"] in self.later, "nothing uses this file"
        getattr(self, f"run_{block.language}")(block)

    def run_sh(self, block):
        self.printed = ""
        for words, file in commands(block.code):
            assert words[0] == "perfcore", f"{words[0]}: mark the block with <!-- not run: ... -->"
            result = CliRunner().invoke(program, reduced(words[1:]))
            assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"
            if file:
                Path(file).write_text(result.stdout, encoding="utf-8")
            else:
                self.printed += result.stdout

    def run_python(self, block):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block.code, f"{self.page}:{block.line}", "exec"), self.names)  # noqa: S102
        self.printed = printed.getvalue()

    def run_toml(self, block):
        if "[axes]" in block.code or "[what_if]" in block.code:
            Path("block.toml").write_text(block.code, encoding="utf-8")
            assert Space.from_toml("block.toml").rows > 0

    def run_none(self, _):
        """A file that a later command reads."""

    def run_sql(self, block):
        with duckdb.connect() as connection:
            self.printed = str(connection.sql(block.code))
            assert connection.execute(block.code).fetchall(), "the query finds nothing"


def reduced(words):
    """Words of a command on a shipped sweep, with enough of it for its question."""
    for place, word in enumerate(words):
        path = Path(word)
        if words[0] in SWEEP_COMMANDS and path.parent.name == "sweeps" and path.suffix == ".toml":
            sets = [part for axis in REDUCED[path.stem] for part in ("--set", axis)]
            return [*words[: place + 1], *sets, *words[place + 1 :]]
    return words


def shown(printed):
    """What was printed, as it stands in a page."""
    return "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())


def matches(expected, printed):
    """Whether a text is what was printed, ``…`` standing for anything."""
    pattern = re.escape(expected.rstrip()).replace("…", "(?s:.*?)")
    return re.fullmatch(pattern, shown(printed)) is not None


def rewrite(page, block, printed):
    """Put what is printed today into a page; a last line of ``…`` stays."""
    lines = block.code.splitlines()
    more = lines[-1] == "…"
    assert block.code.count("…") == more, f"{page}:{block.line}: has …; edit it by hand"
    now = shown(printed).splitlines()
    text = "\n".join([*now[: len(lines) - 1], "…"] if more else now) + "\n"
    path = ROOT / page
    path.write_text(path.read_text("utf-8").replace(block.code, text, 1), encoding="utf-8")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A directory as the pages take it for granted: sweeps, results of a benchmark, a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    shutil.copytree(ROOT / "sweeps", "sweeps")
    for name in ("serve.json", "results.json"):
        Path(name).write_text(json.dumps(SERVE), encoding="utf-8")
    for name in ("server.jsonl", "server-apart.jsonl", "laptop.md", "laptop-apart.md"):
        shutil.copy(ROOT / "tests/data/results" / name, name)
    models = json.loads((ROOT / "tests/data/hf_configs.json").read_text(encoding="utf-8"))
    Path("my-moe").mkdir()
    Path("my-moe/config.json").write_text(json.dumps(models["qwen3_moe"]["config"]), "utf-8")
    chip = next(b for b, said in blocks_of("docs/howto/add-a-device.md") if "file" in said)
    Path("my-chip.toml").write_text(chip.code, encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_blocks_of_a_page_are_executed(page):
    blocks = blocks_of(page)
    if any("RUN/" in block.code for block, _ in blocks):
        axes = {"model": ["llama-3-70b"], "device": ["h100-sxm", "mi300x"], "tp": [8]}
        perfcore.sweep({"name": "pages", "axes": axes}, output="RUN")
    state = Page(page)
    for place, (block, said) in enumerate(blocks):
        where = f"{page}:{block.line}"
        state.later = "".join(later.code for later, _ in blocks[place + 1 :])
        if block.language in OUTPUT:
            if not matches(block.code, state.printed) and os.environ.get("PERFCORE_WRITE_PAGES"):
                rewrite(page, block, state.printed)
                continue
            assert matches(block.code, state.printed), f"{where} is now\n{state.printed}"
        elif not skipped(said):
            try:
                state.run(block, said)
            except Exception as error:
                raise AssertionError(f"{where}: {error}") from error


def test_every_page_has_its_test():
    assert set(ELSEWHERE) <= set(PAGES)
    for page, test in ELSEWHERE.items():
        text = (ROOT / test).read_text(encoding="utf-8")
        assert Path(page).parent.name in text, f"{test} does not read {page}"
        assert Path(page).name in text or "answers.README" in text, f"{test} does not read {page}"


def test_few_blocks_are_not_executed():
    found = {}
    for page in PAGES:
        reasons = [said.get("not run") for _, said in blocks_of(page) if "not run" in said]
        assert all(reasons), f"{page}: a block is not run without a reason"
        if reasons:
            found[page] = len(reasons)

    assert found == NOT_RUN


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
def test_blocks_are_of_a_kind_that_is_executed(page):
    for block, said in blocks_of(page):
        known = hasattr(Page, f"run_{block.language}") or block.language in OUTPUT
        assert known or skipped(said), f"{page}:{block.line}: {block.language!r}"


def test_what_is_printed_is_compared():
    assert matches("a …\nb\n", "\na 1 2\nb  \n\n")
    assert matches("a\n…\nd\n", "a\nb\nc\nd\n")
    assert not matches("a …\nb\n", "a 1\nc\n")
    assert not matches("a\n", "a\nb\n")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("sh", "perfcore devices show nonsense\n"),
        ("sh", "ls\n"),
        ("python", "assert False\n"),
        ("toml", "[axes]\nmodel = ['nonsense']\n"),
        ("sql", "SELECT 1 WHERE false\n"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_block_that_fails_is_noticed(language, code):
    path = Path("page.md")
    path.write_text(f"# Page\n\n```{language}\n{code}```\n", encoding="utf-8")
    (block,) = code_blocks(path)

    with pytest.raises((AssertionError, perfcore.InputError)):
        Page("page.md").run(block, {})
