"""Boards of files that others wrote: what kind of judgments they hold, and what those say of the models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from preferably.data.accounting import Accounting, Reject
from preferably.data.annotations import Annotation, read_annotations
from preferably.data.load import rows_of
from preferably.data.mt_bench import Question, read_duels, read_grades, read_questions
from preferably.errors import ConfigError, DataError
from preferably.evaluation.boards import Entry, Ranked, entries, ranked_games, rankings
from preferably.evaluation.mt_bench import Record, Scores, games_of, records, scores

Kind = Literal["annotations", "pairs", "scores"]

# What a row of each kind has, and the others have not.
MARKS: Mapping[Kind, frozenset[str]] = {
    "annotations": frozenset({"preference", "generator_2"}),
    "pairs": frozenset({"g1_winner", "g2_winner"}),
    "scores": frozenset({"score", "model", "turn"}),
}


@dataclass(frozen=True, slots=True)
class BoardFile:
    """The contents of `evaluation/board.json`: one list of models, the best first, of one kind of judgments."""

    kind: Kind
    entries: tuple[Entry, ...]
    records: tuple[Record, ...]
    scores: tuple[Scores, ...]
    rankings: tuple[Ranked, ...]  # none of scores of single answers
    accounting: Accounting

    def as_json(self) -> dict[str, Any]:
        """As stored; `models` are entries, records or scores."""
        models: list[Entry | Record | Scores] = [*self.entries, *self.records, *self.scores]
        return {
            "kind": self.kind, "models": [one.as_json() for one in models],
            "rankings": [one.as_json() for one in self.rankings], "rows": self.accounting.as_json(),
        }  # fmt: skip


def read_board(
    files: Sequence[str | Path], *, questions: str | Path | None = None, against: str | None = None, seed: int = 0
) -> BoardFile:
    """The board of `files`, all of one kind: AlpacaEval's annotations, or MT-bench's judgments of pairs or of single
    answers. `questions` is the file of MT-bench's questions, for their categories; `against` leaves only the games with
    that model (of pairs), or that baseline (of annotations).

    Raises `ConfigError` for files of different kinds and for what does not go with their kind, `DataError` for files
    that are none of these or cannot be read.
    """
    kinds = {file: kind_of(file) for file in files}
    if len(set(kinds.values())) > 1:
        told = "; ".join(f"{file}: {kind}" for file, kind in kinds.items())
        raise ConfigError(f"One board is of one kind of judgments; got {told}. Make a board of each.")
    kind = next(iter(kinds.values()))
    if questions is not None and kind == "annotations":
        raise ConfigError("The file of questions says the categories of MT-bench; annotations have none, leave it out.")
    if against is not None and kind == "scores":
        raise ConfigError("Scores of single answers are against nobody; leave `against` out.")
    asked, more = read_questions(questions) if questions is not None else ([], Accounting())
    tell = {"annotations": _of_annotations, "pairs": _of_pairs, "scores": _of_scores}[kind]
    found = tell(files, asked, against, seed)
    found.accounting.merge(more)
    return found


def board_of(annotations: Sequence[Annotation], accounting: Accounting, *, seed: int = 0) -> BoardFile:
    """The board of annotations that are there already."""
    told, ranks = entries(annotations, seed=seed), rankings(annotations, seed=seed)
    return BoardFile("annotations", tuple(told), (), (), tuple(ranks), accounting)


def kind_of(file: str | Path) -> Kind:
    """What the first row of a file that can be read has the columns of; `DataError` for anything else."""
    for _, columns in rows_of([file], Accounting()):
        if isinstance(columns, Reject):
            continue
        for kind, marks in MARKS.items():
            if marks <= columns.keys():
                return kind
        expected = "; ".join(f"{', '.join(sorted(marks))} ({kind})" for kind, marks in MARKS.items())
        here = ", ".join(sorted(map(str, columns))[:8])[:120]
        raise DataError(f"{file} is no file of judgments: a row has {here}; expected {expected}.")
    raise DataError(f"{file} holds no row that can be read.")


def _of_annotations(
    files: Sequence[str | Path], asked: Sequence[Question], against: str | None, seed: int
) -> BoardFile:
    found, account = read_annotations(files)
    kept = [one for one in found if against is None or one.baseline == against]
    if not kept:
        known = ", ".join(sorted({one.baseline for one in found}))
        raise DataError(f"No annotation has the baseline {against!r}; the baselines are {known}.")
    return board_of(kept, account, seed=seed)


def _of_pairs(files: Sequence[str | Path], asked: Sequence[Question], against: str | None, seed: int) -> BoardFile:
    found, account = read_duels(files)
    told = records(found, asked, against=against, seed=seed)
    some_of = [one for one in found if against is None or against in one.models]
    by_judge = {name: [one for one in some_of if one.judge == name] for name in dict.fromkeys(d.judge for d in some_of)}
    ranks = [
        ranked_games(judge, games, seed=seed)
        for judge, some in by_judge.items()
        if len({name for one in some for name in one.models}) > 2 and (games := games_of(some))
    ]
    return BoardFile("pairs", (), tuple(told), (), tuple(ranks), account)


def _of_scores(files: Sequence[str | Path], asked: Sequence[Question], against: str | None, seed: int) -> BoardFile:
    found, account = read_grades(files)
    return BoardFile("scores", (), (), tuple(scores(found, asked, seed=seed)), (), account)
