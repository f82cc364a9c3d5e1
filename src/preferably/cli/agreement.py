"""What `preferably label agreement` prints: agreement, labelers, groups, and the prompts that are disputed."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from preferably.feedback.habits import Leaning
    from preferably.feedback.labeler_groups import Groups
    from preferably.feedback.labelers import Labeler
    from preferably.feedback.worth import Worth
    from preferably.statistics.agreement import Coefficient
    from preferably.statistics.shares import Share

SHOWN = 10  # disputed prompts
LINE = 72  # characters of a prompt
NONE = "-"


def print_worth(console: Console, found: "Worth") -> None:
    """All of it, in sections that read at 80 columns."""
    _agreement(console, found)
    _labelers(console, found)
    _findings(console, found)
    if found.groups.groups:
        _groups(console, found.groups)
    _prompts(console, found)


def _agreement(console: Console, found: "Worth") -> None:
    _head(console, "Agreement")
    table = _grid()
    units = found.coefficients[0].units
    table.add_row("questions", f"{found.questions:,}, {units:,} of them answered by two or more")
    if found.settled:
        table.add_row("settled", f"{found.settled:,}; the word of whoever settled is in none of these figures")
    for one in found.coefficients:
        table.add_row(one.name, _coefficient(one))
    if found.noise is not None:
        table.add_row("wrong verdicts", f"{found.noise:.0%}, if labelers err alike and independently")
    console.print(table)
    if len(found.meetings) > 1:
        console.print()
        table = _table("by the part that they have", "questions", "raw", "", "beyond chance", "")
        for one in found.meetings:
            who = f"{one.first} with {one.second}" if one.first != one.second else f"{one.first} with each other"
            raw, more = one.raw, one.corrected
            table.add_row(who, f"{raw.units:,}", *_figure(raw), *_figure(more))
        console.print(table)
        for one in found.meetings:
            for figure in (one.raw, one.corrected):
                if figure.value is None:
                    _note(console, f"{one.first} with {one.second}: {figure.name} is not defined, {figure.why}")


def _labelers(console: Console, found: "Worth") -> None:
    _head(console, "Labelers")
    shown = found.labelers
    leads = any(one.leads for one in shown)
    gold = any(one.gold for one in shown)
    columns = ["judged", "agrees", *(["leads"] if leads else []), "reliable", "", *(["gold"] if gold else [])]
    table = _table("labeler", *columns, "first", "longer", "seconds")
    for person in shown:
        reliable = person.reliability
        span = f"{100 * reliable.interval.low:.0f}-{100 * reliable.interval.high:.0f}" if reliable else ""
        mark = Text("!", style="yellow") if person.findings else Text(" ")
        table.add_row(
            Text.assemble(mark, _name(person)), f"{person.judged:,}", _share(person.agrees),
            *([_share(person.leads)] if leads else []), f"{reliable.value:.0%}" if reliable else NONE, span,
            *([_share(person.gold)] if gold else []), _leaning(person.habits.first), _leaning(person.habits.longer),
            NONE if person.habits.seconds is None else f"{person.habits.seconds:.0f}",
        )  # fmt: skip
    if len(shown) > 1:
        blank = [""] * (len(columns) - 1)
        table.add_row(
            Text(" everybody", style="dim"), f"{sum(one.judged for one in shown):,}", *blank, _leaning(found.first),
            _leaning(found.longer), "",
        )  # fmt: skip
    console.print(table)
    console.print()
    _legend(console, [
        ("agrees", "with others, of the questions that both answered" + ("; leads: with leads" if leads else "")),
        ("reliable", "the chance to pick the better one, by the verdicts of all, and 95%"),
        *([("gold", "right answers to tasks whose answer is known")] if gold else []),
        ("first", "of their choices, those of the one shown first; * not half, surely"),
        ("longer", "those of the longer one, which may be better; * not half, surely"),
    ])  # fmt: skip
    if found.gini is not None and len(shown) > 2:
        share, many = found.top or (0.0, 0)
        who = "the busiest one" if many == 1 else f"the {many} busiest"
        _note(console, f"{who} gave {share:.0%} of the judgments by people (Gini {found.gini:.2f})")


def _findings(console: Console, found: "Worth") -> None:
    if not found.labelers:
        return
    _head(console, "What stands out")
    if not found.findings:
        told = [one for one in found.labelers if one.random and one.random.verdict == "sound"]
        console.print("Nothing that could not be an accident.")
        if told:
            _note(console, f"{len(told)} of {len(found.labelers)} are surely not answering at random")
    table = _grid()
    for name, text in found.findings:
        table.add_row(Text(name or "(nobody named)"), Text(text))
    if found.findings:
        console.print(table)
    short = [one for one in found.labelers if one.random and one.random.verdict == "not told"]
    unknown = [one for one in found.labelers if one.random is None]
    if short:
        needed = sorted(one.random.needed or 0 for one in short if one.random)
        _note(console, f"{len(short)} with too few answers that others gave too to tell whether they look: it takes "
                       f"about {needed[len(needed) // 2]}")  # fmt: skip
    if unknown and len(unknown) == len(found.labelers):
        _note(console, "who is reliable is told of 30 answers that others gave too, by three labelers or more")


def _groups(console: Console, groups: "Groups") -> None:
    _head(console, "Groups of labelers")
    table = _table("group", "labelers", "judged", "longer", "", "without them, verdicts")
    for one in groups.groups:
        gone = one.without
        table.add_row(
            Text(one.name), f"{one.labelers:,}", f"{one.judged:,}", _share(one.longer), _span(one.longer),
            f"{gone.changed + gone.lost:,} of {gone.verdicts:,} change",
        )  # fmt: skip
    console.print(table)
    console.print()
    table = _table("agreement", "questions", "raw", "", "beyond chance", "")
    for met in groups.agreement:
        who = f"{met.first}, {met.second}" if met.first != met.second else f"{met.first}, within"
        table.add_row(Text(who), f"{met.raw.units:,}", *_figure(met.raw), *_figure(met.corrected))
    console.print(table)
    if groups.win_rates:
        console.print()
        table = _table("win rate of", "all", *(column for one in groups.groups for column in (_cut(one.name, 14), "")))
        for model, rate in groups.win_rates.items():
            cells = [cell for one in groups.groups for cell in _rate(one.win_rates.get(model))]
            table.add_row(Text(model), f"{rate:.0%}", *cells)
        console.print(table)


def _prompts(console: Console, found: "Worth") -> None:
    disputes = found.disputes
    twice = sum(one.labelers > 1 for one in disputes.prompts)
    if not twice:
        return
    _head(console, "Prompts")
    console.print(f"{disputes.unanimous:,} of {twice:,} that two or more judged are unanimous.")
    shown = disputes.listed[:SHOWN]
    if shown:
        console.print(Text("The most disputed:"))
    for one in shown:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", width=4)
        table.add_column()
        reasons = "; ".join(one.reasons) or "the data show no reason"
        table.add_row(f"{one.disagreement:.0%}", Text(_cut(" ".join(one.group.prompt_text.split()), LINE)))
        table.add_row("", Text(f"{one.labelers} labelers; {reasons}", style="dim"))
        console.print(table)
    console.print()
    _legend(console, [("%", "of pairs of verdicts that are unlike; --json lists up to 50, with completions")])


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
    table.add_column(overflow="fold")
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=28)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _legend(console: Console, lines: Iterable[Sequence[str]]) -> None:
    for name, text in lines:
        console.print(Text(f"{name:<9}{text}", style="dim"), soft_wrap=True)


def _note(console: Console, text: str) -> None:
    console.print(Text(text, style="dim"))


def _name(person: "Labeler") -> str:
    name = _cut(person.name, 20) or "(nobody named)"
    return name if person.role == "labeler" else f"{name} ({person.role})"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _coefficient(one: "Coefficient") -> str:
    if one.value is None:
        return f"not defined: {one.why}"
    value, span = _figure(one)
    return f"{value} {span}" if span else f"{value} ({one.why})"


def _figure(one: "Coefficient") -> tuple[str, str]:
    if one.value is None:
        return NONE, ""
    span = f"\\[{one.interval.low:.2f}, {one.interval.high:.2f}]" if one.interval else ""
    return f"{one.value:.2f}", span


def _share(found: "Share | None") -> str:
    return NONE if found is None else f"{found.value:.0%}"


def _span(found: "Share | None") -> str:
    return "" if found is None else f"{100 * found.interval.low:.0f}-{100 * found.interval.high:.0f}"


def _rate(found: "Share | None") -> tuple[str, str]:
    return _share(found), _span(found)


def _leaning(found: "Leaning | None") -> str:
    """With a star where it is no accident; the text is rich's."""
    if found is None:
        return NONE + " "
    return f"{found.share.value:.0%}" + ("[yellow]*[/yellow]" if found.told else " ")
