"""A reward model from few verdicts: the language model stays as it is, and a reward is fitted that is linear in what it
sees. There is one best fit, found in seconds, and no learning rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from preferably.config import TrainSettings
from preferably.errors import ConfigError
from preferably.feedback.records import Group
from preferably.judging.linear import features_of_tokens, fit
from preferably.models.fitted import FittedReward
from preferably.models.loading import load, model_directory, save
from preferably.training.checkpoint import environment_facts, lock_run
from preferably.training.closing import Progress
from preferably.training.disk import new_directory
from preferably.training.ranked import center
from preferably.training.reading import read_data
from preferably.training.run_directory import RunDirectory

# What fitting reads of the settings of a run.
READ = {
    "method", "model", "data", "output", "held_out_data", "held_out", "half", "max_rejected", "aggregate", "max_length",
    "truncation", "tokens_per_microbatch", "device", "dtype", "attention", "seed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fitted:
    """A reward that was fitted."""

    path: Path
    verdicts: int  # comparisons that it was fitted to
    spread: float  # nats: how far the weights were allowed to go, under which the verdicts are the likeliest
    held_out: list[Group]  # records that it was not fitted to

    @property
    def model(self) -> Path:
        """The directory that holds it."""
        return self.path / "model"


def fit_reward(
    settings: TrainSettings, *, groups: Sequence[Group] | None = None, progress: Progress | None = None
) -> Fitted:
    """Fit a reward to what `settings` name, or to `groups`, into the new run directory `settings.output`.

    What it is fitted to, and how: `judging.linear.fit`. Raises a `PreferablyError` for anything that the user can mend.
    """
    if unread := sorted(settings.model_fields_set - READ):
        raise ConfigError(f"A reward that is fitted does not read {', '.join(unread)}; leave it out, or train one.")
    if settings.method != "reward":
        raise ConfigError(f"What is fitted is a reward; got the method {settings.method!r}.")
    progress = progress or Progress()
    run = RunDirectory(Path(settings.output))
    run.make()
    with lock_run(run.path):
        run.create(resume=False)
        loaded = load(
            model_directory(settings.model), device=settings.device, dtype=settings.dtype, attention=settings.attention
        )
        data, held_out, _ = read_data(settings, groups, loaded, run, progress.note)
        found = features_of_tokens(loaded, data.train, budget=settings.tokens_per_microbatch)
        ranks, sure = [group.ranks[0] for group in data.train], [group.probability for group in data.train]
        linear = fit(ranks, found, sure)
        reward = FittedReward.of(loaded.policy, torch.from_numpy(linear.weights[None]).float())
        center(reward, data.train, settings.tokens_per_microbatch)
        loaded.policy = reward
        run.write_yaml("config.yaml", settings.model_dump(mode="json", include=READ))
        run.write_json("environment.json", environment_facts(
            device=str(reward.device), dtype=str(reward.compute).removeprefix("torch."), threads=torch.get_num_threads()
        ))  # fmt: skip
        with new_directory(run.path / "model") as place:
            save(loaded, place)
        run.write_json("fit.json", {
            "verdicts": linear.verdicts, "spread": linear.posterior.spread, "log_evidence": linear.posterior.evidence,
        })  # fmt: skip
        run.status("finished", 1, 1)
        for note in loaded.notes:
            progress.note(note)
    return Fitted(run.path, linear.verdicts, linear.posterior.spread, held_out)
