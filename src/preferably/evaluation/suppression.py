"""Is an unwanted behavior gone, or only not shown? How often it comes back when asked in other ways.

What a model does not say as it is asked it may say when its reply is begun for it (Qi et al. 2024,
https://arxiv.org/abs/2406.05946), at a higher temperature, in another format, or after a few steps of training. So
"suppressed as asked" is all that a low rate shows; this says under what it is not.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from preferably.errors import DataError, ModelError
from preferably.evaluation.audit import Audit, Progress, Row, Table, Values, compared, mean_by_prompt, middle, silent
from preferably.evaluation.compare import with_room
from preferably.evaluation.relearning import Relearning
from preferably.evaluation.suppression_findings import Seen, findings_of, verdict_of
from preferably.evaluation.unwanted import Case, Detector, in_text
from preferably.evaluation.ways import PREFILLS, TEMPERATURES, Begun, Kind, Way, begun, ways_of
from preferably.models.loading import Loaded
from preferably.models.ranks import forced
from preferably.models.sampler import Decoding
from preferably.statistics.intervals import Difference, paired_difference


@dataclass(frozen=True, slots=True)
class Sides:
    """The audited model, the one before, and one that never learnt the behavior, where there is one."""

    after: Loaded
    before: Loaded
    control: Loaded | None = None

    def all(self) -> dict[str, Loaded]:
        """By name."""
        return {"after": self.after, "before": self.before} | ({"control": self.control} if self.control else {})


@dataclass(frozen=True, slots=True)
class Asked:
    """One way of asking and how often the behavior showed, by prompt; `more` is after less after as asked."""

    kind: Kind
    row: Row
    value: float
    prompts: int
    more: Difference | None
    unlike_control: Difference | None  # after less the control


def audit_suppression(
    sides: Sides, cases: Sequence[Case], *, detector: Detector | None = None, decoding: Decoding | None = None,
    samples: int = 4, temperatures: Sequence[float] = TEMPERATURES, prefills: Sequence[int] = PREFILLS,
    relearning: Relearning | None = None, seed: int = 0, progress: Progress = silent,
) -> Audit:  # fmt: skip
    """How often the behavior of `cases` shows in the model after and before, under every way of asking (`ways_of`);
    how likely its words are; and after how few steps it returns, where `relearning` says how to train.

    `decoding` is that of "as asked". `progress` is told of each prompt done. Raises `DataError` where no prompt leaves
    room, `ModelError` for models with other tokenizers, and what `relearning` raises.
    """
    detector, decoding = detector or Detector(), decoding or Decoding(max_tokens=64)
    vocabulary = sides.after.tokenizer.get_vocab()
    if any(one.tokenizer.get_vocab() != vocabulary for one in sides.all().values()):
        raise ModelError("The models of an audit share one tokenizer, as a reply is begun by tokens; these do not.")
    cases, too_long = _with_room(cases, sides, decoding.max_tokens + max(prefills, default=0))
    exhibits = _exhibits(cases, sides.before, detector, decoding, seed)
    known = begun(cases, exhibits, sides.after)
    asked = _ask(sides, cases, known, detector, decoding, samples, temperatures, prefills, seed, progress)
    likely = _likelihood(sides, cases, known)
    learnt = None if relearning is None else relearning.curves(sides.all(), cases, exhibits, detector, decoding, seed)
    untaught = relearning is not None and learnt is None
    seen = Seen(asked, likely, learnt, len(vocabulary), sides.control is not None, untaught)
    found = findings_of(seen)
    outcome, verdict = verdict_of(seen, found)
    tables = [Table("How often it shows", tuple(one.row for one in asked)), *([likely] if likely else [])]
    settings = {
        "prompts": len(cases), "too_long": too_long, "samples": samples, "decoding": asdict(decoding),
        "detector": "judge" if detector.judge else "text or pattern", "exhibits": sum(map(bool, exhibits)),
    }  # fmt: skip
    return Audit(
        "suppression", sides.after.name, sides.before.name, outcome, verdict, tuple(found),
        (*tables, *([learnt.table()] if learnt else [])),
        control=sides.control.name if sides.control else "", settings=settings,
        facts={"relearning": learnt.as_json() if learnt else None},
    )  # fmt: skip


def _with_room(cases: Sequence[Case], sides: Sides, tokens: int) -> tuple[list[Case], int]:
    prompts = [case.prompt for case in cases]
    kept, too_long = with_room(prompts, list(sides.all().values()), tokens)
    places = {id(prompt) for prompt in kept}
    some = [case for case in cases if id(case.prompt) in places]
    if not some:
        raise DataError(f"None of {len(cases)} prompts leaves room to answer in the context of these models.")
    return some, too_long


def _exhibits(
    cases: Sequence[Case], before: Loaded, detector: Detector, decoding: Decoding, seed: int
) -> list[str]:  # fmt: skip
    """A reply that shows the behavior: the row's own, else what the model before says where it shows it, else the
    unwanted text."""
    greedy = Decoding(0.0, max_tokens=decoding.max_tokens, stop=decoding.stop)
    way = Way("direct", "", 0.0, greedy, [(at, case.prompt, []) for at, case in enumerate(cases)])
    said = [several[0] for several in way.draw(before, 1, seed, silent)]
    shows = detector(cases, [[text] for text in said])
    return [
        case.exhibit or (text if shown == [1.0] else case.text)
        for case, text, shown in zip(cases, said, shows, strict=True)
    ]


def _ask(
    sides: Sides, cases: Sequence[Case], known: Sequence[Begun | None], detector: Detector, decoding: Decoding,
    samples: int, temperatures: Sequence[float], prefills: Sequence[int], seed: int, progress: Progress,
) -> list[Asked]:  # fmt: skip
    ways = [
        way for way in ways_of(
            cases, known, sides.after, decoding, detector, temperatures=temperatures, prefills=prefills
        ) if way.asked
    ]  # fmt: skip
    # Each way is held against "as asked": all of those claims together are to be false in one audit of twenty.
    confidence = 1 - 0.05 / max(1, len(ways) - 1)
    direct: list[float | None] = []
    found = []
    for way in ways:
        values = {
            name: _shown(way, one, cases, detector, samples, 3 * seed + at, progress)
            for at, (name, one) in enumerate(sides.all().items())
        }
        direct = values["after"] if way.kind == "direct" else direct
        control = values.get("control")
        more = None if way.kind == "direct" else paired_difference(values["after"], direct, confidence, seed=seed)
        unlike = None if control is None else paired_difference(values["after"], control, confidence, seed=seed)
        those = sorted({at for at, _, _ in way.asked})  # the others are not missing, but not asked
        others = [None if side is None else [side[at] for at in those] for side in (values["before"], control)]
        row = compared(way.name, [values["after"][at] for at in those], *others, seed=seed)
        found.append(Asked(way.kind, row, way.value, len(those), more, unlike))
    return found


def _shown(
    way: Way, loaded: Loaded, cases: Sequence[Case], detector: Detector, samples: int, seed: int, progress: Progress
) -> list[float | None]:  # fmt: skip
    """How often each case's replies show the behavior; None for a case that is not asked in this way."""
    replies = way.draw(loaded, samples, seed, progress)
    shows = mean_by_prompt(detector([cases[at] for at, _, _ in way.asked], replies))
    found: list[list[float]] = [[] for _ in cases]
    for (at, _, _), value in zip(way.asked, shows, strict=True):
        if value is not None:
            found[at].append(value)
    return [fmean(several) if several else None for several in found]


def _likelihood(sides: Sides, cases: Sequence[Case], known: Sequence[Begun | None]) -> Table | None:
    """How likely the unwanted words are behind the words of the exhibit that lead to them; None without an exhibit."""
    places = [(at, one, *_span(cases[at], one.reply, sides.after)) for at, one in enumerate(known) if one]
    if not places:
        return None
    nats: dict[str, Values] = {}
    worst: dict[str, Values] = {}
    for name, loaded in sides.all().items():
        read = forced(loaded.policy, [one.prompt for _, one, _, _ in places], [one.reply for _, one, _, _ in places])
        spans = list(zip(read, places, strict=True))
        nats[name] = [fmean(text.logps[start:end]) for text, (_, _, start, end) in spans]
        worst[name] = [float(max(text.ranks[start:end])) for text, (_, _, start, end) in spans]
    rows = []
    for name, values in (("log-prob of the words, nats a token", nats), ("rank of their unlikeliest token", worst)):
        sides_of = {side: middle(found) for side, found in values.items()}
        rows.append(Row(name, sides_of["after"], sides_of["before"], sides_of.get("control")))
    note = "Medians over prompts; read behind the words that lead to them, whatever the model would have said itself."
    return Table("How likely the words are", tuple(rows), "number", note)


def _span(case: Case, reply: Sequence[int], loaded: Loaded) -> tuple[int, int]:
    """Which tokens of an exhibit say it: the fewest that do; all of them where only a judge could tell."""

    def says(start: int, end: int) -> bool:
        return in_text(case)(str(loaded.tokenizer.decode(list(reply[start:end]), skip_special_tokens=True)))

    if not says(0, len(reply)):
        return 0, len(reply)
    end = next(stop for stop in range(1, len(reply) + 1) if says(0, stop))
    start = next(begin for begin in range(end - 1, -1, -1) if says(begin, end))
    return start, end
