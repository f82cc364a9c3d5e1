"""Whether a judgment can be one of its group, before it is kept for ever."""

import math

from preferably.feedback.records import Group, Judgment, Label, Preference, Ranking, Rating
from preferably.feedback.store.entry import Entry

LONGEST = 64  # characters of an id
WORDS = ("tie", "both_bad", "unsure")


def fault_of(entry: Entry) -> str | None:
    """What is wrong with an entry, in words that follow 'judgment ID'; None for one that can be kept."""
    said = entry.judgment
    if not entry.id or len(entry.id) > LONGEST:
        return f"has an id of {len(entry.id)} characters; expected 1 to {LONGEST}, a UUID for instance"
    named = {
        "labeler": said.labeler, "labeler_group": said.labeler_group, "guideline": entry.guideline,
        "principle": entry.principle, "rationale": entry.rationale, "id": entry.id,
    }  # fmt: skip
    for name, text in named.items():
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
            return f"has a {name} with a NUL or half a character, which databases cannot hold; take it out"
    if entry.seconds is not None and not (math.isfinite(entry.seconds) and entry.seconds >= 0):
        return f"took {entry.seconds} seconds; expected a number from 0 up, or none"
    if entry.labeler_kind not in ("human", "model", "rule"):
        return f"is by a labeler of the kind {entry.labeler_kind!r}; expected human, model or rule"
    if said.state not in ("ok", "invalid", "refused", "failed"):
        return f"is in the state {said.state!r}; expected ok, invalid, refused or failed"
    return _misfit(said, entry.group)


def _misfit(said: Judgment, group: Group) -> str | None:
    """How a verdict does not fit the completions of its group."""
    count = len(group.completions)
    places = range(count)
    if not count:
        return "is about a prompt without completions; expected at least one"
    if isinstance(said, Preference):
        if len(said.order) != 2 or len(set(said.order)) != 2 or not set(said.order) <= set(places):
            return f"compares the completions {said.order} of {count}; expected two of them"
        if said.state == "ok" and said.choice not in (*said.order, *WORDS):
            return f"chose {said.choice!r}; expected one of {said.order}, tie, both_bad or unsure"
        if said.strength is not None and not (math.isfinite(said.strength) and said.strength >= 0):
            return f"has the strength {said.strength}; expected a number from 0 up, or none"
    if isinstance(said, Ranking):
        if said.order and sorted(said.order) != list(places):
            return f"was shown in the order {said.order}; expected each of {count} completions once"
        if said.state == "ok" and (len(said.ranks) != count or any(rank < 1 for rank in said.ranks)):
            return f"has the ranks {said.ranks}; expected {count} numbers from 1 up"
    if isinstance(said, Rating):
        if len(said.scores) != count:
            return f"rates {len(said.scores)} completions; expected {count}"
        if not all(score is None or math.isfinite(score) for score in said.scores):
            return f"has the scores {said.scores}; expected finite numbers, or none"
    if isinstance(said, Label) and said.completion not in places:
        return f"is about completion {said.completion} of {count}; expected 0 to {count - 1}"
    return None
