"""The builder of made-up runs, and pages that several tests look at."""

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from preferably.reporting.alignment import render_alignment
from preferably.reporting.report import render_report


def beside(name: str) -> ModuleType:
    """A file in this folder, which is no package's module: tests are collected without touching sys.path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """The builder of made-up runs."""
    return beside("fake_run")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """`browser(**options)` opens a real Chromium, which ends with the test."""
    chromium = beside("chromium")
    if chromium.COMMAND is None:
        pytest.skip("needs a Chromium browser: none of its commands is installed")
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(chromium.Chromium(tmp_path / "profile", **options))


@pytest.fixture(scope="session")
def dpo(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished DPO run with its report, as the last of three stages."""
    root = tmp_path_factory.mktemp("quickstart")
    run = fake.dpo_run(root / "dpo")
    for stage in ("base", "sft"):  # as the settings of the run say, and those of the run that it names
        fake.sft_run(root / "runs" / stage)
    with chdir(root):
        render_report(run)
    return run


@pytest.fixture(scope="session")
def hostile(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made of attacks, with its report."""
    run = fake.hostile_run(tmp_path_factory.mktemp("hostile") / "run")
    render_report(run)
    return run


@pytest.fixture(scope="session")
def whole_job(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job with all that its page can tell, and the page."""
    root = tmp_path_factory.mktemp("job")
    render_alignment(root, beside("fake_job").long_job(root, fake))
    return root
