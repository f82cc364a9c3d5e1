"""`preferably data check`, `show`, `convert` and `split`."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preferably.errors import ConfigError, DataError

if TYPE_CHECKING:
    from preferably.data.accounting import Accounting
    from preferably.data.check import Findings, Reading
    from preferably.feedback.records import Judged, Message
    from preferably.statistics.shares import Share

app = typer.Typer(help="What is wrong with preference data; and rows shown, converted and split.", no_args_is_help=True)

Files = Annotated[list[str], typer.Argument(help="files of feedback", show_default=False)]
MaxRejected = Annotated[float, typer.Option(help="the share of rows at fault from which a run stops")]
LONG = 2000  # characters of one text that `show` shows
NAMES = 20  # labelers that `check` lists


def _kind(name: str | None) -> Any:
    from preferably.data.formats import Feedback

    if name is not None and name not in get_args(Feedback):
        raise ConfigError(f"There is no kind of feedback {name!r}; expected one of {', '.join(get_args(Feedback))}.")
    return name


def _reading(model: str | None, max_length: int | None, truncation: str = "reject") -> "Reading | None":
    if model is None:
        if max_length is not None or truncation != "reject":
            raise ConfigError("--max-length and --truncation are about tokens, so they need --model.")
        return None
    from preferably.api import model_directory
    from preferably.config import settings
    from preferably.data.check import Reading
    from preferably.models.tokenizers import load_tokenizer
    from preferably.training.reading import MAX_LENGTH

    # The same rules as for a run: what it would refuse is refused here.
    values = {"method": "sft", "model": model, "output": "-", "truncation": truncation}
    chosen = settings(values | ({} if max_length is None else {"max_length": max_length}))
    tokenizer, context = load_tokenizer(model_directory(model))
    length = min(chosen.max_length or MAX_LENGTH, context or MAX_LENGTH)
    return Reading(model, tokenizer, length, chosen.truncation)


@app.command()
def check(
    files: Files,
    feedback: Annotated[
        str | None, typer.Option(help="pairs, labels, rankings, ...; default: what most rows hold")
    ] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="a file that must share no prompt with these")] = None,
    model: Annotated[str | None, typer.Option(help="count in tokens of this model")] = None,
    max_length: Annotated[int | None, typer.Option(help="tokens; default: as for a run of --model")] = None,
    truncation: Annotated[str, typer.Option(help="what a run would do with longer rows")] = "reject",
    axis: Annotated[str | None, typer.Option(help="of ratings; default: the mean over all")] = None,
    max_rejected: MaxRejected = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for programs")] = False,
) -> None:
    """What is wrong with these rows? Exit code 1 where a run would refuse them."""
    from preferably.data.check import check_files

    found = check_files(
        files, feedback=_kind(feedback), held_out=held_out or [], axis=axis, max_rejected=max_rejected,
        reading=_reading(model, max_length, truncation),
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        _print_findings(Console(highlight=False), found)
    if found.stops:
        raise typer.Exit(1)


def _print_findings(console: Console, found: "Findings") -> None:
    from preferably.data.accounting import printable

    shapes = ", ".join(f"{name} {count:,}" for name, count in found.shapes.items()) or "none"
    console.print(Text(printable(", ".join(found.files)), style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    counts = found.accounting
    table.add_row("rows read", f"{counts.read:,}")
    table.add_row("  used", f"{counts.used:,}")
    table.add_row("  duplicates", f"{counts.deduplicated:,}")
    by_code = ", ".join(f"{code} {count:,}" for code, count in counts.rejected.items())
    table.add_row("  rejected", f"{len(counts.rejects):,}" + (f"  ({by_code})" if by_code else ""))
    if counts.repaired:
        table.add_row("  repaired", ", ".join(f"{code} {count:,}" for code, count in counts.repaired.items()))
    table.add_row("shapes", shapes)
    split = f" ({', '.join(f'{name} {n:,}' for name, n in found.verdicts.items())})" if found.verdicts else ""
    table.add_row("feedback", f"{found.groups:,} {found.feedback}{split}")
    table.add_row("prompts", f"{found.prompts:,} distinct, {len(found.near):,} of them nearly equal to another")
    if found.lengths:
        table.add_row("longer one chosen", _share(found.lengths.longer))
        words = f"{found.lengths.chosen:,.1f} words chosen, {found.lengths.rejected:,.1f} rejected, in the mean"
        table.add_row("lengths", words)
    if found.first:
        table.add_row("first one chosen", _share(found.first))
    if found.leaked is not None:
        table.add_row("held-out overlap", f"{len(found.leaked):,} rows")
    if found.tokens:
        table.add_row("tokens", Text(f"of {found.tokens.model}, at most {found.tokens.max_length:,} for both together"))
        for name, numbers in (("prompt", found.tokens.prompt), ("completion", found.tokens.completion)):
            table.add_row(f"  {name}", "median {:,}, 95% up to {:,}, longest {:,}".format(*numbers))
    console.print(table)
    _print_labelers(console, found)
    console.print()
    for remark in found.remarks:
        mark, style = ("stops", "red") if remark.stops else ("look", "yellow")
        line = Table.grid(padding=(0, 2))
        line.add_column(width=5)
        line.add_column(overflow="fold")
        line.add_row(Text(mark, style=style), Text(remark.text))
        console.print(line)
    console.print(Text(found.verdict, style="bold red" if found.stops else "bold"))


def _print_labelers(console: Console, found: "Findings") -> None:
    from preferably.data.accounting import printable

    if found.labelers is None:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("labeler", overflow="ellipsis", max_width=30)
    table.add_column("records", justify="right")
    table.add_column("share", justify="right")
    table.add_column("agrees with others")
    total = sum(one.records for one in found.labelers.everyone)
    for one in found.labelers.everyone[:NAMES]:
        agrees = _share(one.agreement) if one.agreement else "nobody else judged the same"
        table.add_row(Text(printable(one.name)), f"{one.records:,}", f"{one.records / total:.0%}", agrees)
    console.print()
    console.print(table)
    if len(found.labelers.everyone) > NAMES:
        console.print(f"and {len(found.labelers.everyone) - NAMES:,} labelers more")
    if found.labelers.agreement:
        console.print(Text(f"any two agree on {_share(found.labelers.agreement)}".replace("\\", "")))


def _share(share: "Share") -> str:
    """For a cell, where rich reads markup."""
    low, high = share.interval.low, share.interval.high
    return f"{share.value:.0%} \\[{low:.0%}, {high:.0%}] of {share.n:,}"


@app.command()
def show(
    files: Files,
    n: Annotated[int, typer.Option("-n", min=1, help="how many rows")] = 3,
    row: Annotated[int | None, typer.Option(min=1, help="the row on this line, of each file")] = None,
    model: Annotated[
        str | None, typer.Option(help="show the exact text for this model, with what is learnt marked")
    ] = None,
    feedback: Annotated[str | None, typer.Option(help="with --model: what a run would make of the row")] = None,
    full: Annotated[bool, typer.Option("--full", help="long texts to their end")] = False,
) -> None:
    """Rows as a person reads them: the prompt, the completions, and what was said of them."""
    from preferably.data.accounting import Accounting, Reject
    from preferably.data.columns import Row
    from preferably.data.formats import parse_row
    from preferably.data.load import rows_of

    reading, kind = _reading(model, None), _kind(feedback)
    console = Console(highlight=False)
    rows = rows_of(files, Accounting())
    chosen = islice(rows, n) if row is None else (item for item in rows if item[0][1] == row)
    shown = False
    for place, columns in chosen:
        shown = True
        read = Row({} if isinstance(columns, Reject) else columns, kind)
        judged = columns if isinstance(columns, Reject) else parse_row(columns, kind, place, read)
        console.rule(Text(f"{place[0]}:{place[1]}  {read.shape}".rstrip()), align="left", style="dim")
        if isinstance(judged, Reject):
            console.print(Text(f"rejected: {judged}", style="red"))
        elif reading is None:
            _print_record(console, judged, full)
        else:
            _print_tokens(console, judged, reading, kind)
    if not shown:
        raise DataError(f"There is no row on line {row} of {', '.join(map(str, files))}.")


def _print_record(console: Console, judged: "Judged", full: bool) -> None:
    for message in judged.group.prompt:
        _print_message(console, message, message.role if message.role != "text" else "prompt", full)
    if judged.group.tools:
        console.print(Text(f"tools  {_visible(judged.group.tools, full)}", style="dim"))
    many = len(judged.group.completions) > 1
    for index, completion in enumerate(judged.group.completions):
        if many:
            console.print(Text(f"completion {index}", style="bold cyan"))
        for message in completion.messages:
            name = "completion" if message.role == "text" else message.role
            _print_message(console, message, name if message.train else f"{name}, not learnt", full)
    for line in _said(judged):
        console.print(Text(line, style="green"))
    console.print()


def _print_message(console: Console, message: "Message", name: str, full: bool) -> None:
    console.print(Text.assemble((name, "bold"), "  ", _visible(message.content, full)), overflow="fold")
    if message.fields:
        console.print(Text(_visible(message.fields, full), style="dim"), overflow="fold")


def _said(judged: "Judged") -> list[str]:
    from preferably.data.accounting import printable
    from preferably.feedback.records import Flag, Label, Preference, Ranking

    lines = []
    for said in judged.judgments:
        if isinstance(said, Preference):
            by = "" if said.strength is None else f", by {said.strength:g}"
            line = f"completion {said.choice} is better{by}" if isinstance(said.choice, int) else f"{said.choice}"
        elif isinstance(said, Ranking):
            line = f"ranks {', '.join(map(str, said.ranks))} (1 is the best)"
        elif isinstance(said, Label):
            line = "good" if said.desirable else "bad"
        elif isinstance(said, Flag):
            line = f"flagged as {said.name}" if said.raised else f"no longer flagged as {said.name}"
        else:
            scores = ", ".join("-" if score is None else f"{score:g}" for score in said.scores)
            line = f"{said.axis}: {scores}"
        lines.append(printable(f"{said.labeler or 'said'}: {line}"))
    return lines


def _print_tokens(console: Console, judged: "Judged", reading: "Reading", kind: str | None) -> None:
    from preferably.data.load import VIEWS
    from preferably.data.tokens import encode, learnt_runs

    plain = console.no_color or not console.is_terminal
    default = "prompts" if not judged.group.completions else "pairs" if len(judged.group.completions) > 1 else "labels"
    groups = VIEWS[kind or default]([judged]) or VIEWS["demonstrations"]([judged])  # type: ignore[index]
    encoded = encode(groups, reading.tokenizer, max_length=reading.max_length)
    for reject in encoded.rejects:
        console.print(Text(f"rejected: {reject}", style="red"))
    for group in encoded.groups:
        for index, runs in enumerate(learnt_runs(group, reading.tokenizer)):
            tokens = len(group.prompt) + (len(group.completions[index]) if group.completions else 0)
            learnt = int(group.train[index].sum()) if group.train else 0
            console.print(Text(f"text {index + 1}: {tokens} tokens, {learnt} of them learnt", style="dim"))
            marked = Text()
            for text, is_learnt in runs:
                said = _visible(text, True)
                marked.append(f"\u27e6{said}\u27e7" if is_learnt and plain else said, "bold green" if is_learnt else "")
            console.print(marked, overflow="fold")
    if not groups:
        console.print(Text("nothing to learn from: no completion is better, and none is alone", style="yellow"))
    console.print()


def _visible(text: str, full: bool) -> str:
    """Text of others for the terminal: lines and tabs as they are, all else that hides or controls spelled out."""
    from preferably.data.accounting import printable

    cut = text if full or len(text) <= LONG else text[:LONG]
    safe = "\n".join("\t".join(map(printable, line.split("\t"))) for line in cut.split("\n"))
    return safe if len(cut) == len(text) else f"{safe} ... ({len(text) - LONG:,} characters more; --full shows them)"


@app.command()
def convert(
    files: Files,
    to: Annotated[str, typer.Option(help="pairs, labels, demonstrations, rankings or prompts")],
    output: Annotated[Path, typer.Option(help="a new file: .jsonl, .json, .csv or .parquet, also with .gz")],
    axis: Annotated[str | None, typer.Option(help="of ratings; default: the mean over all")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="oasst: message trees of OpenAssistant")] = None,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """The same feedback in another shape or another kind of file."""
    from preferably.data.convert import convert_files

    if from_ not in (None, "oasst"):
        raise ConfigError(f"--from is for shapes that are not plain rows, and knows oasst; got {from_!r}.")
    done = convert_files(files, _kind(to), output, axis=axis, trees=from_ == "oasst", max_rejected=max_rejected)
    _print_accounts(done.accounting, f"{done.written:,} {to} written to {output}")


@app.command()
def split(
    files: Files,
    output: Annotated[Path, typer.Option(help="the directory for train.jsonl and held_out.jsonl")],
    held_out: Annotated[float, typer.Option(help="a share below 1, or a number of rows")] = 0.1,
    seed: Annotated[int, typer.Option(help="which prompts are held out")] = 0,
    max_rejected: MaxRejected = 0.01,
) -> None:
    """Two parts by prompt: near-equal prompts are on one side, and every row is in one of them as it was."""
    from preferably.data.convert import split_files

    done = split_files(files, held_out, seed, output, max_rejected=max_rejected)
    apart = f", {done.rejected:,} in rejected.jsonl" if done.rejected else ""
    parts = f"{done.train:,} rows in train.jsonl, {done.held_out:,} in held_out.jsonl{apart}, in {output}"
    _print_accounts(done.accounting, parts)


def _print_accounts(accounting: "Accounting", line: str) -> None:
    console = Console(highlight=False)
    console.print(Text(accounting.describe()), soft_wrap=True)
    console.print(Text(line), soft_wrap=True)
