"""A long run that saves often keeps its memory, its open files and its folder in order."""

from pathlib import Path

import pytest
from crash_runs import LONG, steps


@pytest.mark.parametrize("total", [100, pytest.param(10_000, marks=pytest.mark.skipif(not LONG, reason="make crash"))])
def test_saving_every_five_steps_leaks_nothing(job, warm, total):
    values = job("dpo", f"soak-{total}", max_steps=total, save_every=5, eval_every=total // 5, sample_prompts=2)
    done = warm.run(values, measure=total // 50, limit=1800)
    assert done.code == 0, done.said
    path = Path(values["output"])
    assert steps(path) == list(range(total + 1))
    settled = [look for look in done.looks if look[0] >= total // 5]  # after a first evaluation and many saves
    memory, files = [look[1] for look in settled], [look[2] for look in settled]
    print(f"\n{total} steps: {memory[0] / 1e6:.1f} to {memory[-1] / 1e6:.1f} MB, {files[0]} to {files[-1]} open files")
    assert len(settled) > 30 and max(memory) < 1.05 * memory[0]
    assert len(set(files)) == 1
    assert not [p for p in path.rglob("*") if ".tmp" in p.name or ".old" in p.name or ".refused" in p.name]
