"""Which prompts labelers disagree on, and what the data show of why."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import combinations
from statistics import fmean

import numpy as np

from preferably.feedback.questions import TIE, Questions, Said
from preferably.feedback.records import Flag, Group, Judged, Preference
from preferably.feedback.views import SETTLED

AMBIGUOUS = "ambiguous prompt"  # the flag
WEIGHT = 3.0  # pairs of verdicts with the usual disagreement that each prompt starts from
LISTED = 50
NEAR = 0.9  # of the words of two completions, from which on they are nearly the same
SHORT = 5  # words of a prompt
MANY = 10  # prompts that a comparison of short with long ones takes


@dataclass(frozen=True, slots=True)
class Dispute:
    """A prompt with its completions, and how far its labelers disagree."""

    group: Group
    labelers: int
    disagreement: float  # the share of pairs of verdicts that are unlike, over its questions
    entropy: float  # of the verdicts, bits, the mean over its questions
    minority: float  # the share of verdicts that are not the commonest
    flagged: int  # labelers who call the prompt ambiguous
    doubt: float  # what the list is sorted by: the disagreement drawn to the usual one, and flags beside it
    reasons: tuple[str, ...] = ()  # what the data show; only of those listed

    def as_json(self) -> dict[str, object]:
        """All of it, the prompt and the completions as text."""
        return {
            "prompt": self.group.prompt_text, "completions": [one.text for one in self.group.completions],
            "labelers": self.labelers, "disagreement": self.disagreement, "entropy": self.entropy,
            "minority": self.minority, "flagged": self.flagged, "reasons": list(self.reasons),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Disputes:
    """Every prompt that two labelers or more judged, or that somebody flagged; the most doubtful first."""

    prompts: list[Dispute]
    usual: float | None  # the mean disagreement, None where nothing was judged twice
    unanimous: int

    @property
    def listed(self) -> list[Dispute]:
        """Those that are worth a look: the first `LISTED` of those with any disagreement or flag."""
        return [one for one in self.prompts if one.disagreement or one.flagged][:LISTED]

    def as_json(self) -> dict[str, object]:
        """The figures, and those `listed`."""
        return {
            "judged_twice": sum(one.labelers > 1 for one in self.prompts), "unanimous": self.unanimous,
            "disagreement": self.usual, "flagged": sum(one.flagged > 0 for one in self.prompts),
            "most_ambiguous": [one.as_json() for one in self.listed],
        }  # fmt: skip


def disputes_of(
    questions: Questions, said: Sequence[Said], groups: Mapping[str, str], random: Sequence[str] = ()
) -> Disputes:
    """The prompts of `said`, which `questions` are of; `groups` are those of labelers, `random` who looks random."""
    flags = _flags(said)
    counts = questions.counts
    totals = counts.sum(1)
    twice = totals > 1
    unlike = np.zeros(len(totals))
    pairs = totals * (totals - 1)
    unlike[twice] = 1 - (counts * (counts - 1)).sum(1)[twice] / pairs[twice]
    usual = float((unlike * pairs).sum() / pairs.sum()) if pairs.any() else None
    by_record: dict[int, list[int]] = defaultdict(list)
    for unit in np.flatnonzero(twice).tolist():
        by_record[int(questions.record[unit])].append(unit)
    speakers = _speakers(questions)
    found = []
    for record, judged in enumerate(questions.records):
        units, flagged = by_record.get(record, []), len(flags.get(judged.group, ()))
        if not units and not flagged:
            continue
        weights = pairs[units].sum() / 2 if units else 0.0
        share = float((unlike[units] * pairs[units]).sum() / pairs[units].sum()) if units else 0.0
        drawn = (WEIGHT * (usual or 0.0) + weights * share) / (WEIGHT + weights)
        labelers = len(speakers.get(record, ()))
        found.append((record, Dispute(
            judged.group, labelers, share, fmean(map(_entropy, counts[units])) if units else 0.0,
            1 - float(counts[units].max(1).sum() / totals[units].sum()) if units else 0.0, flagged,
            drawn + flagged / max(labelers, flagged),
        )))  # fmt: skip
    found.sort(key=lambda item: -item[1].doubt)
    why = _Reasons(questions, groups, flags, random, [one for _, one in found], by_record)
    listed = {record for record, _ in [item for item in found if item[1].disagreement or item[1].flagged][:LISTED]}
    made = [replace(one, reasons=why.of(record, one)) if record in listed else one for record, one in found]
    unanimous = sum(not one.disagreement and one.labelers > 1 for one in made)
    return Disputes(made, usual, unanimous)


def _flags(said: Sequence[Said]) -> dict[Group, set[str]]:
    """Who calls the prompt of a group ambiguous."""
    found: dict[Group, set[str]] = defaultdict(set)
    for one in said:
        flag = one.judgment
        if isinstance(flag, Flag) and flag.name == AMBIGUOUS and flag.raised:
            found[one.group].add(flag.labeler)
    return found


def _speakers(questions: Questions) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for record, labeler in zip(questions.record[questions.units].tolist(), questions.labelers.tolist(), strict=True):
        found[record].add(labeler)
    return found


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


class _Reasons:
    """What the data show of why the labelers of a record disagree."""

    def __init__(
        self, questions: Questions, groups: Mapping[str, str], flags: Mapping[Group, set[str]], random: Sequence[str],
        disputes: Sequence[Dispute], by_record: Mapping[int, Sequence[int]],
    ) -> None:  # fmt: skip
        self.questions, self.groups, self.flags, self.random = questions, groups, flags, set(random)
        self.by_record = by_record
        judged = [one for one in disputes if one.labelers > 1]
        short = [one.disagreement for one in judged if _words(one.group) <= SHORT]
        long = [one.disagreement for one in judged if _words(one.group) > SHORT]
        # A short prompt is a reason only where short ones are the disputed ones.
        self.short = min(len(short), len(long)) >= MANY and fmean(short) > fmean(long)
        self.said: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for unit, labeler, code in zip(
            questions.units.tolist(), questions.labelers.tolist(), questions.codes.tolist(), strict=True
        ):
            self.said[unit].append((questions.names[labeler], code))

    def of(self, record: int, dispute: Dispute) -> tuple[str, ...]:
        """In words, the likeliest first; empty where the data show none."""
        judged = self.questions.records[record]
        reasons: list[Callable[[int, Dispute, Judged], str]] = [
            self._flagged, self._near, self._undecided, self._by_group, self._odd_one, self._shortness,
        ]  # fmt: skip
        return tuple(text for reason in reasons if (text := reason(record, dispute, judged)))

    def _flagged(self, record: int, dispute: Dispute, judged: Judged) -> str:
        return f"flagged as ambiguous by {dispute.flagged}" if dispute.flagged else ""

    def _near(self, record: int, dispute: Dispute, judged: Judged) -> str:
        """How much of the words two completions in question share, in order."""
        texts = [one.text.split() for one in judged.group.completions]
        for unit in self.by_record.get(record, ()):
            places = self.questions.places[unit]
            if len(places) == 2:
                one, other = (texts[at] for at in places)
                longest = max(len(one), len(other), 1)
                if min(len(one), len(other)) / longest < NEAR:  # cannot be near; spares the search
                    continue
                same = SequenceMatcher(None, one, other, autojunk=False).ratio()
                if same >= NEAR:
                    return f"the completions are nearly the same ({same:.0%} of the words)"
        return ""

    def _undecided(self, record: int, dispute: Dispute, judged: Judged) -> str:
        own = [
            one for one in judged.judgments
            if isinstance(one, Preference) and one.state == "ok" and one.labeler_group != SETTLED
        ]  # fmt: skip
        unsure = sum(not isinstance(one.choice, int) for one in own)
        return f"{unsure} of {len(own)} see a tie or are unsure" if own and unsure * 2 >= len(own) else ""

    def _by_group(self, record: int, dispute: Dispute, judged: Judged) -> str:
        """Two groups of two labelers or more, each of one mind and against the other."""
        for unit in self.by_record.get(record, ()):
            minds: dict[str, list[int]] = defaultdict(list)
            for name, code in self.said[unit]:
                if self.groups.get(name):
                    minds[self.groups[name]].append(code)
            firm = {name: codes[0] for name, codes in minds.items() if len(codes) > 1 and len(set(codes)) == 1}
            for one, other in combinations(firm, 2):
                if {firm[one], firm[other]} == {0, 2}:
                    return f"groups differ: all {len(minds[one])} of {one} against all {len(minds[other])} of {other}"
        return ""

    def _odd_one(self, record: int, dispute: Dispute, judged: Judged) -> str:
        """One against three or more who are of one mind, on every question that is disputed; or against two, if at
        random."""
        odd: set[str] = set()
        for unit in self.by_record.get(record, ()):
            counts = Counter(code for _, code in self.said[unit])
            if len(counts) == 1:
                continue
            (_, most), *rest = counts.most_common()
            if most < 2 or [n for _, n in rest] != [1] or rest[0][0] == TIE:
                return ""
            alone = next(name for name, code in self.said[unit] if code == rest[0][0])
            if most < 3 and alone not in self.random:
                return ""
            odd.add(alone)
        if len(odd) != 1:
            return ""
        name = odd.pop()
        return f"only {name or 'one without a name'} differs" + (", who looks random" if name in self.random else "")

    def _shortness(self, record: int, dispute: Dispute, judged: Judged) -> str:
        words = _words(judged.group)
        return f"a short prompt ({words} words)" if self.short and words <= SHORT else ""


def _words(group: Group) -> int:
    return len(group.prompt_text.split())
