"""The builder of made-up runs, and pages that several tests look at."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from preferably.reporting.report import render_report


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """`fake_run.py`, which is no package's module: tests are collected without touching sys.path."""
    spec = importlib.util.spec_from_file_location("fake_run", Path(__file__).with_name("fake_run.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dpo(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished DPO run with its report, as the last of three stages."""
    root = tmp_path_factory.mktemp("quickstart")
    run = fake.dpo_run(root / "dpo")
    render_report(run, stages=[fake.sft_run(root / "base"), fake.sft_run(root / "sft")])
    return run


@pytest.fixture(scope="session")
def hostile(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run made of attacks, with its report."""
    run = fake.hostile_run(tmp_path_factory.mktemp("hostile") / "run")
    render_report(run)
    return run
