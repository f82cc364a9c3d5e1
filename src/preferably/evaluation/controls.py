"""What the win rate would be at equal length and at equal style, by judges that can be taken in by either."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from preferably.judging.judge import has_length_prior, kind_of
from preferably.statistics.intervals import Interval
from preferably.statistics.length_control import Controlled, length_controlled
from preferably.statistics.style_control import Styled, style_controlled, style_differences

# Prompts below which nothing is claimed: from there on the intervals are held to cover (test_coverage.py).
FEWEST = 100


@dataclass(frozen=True, slots=True)
class Controls:
    """None of each where it does not apply to the judge: what a rule likes can be read in it."""

    length: Controlled | None = None
    style: Styled | None = None

    def as_json(self) -> dict[str, Any]:
        """`length_controlled` and `style_controlled`."""
        return {"length_controlled": self.length and _length(self.length), "style_controlled": _style(self.style)}


def controls_of(
    judge: object,
    model: Sequence[str],
    against: Sequence[str],
    verdicts: Sequence[float | None],
    prompts: Sequence[int],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Controls:
    """The controlled figures of comparisons: the replies of both sides [n], `verdicts` [n] (1, 0.5, 0, None is
    missing), and which prompt each belongs to.

    Length by the published influence on judges, for people and models that read both replies; style by what the
    verdicts themselves show, for people and all models; neither for rules.
    """
    if kind_of(judge) == "rule":
        return Controls()
    judged = [at for at, verdict in enumerate(verdicts) if verdict is not None]
    won = [verdict for verdict in verdicts if verdict is not None]
    ours, theirs = ([texts[at] for at in judged] for texts in (model, against))
    asked = [prompts[at] for at in judged]
    different = len(set(asked))
    how: dict[str, Any] = {"confidence": confidence, "seed": seed}
    few = f"{different} prompts were judged, and an interval that can be relied on takes {FEWEST}"
    length: Controlled | None = None
    if has_length_prior(judge):
        length = Controlled(None, why=few)
        if different >= FEWEST:
            longer = [len(one) - len(other) for one, other in zip(ours, theirs, strict=True)]
            length = length_controlled(won, longer, asked, **how)
    style = Styled(None, why=few)
    if different >= FEWEST:
        style = style_controlled(won, style_differences(ours, theirs), asked, **how)
    return Controls(length, style)


def _length(one: Controlled) -> dict[str, Any]:
    return {
        "win_rate": one.win_rate, "interval": _ends(one.interval), "influence": one.influence,
        "band": one.band and list(one.band), "why": one.why,
    }  # fmt: skip


def _style(one: Styled | None) -> dict[str, Any] | None:
    if one is None:
        return None
    weights = {name: {"weight": weight, "interval": _ends(span)} for name, weight, span in one.weights}
    return {"win_rate": one.win_rate, "interval": _ends(one.interval), "weights": weights, "why": one.why}


def _ends(span: Interval | None) -> list[float] | None:
    return None if span is None else [span.low, span.high]
