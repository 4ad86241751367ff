"""Every formula of perfcore.physics has a worked example in this folder."""

import importlib
import inspect
import pkgutil

from paths import ROOT

from perfcore import physics

EXAMPLES = ROOT / "tests" / "physics"


def test_every_formula_has_an_example():
    tests = [importlib.import_module(f"physics.{path.stem}") for path in EXAMPLES.glob("[!_]*.py")]
    missing = [
        f"{module.name}.{name}"
        for module in pkgutil.iter_modules(physics.__path__)
        for name, function in inspect.getmembers(
            importlib.import_module(f"perfcore.physics.{module.name}"), inspect.isfunction
        )
        if function.__module__.endswith(module.name)
        and all(vars(test).get(name) is not function for test in tests)
    ]

    assert missing == []
