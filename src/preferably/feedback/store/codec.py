"""Groups and judgments as JSON text, and back without a loss.

All text is written as ASCII, so that every character that JSON knows (NUL and lone surrogates among them) can be kept
in any database. What a view says of a group (its label, strength, ranks) and the file it came from are not kept: the
first is computed from judgments, the second is not the same on another machine.
"""

import json
from dataclasses import asdict
from hashlib import sha256
from typing import Any

from preferably.feedback.records import (
    Completion,
    Flag,
    Group,
    Judgment,
    Label,
    Message,
    Origin,
    Preference,
    Ranking,
    Rating,
)  # fmt: skip

KINDS: dict[str, type[Judgment]] = {
    "preference": Preference, "ranking": Ranking, "rating": Rating, "label": Label, "flag": Flag,
}  # fmt: skip
ABOUT = ("labeler", "labeler_group", "state", "order")  # fields of a judgment that have columns of their own


def text_of(content: Any) -> str:
    """`content` as JSON of one spelling: sorted keys, ASCII, no spaces."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(content: Any) -> str:
    """The SHA-256 of `content` as JSON, in hexadecimal."""
    return sha256(text_of(content).encode()).hexdigest()


def digest_of_sent(sent: dict[str, Any]) -> str:
    """The digest of a judgment as it was sent. The seed of a model or a rule is no part of it: the same question asked
    again in the same order is the same judgment, whatever the order was drawn with."""
    return digest_of(sent if sent["labeler_kind"] == "human" else sent | {"seed": None})


def group_content(group: Group) -> tuple[dict[str, Any], list[int]]:
    """What is kept of a group, and the place in it of each of its completions.

    They are sorted, so that groups of the same completions are one, in whatever order either has them; the order in
    which they were shown is a matter of each judgment.
    """
    completions = [
        {"messages": [asdict(message) for message in one.messages]}
        | ({"origin": asdict(one.origin)} if one.origin else {})
        for one in group.completions
    ]
    order = sorted(range(len(completions)), key=lambda index: text_of(completions[index]))
    content = {
        "prompt": [asdict(message) for message in group.prompt], "completions": [completions[at] for at in order],
        "tools": group.tools, "source": group.source, "columns": group.columns,
    }  # fmt: skip
    return content, [order.index(index) for index in range(len(order))]


def group_of(content: dict[str, Any]) -> Group:
    """The group that `group_content` was made of."""
    completions = tuple(
        Completion(
            tuple(Message(**message) for message in one["messages"]),
            Origin(**one["origin"]) if "origin" in one else None,
        )
        for one in content["completions"]
    )
    prompt = tuple(Message(**message) for message in content["prompt"])
    return Group(prompt, completions, tools=content["tools"], source=content["source"], columns=content["columns"])


def kind_of(judgment: Judgment) -> str:
    """What sort of judgment it is: a key of `KINDS`."""
    return next(name for name, kind in KINDS.items() if isinstance(judgment, kind))


def verdict_of(judgment: Judgment) -> dict[str, Any]:
    """The verdict alone: the fields of a judgment that are its own."""
    kind = KINDS[kind_of(judgment)]
    verdict = {name: getattr(judgment, name) for name in kind.__dataclass_fields__ if name not in ABOUT}
    if isinstance(judgment, Preference):  # which two, also where the order in which they were shown is not known
        verdict["between"] = sorted(judgment.order)
    return verdict


def judgment_of(kind: str, verdict: dict[str, Any], about: dict[str, Any]) -> Judgment:
    """The judgment of a kind with that verdict; `about` are the fields of `ABOUT`, `order` empty where not known."""
    known = KINDS[kind].__dataclass_fields__
    verdict = dict(verdict)
    if between := verdict.pop("between", None):
        about = about | {"order": about["order"] or between}
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in (verdict | about).items()
        if name in known
    }
    return KINDS[kind](**fields)
