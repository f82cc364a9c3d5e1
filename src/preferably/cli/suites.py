"""`preferably suite`: known evaluations, from local files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from preferably.cli import boards, deciders, flagged
from preferably.cli.evaluating import Device, Dtype

if TYPE_CHECKING:
    from preferably.data.accounting import Accounting
    from preferably.evaluation.following import Following
    from preferably.evaluation.reward_bench import RewardBench, Weighted
    from preferably.evaluation.suite_runs import Judged
    from preferably.statistics.shares import Share

app = typer.Typer(help="Known evaluations, from local files (docs/evaluation-suites.md).", no_args_is_help=True)

Model = Annotated[str | None, typer.Option(help="the model, or its run directory")]
Outputs = Annotated[Path | None, typer.Option(help="what the model answered already, instead of --model")]
JudgeName = Annotated[
    str, typer.Option(help="a judge's .yaml file, [judge:]module:function, or a reward model (docs/judges.md)")
]
Into = Annotated[Path, typer.Option(help="directory for the judgments, the answers and the figures")]
Name = Annotated[str | None, typer.Option(help="what the model is called in the files; default: its own name")]
Temperature = Annotated[float, typer.Option(help="0 is greedy")]
MaxTokens = Annotated[int, typer.Option(help="longest answer, tokens")]
Limit = Annotated[int | None, typer.Option(help="use only so many questions")]
Seed = Annotated[int, typer.Option(help="of the sampling and of the intervals")]


@app.command("alpaca-eval")
def alpaca_eval(
    data: Annotated[Path, typer.Option(help="the baseline's outputs: instruction, output, generator")],
    judge: JudgeName,
    output: Into,
    model: Model = None,
    outputs: Outputs = None,
    name: Name = None,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 1024,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """A model against a baseline's outputs, by a judge, in AlpacaEval's format; `preferably board` reads what is
    written."""
    from preferably.evaluation.suite_runs import run_alpaca_eval

    how: dict[str, Any] = {"model": model, "outputs": outputs, "name": name, "limit": limit, "seed": seed}
    found = _judged(partial(run_alpaca_eval, data, judge, output, **how), temperature, max_tokens, device, dtype)
    _show_judged(found, "instructions", output / "alpaca_eval" / "annotations.json")


@app.command("mt-bench")
def mt_bench(
    data: Annotated[Path, typer.Option(help="questions: question_id, category, turns, reference")],
    against: Annotated[Path, typer.Option(help="the other model's answers: question_id, model_id, choices")],
    judge: JudgeName,
    output: Into,
    model: Model = None,
    outputs: Outputs = None,
    name: Name = None,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 1024,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """A model against another's answers to questions of several turns, by a judge, in MT-bench's format."""
    from preferably.evaluation.suite_runs import run_mt_bench

    how: dict[str, Any] = {"model": model, "outputs": outputs, "name": name, "limit": limit, "seed": seed}
    found = _judged(partial(run_mt_bench, data, against, judge, output, **how), temperature, max_tokens, device, dtype)
    _show_judged(found, "turns", output / "mt_bench" / "judgments.jsonl")


@app.command("reward-bench")
def reward_bench(
    data: Annotated[Path, typer.Option(help="pairs: prompt, chosen, rejected, subset")],
    model: Annotated[str, typer.Option(help="the reward model, or its run directory")],
    output: Annotated[Path | None, typer.Option(help="directory for evaluation/reward_bench.json")] = None,
    limit: Limit = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """How often a reward model prefers the better answer, by subset and section; equal scores are wrong."""
    from preferably.evaluation.suite_runs import run_reward_bench

    found, account = run_reward_bench(data, model, output=output, limit=limit, device=device, dtype=dtype)
    _show_reward_bench(Console(highlight=False), found, account)


@app.command("ifeval")
def ifeval(
    data: Annotated[Path, typer.Option(help="prompts: key, prompt, instruction_id_list, kwargs")],
    model: Model = None,
    responses: Annotated[Path | None, typer.Option(help="responses, instead of --model: prompt, response")] = None,
    language: Annotated[
        str | None, typer.Option(help="detector of languages, module:function: a text to a code such as en")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="directory for the figures and each prompt")] = None,
    temperature: Temperature = 0.0,
    max_tokens: MaxTokens = 1024,
    limit: Limit = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """How often checkable instructions are followed, by prompt and by instruction, strictly and loosely."""
    from preferably.cli.watching import watching
    from preferably.evaluation.suite_runs import run_ifeval
    from preferably.models.sampler import Decoding

    with watching(quiet=model is None) as watch:
        task = watch.stage("answering")
        done = run_ifeval(
            data, model=model, responses=responses, language=language, output=output,
            decoding=Decoding(temperature, max_tokens=max_tokens), limit=limit, seed=seed,
            progress=lambda prompts: watch.bars.advance(task, prompts), note=watch.note,
            device=device, dtype=dtype,
        )  # fmt: skip
    console = Console(highlight=False)
    _show_rejects(console, done.accounting)
    _show_following(console, done.result, done.too_long)


def _judged(
    run: "Callable[..., Judged]", temperature: float, max_tokens: int, device: str, dtype: str
) -> "Judged":  # fmt: skip
    """A suite with a judge, watched."""
    from preferably.cli.watching import watching
    from preferably.models.sampler import Decoding

    with watching() as watch:
        task = watch.stage("answering")
        return run(
            decoding=Decoding(temperature, max_tokens=max_tokens), note=watch.note, device=device, dtype=dtype,
            progress=lambda done: watch.bars.advance(task, done),
        )  # fmt: skip


def _show_judged(found: "Judged", what: str, written: Path) -> None:
    console = Console(highlight=False)
    boards.show(console, found.board)
    left_out = {
        f"{what} left out, as they leave the model no room to answer": found.too_long,
        "answers of one side to what the other did not answer": found.unmatched,
    }
    for text, count in left_out.items():
        if count:
            console.print(f"[yellow]{count:,} {text}[/yellow]", soft_wrap=True)
    if not found.board.entries:  # a board of annotations shows its flags itself
        flagged.show(console, found.flags)
    deciders.show(console, found.judged_by)
    console.print(f"written  {written}", soft_wrap=True)


def _show_rejects(console: Console, account: "Accounting") -> None:
    if account.rejects:
        console.print(f"[yellow]{escape(account.describe())}[/yellow]", soft_wrap=True)


def _show_reward_bench(console: Console, found: "RewardBench", account: "Accounting") -> None:
    _show_rejects(console, account)
    made = boards.table("", "accuracy", "95%", "pairs")
    made.add_row("[bold]all pairs[/bold]", *_figures(found.accuracy))
    for name, section in found.sections.items():
        made.add_row(f"[bold]{name}[/bold]", *_figures(section))
    if found.overall is not None:
        made.add_row("[bold]mean of the sections[/bold]", *_figures(found.overall))
    for name, cell in found.subsets.items():
        made.add_row(escape(name), *_figures(cell))
    console.print(made)
    console.print(f"{found.ties} pairs with equal scores, which count as wrong; {found.unread} that it cannot read")
    if found.overall is None:
        lacking = [name for section in found.sections.values() for name in section.lacking]
        why = f"subsets are not in the file ({', '.join(lacking)})" if lacking else "a section is not in the file"
        console.print(f"[yellow]the mean of the sections is not told: {escape(why)}[/yellow]", soft_wrap=True)
    if found.unknown:
        console.print(f"[yellow]of no section: {escape(', '.join(found.unknown))}[/yellow]", soft_wrap=True)


def _show_following(console: Console, found: "Following", too_long: int) -> None:
    made = boards.table("", "strict", "95%", "loose", "95%", "n")
    strict, loose = found.strict, found.loose
    for title, one, other in (
        ("prompts, all instructions followed", strict.prompts, loose.prompts),
        ("instructions followed", strict.instructions, loose.instructions),
    ):
        made.add_row(f"[bold]{title}[/bold]", *_figures(one)[:2], *_figures(other))
    for name, (one, other) in found.kinds.items():
        made.add_row(escape(name), *_figures(one)[:2], *_figures(other))
    console.print(made)
    left_out = {
        "prompts not checked, as only a detector of languages could (--language): in none of the figures":
            found.not_checked,
        "prompts whose capital or small letters were checked and whose English was not": found.case_alone,
        "prompts that leave the model no room to answer: in none of the figures": too_long,
        "prompts without a response: in none of the figures": found.unanswered - too_long,
        "responses to no prompt of the file": found.unmatched,
    }  # fmt: skip
    for text, count in left_out.items():
        if count:
            console.print(f"[yellow]{count:,} {text}[/yellow]", soft_wrap=True)
    flagged.show(console, found.flags, {"model": "the responses"})


def _figures(cell: "Share | Weighted") -> tuple[str, str, str]:
    return f"{cell.value:.4f}", f"{cell.interval.low:.3f} to {cell.interval.high:.3f}", f"{cell.n:,}"
