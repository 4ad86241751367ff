"""Run every sweep and write the answers into README.md.

Each answer carries a hash of what it came from, so that a test finds the stale ones.
"""  # noqa: INP001 - a script

import hashlib
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
README = HERE / "README.md"
BLOCK = re.compile(
    r"```(?P<language>sql|python)\n(?P<code>[^`]*?)```\n\n"
    r"<!-- answer (?P<name>\w+)(?: (?P<origin>\w*))? -->\n(?P<answer>.*?)<!-- end answer -->",
    re.DOTALL,
)

Answer = tuple[list[str], list[tuple[object, ...]]]


def ask(language: str, code: str, name: str, run: Path) -> Answer:
    """Return the column names and rows of a question's code on the run in ``run``."""
    code = code.replace(f"runs/{name}/", f"{run.as_posix()}/")
    if language == "sql":
        import duckdb  # noqa: PLC0415 - only SQL questions need it

        with duckdb.connect() as connection:
            result = connection.execute(code)
            columns = [column[0] for column in result.description or ()]
            return columns, result.fetchall()
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102 - our own README
    frame = names["answer"]
    return frame.columns, frame.rows()  # type: ignore[attr-defined]


def table(columns: list[str], rows: list[tuple[object, ...]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns)]
    lines += [["" if value is None else _shown(value) for value in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def origin(name: str) -> str:
    """Return a hash of a sweep, of the catalogue's numbers and of the constants of engines."""
    from perfcore.runs.manifest import fingerprints  # noqa: PLC0415
    from perfcore.space.space import Space  # noqa: PLC0415

    parts = fingerprints(Space.from_toml(HERE / f"{name}.toml"))
    known = [str(parts[key]) for key in ("spec", "catalog", "calibration")]
    return hashlib.sha256(" ".join(known).encode()).hexdigest()[:12]


def filled(readme: str, answer: Callable[[str, str, str], Answer]) -> str:
    """Return the README with every answer replaced."""

    def replace(match: re.Match[str]) -> str:
        found = table(*answer(match["language"], match["code"], match["name"]))
        question = match[0][: match[0].index("<!-- answer")]
        begin = f"<!-- answer {match['name']} {origin(match['name'])} -->"
        return f"{question}{begin}\n{found}<!-- end answer -->"

    return BLOCK.sub(replace, readme)


def main() -> None:
    """Run all sweeps in a temporary directory, which needs about a gigabyte."""
    from perfcore.runs.run import sweep  # noqa: PLC0415 - the tests need only the questions
    from perfcore.space.space import Space  # noqa: PLC0415

    def answer(language: str, code: str, name: str) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / name
            finished = sweep(Space.from_toml(HERE / f"{name}.toml"), run)
            sys.stderr.write(f"{name}: {finished.rows:,} rows\n")
            return ask(language, code, name, run)

    README.write_text(filled(README.read_text(encoding="utf-8"), answer), encoding="utf-8")


if __name__ == "__main__":
    main()
