"""Functions of a user's own, by name."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from preferably.errors import ConfigError
from preferably.functions import load_function

SOURCE = """
from dataclasses import dataclass
@dataclass
class Box:
    x: int = 1
    @staticmethod
    def score(prompts, completions):
        return [1.0 for _ in completions]
def score(prompts, completions):
    return [float(len(text)) for text in completions]
number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["my_rewards:score", "my_rewards.py:score", "./my_rewards.py:score"])
def test_a_function_is_loaded_from_the_working_directory(here, name):
    (here / "my_rewards.py").write_text(SOURCE)
    assert load_function(name)(["p"], ["four"]) == [4.0]
    assert load_function(name.replace(":score", ":Box.score"))(["p"], ["four"]) == [1.0]


def test_a_function_is_loaded_from_a_package_an_absolute_path_and_an_installed_module(here, tmp_path_factory):
    (here / "rewards").mkdir()
    (here / "rewards" / "lengths.py").write_text(SOURCE)
    (here / "rewards" / "__init__.py").touch()
    assert load_function("rewards.lengths:score")(["p"], ["ab"]) == [2.0]
    elsewhere = tmp_path_factory.mktemp("else where")
    (elsewhere / "own.py").write_text("from beside import score\n")
    (elsewhere / "beside.py").write_text(SOURCE)
    assert load_function(f"{elsewhere}/own.py:score")(["p"], ["ab"]) == [2.0]
    assert load_function("math:sqrt") is math.sqrt


def test_a_file_is_not_taken_for_the_installed_module_of_its_name(here):
    (here / "numpy.py").write_text(SOURCE)
    assert load_function("numpy.py:score")(["p"], ["abc"]) == [3.0]
    assert load_function("numpy.py:score") is load_function("./numpy.py:score")
    assert sys.modules["numpy"] is np


def test_the_working_directory_does_not_hide_installed_modules_afterwards(here):
    (here / "mine.py").write_text(SOURCE)
    load_function("mine:score")
    assert sys.path[0] != str(here) and sys.path[-1] == str(here) and sys.path.count(str(here)) == 1
    load_function("mine:score")
    assert sys.path.count(str(here)) == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("score", "expected module:function"),
        (":score", "expected module:function"),
        ("mine:", "expected module:function"),
        ("no_such_module:score", "no module 'no_such_module'"),
        ("mine.part:score", "mine"),
        ("no-such:score", "not a module's name"),
        (".mine:score", "not a module's name"),
        ("absent.py:score", "does not exist"),
        ("folder/:score", "is not a .py file"),
        ("mine:scores", "has no 'scores'. Did you mean 'score'?"),
        ("mine.py:zzz", "has no 'zzz'"),
        ("mine:number", "it is of type int, expected a function"),
        ("needs:score", "needs a module that is missing.*surely_absent"),
        ("needs.py:score", "ModuleNotFoundError.*surely_absent"),
        ("broken:score", "SyntaxError"),
        ("raises.py:score", "ValueError: at import"),
        ("leaves:score", "SystemExit"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(here, name, said):
    (here / "mine.py").write_text(SOURCE)
    (here / "needs.py").write_text("import surely_absent\n")
    (here / "broken.py").write_text("def score(:\n")
    (here / "raises.py").write_text("raise ValueError('at import')\n")
    (here / "leaves.py").write_text("import sys\nsys.exit(1)\n")
    (here / "folder").mkdir()
    with pytest.raises(ConfigError, match=said) as caught:
        load_function(name)
    assert repr(name) in str(caught.value)


def test_it_works_as_from_an_installed_command_and_needs_no_torch(tmp_path):
    (tmp_path / "my_rewards.py").write_text(SOURCE)
    script = tmp_path / "bin" / "command"  # as for a console script, its folder is sys.path[0], not the working one
    script.parent.mkdir()
    script.write_text(
        "import sys; sys.modules['torch'] = None\n"
        "from preferably.functions import load_function\n"
        "print(load_function('my_rewards:score')(['p'], ['four']))\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[4.0]"
