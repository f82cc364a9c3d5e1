"""One label that the user gave, as both roads took it: what the reward model and DPO made of it."""

from typing import Any

from preferably.reporting.figures import NONE, signed
from preferably.reporting.run_files import Record, number, text


def told(record: Record) -> dict[str, Any] | None:
    """What `evaluation/your_label.json` holds, in words; None where there is no such file, or no label was followed."""
    traced = record.get("traced")
    if not isinstance(traced, dict):
        return None
    agreed = record.get("agreed")
    agreed = agreed if isinstance(agreed, dict) else {}
    roads = [
        _road("Reward model", "score of your choice less that of the other", traced.get("reward")),
        _road(
            "DPO", "margin of your choice: beta times its gain of log-probability less the other's", traced.get("dpo")
        ),
    ]
    return {
        "prompt": text(traced, "prompt"), "chosen": text(traced, "chosen"), "rejected": text(traced, "rejected"),
        "roads": [road for road in roads if road], "answered": number(record, "answered"),
        "agreed": {name: number(agreed, name) for name in ("reward", "dpo")},
    }  # fmt: skip


def _road(name: str, what: str, values: Any) -> dict[str, str] | None:
    if not isinstance(values, dict):
        return None
    before, after, chance = (number(values, key) for key in ("before", "after", "chance"))
    return {
        "name": name, "what": what, "before": NONE if before is None else signed(before),
        "after": NONE if after is None else signed(after), "chance": NONE if chance is None else f"{chance:.0%}",
    }  # fmt: skip
