"""What `preferably evaluate` says of win rates: of one model, of several, by people, and of those to come."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.cli import deciders, flagged
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.evaluation.controls import Controls
    from preferably.evaluation.people import ByPeople
    from preferably.evaluation.several import Several
    from preferably.evaluation.slices import Slice
    from preferably.evaluation.winrate import WinRate
    from preferably.judging.people import PeopleJudge
    from preferably.statistics.intervals import Interval


def one(
    model: str, against: str, prompts: str, judge: "str | PeopleJudge", target: str | None, how: dict[str, Any]
) -> None:
    """The win rate of one model, and its report."""
    from preferably import api
    from preferably.cli.watching import watching

    with watching() as watch:
        task = watch.stage("answering")
        result = api.evaluate(
            model, against=against, data=prompts, judge=judge, output=target,
            progress=lambda done: watch.bars.advance(task, done), note=watch.note, **how,
        )  # fmt: skip
    console = Console(highlight=False)
    _print_win_rate(console, result)
    if target is not None:
        console.print(Text(f"report  {Path(target) / 'report.html'}"), soft_wrap=True)


def judge_named(name: str, overlap: int, wait: bool) -> "str | PeopleJudge":
    """The judge's name; or people, with what is told while they are waited for."""
    from preferably.judging.people import PeopleJudge, named_store

    store = named_store(name)
    if store is None:
        return name
    console, told = Console(stderr=True, highlight=False), [-1]

    def waiting(done: int, of: int) -> bool:
        if wait and done != told[0]:
            told[0] = done
            console.print(f"{done:,} of {of:,} pairs are judged by people (preferably label serve --store {store})")
        return wait

    return PeopleJudge(store, overlap=overlap, wait=waiting)


def axes_of(named: Sequence[str]) -> dict[str, str]:
    """The judges of `NAME=module:function` or `NAME=judge.yaml`, by name."""
    found: dict[str, str] = {}
    for text in named:
        name, equals, function = (part.strip() for part in text.partition("="))
        if not (name and equals and function) or name in found:
            raise ConfigError(
                f"--axis is NAME=JUDGE (module:function or a judge's .yaml file), each name once; got {text!r}."
            )
        found[name] = function
    return found


def several(
    models: Sequence[str], against: str, prompts: str, judge: "str | PeopleJudge", target: str | None, all_pairs: bool,
    more: bool, how: dict[str, Any],
) -> None:  # fmt: skip
    """Several models, ranked."""
    from preferably import api
    from preferably.cli.watching import watching

    if more:
        raise ConfigError("--best-of, --slice and --axis are for one model; give one --model, or leave them out.")
    with watching() as watch:
        task = watch.stage("answering")
        found = api.evaluate_several(
            models, against=against, data=prompts, judge=judge, output=target, all_pairs=all_pairs,
            progress=lambda done: watch.bars.advance(task, done), note=watch.note, **how,
        )  # fmt: skip
    console = Console(highlight=False)
    _print_board(console, found, against, all_pairs)
    if target is not None:
        console.print(Text(f"written  {Path(target) / 'evaluation' / 'board.json'}"), soft_wrap=True)


def by_people(
    store: str, models: Sequence[str], against: str | None, judge: str | None, output: str | None
) -> None:  # fmt: skip
    """The win rate that people would give, from a store."""
    from preferably import api
    from preferably.feedback.store.naming import is_store
    from preferably.training.run_directory import RunDirectory

    if len(models) != 1 or against is None:
        raise ConfigError("--judgments needs --model and --against: the names of the two models in the store.")
    if not is_store(store):
        raise ConfigError(
            f"--judgments is a store of judgments, which says whose each completion is; got {store}. "
            "`preferably label import` makes one of what `label export` wrote."
        )
    found = api.by_people(store, models[0], against, judge=judge)
    _print_people(Console(highlight=False), found)
    if output is not None:
        RunDirectory(Path(output)).make()
        RunDirectory(Path(output)).write_json("evaluation/people.json", found.as_json())


def plan(points: float, *, ties: float, samples: int, run: str | None) -> None:
    """How many prompts it takes to see a difference of so many points; `run` is where a spread was measured."""
    from preferably.statistics.planning import prompts_needed, spread_of, spread_of_means

    if not 0 < points <= 50:
        raise ConfigError(f"--plan is a difference from 50% in points, above 0 and up to 50; got {points:g}.")
    if not 0 <= ties < 1:
        raise ConfigError(f"--ties is a share from 0 to below 1; got {ties:g}.")
    console, share = Console(highlight=False), points / 100
    verdict = spread_of(0.5, ties)
    needed = prompts_needed(share, verdict)
    console.print(
        f"To see {points:g} points you need [bold]{needed:,} prompts[/bold], each judged once", soft_wrap=True
    )
    given = f"{ties:.0%} of verdicts ties" if ties else "no ties, which would make it fewer (--ties 0.3)"
    console.print(f"(95% interval, seen in four cases of five; {given}).", soft_wrap=True)
    if samples > 1:
        least, half = (prompts_needed(share, spread_of_means(verdict, samples, alike)) for alike in (0.0, 0.5))
        console.print(
            f"With {samples} samples a prompt: {half:,} if half of what verdicts differ in is the prompt's; {least:,} "
            f"if samples of one prompt differ as much as prompts do; {needed:,} if they always get the same verdict. "
            "Only a win rate that was measured tells which: more prompts are the safer way.",
            soft_wrap=True,
        )
    if run is not None and (measured := _measured_spread(run)) is not None:
        spread, drawn = measured
        console.print(
            f"The win rate of {escape(run)} ({drawn} samples a prompt) had a spread of {spread:.2f} between "
            f"prompts: measured like that, {prompts_needed(share, spread):,} prompts see {points:g} points.",
            soft_wrap=True,
        )


def _measured_spread(run: str) -> tuple[float, int] | None:
    """The spread between prompts in the win rate of a run, and its samples a prompt; None where it has none."""
    file = Path(run) / "evaluation" / "win_rate.json"
    if not file.exists():
        raise ConfigError(f"{run} has no win rate to take the spread from; leave --model out to plan without one.")
    stored = json.loads(file.read_text(encoding="utf-8"))
    spread, samples = stored.get("spread"), stored.get("decoding", {}).get("samples", 1)
    return (float(spread), int(samples)) if spread else None


def _print_win_rate(console: Console, result: "WinRate") -> None:
    from preferably.statistics.planning import prompts_needed

    if result.win_rate is None or result.interval is None:
        console.print(f"No comparison could be judged ({result.missing} missing).")
        raise typer.Exit(1)
    console.print(
        f"win rate [bold]{result.win_rate:.3f}[/bold] {_span(result.interval)} on {result.n} prompts: {result.verdict}"
    )
    changed = f" ({result.inconsistent} changed with the order)" if result.inconsistent else ""
    console.print(
        f"{result.wins} wins, {result.ties} ties{changed}, {result.losses} losses, {result.missing} missing; "
        f"mean words {result.length.model:.0f} against {result.length.against:.0f}"
    )
    if result.missing:
        console.print(f"of all comparisons, {_bounds(result)}", soft_wrap=True)
    _print_controls(console, result.controls)
    if result.verdict == "not separable" and result.spread and result.sees:
        console.print(
            f"{result.n} prompts tell a difference of {100 * result.sees:.1f} points (power 80%); "
            f"5 points take {prompts_needed(0.05, result.spread)}, 2 points {prompts_needed(0.02, result.spread)}"
        )
    _print_axes(console, result.axes)
    _print_slices(console, result.slices)
    flagged.show(console, result.flags)
    for found in (result, *result.axes.values()):
        deciders.show(console, found.judged_by)


def _bounds(result: "WinRate") -> str:
    """What the missing verdicts could make of the win rate."""
    low, high = result.bounds
    return f"{low:.3f} if every missing one were lost, {high:.3f} if every one were won"


def _print_controls(console: Console, controls: "Controls") -> None:
    from preferably.statistics.length_control import BAND

    if (length := controls.length) is not None:
        if length.win_rate is None or length.interval is None or length.band is None:
            console.print(f"at equal length: not sure, as {length.why}", soft_wrap=True)
        else:
            usual = f"{length.band[0]:.3f} to {length.band[1]:.3f} at the usual {BAND[0]:g} to {BAND[1]:g}"
            console.print(
                f"at equal length {length.win_rate:.3f} {_span(length.interval)}; length counts {length.influence:.1f} "
                f"nats, {usual}", soft_wrap=True,
            )  # fmt: skip
    if (style := controls.style) is not None:
        if style.win_rate is None or style.interval is None:
            console.print(f"at equal style: not sure, as {style.why}", soft_wrap=True)
        else:
            weights = ", ".join(f"{name} {weight:+.2f}" for name, weight, _ in style.weights)
            told = (
                f"; what counts, nats a spread: {weights}" if weights else "; no reply has headings, lists or the like"
            )
            console.print(f"at equal style {style.win_rate:.3f} {_span(style.interval)}{told}", soft_wrap=True)


def _print_axes(console: Console, axes: Mapping[str, "WinRate"]) -> None:
    if not axes:
        return
    table = _table("axis", "win rate", "95%", "prompts")
    table.add_column("")
    for name, found in axes.items():
        rate = "-" if found.win_rate is None else f"{found.win_rate:.3f}"
        left = f" ({found.missing} missing: {_bounds(found)})" if found.missing else ""
        table.add_row(Text(name), rate, _span(found.interval), f"{found.n}", f"{found.verdict}{left}")
    console.print(table)


def _table(first: str, *numbers: str) -> Table:
    """A table whose first column is a name and whose others are figures."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(Text(first), overflow="fold")
    for name in numbers:
        table.add_column(Text(name), justify="right")
    return table


def _print_slices(console: Console, slices: Sequence["Slice"]) -> None:
    for column in dict.fromkeys(each.column for each in slices):
        table = _table(column, "win rate", "95%", "prompts")
        table.add_column("")
        for each in (each for each in slices if each.column == column):
            rate = "-" if each.win_rate is None or each.interval is None else f"{each.win_rate:.3f}"
            said = "differs" if each.differs else "" if each.interval else "not sure: too few"
            table.add_row(Text(each.name), rate, _span(each.interval), f"{each.n}", said)
        console.print(table)
    if slices:
        said = (
            "differs: from the overall win rate, with all slices held together (Holm); of the others that is not known"
        )
        console.print(Text(said, style="dim"), soft_wrap=True)


def _print_board(console: Console, found: "Several", against: str, all_pairs: bool) -> None:
    table = _table("model", "strength", "95%", f"against {against}", "95%", "group")
    for standing in found.board.standings:
        met = found.pairs.get((standing.name, against))
        group = next(at for at, names in enumerate(found.board.groups, 1) if standing.name in names)
        rate = "" if met is None else "-" if met.win_rate is None else f"{met.win_rate:.3f}"
        span = "" if met is None else _span(met.interval)
        ends = f"\\[{standing.interval.low:+.2f}, {standing.interval.high:+.2f}]"
        table.add_row(Text(standing.name), f"{standing.strength:+.2f}", ends, rate, span, str(group))
    console.print(table)
    left = f" ({found.too_long} left out, as they leave a model no room)" if found.too_long else ""
    way = (
        "every two were judged"
        if all_pairs
        else f"each was judged against {escape(against)} (--all-pairs judges every two)"
    )
    if found.board.doubt:
        console.print(f"[yellow]not sure who is better: {found.board.doubt}[/yellow]", soft_wrap=True)
    told = f"{len(found.board.separable)} of {len(found.board.standings) * (len(found.board.standings) - 1) // 2} pairs"
    console.print(f"{found.prompts} prompts{left}; {way}", soft_wrap=True)
    console.print(
        f"{told} told apart, with all pairs held together (Holm). A new group begins where a model is told from all of "
        "the group above; strengths are nats of log-odds.", soft_wrap=True,
    )  # fmt: skip
    for (name, other), pair in found.pairs.items():
        if pair.missing:
            told = f"{escape(name)} against {escape(other)}: {pair.missing} comparisons have no verdict"
            console.print(f"{told}; {_bounds(pair)}", soft_wrap=True)
        flagged.show(console, pair.flags, {"model": name})
    deciders.show(console, found.judged_by)


def _print_people(console: Console, found: "ByPeople") -> None:
    said = found.corrected
    console.print(
        f"win rate by people [bold]{found.win_rate:.3f}[/bold] {_span(found.interval)} on {said.n + said.more} "
        f"prompts: {found.verdict}", soft_wrap=True,
    )  # fmt: skip
    console.print(
        f"people alone {said.people:.3f} {_span(said.people_interval)} on {said.n} prompts, {found.labelers} labelers; "
        f"{escape(found.judge)} alone {said.judge:.3f} on {said.n + said.more}, {said.bias:+.3f} off where both judged",
        soft_wrap=True,
    )
    console.print(f"with the judge, {said.n} prompts are worth {said.worth:.0f} of people alone", soft_wrap=True)
    rate, why = found.style.win_rate, found.style.why
    told = f"not sure, as {why}" if rate is None else f"{rate:.3f} {_span(found.style.interval)}"
    console.print(f"by people at equal style {told}", soft_wrap=True)
    if found.people_alone:
        console.print(f"{found.people_alone} prompts that people judged and the judge did not are left out")
    if found.doubt:
        console.print(Text(f"warning (not_random): {found.doubt}.", style="yellow"), soft_wrap=True)


def _span(span: "Interval | None") -> str:
    return "" if span is None else f"\\[{span.low:.3f}, {span.high:.3f}]"
