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
    from preferably.statistics.intervals import Interval
    from preferably.statistics.shares import Share

SHOWN = 10  # disputed prompts
LINE = 70  # characters of a prompt
NAME = 16  # characters of a name at 80 columns; more where there are more
LONGEST = 40
COLUMNS = 3  # groups beside each other
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
        table = _table("who with whom", "questions", "raw", "beyond chance")
        for met in found.meetings:
            who = f"{met.first}, {met.second}" if met.first != met.second else f"{met.first}, each other"
            table.add_row(who, f"{met.raw.units:,}", _figure(met.raw), _figure(met.corrected))
        console.print(table)
        for met in found.meetings:
            for figure in (met.raw, met.corrected):
                if figure.value is None:
                    _note(console, f"{met.first} with {met.second}: {figure.name} is not defined, {figure.why}")


def _labelers(console: Console, found: "Worth") -> None:
    _head(console, "Labelers")
    shown = found.labelers
    leads = any(one.leads for one in shown)
    gold = any(one.gold for one in shown)
    columns = ["judged", "agrees", *(["leads"] if leads else []), "reliable", *(["gold"] if gold else [])]
    table = _table("labeler", *columns, "first", "longer", "secs", width=(width := _wide(console)))
    for person in shown:
        told = person.reliability
        reliable = "" if told is None else f"{told.value:.0%} {_ends(told.interval)}"
        mark = Text("!", style="yellow") if person.findings else Text(" ")
        table.add_row(
            Text.assemble(mark, _name(person, width)), f"{person.judged:,}", _share(person.agrees),
            *([_share(person.leads)] if leads else []), reliable or NONE,
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
        who = "The busiest one" if many == 1 else f"The {many} busiest"
        _note(console, f"{who} gave {share:.0%} of the judgments by people; Gini's coefficient {found.gini:.2f}")


def _findings(console: Console, found: "Worth") -> None:
    if not found.labelers:
        return
    _head(console, "What stands out")
    if not found.findings:
        told = [one for one in found.labelers if one.random and one.random.verdict == "sound"]
        console.print("Nothing that could not be an accident.")
        if told:
            _note(console, f"{len(told)} of {len(found.labelers)} gave so many that random answers would show.")
    table = _grid()
    for name, text in found.findings:
        table.add_row(Text(name or "(nobody named)"), Text(text))
    if found.findings:
        console.print(table)
    short = [one for one in found.labelers if one.random and one.random.verdict == "not told"]
    unknown = [one for one in found.labelers if one.random is None]
    if short:
        needed = sorted(one.random.needed or 0 for one in short if one.random)
        few = "one has" if len(short) == 1 else f"{len(short)} have"
        _note(console, f"Whether somebody answers at random: {few} too few answers that others gave too to tell; it "
                       f"takes about {needed[len(needed) // 2]}.")  # fmt: skip
    if unknown and len(unknown) == len(found.labelers):
        _note(console, "Who is reliable is told from 30 answers that others gave too, by three labelers or more.")


def _groups(console: Console, groups: "Groups") -> None:
    _head(console, "Groups of labelers")
    columns = ("people", "judged", "longer", "without it: reversed", "lost", "gained")
    table = _table("group", *columns, width=_wide(console))
    for one in groups.groups:
        gone = one.without
        table.add_row(
            Text(one.name), f"{one.labelers:,}", f"{one.judged:,}", _rate(one.longer), f"{gone.changed:,}",
            f"{gone.lost:,}", f"{gone.gained:,}",
        )  # fmt: skip
    console.print(table)
    _note(console, f"Of {groups.groups[0].without.verdicts:,} questions with a majority, those of which it would be "
                   "reversed or lost without the group's verdicts; gained: those that would get one.")  # fmt: skip
    console.print()
    table = _table("agreement", "questions", "raw", "beyond chance")
    for met in groups.agreement:
        who = f"{met.first}, {met.second}" if met.first != met.second else f"{met.first}, each other"
        table.add_row(Text(who), f"{met.raw.units:,}", _figure(met.raw), _figure(met.corrected))
    console.print(table)
    if groups.win_rates:
        console.print()
        shown = groups.groups[:COLUMNS]
        table = _table("win rate of", "all", *(Text(_cut(one.name, NAME)) for one in shown), width=NAME)
        for model, rate in groups.win_rates.items():
            table.add_row(Text(model), f"{rate:.0%}", *(_rate(one.win_rates.get(model)) for one in shown))
        console.print(table)
        _note(console, "All: of the majorities; by group: of its own verdicts, a tie half, with 95%.")
        if len(groups.groups) > COLUMNS:
            _note(console, f"{len(groups.groups) - COLUMNS} more groups: --json")


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
        who = "1 labeler" if one.labelers == 1 else f"{one.labelers} labelers"
        table.add_row("", Text(f"{who}; {reasons}", style="dim"))
        console.print(table)
    if shown:
        console.print()
        _legend(console, [("%", "of pairs of verdicts that are unlike; --json lists more of them")])


def _head(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=29)
    table.add_column(overflow="fold")
    return table


def _table(first: str, *columns: str | Text, width: int = 28) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=width)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _legend(console: Console, lines: Iterable[Sequence[str]]) -> None:
    for name, text in lines:
        console.print(Text(f"{name:<9}{text}", style="dim"), soft_wrap=True)


def _note(console: Console, text: str) -> None:
    console.print(Text(text, style="dim"))


def _wide(console: Console) -> int:
    """How much of a name there is room for."""
    return min(NAME + max(0, console.width - 80), LONGEST)


def _name(person: "Labeler", width: int) -> str:
    role = "" if person.role == "labeler" else f" ({person.role})"
    return _cut(person.name or "(no name)", width - 1 - len(role)) + role


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _coefficient(one: "Coefficient") -> str:
    if one.value is None:
        return f"not defined: {one.why}"
    return _figure(one) + ("" if one.interval else f" ({one.why})")


def _figure(one: "Coefficient") -> str:
    """The text is rich's."""
    if one.value is None:
        return NONE
    return f"{one.value:.2f}" + (f" \\[{one.interval.low:.2f}, {one.interval.high:.2f}]" if one.interval else "")


def _share(found: "Share | None") -> str:
    return NONE if found is None else f"{found.value:.0%}"


def _ends(interval: "Interval") -> str:
    return f"{100 * interval.low:.0f}-{100 * interval.high:.0f}"


def _rate(found: "Share | None") -> str:
    return NONE if found is None else f"{found.value:.0%} {_ends(found.interval)}"


def _leaning(found: "Leaning | None") -> str:
    """With a star where it is no accident; the text is rich's."""
    if found is None:
        return NONE + " "
    return f"{found.share.value:.0%}" + ("[yellow]*[/yellow]" if found.told else " ")
