"""Rules of this project that no linter knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from paths import ROOT

from perfcore.cli import program
from perfcore.columns import AXES, COLUMNS, METRICS
from perfcore.physics.stages.point import Point

PACKAGE = ROOT / "perfcore"
MODULES = sorted(PACKAGE.rglob("*.py"))
PHYSICS_MAY_IMPORT = ("math", "typing", "perfcore.records", "perfcore.physics")
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".cfg", ".txt", ".sh", ".csv", ""}
NOT_OURS = {"__pycache__", "_build", "build", "dist"}

# An absolute path into a home or another directory that other machines do not have.
MACHINE_PATH = re.compile(r"(?<![\w.~:/])/(?:home|root|Users|mnt|opt|srv|tmp|work)/\w+")
# In two halves each, so that this file names none.
REGISTRIES = (("py", "pi"), ("python", "hosted"), ("npm", "js"), ("crates", ""))
REGISTRY = re.compile("|".join(rf"{one}{two}\.(?:org|io)" for one, two in REGISTRIES))


def relative(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """Return every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
    return found


def files():
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part != ".ci" for part in parts)
        if path.is_file() and path.suffix in TEXT and not hidden and not NOT_OURS & set(parts):
            yield path


@pytest.mark.parametrize("path", sorted((PACKAGE / "physics").rglob("*.py")), ids=relative)
def test_physics_imports_only_physics(path):
    for name in imports(path):
        assert name.startswith(PHYSICS_MAY_IMPORT[2:]) or name in PHYSICS_MAY_IMPORT, name


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "naive").glob("*.py")), ids=relative)
def test_oracle_shares_nothing_with_physics(path):
    """It imports itself and the standard library, so that no mistake is in both."""
    roots = {name.split(".")[0] for name in imports(path)}

    assert roots <= {"naive"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_numba_has_one_door(path):
    if path != PACKAGE / "kernel" / "jit.py":
        assert not {name for name in imports(path) if name.split(".")[0] in {"numba", "llvmlite"}}


def options_of(command):
    """Return the options of a command and of those below it."""
    found = {option for param in command.params for option in param.opts}
    for name in command.list_commands(None) if isinstance(command, click.Group) else ():
        found |= options_of(command.get_command(None, name))
    return {option for option in found if option.startswith("--")}


def test_only_the_command_line_names_options():
    """What the library says names Python's arguments; ``errors.argument`` spells them."""
    options = options_of(program)
    found = [
        f"{relative(path)}:{node.lineno}: {word}"
        for path in MODULES
        if "cli" not in path.relative_to(PACKAGE).parts
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", node.value)
        if word in options
    ]

    assert {"--tp", "--where", "--set", "--force"} <= options
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_toml_is_written_in_one_place(path):
    if path != PACKAGE / "catalog" / "toml.py":
        assert "tomlkit" not in {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_prints(path):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]

    assert calls == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_star_imports_and_bare_excepts(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names)
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None


def test_points_are_the_declared_metrics():
    assert Point._fields == tuple(column.name for column in METRICS)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_columns_are_declared_whole(column):
    assert column.meaning
    assert column.unit or column.text
    assert column.text or column.kind != "code"


def test_column_names_are_unique():
    names = [column.name for column in AXES + METRICS]

    assert len(set(names)) == len(names)


SUFFIXES = {"s": "_s", "J": "_j", "W": "_w", "USD": "_usd", "g": "_g", "FLOP": "_flops"}


@pytest.mark.parametrize("column", METRICS, ids=lambda column: column.name)
def test_column_names_end_in_their_unit(column):
    """Rates and pure numbers have none; bytes stand in the name, of a device or of all."""
    suffix = SUFFIXES.get(column.unit)
    if suffix:
        assert column.name.endswith(suffix)
    if column.unit == "bytes":
        assert "_bytes" in column.name
    for unit, ending in SUFFIXES.items():
        rate = column.name.endswith("_per_s")
        if column.name.endswith(ending) and unit != "FLOP" and not rate:
            assert column.unit == unit


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["models"], ["devices"], ["formats"], ["engines"], ["columns"]],
    ids=" ".join,
)
def test_catalogue_commands_are_light(arguments):
    """What computes and what writes is not imported, so that they answer at once."""
    program = (
        "import sys\n"
        "from perfcore.cli import main\n"
        f"sys.argv = ['perfcore', *{arguments!r}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'numpy', 'numba', 'pyarrow', 'tomlkit'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    found = []
    for path in files():
        text = path.read_text("utf-8", errors="ignore")
        if path == Path(__file__):
            continue
        found += [
            f"{relative(path)}: {match.group()}"
            for pattern in (MACHINE_PATH, REGISTRY)
            for match in pattern.finditer(text)
        ]

    assert found == []


def test_no_file_has_marks_of_a_merge():
    marks = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)

    assert [relative(path) for path in files() if marks.search(path.read_text("utf-8"))] == []
