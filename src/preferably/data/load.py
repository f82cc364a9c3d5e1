"""Files to groups, with every row accounted for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from preferably.data.accounting import CODES, Accounting, Reject
from preferably.data.columns import BadRow, Row, shown
from preferably.data.formats import Feedback, parse_row
from preferably.data.readers import read_rows
from preferably.data.sources import sources
from preferably.data.suspicious import Watch
from preferably.errors import ConfigError, DataError
from preferably.feedback import views
from preferably.feedback.records import (
    Flag,
    Group,
    Judged,
    Judgment,
    Label,
    Message,
    Place,
    Preference,
    Ranking,
    Rating,
    moved,
)
from preferably.feedback.store.naming import is_store
from preferably.feedback.trust import Trust, trust_of

Aggregate = Literal["majority", "posterior"]
View = Callable[..., list[Group]]
VIEWS: dict[Feedback, View] = {
    "pairs": views.pairs, "labels": views.labelled, "rankings": views.rankings,
    "demonstrations": views.demonstrations, "prompts": views.prompts,
}  # fmt: skip

# The kinds of judgments that say something of a feedback; of the others any does.
SPEAKS: dict[Feedback, tuple[type[Judgment], ...]] = {
    "pairs": (Preference, Ranking, Rating), "rankings": (Preference, Ranking, Rating), "labels": (Label, Preference),
}  # fmt: skip

# What one group says: prompt, tools, completions, label, ranks. (Strength is not part of it: it is no other verdict.)
Said = tuple[tuple[Message, ...], str, tuple[tuple[Message, ...], ...], bool | None, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The groups that can be used, in the order of the files, and what became of every row.

    `records` are what the groups were made from, one for each `Group.place`; `shapes` counts the rows of each shape.
    """

    groups: list[Group]
    accounting: Accounting
    records: list[Judged]
    shapes: Counter[str]
    trust: Trust | None = None  # what labelers counted for, where they counted by what they are worth


def load_feedback(
    paths: Sequence[str | Path],
    feedback: Feedback,
    *,
    max_rejected: float = 0.01,
    limit: int | None = None,
    axis: str | None = None,
    axes: Sequence[str] = (),
    aggregate: Aggregate = "majority",
) -> Loaded:
    """The groups that `paths` hold: pairs (chosen first), labelled answers, rankings (best first), demonstrations, or
    prompts without completions.

    A path is a file, a directory of files, or a data set of the hub (`data.readers`, `data.sources`).

    Rows that name a `labeler` and speak of the same completions are one record, of which the majority decides, or, with
    `aggregate` posterior, labelers by what they are worth (`Group.probability`; pairs, and rankings of two). A row that
    says exactly what an earlier one said is counted as a duplicate. Of ratings the mean over the axes counts, or
    `axis` alone; `axes` gives rankings on each of them (`Group.by_axis`). `limit` stops reading after so many groups.
    Raises `DataError` for a file that cannot be read, for no usable row, and where more than the share `max_rejected`
    (0 to 1) of the rows is at fault.
    """
    loaded = read_feedback(paths, feedback, limit=limit, axis=axis, axes=axes, aggregate=aggregate)
    loaded.accounting.enforce(max_rejected)
    return loaded


def load_prompts(paths: Sequence[str | Path], limit: int | None = None) -> Loaded:
    """The prompts in `paths` that are to be asked: as `load_feedback`, where one row of a hundred may be at fault. No
    option allows more, as what is measured would be of other prompts than those that somebody chose."""
    loaded = read_feedback(paths, "prompts", limit=limit)
    loaded.accounting.enforce(0.01, option=None)
    return loaded


def read_feedback(
    paths: Sequence[str | Path],
    feedback: Feedback,
    *,
    limit: int | None = None,
    axis: str | None = None,
    axes: Sequence[str] = (),
    expand: Callable[[dict[str, Any]], Iterable[dict[str, Any]]] | None = None,
    aggregate: Aggregate = "majority",
) -> Loaded:
    """The same, whatever became of the rows: for whoever wants to say what is wrong with them.

    `expand` makes the rows to be read of each row of the files, where one holds several.
    """
    loading = _Loading(feedback, axis, axes, aggregate=aggregate)
    files: dict[str, int] = {}
    for name in filter(is_store, map(str, paths)):
        files.setdefault(name, len(files))
        loading.take(name)
    for place, columns in rows_of([path for path in paths if str(path) not in files], loading.accounting):
        files.setdefault(place[0], len(files))
        if isinstance(columns, Reject):
            loading.accounting.reject(columns)
        else:
            for row in [columns] if expand is None else expand(columns):
                loading.add(row, place)
        if limit is not None and len(loading.groups) + len(loading.open) + len(loading.waiting) >= limit:
            break
    for record in loading.open.values():
        loading.settle(record)
    loading.weigh()
    for name in (*([axis] if axis is not None else []), *axes):
        if name not in loading.known:
            known = ", ".join(sorted(loading.known)) or "none"
            raise ConfigError(f"No row has ratings on the axis {name!r}; the axes of this data: {known}.")

    def where(group: Group) -> tuple[int, int]:
        file, line = group.place or ("", 0)
        return files[file], line

    loading.groups.sort(key=where)
    loading.records.sort(key=lambda record: where(record.group))
    return Loaded(loading.groups, loading.accounting, loading.records, loading.shapes, loading.trust)


def rows_of(paths: Sequence[str | Path], account: Accounting) -> Iterator[tuple[Place, dict[str, Any] | Reject]]:
    """The rows of all files with their places. `account` is told of what was mended or passed over."""
    for file in (file for path in paths for file in sources(path, account)):
        for line, columns in read_rows(file, account):
            yield (file, line), columns


@dataclass(slots=True)
class _Record:
    """What one row said, and what later rows of other labelers say of the same completions."""

    judged: Judged
    places: list[Place]


@dataclass(slots=True)
class _Loading:
    """Rows as they come, and what has been made of them."""

    feedback: Feedback
    axis: str | None
    axes: Sequence[str] = ()
    groups: list[Group] = field(default_factory=list)
    records: list[Judged] = field(default_factory=list)
    accounting: Accounting = field(default_factory=Accounting)
    shapes: Counter[str] = field(default_factory=Counter)
    known: set[str] = field(default_factory=set)  # axes that anything was rated on
    open: dict[Any, _Record] = field(default_factory=dict)  # records that further labelers may speak of
    seen: set[tuple[Said, ...]] = field(default_factory=set)
    ids: dict[str, Any] = field(default_factory=dict)
    id_type: type | None = None
    aggregate: Aggregate = "majority"
    waiting: list[_Record] = field(default_factory=list)  # until it is known what their labelers are worth
    trust: Trust | None = None
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.accounting)

    def add(self, columns: dict[str, Any], place: Place) -> None:
        """Enter a row: it makes a record, joins one, or is rejected."""
        row = Row(columns, self.feedback)
        judged = parse_row(columns, self.feedback, place, row)
        self.shapes[row.shape or "none"] += 1
        if isinstance(judged, Judged):
            try:
                self._identify(row, judged)
            except BadRow as bad:
                judged = Reject(*place, bad.field, bad.code, bad.reason)
        if isinstance(judged, Reject):
            self.accounting.reject(judged)
            return
        for code in row.repairs:
            self.accounting.repair(code)
        for code, about in row.warnings.items():
            self.accounting.warn(code, f"{place[0]}:{place[1]} {about[:120]}")
        self.known |= {said.axis for said in judged.judgments if isinstance(said, Rating)}
        if any(said.labeler for said in judged.judgments):
            self._join(judged, place)
        else:
            self.settle(_Record(judged, [place]))

    def take(self, name: str) -> None:
        """Enter the store `name`: each judgment that was not corrected counts as a row, and each group is a record."""
        from preferably.feedback.store.store import Store  # a database takes a while to import

        with Store(name, create=False) as store:
            found = store.records()
        if not found:
            raise DataError(f"{name} holds no judgments.")
        for judged, numbers in found:
            said: list[tuple[Judgment, Place]] = []
            for judgment, number in zip(judged.judgments, numbers, strict=True):
                self.shapes["judgment"] += 1
                if judgment.state == "ok" and not isinstance(judgment, Flag):
                    said.append((judgment, (name, number)))
                else:
                    reason = "a flag decides nothing" if judgment.state == "ok" else f"the judgment is {judgment.state}"
                    self.accounting.reject(Reject(name, number, "state", "unjudged", reason))
            self.known |= {judgment.axis for judgment, _ in said if isinstance(judgment, Rating)}
            kinds = SPEAKS.get(self.feedback)
            if kinds and not any(isinstance(judgment, kinds) for judgment, _ in said):
                for judgment, place in said:  # no fault: other kinds of feedback are read from the same store
                    reason = f"a {type(judgment).__name__.lower()} says nothing of {self.feedback}"
                    self.accounting.reject(Reject(*place, "row", "unjudged", reason))
            elif said:
                group = replace(judged.group, place=said[0][1])
                self.settle(_Record(Judged(group, tuple(one for one, _ in said)), [place for _, place in said]))

    def _identify(self, row: Row, judged: Judged) -> None:
        """An id names one prompt with its completions; whoever names two with it has mixed up rows."""
        name = row.columns.get("id")
        if name is None or name == "" or isinstance(name, list | dict | bool):
            return
        what = (judged.group.prompt, frozenset(completion.messages for completion in judged.group.completions))
        if self.ids.setdefault(str(name), what) != what:
            raise BadRow("id", "repeated_id", f"an earlier row has the id {shown(name)} and says something else")
        self.id_type = self.id_type or type(name)
        if type(name) is not self.id_type:
            row.repairs["id_type"] = str(name)

    def _join(self, judged: Judged, place: Place) -> None:
        """Add what a labeler said to the record of the same completions, in whatever order either has them."""
        group = judged.group
        texts = [completion.messages for completion in group.completions]
        key = (group.prompt, group.tools, frozenset(Counter(texts).items()))
        record = self.open.get(key)
        if record is None:
            self.open[key] = _Record(judged, [place])
            return
        known = [completion.messages for completion in record.judged.group.completions]
        to: list[int] = []
        for text in texts:  # of texts that are there twice, each takes a place of its own
            to.append(next(index for index, other in enumerate(known) if other == text and index not in to))
        said = tuple(moved(judgment, to) for judgment in judged.judgments)
        if set(map(_in_order, said)) <= set(map(_in_order, record.judged.judgments)):
            self.accounting.deduplicate()
            return
        if any(_reverses(one, other) for one in said for other in record.judged.judgments):
            self.accounting.warn("conflict", f"{place[0]}:{place[1]} labeler {said[0].labeler}")
        record.judged = replace(record.judged, judgments=record.judged.judgments + said)
        record.places.append(place)

    def weigh(self) -> None:
        """Settle what had to wait for all that their labelers say."""
        if self.waiting:
            self.trust = trust_of([record.judged for record in self.waiting], self.axis)
            for record in self.waiting:
                self.settle(record)

    def settle(self, record: _Record) -> None:
        """Make groups of a record, and account for its rows."""
        if self.aggregate == "posterior" and self.trust is None:
            self.waiting.append(record)
            return
        first, *others = record.places
        judged = [record.judged]
        trusted = {"trust": self.trust} if self.trust else {}
        made = views.rated(judged, self.axes) if self.axes else VIEWS[self.feedback](judged, self.axis, **trusted)
        if not made:
            self.records.append(record.judged)
            code = views.no_verdict(record.judged, self.axis)
            for place in record.places:
                self.accounting.reject(Reject(*place, "row", code, CODES[code]))
            return
        said = tuple(_said(group) for group in made)
        if said in self.seen:
            for _ in record.places:
                self.accounting.deduplicate()
            return
        self.seen.add(said)
        if _reverse(said) in self.seen:
            self.accounting.warn("conflict", f"{first[0]}:{first[1]}")
        self.watch.look(made)
        self.groups += made
        self.records.append(record.judged)
        for _ in record.places:
            self.accounting.use()
        if others:
            self.accounting.merged[first] = others


def _said(group: Group) -> Said:
    texts = tuple(completion.messages for completion in group.completions)
    return group.prompt, group.tools, texts, group.label, group.by_axis or group.ranks


def _reverse(said: tuple[Said, ...]) -> tuple[Said, ...] | None:
    """What a row would say that contradicts `said`: the other one of two is better, the answer is bad and not good."""
    prompt, tools, texts, label, ranks = said[0]
    if len(said) == 1 and label is not None:
        return ((prompt, tools, texts, not label, ranks),)
    if len(said) == 1 and len(texts) == 2 and len(set(ranks)) != 1:  # a tie is the same either way
        return ((prompt, tools, texts[::-1], label, ranks),)
    if len(said) == 2 and label is not None:  # a pair, as two labels
        return (prompt, tools, said[1][2], label, ranks), (prompt, tools, texts, said[1][3], ranks)
    return None


def _reverses(one: Judgment, other: Judgment) -> bool:
    """Whether a labeler contradicts an earlier judgment of their own."""
    if one.labeler != other.labeler:
        return False
    if isinstance(one, Preference) and isinstance(other, Preference):
        return isinstance(one.choice, int) and isinstance(other.choice, int) and one.choice != other.choice
    return isinstance(one, Label) and isinstance(other, Label) and one.desirable != other.desirable


def _in_order(judgment: Judgment) -> Judgment:
    """A verdict on two as it would be in the order of their places: shown the other way round it says the same."""
    return replace(judgment, order=(0, 1)) if isinstance(judgment, Preference) else judgment
