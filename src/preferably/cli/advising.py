"""`preferably advise`."""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preferably.errors import ConfigError
from preferably.reporting.figures import duration

if TYPE_CHECKING:
    from preferably.data.accounting import Accounting
    from preferably.pipeline.advice import Advice
    from preferably.pipeline.expected import Cost
    from preferably.pipeline.looking import Data
    from preferably.pipeline.rules import Rule
    from preferably.pipeline.situation import Situation, Want
    from preferably.statistics.shares import Share

GB = 1e9
OTHERS = 4  # other roads that are told, beside those that lack something


def advise(
    data: Annotated[
        list[str] | None, typer.Option(help="files of feedback, or a store; may be given several times")
    ] = None,
    model: Annotated[str | None, typer.Option(help="the model that would be trained")] = None,
    want: Annotated[str | None, typer.Option(help="production, research, limited (computing) or explain")] = None,
    judge: Annotated[
        str | None, typer.Option(help="who can judge new answers: a judge's .yaml, module:function, a reward model")
    ] = None,
    prompts: Annotated[str | None, typer.Option(help="held-out prompts, which must share none with the data")] = None,
    checker: Annotated[str | None, typer.Option(help="score function, 1 is right: module:function")] = None,
    readiness: Annotated[Path | None, typer.Option(help="a readiness.json of this model")] = None,
    asked: Annotated[int, typer.Option(min=0, help="prompts that the model is asked; 0: it is not run")] = 32,
    cost: Annotated[bool, typer.Option("--cost/--no-cost", help="try the model for what training would take")] = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    json_: Annotated[Path | None, typer.Option("--json", help="write everything there, for programs")] = None,
    write: Annotated[Path | None, typer.Option(help="write an align.yaml that does it")] = None,
) -> None:
    """Which road to take with this data, model and machine: reasons, cost, and what would change the advice."""
    for place in (json_, write):
        if place is not None and place.exists():
            raise ConfigError(f"{place} exists already, and nothing is overwritten; name another place.")
    if write is not None and model is None:
        raise ConfigError("--write needs --model: the file says what is trained.")
    console = Console(highlight=False)
    wanted, judge = _wanted(console, want, judge)
    from preferably.pipeline.advice import advise as advised
    from preferably.pipeline.expected import advise_with_costs
    from preferably.pipeline.looking import look, look_at_data

    found = look_at_data(data or [], [prompts] if prompts else [])
    situation = look(
        found, wanted, model=model, judge=judge, checker=checker, readiness=readiness, asked=asked, device=device
    )  # fmt: skip
    advice, costs = (
        advise_with_costs(situation, model, found.paths, device=device, judge=judge)
        if cost
        else (advised(situation), [])
    )
    _print_advice(console, advice, found, costs)
    if json_ is not None:
        told = advice.as_json() | {"costs": [one.as_json() for one in costs], "data": _accounts(found)}
        json_.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _print_next(console, advice, found, write, {"model": model, "prompts": prompts, "judge": judge, "checker": checker})


def _accounts(found: "Data") -> dict[str, Any]:
    return {kind: one.as_json() for kind, one in found.found.items()}


def _wanted(console: Console, want: str | None, judge: str | None) -> tuple["Want", str | None]:
    """What the user wants, asked for where nobody said it and somebody is there."""
    from preferably.pipeline.situation import WANTS, Want

    if want in get_args(Want):
        return want, judge  # type: ignore[return-value]
    options = ", ".join(WANTS)
    if want is not None:
        raise ConfigError(f"--want is one of {options}; got {want!r}.")
    if not _somebody_is_there():
        raise ConfigError(f"Say what you want: --want {'|'.join(WANTS)}; and --judge, if something can judge answers.")
    names = list(WANTS)
    console.print("What do you want?")
    for number, name in enumerate(names, 1):
        console.print(f"  {number}  {name}: {WANTS[name]}", soft_wrap=True)
    while True:
        said = console.input("1 to 4 > ").strip()
        if said in {"1", "2", "3", "4"}:
            chosen = names[int(said) - 1]
            break
    if judge is None:
        console.print(
            "Can anything judge new answers: a judge's .yaml, module:function, a reward model?", soft_wrap=True
        )
        judge = console.input("its name, or Enter for nothing > ").strip() or None
    return chosen, judge


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _print_advice(console: Console, advice: "Advice", found: "Data", costs: list["Cost"]) -> None:
    from preferably.pipeline.expected import labels_tell
    from preferably.pipeline.roads import ROADS
    from preferably.pipeline.rules import sure

    s = advice.situation
    console.print(Text(_headline(advice), style="bold"))
    console.print(Text(f"How sure: {sure(advice.decided, s)}.", style="dim"))
    _section(console, "What was found", _facts(s, found))
    if advice.first:
        _section(console, "First", [(rule.name, _reason(rule, s)) for rule in advice.first])
    reasons = [(rule.name, _reason(rule, s)) for rule in (advice.decided, *advice.settings)]
    _section(console, "Why", reasons)
    rows = [(one.training, Text(_cost(one))) for one in costs]
    if s.pairs:
        rows.append(("labels", Text(labels_tell(s.pairs))))
    if rows:
        _section(console, "What it takes", rows)
    told = [one for one in advice.others if not one.why_not.startswith("needs ")][:OTHERS]
    _section(console, "Other roads", [(one.road, Text(f"{ROADS[one.road].does}: {one.why_not}")) for one in told])
    turns = [(f"to {one.road}", Text(f"if {one.fact}")) for one in advice.turns]
    _section(console, "What would change this", turns or [("", Text("none of the facts that the table asks for"))])


def _headline(advice: "Advice") -> str:
    from preferably.pipeline.roads import ROADS

    does = ROADS[advice.road].does
    told = does[0].upper() + does[1:]
    before = dict.fromkeys(BEFORE[rule.name] for rule in advice.first if rule.name in BEFORE)
    if not before:
        return f"{told}."
    first = " and ".join(before)
    bare = any(rule.name == "not-ready" for rule in advice.first) and not advice.situation.demonstrations
    needed = " To fine-tune, you need demonstrations." if bare else ""
    return f"{first[0].upper()}{first[1:]} first; then: {told}.{needed}"


BEFORE = {
    "rows-at-fault": "mend the data", "contradicting": "mend the labels", "not-ready": "fine-tune",
    "would-not-begin": "mend what keeps a training from beginning", "too-few": "collect more",
    "few-thumbs": "collect more", "one-sided-thumbs": "collect thumbs of the other kind",
}  # fmt: skip


def _reason(rule: "Rule", s: "Situation") -> Text:
    from preferably.pipeline.rules import basis

    found = {"rows-at-fault": s.stops, "would-not-begin": s.refused}.get(rule.name, ())
    text = Text()
    if rule.kind == "first":
        text.append(f"{rule.then} ", style="bold")
        text.append(f"{rule.when[0].upper()}{rule.when[1:]}. ")
        text.append("".join(f"{why} " for why in found))
    if rule.kind == "setting":
        text.append(f"{rule.then}. ", style="bold")
    text.append(rule.why)
    sources = [one.removeprefix("bench/results/").replace("https://arxiv.org/abs/", "arXiv ") for one in rule.evidence]
    text.append(f" ({basis(rule, s)}: {', '.join(sources)})", style="dim")
    return text


def _facts(s: "Situation", found: "Data") -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = []
    counted = [(s.pairs, "pairs"), (s.labels, "thumbs"), (s.demonstrations, "demonstrations")]
    there = ", ".join(f"{count:,} {name}" for count, name in counted if count)
    rows.append(("data", Text(f"{there or 'no feedback'}; {s.prompts:,} distinct prompts")))
    for kind, one in found.found.items():
        rows.append(("", Text(f"as {kind}: {_rows(one.accounting)}", style="dim")))
        if odd := [remark.code.replace("_", " ") for remark in one.remarks if not remark.stops]:
            rows.append(("", Text(f"`preferably data check` remarks on: {', '.join(odd)}", style="dim")))
    if s.good is not None:
        rows.append(("thumbs", Text(f"{s.good:.0%} say good")))
    if s.pairs:
        agreed = f"two labelers agree on {_share(s.agreement)}" if s.agreement else "not known: no two judged the same"
        agreed += ", too few to tell" if s.agreement and not s.agreed else ""
        wrong = "" if s.wrong is None else f"; {s.wrong:.0%} of verdicts wrong, if they err alike"
        rows.append(("agreement", Text(agreed + wrong)))
        strong = f"{s.strong or 0:.0%} of pairs say by how much"
        longer = f"; the longer answer is chosen in {_share(s.longer)}" if s.longer else ""
        rows.append(("strength", Text(strong + longer)))
    own = {"yes": "could be", "no": "no", "mixed": "some of them", None: "not sure"}[s.own]
    own = "yes" if s.own == "yes" and s.told("own").endswith("name this model") else own
    again = "; ask again once it is fine-tuned" if s.ready is False and s.pairs else ""
    rows.append(("its own answers", Text(f"{own}: {s.told('own')}{again}")))
    ready = {True: "yes", False: "no", None: "not known"}[s.ready]
    rows.append(("ready", Text(f"{ready}: {s.told('ready')}")))
    size = f"{s.weights / 1e6:,.2f} million weights, context {s.context or 'not known'}" if s.weights else "none given"
    rows.append(("model", Text(size)))
    memory = "memory not known" if s.memory is None else f"{s.memory / GB:.1f} GB free"
    rows.append(("machine", Text(f"{s.cores} cores, {memory}, {s.gpu or 'no GPU'}")))
    given = [name for name, there in (("a judge", s.judge), ("a function", s.function)) if there]
    rows.append(("you", Text(f"want {s.want}; have {' and '.join(given) or 'no judge and no function'}")))
    return rows


def _rows(counts: "Accounting") -> str:
    by_code = ", ".join(f"{code} {count:,}" for code, count in counts.rejected.items())
    rejected = f"{len(counts.rejects):,} rejected" + (f" ({by_code})" if by_code else "")
    return f"{counts.read:,} rows read, {counts.used:,} used, {counts.deduplicated:,} duplicates, {rejected}"


def _share(share: "Share") -> str:
    low, high = share.interval.low, share.interval.high
    return f"{share.value:.0%} [{low:.0%}, {high:.0%}] of {share.n:,}"


def _cost(one: "Cost") -> str:
    if one.error:
        return "a run would not begin: see First"
    if one.asked:
        return f"{one.asked}; {one.why}"
    if one.seconds is None and one.memory is None:
        return f"not known: {one.why}"
    took = "time not known" if one.seconds is None else f"about {duration(one.seconds)}"
    holds = "" if one.memory is None else f", {one.memory / GB:.2f} GB at most"
    return f"{took}{holds}" + (f"; {one.why}" if one.why else "") + (f"; {one.refused}" if one.refused else "")


def _section(console: Console, title: str, rows: list[tuple[str, Text]]) -> None:
    if not rows:
        return
    console.print()
    console.print(Text(title, style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name, style="cyan"), text)
    console.print(table)


def _print_next(
    console: Console, advice: "Advice", found: "Data", write: Path | None, given: dict[str, str | None]
) -> None:
    from preferably.pipeline.road_file import road_values, write_road

    console.print()
    if advice.road == "collect":
        console.print(
            "next  preferably label serve, or preferably judge (docs/labeling.md, docs/judges.md)", soft_wrap=True
        )
        return
    if write is None:
        again = " ".join(shlex.quote(one) for one in sys.argv[1:])
        if advice.situation.stops or advice.situation.refused:
            console.print("next  do what stands under First, and ask again; nothing could be trained as it is")
        elif given["model"] is None:
            console.print("next  name the --model, and --write align.yaml writes the file that does it")
        else:
            console.print(Text(f"next  preferably {again} --write align.yaml"), soft_wrap=True)
        return
    values = road_values(
        advice, str(given["model"]), found.paths,
        prompts=given["prompts"], judge=given["judge"], checker=given["checker"],
    )  # fmt: skip
    written = write_road(write, advice, values)
    console.print(Text(f"written  {written}"), soft_wrap=True)
    console.print(Text(f"next     preferably align {shlex.quote(str(written))} --dry-run"), soft_wrap=True)
