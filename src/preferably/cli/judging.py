"""`preferably judge run`, `audit` and `constitution`: AI feedback, and what it is worth."""

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preferably.cli import deciders
from preferably.cli.labeling import DEFAULT, StoreName
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.evaluation.judges import JudgeAudit
    from preferably.feedback.store.store import Store
    from preferably.judging.labeling import Labeled
    from preferably.judging.settings import JudgeSettings

app = typer.Typer(help="AI feedback: language models that compare, criticise and rewrite.", no_args_is_help=True)

Data = Annotated[list[str], typer.Argument(help="files of completions, or a store", show_default=False)]
JudgeFile = Annotated[str | None, typer.Option(help="a YAML file that describes the judge, or a panel of them")]
AnyJudge = Annotated[
    str | None, typer.Option(help="YAML file of a judge or a panel, reward model, or function module:function")
]
ServerUrl = Annotated[str | None, typer.Option(help="without --judge: the URL of a server, with /v1")]
Model = Annotated[str | None, typer.Option(help="without --judge: the model, as the server calls it")]
KeyEnv = Annotated[str, typer.Option(help="without --judge: the variable that holds the server's key")]
Limit = Annotated[int | None, typer.Option(min=1, help="ask about so many groups at most")]
Seed = Annotated[int, typer.Option(help="of what chance decides: orders, principles, which pairs are audited")]
MaxRejected = Annotated[float, typer.Option(help="the share of rows at fault from which nothing is asked")]


@app.command("run")
def run(
    data: Data,
    judge: AnyJudge = None,
    server: ServerUrl = None,
    model: Model = None,
    key_env: KeyEnv = "",
    store: StoreName = DEFAULT,
    ask: Annotated[str, typer.Option(help="for what: pair, rating or ranking")] = "pair",
    orders: Annotated[str, typer.Option(help="both, or random for one of them, at half the price")] = "both",
    limit: Limit = None,
    seed: Seed = 0,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Let a language model, a reward model or a rule judge completions; what it says goes into the store, beside what
    people say.

    What was asked before is not asked again: after an end, the same command goes on.
    """
    from preferably.judging.settings import is_judge_file

    if judge is not None and not is_judge_file(judge):
        if server is not None or model is not None or key_env:
            raise ConfigError("Give either --judge, or --server and --model with --key-env where it needs a key.")
        _decide(data, judge, store, ask, orders, limit, seed, max_rejected)
        return
    _label(data, _settings(judge, server, model, key_env), store, ask, orders, limit, seed, max_rejected)


@app.command("constitution")
def constitution(
    file: Annotated[Path, typer.Argument(help="YAML: name, version, principles (id, text)", show_default=False)],
    data: Data,
    judge: JudgeFile = None,
    server: ServerUrl = None,
    model: Model = None,
    key_env: KeyEnv = "",
    output: Annotated[
        Path | None, typer.Option(help="write revised replies to this new file; without it, pairs are compared")
    ] = None,
    store: StoreName = DEFAULT,
    rounds: Annotated[int, typer.Option(min=1, help="with --output: how often a reply is revised")] = 1,
    orders: Annotated[str, typer.Option(help="of pairs: both, or random for one of them")] = "both",
    limit: Limit = None,
    seed: Seed = 0,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Judge by principles. With --output, each reply is criticised and written anew, as data for SFT and as pairs;
    without it, pairs are compared, each by one principle that its label carries."""
    from preferably.judging.constitution import read_constitution

    principles, settings = read_constitution(file).all, _settings(judge, server, model, key_env)
    if output is None:
        _label(data, settings, store, "pair", orders, limit, seed, max_rejected, principles)
        return
    _revise(data, settings, store, principles, output, rounds, limit, seed, max_rejected)


@app.command("audit")
def audit(
    data: Annotated[list[str], typer.Argument(help="pairs that people judged: files, or a store", show_default=False)],
    judge: Annotated[
        str | None, typer.Option(help="YAML file, reward model, or score function module:function")
    ] = None,
    server: ServerUrl = None,
    model: Model = None,
    key_env: KeyEnv = "",
    store: Annotated[str, typer.Option(help="where replies are kept, so that none is paid for twice")] = DEFAULT,
    output: Annotated[Path | None, typer.Option(help="write everything to this JSON file")] = None,
    limit: Annotated[int, typer.Option(min=1, help="pairs asked about")] = 200,
    seed: Seed = 0,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """What is a judge worth? Agreement with people, what it leans to, what it falls for, and a verdict in words."""
    from preferably.cli.watching import watching
    from preferably.data.comparable import comparable
    from preferably.evaluation.findings import findings, verdict
    from preferably.evaluation.judges import audit as audited
    from preferably.feedback.store.kept_replies import KeptReplies
    from preferably.feedback.views import pairs
    from preferably.judging.llm import judge_from
    from preferably.judging.named import judge_of
    from preferably.judging.settings import is_judge_file

    if output is not None and not output.resolve().parent.is_dir():
        raise ConfigError(f"{output} cannot be written, as its directory is not there; make it first.")
    console = Console(highlight=False)
    described = [] if judge is not None and not is_judge_file(judge) else _settings(judge, server, model, key_env)
    judged, accounting = comparable(data, people=True, keep=_reference(described), max_rejected=max_rejected)
    console.print(Text(accounting.describe()), soft_wrap=True)
    replies = KeptReplies(store, *(each.replies for each in described))
    one: Any = judge_from(described, replies) if described else judge_of(str(judge))
    name = one.__name__ if described else str(judge)
    with watching() as watch:
        task = watch.stage("asking")
        found = audited(
            one, pairs(judged), name=name, limit=limit, seed=seed,
            progress=partial(watch.bars.advance, task),
        )  # fmt: skip
    _print_audit(console, found)
    outcome, words = verdict(found)
    if output is not None:
        told = [each.as_json() for each in findings(found)]
        whole = found.as_json() | {"findings": told, "outcome": outcome, "verdict": words}
        output.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
        console.print(Text(f"{output} written"), soft_wrap=True)


def _label(
    data: Sequence[str], settings: "Sequence[JudgeSettings]", store: str, ask: str, orders: str, limit: int | None,
    seed: int, max_rejected: float, principles: Any = (),
) -> None:  # fmt: skip
    from preferably.cli.watching import watching
    from preferably.data.comparable import comparable
    from preferably.feedback.store.kept_replies import KeptReplies
    from preferably.feedback.store.store import Store
    from preferably.judging.labeling import label
    from preferably.judging.llm import LanguageJudge

    _known(ask, orders)
    console = Console(highlight=False)
    least = 1 if ask == "rating" else 2
    judged, accounting = comparable(
        data, least=least, keep=_reference(settings), limit=limit, max_rejected=max_rejected
    )
    console.print(Text(accounting.describe()), soft_wrap=True)
    groups = [one.group for one in judged]
    failed = 0
    with Store(store) as opened:
        for one in settings:
            judge = LanguageJudge(one, KeptReplies(opened, one.replies))
            with watching() as watch:
                task = watch.stage(f"asking {one.labeler}")
                told = label(
                    judge, groups, opened, kind=ask, orders=orders, principles=principles, seed=seed,  # type: ignore[arg-type]
                    progress=partial(watch.bars.advance, task),
                )  # fmt: skip
            _print_labeled(console, told, judge)
            failed += told.states["failed"]
        _print_store(console, opened)
    if failed:
        raise typer.Exit(1)


def _decide(
    data: Sequence[str], name: str, store: str, ask: str, orders: str, limit: int | None, seed: int,
    max_rejected: float,
) -> None:  # fmt: skip
    """A reward model or a function judges, and its verdicts are kept."""
    from preferably.cli.watching import watching
    from preferably.data.comparable import comparable
    from preferably.feedback.store.store import Store
    from preferably.judging.verdicts import decide, labeler_named

    _known(ask, orders)
    if ask != "pair":
        raise ConfigError(f"--ask {ask} is for language models; {name} compares pairs.")
    console = Console(highlight=False)
    labeler = labeler_named(name)
    judged, accounting = comparable(data, limit=limit, max_rejected=max_rejected)
    console.print(Text(accounting.describe()), soft_wrap=True)
    with Store(store) as opened:
        with watching() as watch:
            task = watch.stage(f"asking {name}")
            told = decide(
                labeler, [one.group for one in judged], opened, orders=orders, seed=seed,  # type: ignore[arg-type]
                progress=partial(watch.bars.advance, task),
            )  # fmt: skip
        _print_labeled(console, told, labeler.judge)
        _print_store(console, opened)
    if told.states["failed"]:
        raise typer.Exit(1)


def _known(ask: str, orders: str) -> None:
    """`ConfigError` for another kind of question, or other orders, than there are."""
    from preferably.judging.labeling import Orders
    from preferably.judging.questions import Kind

    for name, value, kinds in (("--ask", ask, get_args(Kind)), ("--orders", orders, get_args(Orders))):
        if value not in kinds:
            raise ConfigError(f"{name} is {', '.join(kinds)}; got {value!r}.")


def _print_store(console: Console, store: "Store") -> None:
    counts = store.counts()
    console.print(Text(f"{store.name} holds {counts['judgments']:,} judgments about {counts['items']:,} groups."))


def _revise(
    data: Sequence[str], settings: "Sequence[JudgeSettings]", store: str, principles: Any, output: Path, rounds: int,
    limit: int | None, seed: int, max_rejected: float,
) -> None:  # fmt: skip
    from preferably.cli.watching import watching
    from preferably.data.load import load_feedback
    from preferably.data.writers import ending_of, refuse_existing, write_rows
    from preferably.feedback.store.kept_replies import KeptReplies
    from preferably.judging.constitution import revised, rows_of, unchanged
    from preferably.judging.described import deciders as described
    from preferably.judging.llm import LanguageJudge

    ending_of(output)
    refuse_existing(output)
    if len(settings) > 1:
        raise ConfigError("Replies are revised by one model; give a file without a panel.")
    console = Console(highlight=False)
    loaded = load_feedback(data, "demonstrations", limit=limit, max_rejected=max_rejected)
    console.print(Text(loaded.accounting.describe()), soft_wrap=True)
    judge = LanguageJudge(settings[0], KeptReplies(store, settings[0].replies))
    with watching() as watch:
        task = watch.stage("revising")
        made = revised(
            judge, loaded.groups, principles, rounds=rounds, seed=seed,
            progress=partial(watch.bars.advance, task),
        )  # fmt: skip
    rows = list(rows_of(made))
    for reason, count in Counter(one.why for one in made if one.why).most_common():
        console.print(Text(f"{count:,} not revised: {reason}", style="yellow"), soft_wrap=True)
    same = sum(unchanged(one) for one in made if not one.why)
    if same:
        console.print(Text(f"{same:,} came out as they were: they are no pairs, and not written"), soft_wrap=True)
    write_rows(rows, output)
    deciders.show(console, described(judge))
    console.print(Text(f"{len(rows):,} rows written to {output}"), soft_wrap=True)
    if any(one.why for one in made):
        raise typer.Exit(1)


def _settings(judge: str | None, server: str | None, model: str | None, key_env: str) -> "list[JudgeSettings]":
    from preferably.judging.settings import judge_settings, read_judges

    if judge is not None:
        if server is not None or model is not None or key_env:
            raise ConfigError("Give either --judge FILE, or --server and --model with --key-env where it needs a key.")
        return read_judges(judge)
    if server is None or model is None:
        raise ConfigError("Which judge? Give --judge FILE.yaml, or --server http://127.0.0.1:8000/v1 and --model NAME.")
    return [judge_settings({"server": server, "model": model, "key_env": key_env})]


def _reference(settings: "Sequence[JudgeSettings]") -> str:
    """The column of reference answers, which the judges of a panel share; empty where none is shown."""
    keep = {one.reference for one in settings}
    if len(keep) > 1:
        raise ConfigError("The judges of a panel are shown the same reference; give one column.")
    return keep.pop() if keep else ""


def _print_labeled(console: Console, told: "Labeled", judge: object) -> None:
    from preferably.judging.described import deciders as described

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    states = ", ".join(f"{told.states[state]:,} {state}" for state in ("ok", "invalid", "refused", "failed"))
    table.add_row(Text(told.labeler, style="bold"), f"{told.asked:,} questions: {states}")
    for reason, count in told.why.most_common(3):
        table.add_row("", Text(f"{count:,}: {reason}", style="yellow"))
    if told.choices:
        names = dict.fromkeys(("first", "second", "tie", *told.choices))
        table.add_row("verdicts", ", ".join(f"{told.choices[name]:,} {name}" for name in names) + " (as shown)")
    if told.consistency is not None:
        both = told.same + told.changed
        table.add_row("both orders", f"the same verdict on {told.consistency:.0%} of {both:,} pairs")
    if told.cached:
        table.add_row("known", f"{told.cached:,} had been answered before")
    if len(told.models) > 1:
        table.add_row("models", Text("; ".join(f"{name}: {n:,}" for name, n in told.models.items()), style="yellow"))
    console.print(table)
    deciders.show(console, described(judge))
    if told.states["failed"]:
        console.print(Text(f"{told.states['failed']:,} failed and are not kept; the same command asks them again",
                           style="yellow"), soft_wrap=True)  # fmt: skip


def _print_audit(console: Console, found: "JudgeAudit") -> None:
    from preferably.evaluation.findings import findings, verdict

    styles = {"good": "green", "bad": "red", "not sure": "yellow"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings(found):
        table.add_row(one.name, Text(one.outcome, style=styles[one.outcome]), Text(one.words))
    console.print(table)
    outcome, words = verdict(found)
    console.print(Text(words, style=f"bold {styles[outcome]}"), soft_wrap=True)
    deciders.show(console, found.judged_by)
