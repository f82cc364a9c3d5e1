"""How well a training fits its data, in the account of a job: apart from how good the answers are."""

from pathlib import Path

from preferably.training.run_directory import RunDirectory

# The loss and the preference accuracy on held-out data; the mean held-out score by the reward models of an online
# method; KL from the reference in nats a completion.
FIGURES = ("eval_loss", "eval_rewards/accuracies", "eval_objective/scores", "objective/kl")


def fit_of(run: Path) -> dict[str, float]:
    """The last value of each of `FIGURES` that the `metrics.jsonl` of `run` has. Raises what reading it raises."""
    found: dict[str, float] = {}
    for line in RunDirectory(run).lines("metrics.jsonl"):
        found |= {name: line[name] for name in FIGURES if name in line}
    return found
