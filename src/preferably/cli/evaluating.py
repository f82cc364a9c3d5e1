"""`preferably evaluate`, `ready`, `chat` and `report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from preferably.cli import win_rates
from preferably.errors import ConfigError, DataError

NEEDED = (
    "Give --model and --against (with --best-of also --judge, and with several models, --slice or --axis), or "
    "--reward-model."
)
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")]
Dtype = Annotated[str, typer.Option(help="auto, float32 or bfloat16")]


def evaluate(
    model: Annotated[list[str] | None, typer.Option(help="the model, or its run; several are ranked")] = None,
    against: Annotated[str | None, typer.Option(help="what it is compared with, as a rule its starting model")] = None,
    reward_model: Annotated[
        str | None, typer.Option("--reward-model", help="a reward model to hold against the verdicts in --data")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="module:function, a judge's .yaml file, a reward model, or people[:STORE]")
    ] = None,
    overlap: Annotated[int, typer.Option(min=1, help="of --judge people: how many are asked about each pair")] = 1,
    wait: Annotated[bool, typer.Option(help="of --judge people: wait until their votes are in")] = True,
    data: Annotated[str | None, typer.Option(help="held-out prompts; default: those of the run")] = None,
    output: Annotated[str | None, typer.Option(help="run directory for the result; default: that of --model")] = None,
    temperature: Annotated[float, typer.Option(help="of both models; 0 is greedy")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="longest answer, tokens")] = 256,
    samples: Annotated[int, typer.Option(min=1, help="answers per prompt")] = 1,
    limit: Annotated[int | None, typer.Option(help="use only so many prompts")] = None,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    best_of: Annotated[int | None, typer.Option(min=1, help="let --model answer with the best of so many")] = None,
    reward: Annotated[list[str] | None, typer.Option(help="what --best-of chooses by, as of `train ppo`")] = None,
    slice_by: Annotated[list[str] | None, typer.Option("--slice", help="column of the prompts to tell it by")] = None,
    axis: Annotated[list[str] | None, typer.Option(help="NAME=judge, of one axis; as --judge")] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="of several models judge every two")] = False,
    judgments: Annotated[str | None, typer.Option(help="a store: people judged a part, --judge all")] = None,
    plan: Annotated[float | None, typer.Option(help="how many prompts it takes to see so many points")] = None,
    ties: Annotated[float, typer.Option(help="share of ties to plan with")] = 0.0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """How often is the model preferred? The win rate on held-out prompts, with an interval.

    With --reward-model: how often does that reward model prefer what the labelers preferred, and where does it not?
    """
    if plan is not None:
        return win_rates.plan(plan, ties=ties, samples=samples, run=model[0] if model else None)
    if reward_model is not None:
        return _evaluate_reward(reward_model, data, output, device, dtype)
    models = model or []
    if judgments is not None:
        win_rates.by_people(judgments, models, against, judge, output)
        return
    judged = best_of is not None or len(models) > 1 or slice_by or axis or all_pairs  # what only a judge can tell
    if not models or against is None or (judge is None and judged):
        raise ConfigError(NEEDED)
    prompts = _prompts_of(models[0], [*models[1:], against], data, Console(stderr=True, highlight=False))
    target = output or (models[0] if len(models) == 1 and (Path(models[0]) / "status.json").exists() else None)
    how: dict[str, Any] = {"limit": limit, "device": device, "dtype": dtype}
    if judge is None:
        if data is None:
            _pairs_of(models[0])
        _rank(Console(highlight=False), models[0], against, prompts, target, **how)
        return
    decides = win_rates.judge_named(judge, overlap, wait)
    how |= {"temperature": temperature, "max_tokens": max_tokens, "samples": samples, "seed": seed}
    if len(models) > 1:
        win_rates.several(models, against, prompts, decides, target, all_pairs, bool(best_of or slice_by or axis), how)
        return
    how |= {"best_of": best_of, "reward": reward or (), "slices": slice_by or (), "axes": win_rates.axes_of(axis or ())}
    win_rates.one(models[0], against, prompts, decides, target, how)


def _rank(
    console: Console,
    model: str,
    against: str,
    prompts: str,
    target: str | None,
    limit: int | None,
    device: str,
    dtype: str,
) -> None:
    """What can be said without a judge: how the held-out pairs are ranked."""
    from preferably import api

    ranked = api.rank(model, against=against, data=prompts, output=target, limit=limit, device=device, dtype=dtype)
    console.print(
        f"No judge was given, so only the held-out pairs are ranked: preference accuracy {ranked.accuracy:.3f} "
        f"\\[{ranked.interval.low:.3f}, {ranked.interval.high:.3f}] on {ranked.n} pairs "
        f"and {ranked.left_out} left out as too long "
        f"(always the longer one: {ranked.longer:.3f}). A win rate needs --judge module:function.",
        soft_wrap=True,
    )


def _evaluate_reward(model: str, data: str | None, output: str | None, device: str, dtype: str) -> None:
    from preferably import api
    from preferably.cli.rewarding import show

    is_run = (Path(model) / "status.json").exists()
    if data is None and not is_run:
        raise ConfigError("--data is missing: a file of comparisons that were not trained on (or give a run).")
    held_out = _prompts_of(model, [], data, Console(stderr=True, highlight=False))
    show(api.evaluate_reward(
        model, data=held_out, output=output or (model if is_run else None), device=device, dtype=dtype
    ))  # fmt: skip


def _prompts_of(model: str, others: Sequence[str], data: str | None, console: Console) -> str:
    """The file of prompts: `data`, refused if the run trained on any of them, or what the run held out; of `others`
    that were trained on some a warning tells."""
    from preferably import api

    if data is None and not (Path(model) / "status.json").exists():
        raise ConfigError("--data is missing: a file of prompts that were not trained on (or give a run as --model).")
    for name in dict.fromkeys([model, *others] if data else others):
        if not (Path(name) / "status.json").exists():
            continue
        found, elsewhere = api.seen(name, data or Path(model) / "held_out.jsonl")
        if found and name == model:
            raise DataError(
                f"{name} was trained on {len(found)} of the prompts in {data}, so the evaluation would reward memory: "
                f"{'; '.join(found[:3])}. Remove them, or leave --data out to use what the run held out."
            )
        if found:
            text = f"{name} was trained on {len(found)} of these prompts, which favors it"
            console.print(f"[yellow]warning (seen):[/yellow] {escape(text)}.", soft_wrap=True)
        for source in elsewhere:
            text = f"{name} was trained on {source}: whether these prompts are among it is not known"
            console.print(f"[dim]note: {escape(text)}.[/dim]", soft_wrap=True)
    return data or str(Path(model) / "held_out.jsonl")


def _pairs_of(run: str) -> None:
    """`ConfigError` where what the run held out is no pairs, which can be ranked without a judge."""
    from preferably.config import read_yaml
    from preferably.methods import method_named

    feedback = method_named(str(read_yaml(Path(run) / "config.yaml").get("method"))).feedback
    if feedback != "pairs":
        raise ConfigError(f"--judge is missing: {feedback} hold no pairs to rank, so only a judge can tell.")


def ready(
    model: Annotated[str, typer.Option(help="the model to look at")],
    data: Annotated[str, typer.Option(help="prompts")],
    checker: Annotated[str | None, typer.Option(help="score function: 1 is right, module:function")] = None,
    format: Annotated[str | None, typer.Option(help="regular expression that a whole answer must match")] = None,
    samples: Annotated[int, typer.Option(help="answers per prompt")] = 4,
    max_tokens: Annotated[int, typer.Option(help="longest answer, tokens")] = 256,
    limit: Annotated[int, typer.Option(help="prompts looked at")] = 64,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Can the model do the task at all? Preferences shape behavior; they teach no skill."""
    from preferably import api
    from preferably.models.loading import load, model_directory

    found = api.check(
        load(model_directory(model), device=device, dtype=dtype), data=data, checker=checker, wanted=format,
        samples=samples, max_tokens=max_tokens, limit=limit, seed=seed,
    )  # fmt: skip
    loss = "" if found.held_out_loss is None else f"; loss on their answers {found.held_out_loss:.2f} nats per token"
    Console(highlight=False).print(f"{escape(found.verdict)} (on {found.prompts} prompts{loss})", soft_wrap=True)
    if not found.ready:
        raise typer.Exit(1)


def chat(
    model: Annotated[str, typer.Argument(help="the model, or its run directory")],
    against: Annotated[str | None, typer.Option(help="another one, shown beside it")] = None,
    prompt: Annotated[str | None, typer.Option(help="ask this and leave, instead of a conversation")] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="longest answer, tokens")] = 256,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Ask one model, or two side by side. Each question stands alone; an empty line or Ctrl-D ends."""
    from preferably.api import model_directory
    from preferably.evaluation.compare import answers
    from preferably.feedback.records import Group, Message
    from preferably.models.loading import load
    from preferably.models.sampler import Decoding

    console = Console(highlight=False)
    names = [model] if against is None else [model, against]
    models = [load(model_directory(name), device=device, dtype=dtype) for name in names]
    decoding = Decoding(temperature=temperature, max_tokens=max_tokens)
    turn = 0
    while True:
        try:
            question = prompt if prompt is not None else console.input("[bold]you[/bold] > ")
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if not question.strip():
            return
        group = Group((Message("user", question),))
        try:
            replies = [answers(each, [group], decoding, seed=seed + turn)[0][0].text.strip() for each in models]
        except DataError as error:
            if prompt is not None:
                raise
            console.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
            continue
        table = Table(expand=True, show_edge=False, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(escape(name), ratio=1, overflow="fold")
        table.add_row(*(escape(_visible(reply)) or "[dim](nothing)[/dim]" for reply in replies))
        console.print(table)
        turn += 1
        if prompt is not None:
            return


def report(
    runs: Annotated[list[Path], typer.Argument(help="a run directory, or several to compare")],
    output: Annotated[Path | None, typer.Option(help="page of a comparison; default: comparison.html")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="serve a page that refreshes itself while the run goes")
    ] = False,
    port: Annotated[int, typer.Option(help="of the page with --watch; 0 is any that is free")] = 0,
) -> None:
    """Make the page and the model card of a run anew from its files; of several runs, a page that compares them.

    With --watch, show one run as it trains, on this machine only (127.0.0.1), until Ctrl-C.
    """
    console = Console(highlight=False)
    if len(runs) > 1 and watch:
        raise ConfigError(f"--watch shows one run; got {len(runs)}. Start the command once for each.")
    if len(runs) == 1 and output is not None:
        raise ConfigError("--output is for a comparison of several runs; the page of one run goes into its directory.")
    if watch:
        from preferably.reporting.server import serve

        serve(runs[0], port=port, ready=lambda address: console.print(f"{address}  (Ctrl-C ends it)", soft_wrap=True))
        return
    from preferably import api

    made = api.report(runs[0]) if len(runs) == 1 else api.compare_runs(runs, output=output or "comparison.html")
    console.print(str(made), soft_wrap=True)


def _visible(text: str) -> str:
    """Model text without control characters, which could drive the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
