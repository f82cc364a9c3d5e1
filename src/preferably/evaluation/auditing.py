"""Each audit from its options to what it found, as the commands and the stages of a job have it done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preferably.data.load import load_feedback, load_prompts
from preferably.errors import ConfigError
from preferably.evaluation.abstaining import ASKS
from preferably.evaluation.audit import Audit, Progress, silent
from preferably.evaluation.honesty import audit_honesty
from preferably.evaluation.memory import remembering
from preferably.evaluation.payers import contrasts, paid, paid_by_labelers
from preferably.evaluation.questions import Question, Reply, holds, questions_of
from preferably.evaluation.raters import rater_named
from preferably.evaluation.relearning import STEPS, Relearning
from preferably.evaluation.safety import asked_of, audit_safety, look_alikes
from preferably.evaluation.suppression import Sides, audit_suppression
from preferably.evaluation.unwanted import Detector, cases_of
from preferably.evaluation.ways import PREFILLS, TEMPERATURES
from preferably.feedback.records import Group
from preferably.functions import load_function
from preferably.judging.described import deciders, judged_by
from preferably.judging.judge import ScoreFunction
from preferably.judging.named import decided_by
from preferably.models.loading import Loaded, load, model_directory
from preferably.models.sampler import Decoding
from preferably.statistics.shares import Share
from preferably.training.run_directory import RunDirectory

Begins = Callable[[str, int | None], Progress]  # told of a step and its total; what it gives is told of each done
Note = Callable[[str], None]
Replied = Callable[[Sequence[Question], Sequence[Sequence[Reply]]], None]


def unseen(name: str, total: int | None) -> Progress:
    """Shows nobody."""
    return silent


def unsaid(text: str) -> None:
    """Says it to nobody."""


def suppression(
    model: str, against: str, *, data: str, control: str | None = None, unwanted: str = "", pattern: str = "",
    judge: str | None = None, prefill: Sequence[int] = PREFILLS, temperatures: Sequence[float] = TEMPERATURES,
    relearn: bool = True, relearn_data: str | None = None, steps: Sequence[int] = STEPS,
    relearn_rate: float | None = None, samples: int = 4, temperature: float = 0.7, max_tokens: int = 64,
    limit: int | None = None, seed: int = 0, device: str = "auto", dtype: str = "auto", begins: Begins = unseen,
    note: Note = unsaid,
) -> Audit:  # fmt: skip
    """The audit of `preferably audit suppression`, whose options these are: models are named, files are read. What is
    wrong with them is raised before a model is loaded."""
    if relearn and not steps:
        raise ConfigError("Relearning needs steps after which it is asked, such as 1,5,10; or --no-relearn.")
    rater = rater_named(judge) if judge else None
    score = rater.score if rater else None
    prompts = prompts_of(data, limit, note)
    cases = cases_of(prompts, text=unwanted, pattern=pattern, judged=bool(judge))
    demonstrations = tuple(load_feedback([relearn_data], "demonstrations").groups) if relearn_data else ()
    names = {"model": model, "against": against} | ({"control": control} if control else {})
    loaded = load_all(names, device, dtype)
    asking, training = begins("asking", None), begins("relearning", None) if relearn else silent
    how = Relearning(tuple(steps), demonstrations, samples=samples, learning_rate=relearn_rate, tell=training)
    found = audit_suppression(
        Sides(loaded["model"], loaded["against"], loaded.get("control")), cases, detector=Detector(score),
        decoding=Decoding(temperature, max_tokens=max_tokens), samples=samples, temperatures=tuple(temperatures),
        prefills=tuple(prefill), relearning=how if relearn else None, seed=seed, progress=asking,
    )  # fmt: skip
    return by(remembering(found, model, against, prompts, note), rater.judged_by() if rater else None)


def honesty(
    model: str, against: str, *, data: str, checker: str | None = None, stated: bool = False,
    judge: Sequence[str] = (), feedback: Sequence[str] = (), learnt: Sequence[str] = (), unsure: str = "",
    samples: int = 1, temperature: float = 0.7, max_tokens: int = 64, limit: int | None = None, seed: int = 0,
    device: str = "auto", dtype: str = "auto", begins: Begins = unseen, note: Note = unsaid,
    replied: Replied | None = None,
) -> Audit:  # fmt: skip
    """The audit of `preferably audit honesty`, whose options these are; `replied` is shown the questions and what both
    models said, the audited one first. Who has nothing to say raises no finding where nobody named them (`learnt`), and
    no judge where no reply is wrong and sure."""
    score, judges = function_named(checker), {name: decided_by(name)[0] for name in judge}
    prompts = prompts_of(data, limit, note)
    questions = questions_of(prompts, checked=score is not None)
    said = _paid_by_labelers([*feedback, *learnt], questions, note) if feedback or learnt else None
    if learnt and said is None:
        note("No comparison that it learnt from is about these questions: whether labelers pay for bluffs is not told.")
    payers = {"labelers": said} if feedback or said is not None else {}
    loaded = load_all({"model": model, "against": against}, device, dtype)

    def keep(replies: Sequence[Sequence[Reply]]) -> Mapping[str, Share | None]:
        if replied is not None:
            replied(questions, replies)
        groups = contrasts(questions, replies, unsure=unsure) if judges else []
        return {name: paid(one, groups) for name, one in judges.items()} if groups else {}

    found = audit_honesty(
        loaded["model"], loaded["against"], questions, checker=score, samples=samples, seed=seed,
        decoding=Decoding(temperature, max_tokens=max_tokens), suffix=ASKS if stated else "", payers=payers,
        progress=begins("answering", 2 * len(questions)), keep=keep,
    )  # fmt: skip
    found = remembering(found, model, against, prompts, note)
    return by(found, judged_by([one for each in judges.values() for one in deciders(each)]))


def safety(
    model: str, against: str, *, data: str | None = None, judge: str | None = None, samples: int = 1,
    temperature: float = 0.7, max_tokens: int = 128, limit: int | None = None, seed: int = 0, device: str = "auto",
    dtype: str = "auto", begins: Begins = unseen, note: Note = unsaid,
) -> Audit:  # fmt: skip
    """The audit of `preferably audit safety`, whose options these are."""
    rater = rater_named(judge) if judge else None
    asked = asked_of(prompts_of(data, limit, note)) if data else look_alikes()[:limit]
    loaded = load_all({"model": model, "against": against}, device, dtype)
    found = audit_safety(
        loaded["model"], loaded["against"], asked, judge=rater.score if rater else None, judge_name=judge or "",
        samples=samples, seed=seed, decoding=Decoding(temperature, max_tokens=max_tokens),
        progress=begins("answering", 2 * len(asked)),
    )  # fmt: skip
    found = remembering(found, model, against, [one.prompt for one in asked], note)
    return by(found, rater.judged_by() if rater else None)


def kept(found: Audit, run: str | Path) -> Path:
    """Write an audit into a run directory; where. Raises what writing raises."""
    directory = RunDirectory(Path(run))
    directory.make()
    directory.write_json(name_of(found.name), found.as_json())
    return directory.path / name_of(found.name)


def name_of(audit: str) -> str:
    """The file of an audit in a run directory."""
    return f"evaluation/audit_{audit}.json"


def by(found: Audit, decided: list[dict[str, Any]] | None) -> Audit:
    """The audit with the models that decided, and what asking them took."""
    return replace(found, facts={**found.facts, "judged_by": decided})


def prompts_of(data: str, limit: int | None, note: Note = unsaid) -> list[Group]:
    """The prompts of a file; `note` is told what became of its rows."""
    loaded = load_prompts([data], limit)
    loaded.accounting.warned.pop("unread_column", None)  # what else the rows hold is what an audit reads
    note(loaded.accounting.describe())
    return loaded.groups


def load_all(names: Mapping[str, str], device: str, dtype: str) -> dict[str, Loaded]:
    """Each model once, however often it is named."""
    known = {name: load(model_directory(name), device=device, dtype=dtype) for name in dict.fromkeys(names.values())}
    return {side: known[name] for side, name in names.items()}


def function_named(name: str | None) -> ScoreFunction | None:
    """The user's function; None without a name."""
    return None if name is None else load_function(name)


def _paid_by_labelers(feedback: Sequence[str], questions: Sequence[Question], note: Note) -> Share | None:
    """What labelers prefer, in files of comparisons and stores: of all rows that can be used, told with the others."""
    loaded = load_feedback(feedback, "rankings", max_rejected=1.0)
    note(loaded.accounting.describe())
    return paid_by_labelers(loaded.records, questions, lambda one, text: holds(one, text) if one.answers else None)
