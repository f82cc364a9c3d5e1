"""Rows that compare: pairs, choices between two, rankings and ratings of several."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from preferably.data.answers import prompt_and_answers
from preferably.data.columns import BadRow, Row, list_of, number_of, shown, text_of
from preferably.data.conversations import Turns, equal, same_text
from preferably.feedback.records import Judgment, Preference, Ranking, Rating

Read = tuple[Turns, tuple[Turns, ...], tuple[Judgment, ...]]  # prompt, completions, what was said of them

WORDS = ("tie", "both_bad", "unsure")
WINNERS: dict[str, Any] = {
    "model_a": 0, "response_a": 0, "a": 0, "model_b": 1, "response_b": 1, "b": 1,
    "tie": "tie", "both_bad": "both_bad", "bothbad": "both_bad", "tie (bothbad)": "both_bad", "unsure": "unsure",
}  # fmt: skip
OVERALL = "overall"  # the axis of ratings that name none


def pair(row: Row) -> Read:
    """`chosen` and `rejected`, with `strength`, `margin`, or the difference of `score_chosen` and `score_rejected`."""
    prompt, completions = _two(row, "chosen", "rejected")
    if row.has("instruction"):
        row.get(
            "output"
        )  # what the pair was made from, in sets that add one to Alpaca's columns; known, and not needed
    strength = _strength(row)
    if strength is None and row.has("score_chosen", "score_rejected"):
        better, worse = (number_of(row.get(name), name) for name in ("score_chosen", "score_rejected"))
        if better < worse:
            reason = f"score_chosen {better:g} is below score_rejected {worse:g}"
            raise BadRow("score_chosen", "scores_contradict", reason)
        if better == worse:
            return prompt, completions, (Preference("tie"),)
        strength = better - worse
    return prompt, completions, (Preference(0, strength),)


def edit(row: Row) -> Read:
    """`completion` (or `output`) and `edited`, what a person made of it, which is the better one; one that was left as
    it was is no comparison."""
    before = "output" if row.has("output") and not row.has("completion") else "completion"
    prompt, completions = prompt_and_answers(row, [row.need("edited"), row.need(before)], ["edited", before])
    return prompt, completions, () if same_text(*completions) else (Preference(0),)


def choice(row: Row) -> Read:
    """`completions: [a, b]` and `choice`: 0, 1, `tie`, `both_bad` or `unsure`; null or none is not judged."""
    prompt, completions = _several(row)
    said = row.get("choice")
    if said is None:
        return prompt, completions, ()
    if len(completions) != 2:
        raise BadRow("completions", "wrong_number", f"a choice is between two, got {len(completions)}; give ranks")
    _refuse_twins(completions, (0, 1))
    if isinstance(said, bool) or said not in (0, 1, *WORDS) or isinstance(said, float):
        raise BadRow("choice", "bad_choice", f"expected 0, 1, {', '.join(WORDS)}, got {shown(said)}")
    return prompt, completions, (Preference(said, _strength(row)),)


def arena(row: Row) -> Read:
    """`response_a`, `response_b` (or `conversation_a`, `conversation_b`) and `winner`, as arenas write them."""
    kind = "conversation" if row.has("conversation_a") or row.has("conversation_b") else "response"
    prompt, completions = _two(row, f"{kind}_a", f"{kind}_b")
    said = row.get("winner")
    if said is None:
        return prompt, completions, ()
    winner = said.strip().lower() if isinstance(said, str) else ""
    if winner not in WINNERS:
        raise BadRow("winner", "bad_choice", f"expected one of {', '.join(WINNERS)}, got {shown(said)}")
    judge = text_of(row.get("judge") or "", "judge", may_be_blank=True)
    return prompt, completions, (Preference(WINNERS[winner], _strength(row), judge),)


def outputs(row: Row) -> Read:
    """`output_1`, `output_2` and `label` (1 or 2) or `preference` (1, 2; 0 or 1.5 is a tie)."""
    prompt, completions = _two(row, "output_1", "output_2")
    name = "label" if row.has("label") else "preference"
    said = row.get(name)
    if said is None:
        return prompt, completions, ()
    meanings: dict[Any, Any] = {1: 0, 2: 1} | ({} if name == "label" else {0: "tie", 1.5: "tie"})
    if isinstance(said, bool) or not isinstance(said, int | float) or said not in meanings:
        raise BadRow(name, "bad_choice", f"expected {', '.join(map(str, sorted(meanings)))}, got {shown(said)}")
    return prompt, completions, (Preference(meanings[said]),)


def several(row: Row) -> Read:
    """`completions` with `ranks` (1 is the best, equal is a tie) or `ratings` (higher is better), or both."""
    prompt, completions = _several(row)
    judgments: list[Judgment] = []
    if row.has("ranks"):
        ranks = _one_each(row, "ranks", completions)
        for index, rank in enumerate(ranks):
            if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
                reason = f"expected a whole number from 1, the best, on; got {shown(rank)}"
                raise BadRow(f"ranks[{index}]", "bad_rank", reason)
        if len(ranks) == 2 and (strength := _strength(row)) is not None:
            judgments.append(Preference("tie" if ranks[0] == ranks[1] else ranks.index(min(ranks)), strength))
        else:
            judgments.append(Ranking(tuple(ranks)))
        _refuse_twins(completions, ranks)
    if row.has("ratings"):
        ratings = _one_each(row, "ratings", completions)
        judgments += [Rating(axis, scores) for axis, scores in _axes(ratings).items()]
        if len(completions) == 2:
            _refuse_twins(completions, ratings)
    if len(completions) == 2 and same_text(*completions):
        judgments = []  # that a text is as good as itself says nothing
    return prompt, completions, tuple(judgments)


def _axes(ratings: Sequence[Any]) -> dict[str, tuple[float | None, ...]]:
    named = [one if isinstance(one, dict) else {} if one is None else {OVERALL: one} for one in ratings]
    for index, one in enumerate(named):
        for axis, score in one.items():
            if score is not None:
                number_of(score, f"ratings[{index}]" if axis == OVERALL else f"ratings[{index}].{axis}")
    axes = dict.fromkeys(axis for one in named for axis, score in one.items() if score is not None)
    return {axis: tuple(None if one.get(axis) is None else float(one[axis]) for one in named) for axis in axes}


def _one_each(row: Row, name: str, completions: Sequence[Turns]) -> list[Any]:
    values = list_of(row.get(name), name)
    if len(values) != len(completions):
        raise BadRow(name, "wrong_number", f"{len(completions)} completions, but {len(values)} {name}")
    return values


def _two(row: Row, one: str, other: str) -> tuple[Turns, tuple[Turns, ...]]:
    prompt, completions = prompt_and_answers(row, [row.need(one), row.need(other)], [one, other])
    if same_text(*completions):
        raise equal(one, other)
    return prompt, completions


def _several(row: Row) -> tuple[Turns, tuple[Turns, ...]]:
    values = list_of(row.need("completions"), "completions")
    if len(values) < 2:
        raise BadRow("completions", "wrong_number", f"a comparison needs two completions or more, got {len(values)}")
    fields = [f"completions[{index}]" for index in range(len(values))]
    return prompt_and_answers(row, values, fields)


def _refuse_twins(completions: Sequence[Turns], ranks: Sequence[Any]) -> None:
    """Samples of one model repeat themselves, which is no fault; that one text is better than itself is."""
    for one, other in combinations(range(len(completions)), 2):
        if ranks[one] != ranks[other] and same_text(completions[one], completions[other]):
            raise equal(f"completions[{one}]", f"completions[{other}]")


def _strength(row: Row) -> float | None:
    name = next((name for name in ("strength", "margin") if row.has(name)), None)
    if name is None:
        return None
    value = number_of(row.get(name), name)
    if value < 0:
        raise BadRow(name, "bad_score", f"how much better cannot be below 0, got {value:g}; swap the completions")
    return value
