"""What a labeler sent from the page, as judgments: places on the page become places in the group, and all is checked.

An answer is a JSON object: `id` (a UUID that the browser made), `seconds`, `rationale`, `flags`, and what its kind of
task has:

    pair      choice: 0 or 1 (the place on the page), tie, both_bad or unsure; strength: 1, 2, ... or null
    ranking   ranks: one for each place, 1 is the best, equal ranks a tie
    rating    scores: {axis: one whole number for each place, or null}
    thumbs    thumbs: true, false or null for each place
    edit      text: the improved completion; of: the place that it was made from
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from preferably.errors import DataError
from preferably.feedback.records import (
    Completion,
    Flag,
    Group,
    Judgment,
    Label,
    Origin,
    Preference,
    Ranking,
    Rating,
)  # fmt: skip
from preferably.feedback.store.entry import Entry
from preferably.labeling.project import Project

LONGEST = 100_000  # characters of an edit or a rationale
DAY = 86_400.0


class AnswerError(DataError):
    """An answer that cannot be kept, with what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was shown to whom: a group, in an order drawn with a seed, and what they said of it so far."""

    turn: str
    kind: str
    group: Group
    shown: tuple[int, ...]  # shown[place on the page] is the place in the group
    seed: int
    labeler: str
    labeler_group: str
    said: Mapping[str, str]  # what was said, by its key: the judgment that says it now
    earlier: Mapping[str, Any] | None = None  # the answer that was given last


def judgments_of(asked: Asked, answer: Mapping[str, Any], project: Project) -> dict[str, Entry]:
    """The judgments of an answer by their keys (`verdict`, `rating:AXIS`, `thumb:PLACE`, `flag:NAME`), each with the
    one that it corrects. Their ids are made of the answer's. Raises `AnswerError`."""
    name = id_of(answer)
    read = _READERS[asked.kind](asked, answer, project)
    flags = _flags(asked, answer, project)
    rationale, seconds = _rationale(answer), _seconds(answer)
    made: dict[str, Entry] = {}
    for number, (key, (group, judgment)) in enumerate((read | flags).items()):
        signed = replace(judgment, labeler=asked.labeler, labeler_group=asked.labeler_group)
        first = number == 0
        made[key] = Entry(
            group, signed, name if first else f"{name}.{number}", seed=asked.seed, guideline=project.version,
            rationale=rationale if first else "", seconds=seconds if first else None, supersedes=asked.said.get(key),
            shown=not key.startswith("edit:"),
        )  # fmt: skip
    return made


def is_right(expected: Mapping[str, Any], asked: Asked, said: Mapping[str, Entry]) -> bool:
    """Whether gold was answered as expected: `expected` has `choice` (a place in the group, tie or both_bad), or `best`
    (places, any of which may come first)."""
    verdict = said["verdict"].judgment
    if isinstance(verdict, Preference):
        return verdict.choice == expected["choice"]
    if isinstance(verdict, Ranking):
        first = [place for place, rank in enumerate(verdict.ranks) if rank == min(verdict.ranks)]
        best = expected.get("best", [expected.get("choice")])
        return all(place in best for place in first)
    raise AnswerError(f"Gold is of pairs and rankings; got a {asked.kind}.")


Read = dict[str, tuple[Group, Judgment]]


def _pair(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    choice, strength = answer.get("choice"), answer.get("strength")
    if type(choice) is int and choice in (0, 1):
        choice = asked.shown[choice]
    elif choice not in ("tie", "both_bad", "unsure"):
        raise AnswerError(f"choice is 0, 1, tie, both_bad or unsure; got {choice!r:.40}.")
    decided = isinstance(choice, int)
    if strength is not None and not (decided and type(strength) is int and 1 <= strength <= len(project.strengths)):
        raise AnswerError(
            f"strength is 1 to {len(project.strengths)}, of a choice between the two; got {strength!r:.40}."
        )
    if decided and project.strengths and strength is None:
        raise AnswerError("strength is missing: how much better is it?")
    order = tuple(asked.shown)
    return {"verdict": (asked.group, Preference(choice, strength and float(strength), order=order))}


def _ranking(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    ranks = answer.get("ranks")
    if (
        not isinstance(ranks, list)
        or not _whole(ranks, asked)
        or sorted(set(ranks)) != list(range(1, len(set(ranks)) + 1))
    ):
        raise AnswerError(f"ranks are one for each of {len(asked.shown)}, from 1 up without a gap; got {ranks!r:.80}.")
    placed = [0] * len(asked.shown)
    for place, rank in enumerate(ranks):
        placed[asked.shown[place]] = rank
    return {"verdict": (asked.group, Ranking(tuple(placed), order=tuple(asked.shown)))}


def _rating(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    scores = answer.get("scores")
    points = {axis.name: axis.points for axis in project.rubric}
    if not isinstance(scores, dict) or set(scores) != set(points):
        raise AnswerError(f"scores are for each of {', '.join(points)}; got {scores!r:.80}.")
    read: Read = {}
    for axis, most in points.items():
        given = scores[axis]
        if (
            not isinstance(given, list)
            or len(given) != len(asked.shown)
            or any(score is not None and (type(score) is not int or not 1 <= score <= most) for score in given)
        ):
            raise AnswerError(f"{axis} is rated from 1 to {most}, or null, for each completion; got {given!r:.80}.")
        placed: list[float | None] = [None] * len(given)
        for place, score in enumerate(given):
            placed[asked.shown[place]] = None if score is None else float(score)
        if any(score is not None for score in placed) or f"rating:{axis}" in asked.said:
            read[f"rating:{axis}"] = (asked.group, Rating(axis, tuple(placed)))
    if not read:
        raise AnswerError("nothing was rated; rate something, or skip it.")
    return read


def _thumbs(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    thumbs = answer.get("thumbs")
    if (
        not isinstance(thumbs, list)
        or len(thumbs) != len(asked.shown)
        or any(thumb is not None and not isinstance(thumb, bool) for thumb in thumbs)
    ):
        raise AnswerError(f"thumbs are true, false or null for each of {len(asked.shown)}; got {thumbs!r:.80}.")
    read: Read = {
        f"thumb:{asked.shown[place]}": (asked.group, Label(thumb, asked.shown[place]))
        for place, thumb in enumerate(thumbs)
        if thumb is not None
    }
    lost = {key for key in asked.said if key.startswith("thumb:")} - set(read)
    if not read or lost:
        raise AnswerError("a thumb cannot be taken back, only turned" if lost else "no thumb was given; or skip it.")
    return read


def _edit(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    """What was made of a completion is better than it: a group of the two. A later edit is of another group, so the
    earlier one is taken back by a judgment that says nothing of it."""
    text, of = answer.get("text"), answer.get("of", 0)
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        raise AnswerError(f"text is the improved completion, up to {LONGEST:,} characters.")
    if type(of) is not int or not 0 <= of < len(asked.shown):
        raise AnswerError(f"of is the place of the completion that was improved; got {of!r:.40}.")
    before = asked.group.completions[asked.shown[of]]
    if text.strip() == before.text.strip():
        raise AnswerError("nothing was changed; improve it, or skip it.")
    if len(before.messages) > 1:
        raise AnswerError("a completion of several turns cannot be edited here; skip it.")
    read: Read = {f"edit:{answer['id']}": (_edited(asked, text, of), Preference(0, order=(0, 1)))}
    if (old := asked.earlier) is not None:
        read[f"edit:{old['id']}"] = (_edited(asked, old["text"], old.get("of", 0)), Preference("unsure", order=(0, 1)))
    return read


def _edited(asked: Asked, text: str, of: int) -> Group:
    """What an edit made of the completion at the place `of` of the page, and that completion."""
    before = asked.group.completions[asked.shown[of]]
    better = Completion((replace(before.messages[0], content=text),), Origin("edited by a labeler"))
    return replace(asked.group, completions=(better, before))


_READERS: dict[str, Callable[[Asked, Mapping[str, Any], Project], Read]] = {
    "pair": _pair, "ranking": _ranking, "rating": _rating, "thumbs": _thumbs, "edit": _edit,
}  # fmt: skip


def _flags(asked: Asked, answer: Mapping[str, Any], project: Project) -> Read:
    raised = answer.get("flags", [])
    if not isinstance(raised, list) or not set(map(str, raised)) <= set(project.flags):
        raise AnswerError(f"flags are of {', '.join(project.flags)}; got {raised!r:.80}.")
    read: Read = {f"flag:{name}": (asked.group, Flag(name)) for name in dict.fromkeys(raised)}
    for key in asked.said:
        if key.startswith("flag:") and key not in read:
            read[key] = (asked.group, Flag(key.removeprefix("flag:"), raised=False))
    return read


def _whole(values: list[object], asked: Asked) -> bool:
    return len(values) == len(asked.shown) and all(type(value) is int for value in values)


def id_of(answer: Mapping[str, Any]) -> str:
    """The id of an answer, in one spelling. Raises `AnswerError`."""
    name = answer.get("id")
    try:
        return str(UUID(name))
    except (ValueError, TypeError, AttributeError):
        raise AnswerError(f"id is a UUID that the browser makes; got {name!r:.60}.") from None


def _rationale(answer: Mapping[str, Any]) -> str:
    text = answer.get("rationale", "")
    if not isinstance(text, str) or len(text) > LONGEST:
        raise AnswerError(f"rationale is a text of up to {LONGEST:,} characters.")
    return text.strip()


def _seconds(answer: Mapping[str, Any]) -> float | None:
    """What the browser counted while the page was looked at; the clock on the wall has no part in it."""
    seconds = answer.get("seconds")
    if seconds is None:
        return None
    if type(seconds) not in (int, float) or not 0 <= seconds <= DAY:
        raise AnswerError(f"seconds is a number from 0 to {DAY:.0f}; got {seconds!r:.40}.")
    return float(seconds)


def places(count: int, seed: int) -> tuple[int, ...]:
    """The order in which `count` completions are shown, drawn with `seed`."""
    from random import Random

    order = list(range(count))
    Random(seed).shuffle(order)
    return tuple(order)


def shown_texts(asked: Asked) -> Sequence[str]:
    """The completions in the order of the page."""
    return [asked.group.completions[place].text for place in asked.shown]
