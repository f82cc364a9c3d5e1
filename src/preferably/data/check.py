"""What is wrong with preference data, before anything is trained on it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from preferably.data.accounting import REPAIRS, WARNINGS, Accounting, Reject, printable
from preferably.data.answer_faults import KINDS, SHOWN, answer_faults
from preferably.data.baselines import Labelers, Lengths, labelers, lengths, shown_first
from preferably.data.columns import BadRow, Row
from preferably.data.formats import ORDERED, Feedback, shape_of
from preferably.data.hygiene import cluster_prompts, prompt_text
from preferably.data.load import Loaded, read_feedback, rows_of
from preferably.data.splits import leaked
from preferably.data.tokens import Truncation, encode
from preferably.errors import DataError
from preferably.feedback import views
from preferably.feedback.records import Group
from preferably.statistics.shares import Share

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOOKED_AT = 1000  # rows that decide which kind of feedback the files hold
REPEATED = 0.05  # the share of duplicates from which they are remarked on
TELLING = 0.15  # how far from a half a baseline has to be, with all of its interval on that side, to be remarked on


@dataclass(frozen=True, slots=True)
class Tokens:
    """Lengths in tokens: the median, the 95th percentile and the longest."""

    model: str
    max_length: int
    prompt: list[int]
    completion: list[int]
    truncated: int  # groups that would be cut


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to know of the data; `stops` where a run would not go on with it."""

    code: str
    text: str
    stops: bool = False


@dataclass(slots=True)
class Findings:
    """All that was found. Counts are of rows unless they say otherwise."""

    files: list[str]
    feedback: Feedback
    shapes: dict[str, int]
    accounting: Accounting
    groups: int = 0  # pairs, labels, ... that the rows give
    prompts: int = 0  # distinct
    near: list[tuple[str, str]] = field(default_factory=list)  # prompts, each with an earlier one that is nearly equal
    verdicts: dict[str, int] = field(default_factory=dict)  # of labels: good and bad
    lengths: Lengths | None = None
    first: Share | None = None
    labelers: Labelers | None = None
    answers: dict[str, list[str]] = field(default_factory=dict)
    leaked: list[str] | None = None  # places in the held-out files; None where there are none
    tokens: Tokens | None = None
    remarks: list[Remark] = field(default_factory=list)

    @property
    def stops(self) -> bool:
        """Whether a run would refuse this data."""
        return any(remark.stops for remark in self.remarks)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.stops:
            return "A run would refuse this data."
        if self.remarks:
            things = "1 thing" if len(self.remarks) == 1 else f"{len(self.remarks)} things"
            return f"A run would take this data; {things} to look at first."
        return "A run would take this data, and nothing about it is odd."

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "schema": 1, "files": self.files, "feedback": self.feedback, "shapes": self.shapes,
            "rows": self.accounting.as_json(), "groups": self.groups,
            "prompts": {"distinct": self.prompts, "nearly_equal": len(self.near)}, "labels": self.verdicts,
            "lengths": self.lengths.as_json() if self.lengths else None,
            "shown_first": self.first.as_json() if self.first else None,
            "labelers": self.labelers.as_json() if self.labelers else None,
            "answers": {kind: len(places) for kind, places in self.answers.items()},
            "leaked": None if self.leaked is None else len(self.leaked),
            "tokens": None if self.tokens is None else {
                "model": self.tokens.model, "max_length": self.tokens.max_length, "prompt": self.tokens.prompt,
                "completion": self.tokens.completion, "truncated": self.tokens.truncated,
            },
            "remarks": [{"code": one.code, "text": one.text, "stops": one.stops} for one in self.remarks],
            "stops": self.stops, "verdict": self.verdict,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """With which model's eyes the data is looked at."""

    model: str
    tokenizer: "PreTrainedTokenizerBase"
    max_length: int
    truncation: Truncation = "reject"


def feedback_of(paths: Sequence[str | Path]) -> Feedback:
    """The kind of feedback that most of the first rows hold; pairs where none of them holds any."""
    kinds: Counter[Feedback] = Counter()
    for _, columns in islice(rows_of(paths, Accounting()), LOOKED_AT):
        if isinstance(columns, Reject):
            continue
        try:
            gives = shape_of(Row(columns)).gives
        except BadRow:
            continue
        named: tuple[Feedback, ...] = ("labels", "demonstrations", "prompts")
        kinds["pairs" if "rankings" in gives else next(kind for kind in named if kind in gives)] += 1
    return kinds.most_common(1)[0][0] if kinds else "pairs"


def check_files(
    paths: Sequence[str | Path],
    *,
    feedback: Feedback | None = None,
    held_out: Sequence[str | Path] = (),
    axis: str | None = None,
    max_rejected: float = 0.01,
    reading: Reading | None = None,
) -> Findings:
    """Look at everything that can be said of the rows, and at their tokens where there is a `reading`.

    `feedback` is what a run would read the files as; None finds out. Raises `DataError` for a file that cannot be read
    as a whole, and `ConfigError` for an `axis` that no row has.
    """
    feedback = feedback or feedback_of(paths)
    loaded = read_feedback(paths, feedback, axis=axis)
    return check_loaded(
        loaded, paths, feedback, held_out=held_out, axis=axis, max_rejected=max_rejected, reading=reading
    )  # fmt: skip


def check_loaded(
    loaded: Loaded,
    paths: Sequence[str | Path],
    feedback: Feedback,
    *,
    held_out: Sequence[str | Path] = (),
    axis: str | None = None,
    max_rejected: float = 0.01,
    reading: Reading | None = None,
) -> Findings:
    """The same of rows that were read already, from `paths` as `feedback`."""
    found = Findings(
        [str(path) for path in paths], feedback, dict(loaded.shapes.most_common()), loaded.accounting,
        groups=len(loaded.groups), answers=answer_faults(loaded.records), labelers=labelers(loaded.records),
    )  # fmt: skip
    _prompts(found, [record.group for record in loaded.records])
    if feedback in ("pairs", "rankings"):
        found.lengths = lengths(loaded.groups if feedback == "pairs" else views.pairs(loaded.records, axis))
        if set(loaded.shapes) <= ORDERED:
            found.first = shown_first(loaded.records)
    if feedback == "labels":
        found.verdicts = dict(Counter("good" if group.label else "bad" for group in loaded.groups))
    if held_out:
        other = read_feedback(held_out, "prompts").groups
        places = (other[index].place for index in leaked(loaded.groups, other))
        found.leaked = [f"{file}:{line}" for file, line in (place or ("memory", 0) for place in places)]
    if reading:
        _tokens(found, loaded, reading)
    found.remarks = _remarks(found, max_rejected)
    return found


def _prompts(found: Findings, groups: Sequence[Group]) -> None:
    texts = list(dict.fromkeys(prompt_text(group) for group in groups))
    found.prompts = len(texts)
    clusters = cluster_prompts(texts)
    found.near = [(texts[index], texts[cluster]) for index, cluster in enumerate(clusters) if cluster != index]


def _tokens(found: Findings, loaded: Loaded, reading: Reading) -> None:
    encoded = encode(
        loaded.groups, reading.tokenizer, max_length=reading.max_length, truncation=reading.truncation,
        accounting=loaded.accounting,
    )  # fmt: skip
    columns = np.array(encoded.lengths or [(0, 0)]).T
    prompt, completion = ([int(np.quantile(column, q, method="higher")) for q in (0.5, 0.95, 1)] for column in columns)
    found.tokens = Tokens(reading.model, reading.max_length, prompt, completion, encoded.truncated)


def _remarks(found: Findings, max_rejected: float) -> list[Remark]:
    """What of all this a person should know, the gravest first."""
    said = _row_remarks(found.accounting, max_rejected)
    if found.leaked:
        text = f"Held-out rows that ask what is trained on: {len(found.leaked):,} ({_places(found.leaked)})."
        said.append(Remark("leaked", text, True))
    if found.verdicts and len(found.verdicts) == 1:
        said.append(Remark("one_label", f"Every label says {next(iter(found.verdicts))}; methods on labels need both."))
    if found.lengths and _tells(found.lengths.longer):
        longer = found.lengths.longer.value > 0.5
        word, more = ("longer", "longer") if longer else ("shorter", "shorter")
        text = (
            f"The {word} answer is the chosen one {_percent(found.lengths.longer, longer)} of the time, so a model can "
            f"do well by writing {more}; watch the lengths, or balance them."
        )
        said.append(Remark("length_bias", text))
    if found.first and _tells(found.first):
        word = "first" if found.first.value > 0.5 else "second"
        share = _percent(found.first, found.first.value > 0.5)
        text = f"The answer shown {word} is the chosen one {share} of the time; was the order drawn at random?"
        said.append(Remark("position_bias", text))
    if found.near:
        one, other = found.near[0]
        text = (
            f"{len(found.near):,} of {found.prompts:,} prompts nearly equal another, such as {_quoted(one)} and "
            f"{_quoted(other)}; held-out parts keep them together."
        )
        said.append(Remark("near_duplicates", text))
    for kind, places in found.answers.items():
        if places:
            said.append(Remark(kind, f"{KINDS[kind]}: {len(places):,} ({_places(places)})."))
    for code, warned in found.accounting.warned.items():
        first = warned.first
        if code == "unread_column":  # which columns, not which rows
            first = list(dict.fromkeys(place.partition(" ")[2] for place in first))
            said += _misspelt(first, found.feedback)
        said.append(Remark(code, f"{WARNINGS[code]}: {warned.count:,} ({printable(', '.join(first))})."))
    if found.tokens and found.tokens.truncated:
        text = f"{found.tokens.truncated:,} of {found.groups:,} would be cut to {found.tokens.max_length} tokens."
        said.append(Remark("truncated", text))
    return [replace(one, text=_short(one.text[:1].upper() + one.text[1:], found.files)) for one in said]


def _misspelt(unread: Sequence[str], feedback: Feedback) -> list[Remark]:
    """Of columns that would make the rows pairs, were they not in other case."""
    names = dict.fromkeys(name for names in unread for name in names.split(", "))
    odd = [name for name in names if name.strip().lower() in ("chosen", "rejected")]
    if not odd or feedback == "pairs":
        return []
    text = (
        f"{printable(', '.join(map(repr, odd)))} differ from the columns of pairs in case only, so the rows are read "
        f"as {feedback}; rename them to chosen and rejected."
    )
    return [Remark("column_case", text)]


def _row_remarks(counts: Accounting, max_rejected: float) -> list[Remark]:
    """Of rows that are rejected, repeated or mended."""
    said: list[Remark] = []
    try:
        counts.enforce(max_rejected)
        if counts.rejects:
            said.append(Remark("rejected", f"A run leaves these rows out. {counts.rejected_text(counts.rejects)}"))
    except DataError as refused:
        said.append(Remark("rejected", str(refused), True))
    if counts.deduplicated and counts.deduplicated >= REPEATED * counts.read:
        text = (
            f"{counts.deduplicated:,} of {counts.read:,} rows say what an earlier one has said, and do not count again."
        )
        said.append(Remark("duplicates", text))
    if counts.repaired:
        mended = ", ".join(f"{REPAIRS[code]} {count:,}" for code, count in counts.repaired.items())
        said.append(Remark("repaired", f"Read in another way than written: {mended}."))
    return said


def _short(text: str, files: Sequence[str]) -> str:
    """`text` with files by their names alone, where no two of them have the same."""
    if len({Path(file).name for file in files}) == len(files):
        for file in files:
            text = text.replace(f"{printable(file)}:", f"{printable(Path(file).name)}:")
    return text


def _tells(share: Share) -> bool:
    low, high = share.interval.low, share.interval.high
    return abs(share.value - 0.5) >= TELLING and (low > 0.5 or high < 0.5)


def _percent(share: Share, above: bool) -> str:
    return f"{share.value if above else 1 - share.value:.0%}"


def _places(places: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(places))
    return printable(", ".join(distinct[:SHOWN])) + (", ..." if len(distinct) > SHOWN else "")


def _quoted(text: str) -> str:
    line = printable(" ".join(text.split()))
    return repr(line if len(line) <= 60 else line[:57] + "...")
