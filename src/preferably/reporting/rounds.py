"""The policies of a job round by round: answer quality and training fit, apart."""

from collections.abc import Sequence
from typing import Any

from preferably.reporting.charts import Chart, lines
from preferably.reporting.curves import Curve
from preferably.reporting.figures import NONE, percent, significant
from preferably.reporting.run_files import Record, finite, part

COLOURS = ("var(--run-1)", "var(--run-2)", "var(--run-3)", "var(--run-4)", "var(--run-5)", "var(--run-6)")
ACCURACY, SCORE, LOSS = "eval_rewards/accuracies", "eval_objective/scores", "eval_loss"


def roads_of(rounds: Sequence[Record]) -> list[str]:
    """The roads, each once, in the order in which they come."""
    return list(dict.fromkeys(one["road"] for one in rounds))


def fit_of(one: Record) -> tuple[str, tuple[str, ...]]:
    """How well a round learnt its data: the figure, and what it is of; after it what the reward model has."""
    training, learnt = part(one, "training"), finite(part(one, "reward"), ACCURACY)
    judge = () if learnt is None else (f"reward model {percent(learnt)}",)
    if (accuracy := finite(training, ACCURACY)) is not None:
        return percent(accuracy), ("accuracy", *judge)
    if (score := finite(training, SCORE)) is not None:
        return significant(score, 3), ("score", *judge)
    if (loss := finite(training, LOSS)) is not None:
        return significant(loss, 3), ("loss", *judge)
    return NONE, judge


def charts(rounds: Sequence[Record]) -> list[Chart]:
    """Answer quality and training fit over the rounds, apart: either can move without the other."""
    roads = roads_of(rounds)
    colours = {road: COLOURS[at % len(COLOURS)] for at, road in enumerate(roads)}

    def curves(key: str, outer: str, other: str = "") -> list[Curve]:
        """The figure `key` of each road, of `outer` or, where that has none, of `other`."""
        values = [finite(part(one, outer) if key in part(one, outer) else part(one, other), key) for one in rounds]
        return [
            Curve(road, tuple(
                (float(one["round"]), value) for one, value in zip(rounds, values, strict=True)
                if one["road"] == road and value is not None
            ), True) for road in roads
        ]  # fmt: skip

    drawn: list[tuple[str, str, str, list[Curve], str, dict[str, Any]]] = [
        ("quality", "Answer quality", "Win rate over the model that the first round began from, on held-out prompts.",
         curves("win_rate", "quality"), "win rate", {"level": 0.5, "shares": True}),
        ("fit", "Training fit", "Held-out preference accuracy at the end of each round, on that round's own pairs (of "
         "a road with a reward model, the accuracy of that): how well they were learnt. It says nothing of the "
         "answers.", curves(ACCURACY, "training", "reward"), "share of pairs", {"level": 0.5, "shares": True}),
        ("score", "Training fit by score", "Mean score of answers to held-out prompts at the end of each round, by "
         "what the road is trained against. A reward model of another round has another scale.",
         curves(SCORE, "training"), "score", {}),
    ]  # fmt: skip
    return [
        Chart(slug, title, help, lines(found, y=axis, x="round", colours=colours, **style))
        for slug, title, help, found, axis, style in drawn
        if any(line.points for line in found)
    ]
