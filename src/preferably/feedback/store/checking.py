"""Whether a judgment can be kept: once it is, nobody can mend it."""

import json
import math
from collections.abc import Sequence
from typing import Any, get_args

from preferably.feedback.records import (
    Completion,
    Flag,
    Group,
    Judgment,
    Label,
    Message,
    Preference,
    Ranking,
    Rating,
    Role,
    State,
)
from preferably.feedback.store.entry import Entry, LabelerKind

LONGEST = 64  # characters of an id
LARGEST = 1 << 63  # of a seed: what both databases hold
WORDS = ("tie", "both_bad", "unsure")


def fault_of(entry: Entry) -> str | None:
    """What is wrong with an entry, in words that follow 'The judgment ID'; None for one that can be kept."""
    if not isinstance(entry.id, str) or not 0 < len(entry.id) <= LONGEST:
        return f"has that for an id; expected a text of 1 to {LONGEST} characters, a UUID for instance"
    if not isinstance(entry.judgment, Judgment) or not isinstance(entry.group, Group):
        return f"is a {type(entry.judgment).__name__} of a {type(entry.group).__name__}; expected a judgment of a Group"
    return _odd_text(entry) or _odd_number(entry) or odd_group(entry.group) or _misfit(entry.judgment, entry.group)


def _odd_text(entry: Entry) -> str | None:
    said = entry.judgment
    named: dict[str, Any] = {
        "labeler": said.labeler, "labeler_group": said.labeler_group, "guideline": entry.guideline,
        "principle": entry.principle, "rationale": entry.rationale, "id": entry.id, "said_at": entry.said_at,
        "supersedes": entry.supersedes or "",
    }  # fmt: skip
    for name, text in named.items():
        if not isinstance(text, str):
            return f"has a {type(text).__name__} for its {name}; expected text"
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
            return f"has a {name} with a NUL or half a character, which databases cannot hold; take it out"
    if len(entry.said_at) > 32:
        return f"was said at {entry.said_at!r:.80}; expected a time by ISO 8601, or nothing"
    if entry.labeler_kind not in get_args(LabelerKind):
        return f"is by a labeler of the kind {entry.labeler_kind!r:.80}; expected {', '.join(get_args(LabelerKind))}"
    if said.state not in get_args(State):
        return f"is in the state {said.state!r:.80}; expected {', '.join(get_args(State))}"
    return None


def _odd_number(entry: Entry) -> str | None:
    if entry.seconds is not None and not (_is_number(entry.seconds) and entry.seconds >= 0):
        return f"took {entry.seconds!r:.80} seconds; expected a number from 0 up, or none"
    if entry.seed is not None and not (_is_whole(entry.seed) and -LARGEST <= entry.seed < LARGEST):
        return f"has the seed {entry.seed!r:.80}; expected a whole number of 64 bits, or none"
    return None


def odd_group(group: Group) -> str | None:
    """What of a group could not be read again, or not as what it was, in words as of `fault_of`; None where nothing."""
    messages = [*group.prompt, *(message for one in group.completions for message in one.messages)]
    if not group.completions or not all(isinstance(one, Completion) and one.messages for one in group.completions):
        return "is about a prompt without completions, or with empty ones; expected at least one message in each"
    for message in messages:
        if not isinstance(message, Message) or message.role not in get_args(Role):
            return (
                f"has a turn of {getattr(message, 'role', message)!r:.80}; expected one of {', '.join(get_args(Role))}"
            )
        if not isinstance(message.content, str) or not isinstance(message.train, bool):
            return "has a turn whose content is no text"
        if message.fields and not isinstance(_parsed(message.fields), dict):
            return f"has a turn with the fields {message.fields!r:.80}; expected a JSON object"
    if len({message.role == "text" for message in messages}) > 1:
        return "mixes plain text and chat turns"
    if group.tools and not isinstance(_parsed(group.tools), list):
        return f"has the tools {group.tools!r:.80}; expected a JSON list"
    if group.columns and not isinstance(_parsed(group.columns), dict):
        return f"has the columns {group.columns!r:.80}; expected a JSON object"
    if not isinstance(group.source, str):
        return f"has the source {group.source!r:.80}; expected text"
    origins = [one.origin for one in group.completions if one.origin is not None]
    if not all(one.temperature is None or _is_number(one.temperature) for one in origins):
        return "has a completion of a temperature that is no number"
    return None


def _misfit(said: Judgment, group: Group) -> str | None:
    """How a verdict does not fit the completions of its group, whatever its state."""
    count = len(group.completions)
    places, judged = range(count), said.state == "ok"
    if isinstance(said, Preference):
        order = said.order
        if not _are_places(order, places) or len(order) != 2 or order[0] == order[1]:
            return f"compares the completions {order!r:.80} of {count}; expected two of them"
        if not (judged or said.choice is None) or (judged and not _is_choice(said.choice, order)):
            expected = f"one of {order}, tie, both_bad or unsure" if judged else f"None of what is {said.state}"
            return f"chose {said.choice!r:.80}; expected {expected}"
        if said.strength is not None and not (_is_number(said.strength) and said.strength >= 0):
            return f"has the strength {said.strength!r:.80}; expected a number from 0 up, or none"
    if isinstance(said, Ranking):
        if not _are_places(said.order, places) or (said.order and sorted(said.order) != list(places)):
            return f"was shown in the order {said.order!r:.80}; expected each of {count} completions once"
        whole = isinstance(said.ranks, tuple) and all(_is_whole(rank) and rank > 0 for rank in said.ranks)
        if not whole or len(said.ranks) != count and (judged or said.ranks):
            return f"has the ranks {said.ranks!r:.80}; expected {count} whole numbers from 1 up"
    if isinstance(said, Rating):
        if not isinstance(said.axis, str) or len(said.scores) != count:
            return f"rates {len(said.scores)} completions on {said.axis!r:.80}; expected {count} on a named axis"
        if not all(score is None or _is_number(score) for score in said.scores):
            return f"has the scores {said.scores!r:.80}; expected finite numbers, or none"
    if isinstance(said, Label):
        if not isinstance(said.desirable, bool) or not _are_places((said.completion,), places):
            return (
                f"says {said.desirable!r:.40} of completion {said.completion!r:.40} of {count}; expected true or false"
            )
    if isinstance(said, Flag) and not (isinstance(said.raised, bool) and isinstance(said.name, str) and said.name):
        return f"raises the flag {said.name!r:.80}; expected its name, and true or false"
    return None


def _is_choice(choice: object, order: Sequence[int]) -> bool:
    return choice in WORDS if isinstance(choice, str) else _is_whole(choice) and choice in order


def _are_places(order: object, places: range) -> bool:
    return isinstance(order, tuple) and all(_is_whole(at) and at in places for at in order)


def _is_whole(value: object) -> bool:
    return type(value) is int  # not True, and not a number of numpy, which JSON cannot write


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _parsed(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
