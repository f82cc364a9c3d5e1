"""kill -9 while PPO draws, scores, learns, looks and saves: what goes on is the run that was never killed, bit by bit.

The policy, the critic, both optimizers, the coefficient of the KL, the guard's best score and all logs are compared.
"""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest
from crash_runs import EVERY, KILLS, final, newest, steps

# What a run is killed in: before which call, of those from within which function. `iterate` makes a step of the run.
PHASES = {
    "rollout": ("preferably.models.sampler._step", "iterate"),
    "scoring": ("preferably.judging.parts.score_groups", "iterate"),
    "advantages": ("preferably.training.lessons.looked_at", "iterate"),
    "update": ("preferably.training.teaching.update_losses", "iterate"),
    "optimizers": ("preferably.training.teaching.step_at", "iterate"),  # at every other call only the policy has moved
    "evaluation": ("preferably.models.sampler._step", "look"),
    "save": ("preferably.training.checkpoint._write_file", "save"),
}
IN_EACH = max(1, KILLS // 10)
ANYWHERE = max(1, KILLS - IN_EACH * len(PHASES))


def taken_up(warm, values, known):
    """The run that was killed loses no more than it may, and ends as the one that was not."""
    path = Path(values["output"])
    logged = steps(path)
    assert not logged or logged[-1] - (newest(path) or 0) <= EVERY
    again = warm.run(values, resume=True)
    assert again.code == 0, again.said
    assert final(path) == known.final
    shutil.rmtree(path)


def test_the_run_has_everything_that_could_be_lost(whole):
    known = whole("ppo")
    lines = [json.loads(line) for line in (known.path / "metrics.jsonl").read_text().splitlines()]
    assert len({line["kl_coef"] for line in lines[1:]}) == 8  # adapted at every step
    assert lines[-1]["policy/approxkl_avg"] > 0 and lines[-1]["loss/value_avg"] > 0
    assert known.final["state"]["kl_coef"] != lines[-1]["kl_coef"] and known.final["state"]["guard"]
    saved = [name for name in known.final if name.startswith("checkpoints/") and "critic" in name]
    assert len(saved) == 2  # its weights and its optimizer


def test_another_seed_is_another_run(job, warm, whole):
    """The teeth of the tests below."""
    values = job("ppo", "other-seed-ppo", seed=1)
    assert warm.run(values).code == 0
    other, known = final(Path(values["output"])), whole("ppo").final
    differs = {Path(name).name for name in known if known[name] != other.get(name)}
    assert {"model.safetensors", "critic.safetensors", "critic_optimizer.safetensors", "metrics.jsonl"} <= differs


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_each_phase(job, warm, whole, phase):
    known, draw = whole("ppo"), random.Random(phase)
    name, within = PHASES[phase]
    values = job("ppo", f"counted-{phase}")
    counted = warm.run(values, call=[name, 0, "SIGKILL", within])
    assert counted.code == 0 and final(Path(values["output"])) == known.final, counted.said
    assert counted.calls >= 8  # steps
    for _ in range(IN_EACH):
        values = job("ppo", f"killed-{phase}")
        struck = warm.run(values, call=[name, draw.randint(1, counted.calls), "SIGKILL", within])
        assert struck.code == -signal.SIGKILL, struck.said
        taken_up(warm, values, known)
    print(f"\nppo, {phase}: {IN_EACH} kills at one of {counted.calls} calls, {IN_EACH} ends identical")


def test_killed_at_any_moment(job, warm, whole):
    known, draw, struck = whole("ppo"), random.Random("ppo"), 0
    while struck < ANYWHERE:
        values = job("ppo", "killed")
        after = draw.uniform(known.startup, known.seconds)  # the start is the same as of other methods
        code = warm.run(values, signals=[{"after": after, "name": "SIGKILL"}]).code
        assert code in (0, -signal.SIGKILL)
        struck += code != 0
        taken_up(warm, values, known)
    print(f"\nppo: {struck} kills at random moments, {struck} ends identical")
