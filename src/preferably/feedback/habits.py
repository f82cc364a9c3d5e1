"""How a labeler works, whatever is right: the side and the length that they lean to, ties, speed, runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scipy.stats import binomtest

from preferably.feedback.questions import Said
from preferably.feedback.records import Group, Preference
from preferably.statistics.runs import longest_run, run_chance
from preferably.statistics.shares import Share, exact_share

READING = 1000 / 60  # words a second that nobody reads: people read 200 to 400 words a minute


@dataclass(frozen=True, slots=True)
class Leaning:
    """A share that is one half without a leaning, with its exact interval and the p-value of the binomial test."""

    share: Share
    p: float
    told: bool = False  # whether it stands when all labelers are held together (Holm)

    def as_json(self) -> dict[str, object]:
        """The share with `p` and `told`."""
        return self.share.as_json() | {"p": self.p, "told": self.told}


@dataclass(frozen=True, slots=True)
class Run:
    """The longest run of choices of one place on the page, among `n`; `p` is the chance of one as long by coin."""

    length: int
    n: int
    p: float
    told: bool = False

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {"length": self.length, "n": self.n, "p": self.p, "told": self.told}


@dataclass(frozen=True, slots=True)
class Habits:
    """Of one labeler; None where there is nothing to tell it from."""

    first: Leaning | None  # of their choices between two, those of the one that was shown first
    longer: Leaning | None  # those of the longer one
    undecided: Share | None  # of their verdicts on two, ties, both bad and unsure
    seconds: float | None  # median
    too_fast: Share | None  # judgments that took less time than reading takes
    run: Run | None


def habits_of(own: Sequence[Said]) -> Habits:
    """What the judgments of one labeler, in the order of time, tell."""
    two = [one.judgment for one in own if isinstance(one.judgment, Preference)]
    undecided = sum(one.choice in ("tie", "both_bad", "unsure") for one in two)
    times = [one.seconds for one in own if one.seconds is not None]
    fast = [one.seconds < reading_seconds(one.group) for one in own if one.seconds is not None]
    sides = sides_of(own)
    longest = longest_run(sides)
    return Habits(
        leaning(sum(sides), len(sides)), leaning(*longer_of(own)), exact_share(undecided, len(two)),
        median(times) if times else None, exact_share(sum(fast), len(fast)),
        Run(longest, len(sides), run_chance(longest, len(sides))) if sides else None,
    )  # fmt: skip


def leaning(ones: int, n: int) -> Leaning | None:
    """A share held against one half; None of nothing."""
    found = exact_share(ones, n)
    return Leaning(found, float(binomtest(ones, n).pvalue)) if found else None


def sides_of(own: Sequence[Said]) -> list[bool]:
    """Of each choice between two whose order on the page is known, whether it was of the first one."""
    found = []
    for one in own:
        said = one.judgment
        if one.shown and isinstance(said, Preference) and isinstance(said.choice, int):
            found.append(said.choice == said.order[0])
    return found


def longer_of(own: Sequence[Said]) -> tuple[int, int]:
    """How many choices between two of unlike length were of the longer one, characters; and how many there were."""
    won = []
    for one in own:
        said = one.judgment
        if isinstance(said, Preference) and isinstance(said.choice, int):
            lengths = {at: len(one.group.completions[at].text) for at in said.order}
            if len(set(lengths.values())) == 2:
                won.append(said.choice == max(lengths, key=lengths.__getitem__))
    return sum(won), len(won)


def reading_seconds(group: Group) -> float:
    """What it takes to read a prompt and its completions at `READING`, which is faster than anybody can."""
    texts = [group.prompt_text, *(one.text for one in group.completions)]
    return sum(len(text.split()) for text in texts) / READING
