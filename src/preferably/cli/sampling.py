"""`preferably sample`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from preferably.cli.evaluating import Device, Dtype
from preferably.cli.labeling import DEFAULT
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.evaluation.best_of import Sampled


def sample(
    data: Annotated[str, typer.Option(help="file of prompts")],
    output: Annotated[Path, typer.Option(help="a new file: .jsonl, .json, .csv or .parquet, also with .gz")],
    model: Annotated[str | None, typer.Option(help="the model, or its run directory")] = None,
    models: Annotated[str | None, typer.Option(help="instead: several, A,B; one on a server is a YAML file")] = None,
    prefer: Annotated[str | None, typer.Option(help="of two --models, whose answer is chosen: writes pairs")] = None,
    store: Annotated[
        str, typer.Option(help="where what servers of --models say is kept, and not paid twice")
    ] = DEFAULT,
    queue: Annotated[
        str | None, typer.Option(help="a store: people are to compare what was drawn (label serve)")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="completions a prompt")] = 1,
    reward: Annotated[
        list[str] | None,
        typer.Option(help="score them: [weight*]reward model, [judge:]module:function, ...; may be repeated"),
    ] = None,
    best_of: Annotated[
        int | None, typer.Option(min=1, help="draw so many a prompt, write the best by --reward")
    ] = None,
    missing_eos_penalty: Annotated[
        float, typer.Option(help="taken off the score of a completion that does not end")
    ] = 1.0,
    temperature: Annotated[float, typer.Option(help="0 is greedy")] = 0.7,
    top_p: Annotated[float, typer.Option(help="likeliest words that make up this share; 1 is all")] = 1.0,
    top_k: Annotated[int, typer.Option(help="so many likeliest words; 0 is all")] = 0,
    max_tokens: Annotated[int, typer.Option(help="longest completion, tokens")] = 256,
    limit: Annotated[int | None, typer.Option(help="use only so many prompts")] = None,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Draw completions for the prompts of a file, and write them as rows that can be trained on.

    With --best-of N the one of N that the reward likes best: the baseline that needs no training. With --models A,B
    what each of them answers, side by side: to be judged, or with --prefer as pairs.
    """
    if models is not None and not (model or reward or best_of or top_p != 1.0 or top_k):
        _may_queue(queue, len(models.split(",")) * samples if prefer is None else 1)
        _side_by_side(
            models.split(","), store, data=data, output=output, samples=samples, prefer=prefer, temperature=temperature,
            max_tokens=max_tokens, limit=limit, seed=seed, device=device, dtype=dtype,
        )  # fmt: skip
        return _queue(queue, output)
    if model is None or models is not None or prefer is not None:
        raise ConfigError(
            "Give --model; or --models A,B with --samples, --prefer, --temperature and --max-tokens alone."
        )
    _may_queue(queue, samples if best_of is None else 1)
    _drawn(
        model, data=data, output=output, samples=samples, reward=reward or (), best_of=best_of,
        missing_eos_penalty=missing_eos_penalty, temperature=temperature, top_p=top_p, top_k=top_k,
        max_tokens=max_tokens, limit=limit, seed=seed, device=device, dtype=dtype,
    )  # fmt: skip
    _queue(queue, output)


def _drawn(model: str, *, output: Path, best_of: int | None, **how: Any) -> None:
    from preferably import api
    from preferably.cli.watching import watching

    with watching() as watch:
        task = watch.stage("drawing")
        done = api.sample(
            model, output=output, best_of=best_of, **how,
            starting=lambda total: watch.bars.update(task, total=total),
            progress=lambda prompts: watch.bars.advance(task, prompts),
        )  # fmt: skip
    _show(done, output, best_of)


def _may_queue(queue: str | None, completions: int) -> None:
    """Refuse, before anything is drawn, what people could not compare."""
    if queue is not None and completions < 2:
        raise ConfigError("--queue wants something to compare: two or more completions a prompt (--samples, --models).")


def _queue(queue: str | None, output: Path) -> None:
    if queue is None:
        return
    from preferably.cli.label_serving import queue_rows

    queue_rows([str(output)], queue)


def _side_by_side(models: list[str], store: str, **how: Any) -> None:
    from preferably.cli.watching import watching
    from preferably.evaluation.side_by_side import side_by_side
    from preferably.feedback.store.kept_replies import KeptReplies

    names = [name.strip() for name in models]
    with watching() as watch:
        task = watch.stage("drawing")
        done = side_by_side(
            names, **how, replies=KeptReplies(store), starting=lambda total: watch.bars.update(task, total=total),
            progress=partial(watch.bars.advance, task),
        )  # fmt: skip
    console = Console(highlight=False)
    for what, count in {
        "prompts left out, as they leave a model no room to answer": done.too_long,
        "prompts left out, as a server gave no whole answer": done.failed,
        "prompts left out, as a model answered nothing": done.empty,
        "prompts left out, as all answers are the same": done.equal,
    }.items():
        if count:
            console.print(f"[yellow]{count:,} {what}[/yellow]", soft_wrap=True)
    console.print(Text(f"{done.rows:,} rows written to {how['output']}"), soft_wrap=True)


def _show(done: "Sampled", output: Path, best_of: int | None) -> None:
    console = Console(highlight=False)
    if done.mean is not None and done.mean_best is not None:
        of = f"; of the best one of each prompt {done.mean_best:.3f}"
        console.print(f"score {done.mean:.3f} in the mean over all completions{of}", soft_wrap=True)
    if best_of is not None:
        from preferably.statistics.best_of import most_kl

        console.print(
            f"KL of the best of {best_of} from the model, drawn like this: at most {most_kl(best_of):.2f} nats a "
            "completion (log n - (n - 1) / n)", soft_wrap=True,
        )  # fmt: skip
    left_out = {
        "prompts left out, as they leave no room to answer": done.too_long,
        "prompts left out, as the reward tells nothing of them"
        if best_of is not None
        else "prompts of which the reward tells nothing": done.unscored,
        "completions written that are empty, whose rows readers reject": done.empty,
        "completions written that the model did not end: raise --max-tokens": done.unfinished,
    }
    for what, count in left_out.items():
        if count:
            console.print(f"[yellow]{count:,} {what}[/yellow]", soft_wrap=True)
    console.print(Text(f"{done.rows:,} rows written to {output}"), soft_wrap=True)
