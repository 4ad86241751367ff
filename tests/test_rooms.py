"""The layers of pyproject.toml, and the tests that mirror the rooms.

Every room imports only those below it, and nothing in a circle; ``perfcore/ROOM/module.py`` has its
tests in ``tests/ROOM/test_module.py``.
"""

import ast
import shutil
import subprocess
import sys

import pytest
from paths import ROOT

PACKAGE = ROOT / "perfcore"
TESTS = ROOT / "tests"
MOST_AT_THE_ROOT = 12
MOST_LINES = 1_000  # of a file that one person still overlooks
LEAST_MIRRORED = 60


def lint(folder):
    """Hold the package in a folder against the contracts; nothing is kept from one time to next."""
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
    program += f"sys.exit(lint_imports({str(ROOT / 'pyproject.toml')!r}, cache_dir=None))"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False
    )


def test_rooms_keep_their_layers():
    done = lint(ROOT)

    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("physics/cost.py", "import perfcore.cli", "a room imports only rooms below it"),
        ("space/axes.py", "from perfcore.runs import run", "a room imports only rooms below it"),
        # one that is hidden in a function counts, too
        (
            "catalog/names.py",
            "def load():\n    import perfcore.catalog.loader",
            "no circle of files or rooms",
        ),
    ],
)
def test_a_broken_layer_is_found(tmp_path, module, line, contract):
    shutil.copytree(
        PACKAGE, tmp_path / "perfcore", ignore=shutil.ignore_patterns("*.toml", "*.csv")
    )
    file = tmp_path / "perfcore" / module
    file.write_text(file.read_text("utf-8") + f"\n\n{line}\n")

    done = lint(tmp_path)

    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_few_files_lie_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_ROOT


def test_rooms_are_not_called_like_public_names():
    """``perfcore.sweep`` is a function: a room of that name would take its place once imported."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    public = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}

    assert not rooms & set(public)


def test_tests_mirror_modules():
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem[0] != "_"]
    mirrored = [
        module
        for module in modules
        if (TESTS / module.parent / f"test_{module.stem}.py").is_file()
        or (TESTS / module.with_suffix("")).is_dir()
    ]

    assert len(mirrored) >= LEAST_MIRRORED


def test_every_room_has_a_folder_of_tests():
    rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]

    assert [room for room in rooms if not any((TESTS / room).glob("test_*.py"))] == []


@pytest.mark.parametrize("folder", [PACKAGE, TESTS], ids=lambda folder: folder.name)
def test_no_file_is_long(folder):
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in folder.rglob("*.py")
    }

    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}
