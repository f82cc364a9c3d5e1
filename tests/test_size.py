"""Ceilings that keep files readable, and what must never be in the source."""

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "preferably"
FILES = sorted(SRC.rglob("*.py"))
FILE, FUNCTION = 350, 60
LOOPS = {"train_offline": 130, "train_online": 130}  # a loop reads as the algorithm, in one piece
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def where(file, node=None):
    return f"{file.relative_to(SRC)}" + (f":{node.lineno}" if node is not None else "")


def test_there_is_something_to_measure():
    assert len(FILES) > 50 and SRC / "training" / "offline.py" in FILES


def test_files_are_no_longer_than_350_lines():
    long = {where(file): len(file.read_text().splitlines()) for file in FILES}
    assert not {name: lines for name, lines in long.items() if lines > FILE}


def test_functions_are_no_longer_than_60_lines():
    long = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, FUNCTIONS):
                lines = node.end_lineno - node.lineno + 1
                if lines > LOOPS.get(node.name, FUNCTION):
                    long[f"{where(file, node)} {node.name}"] = lines
    assert not long


def test_no_file_is_a_drawer():
    drawers = {"utils.py", "util.py", "common.py", "helpers.py", "helper.py", "misc.py"}
    assert not [where(file) for file in FILES if file.name in drawers]


def forbidden(tree):
    """(line, what) of calls and imports that run code from data, or code of others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in {
                    "pickle",
                    "cPickle",
                    "dill",
                    "cloudpickle",
                    "joblib",
                    "marshal",
                    "shelve",
                }:
                    yield node.lineno, f"import {alias.name}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in {
            "pickle",
            "dill",
            "joblib",
            "marshal",
        }:
            yield node.lineno, f"from {node.module} import"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "yaml.load"}:
                yield node.lineno, f"{called}()"
            if called.endswith((".unsafe_load", "np.load", "numpy.load")):
                yield node.lineno, f"{called}()"
            for keyword in node.keywords:
                if keyword.arg in {"shell", "trust_remote_code", "allow_pickle"}:
                    if not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
                        yield node.lineno, f"{keyword.arg}={ast.unparse(keyword.value)}"
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in {"trust_remote_code", "shell", "allow_pickle"}:
                    if not (isinstance(value, ast.Constant) and value.value is False):
                        yield node.lineno, f"{key.value}: {ast.unparse(value)}"


def test_nothing_runs_code_that_comes_with_data_or_models():
    found = [f"{where(file)}:{line} {what}" for file in FILES for line, what in forbidden(ast.parse(file.read_text()))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from pickle import loads", "torch.load(p)", "eval('1')", "exec(x)",
     "subprocess.run(x, shell=True)",
     "f(trust_remote_code=True)", "f(trust_remote_code=given)", "a = {'trust_remote_code': True}", "os.system('x')",
     "yaml.load(x)", "np.load(p)"],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(line):
    assert len(list(forbidden(ast.parse(line)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "f(trust_remote_code=False)",
        "a = {'trust_remote_code': False}",
        "re.compile('x')",
        "yaml.safe_load(x)",
        "model.eval()",
    ],
)
def test_the_search_leaves_the_rest_alone(line):
    assert not list(forbidden(ast.parse(line)))
