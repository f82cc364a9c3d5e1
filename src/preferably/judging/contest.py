"""What a judge of two completions says of several: how many of the others each one beats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Group, Preference
from preferably.judging.judge import Judge, marked, name_of, preferences_of, results_of

Columns = Callable[[Sequence[Group]], Mapping[str, list[Any]]]
EXPECTED = "0, 1, 'tie' or None for each"


def judge_by_function(function: Callable[..., Sequence[object]], columns: Columns = lambda groups: {}) -> Judge:
    """A judge that asks `function(prompts, pairs, **columns)`: lists of n texts and of n pairs of texts in, for each
    pair 0 or 1 (the place of the better one), "tie" or None (it cannot tell) out.

    `columns` gives further arguments for n groups, n values each. `ConfigError` where the function raises, or answers
    in another form.
    """
    name = name_of(function)

    def judge(groups: Sequence[Group]) -> list[Preference]:
        prompts = [group.prompt_text for group in groups]
        pairs = [(group.completions[0].text, group.completions[1].text) for group in groups]
        expected = f"{EXPECTED} of {len(pairs)} pairs"
        answers = results_of(function, "judge", expected, len(pairs), prompts, pairs, columns(groups))
        return [_preference(answer, name, expected) for answer in answers]

    return marked(judge, function)


def _preference(answer: Any, name: str, expected: str) -> Preference:
    plain = answer.item() if hasattr(answer, "item") else answer  # of numpy and torch
    if plain is None:
        return Preference(None, labeler=name, state="failed")
    if isinstance(plain, str) and plain == "tie":
        return Preference("tie", labeler=name)
    if type(plain) is int and plain in (0, 1):  # True says another thing than 1
        return Preference(plain, labeler=name)
    raise ConfigError(f"The judge {name} gave {answer!r:.80}; expected {expected}.")


def shares_won(judge: Judge, groups: Sequence[Group]) -> list[float | None]:
    """For each completion of each group, in order, the share of the others in its group that `judge` prefers it to.

    Of K completions all K (K - 1) / 2 pairs are asked about, in one call. A tie is half a win, and so is one that the
    judge is unsure about, or finds both bad; equal texts are a tie without asking. Comparisons that have no verdict are
    left out of the share; None where none has one, and for a completion without others.
    """
    meetings = [
        (number, group, places)
        for number, group in enumerate(groups)
        for places in combinations(range(len(group.completions)), 2)
    ]
    pairs = [replace(group, completions=tuple(group.completions[k] for k in two)) for _, group, two in meetings]
    said = iter(preferences_of(judge, [pair for pair in pairs if not _alike(pair)]))
    won: list[list[list[float | None]]] = [[[] for _ in group.completions] for group in groups]
    for (number, _, (first, second)), pair in zip(meetings, pairs, strict=True):
        share = 0.5 if _alike(pair) else _share(next(said))
        won[number][first].append(share)
        won[number][second].append(None if share is None else 1 - share)
    return [_mean(shares) for each in won for shares in each]


def _alike(pair: Group) -> bool:
    return pair.completions[0].text == pair.completions[1].text


def _share(preference: Preference) -> float | None:
    """What the first of a pair has won."""
    if preference.state != "ok":
        return None
    return 1.0 - preference.choice if isinstance(preference.choice, int) else 0.5


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return fmean(known) if known else None
