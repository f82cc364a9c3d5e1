"""`preferably audit suppression`, `honesty`, `safety` and `run`: what a model hides, knows, refuses and lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.evaluation.audit import Audit

app = typer.Typer(help="What a trained model hides, knows, refuses and lost.", no_args_is_help=True)

Model = Annotated[str, typer.Option(help="the model that is audited, or its run")]
Against = Annotated[str, typer.Option(help="the model before, as a rule what the run started from")]
Control = Annotated[str | None, typer.Option(help="a model that never learnt it: what nothing hidden looks like")]
Output = Annotated[str | None, typer.Option(help="run directory for the result; default: that of --model")]
Temperature = Annotated[float, typer.Option(help="of the replies; 0 is greedy")]
MaxTokens = Annotated[int, typer.Option(min=1, help="longest reply, tokens")]
Limit = Annotated[int | None, typer.Option(min=1, help="use only so many prompts")]
Seed = Annotated[int, typer.Option(help="of the sampling")]
Samples = Annotated[int, typer.Option(min=1, help="replies per prompt")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")]
Dtype = Annotated[str, typer.Option(help="auto, float32 or bfloat16")]
ScoreName = Annotated[str | None, typer.Option(help="1 where it shows: module:function or .yaml; default: by text")]


@app.command("suppression")
def suppression(
    model: Model,
    against: Against,
    data: Annotated[str, typer.Option(help="prompts that bring it out: unwanted, pattern, exhibit, paraphrases")],
    control: Control = None,
    unwanted: Annotated[str, typer.Option(help="what must not be said, for rows that do not say it")] = "",
    pattern: Annotated[str, typer.Option(help="the same as a regular expression")] = "",
    judge: ScoreName = None,
    prefill: Annotated[str, typer.Option(help="so many tokens of a reply that shows it are given")] = "1,2,5,10,20",
    temperatures: Annotated[str, typer.Option(help="that are tried beside --temperature")] = "0,1,1.5",
    relearn: Annotated[bool, typer.Option(help="train it back in, with LoRA, on copies")] = True,
    relearn_data: Annotated[str | None, typer.Option(help="demonstrations; default: half of the prompts")] = None,
    steps: Annotated[str, typer.Option(help="of relearning, after which it is asked")] = "1,5,10,50",
    relearn_rate: Annotated[float | None, typer.Option(help="its learning rate; default: as sft --lora")] = None,
    samples: Samples = 4,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 64,
    limit: Limit = None,
    seed: Seed = 0,
    output: Output = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:  # fmt: skip
    """Is an unwanted behavior gone, or only not shown? It is asked for in other ways, and trained back in."""
    from preferably.evaluation.auditing import suppression as audit

    tried: dict[str, Any] = {
        "prefill": _numbers("--prefill", prefill, int), "temperatures": _numbers("--temperatures", temperatures, float),
        "steps": _numbers("--steps", steps, int),
    }  # fmt: skip
    with watched() as shown:
        found = audit(
            model, against, data=data, control=control, unwanted=unwanted, pattern=pattern, judge=judge,
            relearn=relearn, relearn_data=relearn_data, relearn_rate=relearn_rate, samples=samples,
            temperature=temperature, max_tokens=max_tokens, limit=limit, seed=seed, device=device, dtype=dtype,
            **tried, **shown,
        )  # fmt: skip
    tell(found, model, output)


@app.command("honesty")
def honesty(
    model: Model,
    against: Against,
    data: Annotated[str, typer.Option(help="questions: answerable (true, false), answer (a text or several)")],
    checker: Annotated[str | None, typer.Option(help="module:function, 1 is right; default: by the answer")] = None,
    stated: Annotated[bool, typer.Option(help="ask how sure it is, behind each question")] = False,
    judge: Annotated[list[str] | None, typer.Option(help="judge or reward model: does it like bluffs?")] = None,
    feedback: Annotated[list[str] | None, typer.Option(help="comparisons about these questions: do labelers?")] = None,
    learnt: Annotated[list[str] | None, typer.Option(help="what it learnt from, which may be about others")] = None,
    pairs: Annotated[str | None, typer.Option(help="new file: pairs that reward doubt where due")] = None,
    unsure: Annotated[str, typer.Option(help="how it is to say so, where no reply of its own does")] = "",
    samples: Samples = 1,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 64,
    limit: Limit = None,
    seed: Seed = 0,
    output: Output = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:  # fmt: skip
    """Does it say "not sure" where there is no answer, and only there; and is its confidence worth anything?

    --pairs writes training data from its own replies: do not audit on the questions that you train on.
    """
    from preferably.data.writers import ending_of, refuse_existing, write_rows
    from preferably.evaluation.auditing import honesty as audit
    from preferably.evaluation.honest_pairs import honest_pairs

    if pairs is not None:
        ending_of(pairs)
        refuse_existing(pairs)
    said: list[Any] = []
    with watched() as shown:
        found = audit(
            model, against, data=data, checker=checker, stated=stated, judge=tuple(judge or ()),
            feedback=tuple(feedback or ()), learnt=tuple(learnt or ()), unsure=unsure, samples=samples,
            temperature=temperature, max_tokens=max_tokens, limit=limit, seed=seed, device=device, dtype=dtype,
            replied=lambda *both: said.append(both), **shown,
        )  # fmt: skip
    tell(found, model, output)
    if pairs is not None:
        [(questions, replies)] = said
        made = honest_pairs(questions, [row[:samples] for row in replies], unsure=unsure)
        left = "".join(f"; {count} questions left out: {why}" for why, count in made.left_out.items())
        print(f"{write_rows(made.rows, pairs)} pairs written to {pairs}{left}")


@app.command("safety")
def safety(
    model: Model,
    against: Against,
    data: Annotated[str | None, typer.Option(help="your prompts: harmful (true, false), pair (a name)")] = None,
    judge: Annotated[str | None, typer.Option(help="module:function or .yaml: 1 where a reply goes along")] = None,
    samples: Samples = 1,
    temperature: Temperature = 0.7,
    max_tokens: MaxTokens = 128,
    limit: Limit = None,
    seed: Seed = 0,
    output: Output = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:  # fmt: skip
    """Does it go along with what harms, and refuse what only sounds like it?

    Without --data only harmless prompts are asked, as no harmful ones come with the tool.
    """
    from preferably.evaluation.auditing import safety as audit

    with watched() as shown:
        found = audit(
            model, against, data=data, judge=judge, samples=samples, temperature=temperature, max_tokens=max_tokens,
            limit=limit, seed=seed, device=device, dtype=dtype, **shown,
        )  # fmt: skip
    tell(found, model, output)


@contextmanager
def watched() -> Iterator[dict[str, Any]]:
    """What an audit tells of its progress, as lines of a watch; an account of the rows that it read, above them."""
    from preferably.cli.watching import watching

    with watching() as watch:

        def begins(name: str, total: int | None) -> Callable[[int], None]:
            task = watch.stage(name, total)
            return lambda done: watch.bars.advance(task, done)

        yield {"begins": begins, "note": lambda text: watch.console.print(Text(text), soft_wrap=True)}


def _numbers(option: str, text: str, kind: type) -> tuple[Any, ...]:
    """`1,5,10` as numbers; none of an empty text."""
    try:
        found = tuple(sorted({kind(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        found = (-1,)
    if any(value < 0 or (kind is int and value < 1) for value in found):
        raise ConfigError(f"{option} is a list of numbers above 0, such as 1,5,10; got {text!r}.")
    return found


def tell(found: "Audit", model: str, output: str | None) -> None:
    """Print the audit and keep it with the run."""
    from preferably import api
    from preferably.cli.audited import show
    from preferably.evaluation.auditing import kept

    console = Console(highlight=False)
    show(console, found)
    target = output or (model if (Path(model) / "status.json").exists() else None)
    if target is not None:
        kept(found, target)
        console.print(Text(f"report  {api.report(target)}"), soft_wrap=True)
