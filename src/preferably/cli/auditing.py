"""`preferably audit suppression`, `honesty`, `safety` and `run`: what a model hides, knows, refuses and lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.evaluation.audit import Audit
    from preferably.evaluation.questions import Question
    from preferably.feedback.records import Group
    from preferably.models.loading import Loaded

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
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps")]
Dtype = Annotated[str, typer.Option(help="auto, float32 or bfloat16")]
ScoreName = Annotated[str | None, typer.Option(help="module:function, 1 where it shows; default: by the rows' text")]


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
    from preferably.cli.watching import watching
    from preferably.data.load import load_feedback
    from preferably.evaluation.relearning import Relearning
    from preferably.evaluation.suppression import Sides, audit_suppression
    from preferably.evaluation.unwanted import Detector, cases_of
    from preferably.models.sampler import Decoding

    score = function_named(judge)
    cases = cases_of(prompts_of(data, limit), text=unwanted, pattern=pattern, judge=score)
    names = {"model": model, "against": against} | ({"control": control} if control else {})
    loaded = load_all(names, device, dtype)
    demonstrations = tuple(load_feedback([relearn_data], "demonstrations").groups) if relearn_data else ()
    with watching() as watch:
        task, training = watch.stage("asking"), watch.stage("relearning") if relearn else None
        how = Relearning(
            _numbers("--steps", steps, int), demonstrations, samples=samples, learning_rate=relearn_rate,
            tell=lambda done: watch.bars.advance(training, done) if training is not None else None,
        )  # fmt: skip
        found = audit_suppression(
            Sides(loaded["model"], loaded["against"], loaded.get("control")), cases, detector=Detector(score),
            decoding=Decoding(temperature, max_tokens=max_tokens), samples=samples,
            temperatures=_numbers("--temperatures", temperatures, float), prefills=_numbers("--prefill", prefill, int),
            relearning=how if relearn else None, seed=seed,
            progress=lambda done: watch.bars.advance(task, done),
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
    feedback: Annotated[str | None, typer.Option(help="comparisons of labelers: do they?")] = None,
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
    from preferably.cli.watching import watching
    from preferably.data.writers import ending_of, refuse_existing, write_rows
    from preferably.evaluation.abstaining import ASKS
    from preferably.evaluation.honest_pairs import honest_pairs
    from preferably.evaluation.honesty import audit_honesty
    from preferably.evaluation.payers import contrasts, paid
    from preferably.evaluation.questions import questions_of
    from preferably.judging.named import decided_by
    from preferably.models.sampler import Decoding

    if pairs is not None:
        ending_of(pairs)
        refuse_existing(pairs)
    score, judges = function_named(checker), {name: decided_by(name)[0] for name in judge or ()}
    questions = questions_of(prompts_of(data, limit), checked=score is not None)
    loaded = load_all({"model": model, "against": against}, device, dtype)
    kept: list[Any] = []

    def keep(replies: Any) -> dict[str, Any]:
        kept.extend(replies)
        groups = contrasts(questions, replies, unsure=unsure)
        return {name: paid(one, groups) for name, one in judges.items()}

    payers = {"labelers": _paid_by_labelers(feedback, questions)} if feedback else {}
    with watching() as watch:
        task = watch.stage("answering", 2 * len(questions))
        found = audit_honesty(
            loaded["model"], loaded["against"], questions, checker=score, samples=samples, seed=seed,
            decoding=Decoding(temperature, max_tokens=max_tokens), suffix=ASKS if stated else "", payers=payers,
            progress=lambda done: watch.bars.advance(task, done), keep=keep,
        )  # fmt: skip
    tell(found, model, output)
    if pairs is not None:
        made = honest_pairs(questions, [row[:samples] for row in kept], unsure=unsure)
        left = "".join(f"; {count} questions left out: {why}" for why, count in made.left_out.items())
        print(f"{write_rows(made.rows, pairs)} pairs written to {pairs}{left}")


@app.command("safety")
def safety(
    model: Model,
    against: Against,
    data: Annotated[str | None, typer.Option(help="your prompts: harmful (true, false), pair (a name)")] = None,
    judge: Annotated[str | None, typer.Option(help="module:function, 1 where a reply goes along")] = None,
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
    from preferably.cli.watching import watching
    from preferably.evaluation.safety import asked_of, audit_safety, look_alikes
    from preferably.models.sampler import Decoding

    score = function_named(judge)
    asked = asked_of(prompts_of(data, limit)) if data else look_alikes()
    loaded = load_all({"model": model, "against": against}, device, dtype)
    with watching() as watch:
        task = watch.stage("answering", 2 * len(asked))
        found = audit_safety(
            loaded["model"], loaded["against"], asked, judge=score, judge_name=judge or "", samples=samples, seed=seed,
            decoding=Decoding(temperature, max_tokens=max_tokens),
            progress=lambda done: watch.bars.advance(task, done),
        )  # fmt: skip
    tell(found, model, output)


def _paid_by_labelers(feedback: str, questions: "Sequence[Question]") -> Any:
    """What labelers prefer, in a file of comparisons or a store."""
    from preferably.data.load import load_feedback
    from preferably.evaluation.payers import paid_by_labelers
    from preferably.evaluation.questions import holds

    records = load_feedback([feedback], "rankings").records
    return paid_by_labelers(records, questions, lambda one, text: holds(one, text) if one.answers else None)


def prompts_of(data: str, limit: int | None) -> "list[Group]":
    """The prompts of a file, with an account of its rows."""
    from preferably.data.load import load_feedback

    loaded = load_feedback([data], "prompts", limit=limit)
    Console(stderr=True, highlight=False).print(Text(loaded.accounting.describe()), soft_wrap=True)
    return loaded.groups


def load_all(names: dict[str, str], device: str, dtype: str) -> "dict[str, Loaded]":
    """Each model once, however often it is named."""
    from preferably.models.loading import load, model_directory

    known = {name: load(model_directory(name), device=device, dtype=dtype) for name in dict.fromkeys(names.values())}
    return {side: known[name] for side, name in names.items()}


def function_named(name: str | None) -> Any:
    """The user's function; None without a name."""
    from preferably.functions import load_function

    return None if name is None else load_function(name)


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
    from preferably.training.run_directory import RunDirectory

    console = Console(highlight=False)
    show(console, found)
    target = output or (model if (Path(model) / "status.json").exists() else None)
    if target is None:
        return
    run = RunDirectory(Path(target))
    run.make()
    run.write_json(f"evaluation/audit_{found.name}.json", found.as_json())
    console.print(f"report  {api.report(target)}", soft_wrap=True)
