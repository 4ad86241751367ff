"""Coverage-guided fuzzing of one target: ``python tests/fuzz/fuzz.py TARGET [CORPUS] [-runs=N]``.

Needs atheris (``pip install atheris``); all options are libFuzzer's. An input that fails is written
to ``crash-HASH``; ``fuzz.py TARGET crash-HASH`` runs it again. It becomes a case of
``tests/test_hostile.py`` once it is mended.
"""

import functools
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["perfcore", "tomllib", "csv"]):
    import targets

    from perfcore.catalog import loader


def main() -> None:
    """Fuzz until libFuzzer stops."""
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"usage: fuzz.py {{{','.join(targets.TARGETS)}}} [CORPUS] [libFuzzer's options]")
    target = targets.TARGETS[sys.argv[1]]
    # the built-in catalogue does not change meanwhile, and reading it is not what is looked at
    loader._index = functools.cache(loader._index)  # noqa: SLF001
    limits = ["-timeout=20", "-rss_limit_mb=1500", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *limits, *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
