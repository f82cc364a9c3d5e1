"""Who may import whom: the order of docs/design.md, and which packages work without torch."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "preferably"

# docs/design.md, from top to bottom; names of one tuple stand beside each other.
LAYERS = [
    ("errors",), ("functions",), ("methods",), ("config",), ("objectives",), ("statistics",), ("feedback",), ("data",),
    ("remote",), ("labeling",), ("batches",), ("models",), ("judging",), ("training",), ("evaluation",), ("reporting",),
    ("api",), ("pipeline",), ("recipes",), ("quickstart",), ("cli",),
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ALONE = {
    "errors": set(),
    "functions": {"errors"},
    "methods": {"errors", "functions"},
    "config": {"errors", "methods"},
    "objectives": set(),
    "statistics": set(),
    "recipes": set(),
}
NO_TORCH = [
    "errors",
    "functions",
    "methods",
    "config",
    "statistics",
    "feedback",
    "data",
    "remote",
    "labeling",
    "reporting",
]
HEAVY = {"torch", "transformers", "tokenizers", "peft", "safetensors"}


def modules():
    """(package, file) of every file under src/preferably but its own __init__ and __main__."""
    for file in sorted(SRC.rglob("*.py")):
        parts = file.relative_to(SRC).with_suffix("").parts
        if parts not in {("__init__",), ("__main__",)}:
            yield parts[0], file


def imported(tree, file):
    """(line, dotted name, whether at run time) of every import, also those inside functions."""
    package = ("preferably", *file.relative_to(SRC).parent.parts)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (base, node.module) if part)
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            yield node.lineno, name, id(node) not in typing_only


def test_the_order_here_is_that_of_the_design():
    text = (ROOT / "docs" / "design.md").read_text()
    block = re.search(r"A package imports only from the ones above.*?\n\n((?:    .*\n)+)", text).group(1)
    named = [name for line in block.splitlines() for name in re.split(r"\s{2,}", line.strip())[0].split(", ")]
    assert named == [name for names in LAYERS for name in names]
    torchless = [line.split()[0] for line in block.splitlines() if line.rstrip().endswith("no torch")]
    assert set(torchless) <= set(NO_TORCH)


def test_every_package_has_its_place():
    there = {package for package, _ in modules()}
    assert there == set(RANK)


def test_a_package_imports_only_from_those_above_it():
    wrong = []
    for package, file in modules():
        for line, name, _ in imported(ast.parse(file.read_text()), file):
            parts = name.split(".")
            if parts[0] != "preferably" or len(parts) == 1 or parts[1] == package:
                continue
            allowed = ALONE.get(package)
            above = parts[1] in allowed if allowed is not None else RANK.get(parts[1], 99) < RANK.get(package, 99)
            if not above and parts[1] != "__version__":
                wrong.append(f"{file.relative_to(ROOT)}:{line} {package} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_no_package_imports_what_is_private_to_another():
    wrong = []
    for package, file in modules():
        for line, name, _ in imported(ast.parse(file.read_text()), file):
            parts = name.split(".")
            if parts[0] == "preferably" and len(parts) > 1 and parts[1] != package:
                if any(part.startswith("_") and not part.startswith("__") for part in parts):
                    wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_walk_sees_what_it_should(tmp_path):
    """The check of the check: all forms of import, in functions and under TYPE_CHECKING."""
    file = SRC / "training" / "made_up.py"  # never written
    tree = ast.parse(
        "import preferably.cli\n"
        "from preferably import reporting\n"
        "from ..quickstart.desk import x\n"
        "from . import steps\n"
        "def f():\n    from preferably.evaluation import winrate\n"
        "if TYPE_CHECKING:\n    from preferably.cli.main import main\n"
    )
    assert sorted(imported(tree, file)) == [
        (1, "preferably.cli", True),
        (2, "preferably.reporting", True),
        (3, "preferably.quickstart.desk.x", True),
        (4, "preferably.training.steps", True),
        (6, "preferably.evaluation.winrate", True),
        (8, "preferably.cli.main.main", False),
    ]


def test_torch_free_packages_do_not_name_heavy_libraries_at_run_time():
    """At the top of a file; `TYPE_CHECKING` and functions that need a library when called may."""
    wrong = []
    for package, file in modules():
        if package not in NO_TORCH:
            continue
        top = ast.parse(file.read_text())
        inside = {id(n) for d in ast.walk(top) if isinstance(d, ast.FunctionDef) for n in ast.walk(d)}
        outside = [
            node for node in ast.walk(top) if id(node) not in inside and isinstance(node, ast.Import | ast.ImportFrom)
        ]
        lines = {node.lineno for node in outside}
        for line, name, real in imported(top, file):
            if real and line in lines and name.split(".")[0] in HEAVY:
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


BLOCKED = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "peft", "safetensors"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Refuse())
for name in sys.argv[1:]:
    importlib.import_module(name)
    print(name)
"""


def without_torch(names):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED, *names],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_torch_free_packages_can_be_imported_without_torch():
    names = []
    for package, file in modules():
        if package in NO_TORCH:
            dotted = ".".join(("preferably", *file.relative_to(SRC).with_suffix("").parts))
            names.append(dotted.removesuffix(".__init__"))
    done = without_torch(names)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == names and len(names) > 20


@pytest.mark.parametrize("name", ["preferably.objectives.pairwise", "preferably.models.policy"])
def test_the_block_is_a_block(name):
    done = without_torch([name])
    assert done.returncode != 0 and "is blocked" in done.stderr
