"""`preferably board`, and how boards are printed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.cli import flagged

if TYPE_CHECKING:
    from preferably.evaluation.board_files import BoardFile
    from preferably.evaluation.boards import Entry, Ranked
    from preferably.evaluation.mt_bench import Cell
    from preferably.statistics.intervals import Interval


def board(
    files: Annotated[list[Path], typer.Argument(help="AlpacaEval's annotations, or MT-bench's judgments")],
    questions: Annotated[Path | None, typer.Option(help="MT-bench's questions, for their categories")] = None,
    against: Annotated[str | None, typer.Option(help="only comparisons with this model, or this baseline")] = None,
    output: Annotated[Path | None, typer.Option(help="directory for evaluation/board.json")] = None,
    seed: Annotated[int, typer.Option(help="of the intervals")] = 0,
) -> None:
    """What published judgments say of models: the board's own figures, with intervals by prompt beside them.

    Of annotations generator_2 is the model and generator_1 the baseline.
    """
    from preferably.evaluation.board_files import read_board

    found = read_board(files, questions=questions, against=against, seed=seed)
    console = Console(highlight=False)
    show(console, found)
    if output is not None:
        store(output, "board", found.as_json())
        console.print(Text(f"written  {output / 'evaluation' / 'board.json'}"), soft_wrap=True)


def store(directory: Path, name: str, values: dict[str, object]) -> None:
    """Write `evaluation/NAME.json` under `directory`."""
    from preferably.training.run_directory import RunDirectory

    run = RunDirectory(directory)
    run.make()
    run.write_json(f"evaluation/{name}.json", values)


def show(console: Console, found: "BoardFile") -> None:
    """Print a board: the table, what is missing, and which models can be told apart."""
    if found.accounting.rejects:
        console.print(f"[yellow]{escape(found.accounting.describe())}[/yellow]", soft_wrap=True)
    if found.kind == "annotations":
        _annotations(console, found.entries)
    elif found.kind == "pairs":
        _pairs(console, found)
    else:
        _scores(console, found)
    for one in found.rankings:
        _told_apart(console, one)


def table(*names: str) -> Table:
    """A table as this command prints them: the first column of words, the others of figures."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for index, name in enumerate(names):
        made.add_column(name, justify="right" if index else "left", overflow="fold")
    return made


def _annotations(console: Console, entries: "Sequence[Entry]") -> None:
    for annotator, baseline in dict.fromkeys((one.annotator, one.baseline) for one in entries):
        some = [one for one in entries if (one.annotator, one.baseline) == (annotator, baseline)]
        console.print(
            f"win rate over {escape(baseline)}, percent, by {escape(annotator) or 'an annotator without name'}"
        )
        made = table(
            "model", "win rate", "standard error", "95%", "at equal lengths", "discrete", "wins", "losses", "draws",
            "missing", "length",
        )  # fmt: skip
        for one in some:
            made.add_row(
                escape(one.model), _number(one.win_rate), _number(one.standard_error), _ends(one.interval),
                _number(one.controlled.win_rate, 100), _number(one.discrete_win_rate), str(one.n_wins),
                str(one.n_wins_base), str(one.n_draws), str(one.missing), f"{one.avg_length:.0f}",
            )  # fmt: skip
        console.print(made)
        for one in some:
            for text in _notes(one):
                console.print(f"[yellow]{escape(text)}[/yellow]", soft_wrap=True)
        for one in some:  # `_notes` says itself where the model's output is constant
            flags = [flag for flag in one.flags if flag.kind != "constant" or flag.side != "model"]
            flagged.show(console, flags, {"model": one.model, "against": f"{baseline}, beside {one.model}"})


def _notes(one: "Entry") -> Iterable[str]:
    if one.missing:
        low, high = one.bounds
        yield (
            f"{one.model}: {one.missing} of {one.n_total + one.missing} annotations have no verdict and are in no "
            f"figure; the win rate is {low:.2f} if all of them were lost, {high:.2f} if all were won."
        )
    if one.constant:
        yield (
            f"{one.model}: one and the same output was given to {one.commonest:.0%} of the instructions, so its win "
            "rate says something of the judge and nothing of the model."
        )
    if one.controlled.win_rate is None:
        yield f"{one.model}: the win rate at equal lengths is not told: {one.controlled.why}."


def _pairs(console: Console, found: "BoardFile") -> None:
    for judge in dict.fromkeys(one.judge for one in found.records):
        some = [one for one in found.records if one.judge == judge]
        console.print(f"games judged by {escape(judge) or 'a judge without name'}; won where both orders say so")
        made = table("model", "adjusted", "95%", "wins", "losses", "ties", "of them inconsistent", "errors", "win rate")
        for one in some:
            made.add_row(
                escape(one.model), _number(one.adjusted.value), _ends(one.adjusted.interval), str(one.wins),
                str(one.losses), str(one.ties), str(one.inconsistent), str(one.errors), _number(one.win_rate),
            )  # fmt: skip
        console.print(made)
        _cells(console, [(one.model, one.turns, one.categories) for one in some])


def _scores(console: Console, found: "BoardFile") -> None:
    for judge in dict.fromkeys(one.judge for one in found.scores):
        some = [one for one in found.scores if one.judge == judge]
        console.print(f"scores by {escape(judge) or 'a judge without name'}, 1 to 10")
        made = table("model", "score", "95%", "scores", "questions", "failed", "repeated")
        for one in some:
            cell = one.score
            made.add_row(
                escape(one.model), _number(cell.value), _ends(cell.interval), str(cell.n), str(cell.questions),
                str(cell.failed), str(one.repeated),
            )  # fmt: skip
        console.print(made)
        _cells(console, [(one.model, one.turns, one.categories) for one in some])


def _cells(console: Console, models: "Sequence[tuple[str, Mapping[int, Cell], Mapping[str, Cell]]]") -> None:
    made = table("model", "", "mean", "95%", "judgments", "failed")
    for model, turns, categories in models:
        cells = {f"turn {turn}": cell for turn, cell in turns.items()} | dict(categories)
        for index, (name, cell) in enumerate(cells.items()):
            made.add_row(
                escape(model) if not index else "", escape(name), _number(cell.value), _ends(cell.interval),
                str(cell.n), str(cell.failed),
            )  # fmt: skip
    console.print(made)


def _told_apart(console: Console, one: "Ranked") -> None:
    if one.board is None:
        console.print(f"[yellow]not ranked: {escape(one.why)}[/yellow]", soft_wrap=True)
        return
    if one.board.doubt:
        console.print(f"[yellow]not sure who is better: {one.board.doubt}[/yellow]", soft_wrap=True)
        return
    pairs = ", ".join(f"{escape(better)} > {escape(worse)}" for better, worse in one.board.separable)
    console.print(
        f"told apart at {one.board.confidence:.0%}, all pairs together: {pairs or 'none'} "
        f"({len(one.board.separable)} of {_all_pairs(len(one.board.standings))} pairs)", soft_wrap=True,
    )  # fmt: skip


def _all_pairs(models: int) -> int:
    return models * (models - 1) // 2


def _number(value: float | None, scale: float = 1.0) -> str:
    return "not sure" if value is None else f"{scale * value:.2f}"


def _ends(interval: "Interval | None") -> str:
    return "" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
