"""The steps as plain functions, as a user's own program calls them; the commands are these functions and printing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preferably.config import TrainSettings, settings
from preferably.data.load import load_feedback
from preferably.errors import ConfigError, DataError
from preferably.evaluation.asking import answers_in, ask, prompts_in
from preferably.evaluation.attribution import By, Explained
from preferably.evaluation.attribution import explain as explained
from preferably.evaluation.best_of import answering
from preferably.evaluation.best_of import sample as sample
from preferably.evaluation.compare import compare, measure_kl, store, with_room
from preferably.evaluation.kept_answers import KeptAnswers, Note, silent
from preferably.evaluation.memory import seen as seen
from preferably.evaluation.people import by_people as by_people
from preferably.evaluation.preference import PreferenceAccuracy, held_out_pairs, rank_pairs
from preferably.evaluation.readiness import Readiness
from preferably.evaluation.rewards import RewardReport
from preferably.evaluation.rewards import evaluate_reward as evaluation_of_rewards
from preferably.evaluation.several import evaluate_several as evaluate_several
from preferably.evaluation.winrate import WinRate
from preferably.feedback.records import Group
from preferably.feedback.worth import Worth
from preferably.functions import load_function
from preferably.judging.judge import Judge, ScoreFunction, name_of
from preferably.judging.named import decided_by
from preferably.judging.reward import scorer_of
from preferably.models.loading import Loaded, load, load_reward, model_directory
from preferably.models.sampler import Decoding
from preferably.reporting.card import card, write_card
from preferably.reporting.comparison import render_comparison
from preferably.reporting.explanation import render_explanation
from preferably.reporting.report import render_report
from preferably.training import parallel
from preferably.training.alarms import Warning
from preferably.training.closing import Progress
from preferably.training.disk import telling
from preferably.training.export import Export
from preferably.training.export import export as export_run
from preferably.training.fitting import Fitted
from preferably.training.fitting import fit_reward as fit
from preferably.training.plan import Plan
from preferably.training.plan import plan as plan_run
from preferably.training.run import Run
from preferably.training.run import train as train_settings
from preferably.training.run_directory import RunDirectory

Model = str | Path | Loaded
READY_PROMPTS, READY_TOKENS, READY_KNOWN = 32, 128, 128


def train(
    method: str, *, model: str | Path, data: str | Path | Sequence[str | Path] | Sequence[Group] = (),
    output: str | Path, resume: bool = False, progress: Progress | None = None, **options: Any,
) -> Run:  # fmt: skip
    """Train `model` by `method` on `data` (files, or groups made in memory) into the run directory `output`.

    `options` are settings (`preferably train --help`). A model that cannot do the task yet is told so before preference
    training begins, which then goes on. Raises a `PreferablyError` for anything that you can mend.
    """
    chosen, groups = _chosen(method, model, data, output, options)

    def ready(loaded: Loaded, held_out: Sequence[Group]) -> list[Warning]:
        found = _check_ready(loaded, held_out, Path(chosen.output))
        for warning in found:
            (progress or Progress()).warn(warning.code, warning.message, warning.advice)
        return found

    before = ready if _asks_ready(chosen) else None
    run = train_settings(chosen, groups=groups or None, resume=resume, progress=progress, before=before)
    if parallel.is_main():
        if chosen.row.scores and run.held_out and run.stopped_by is None:
            _hold_against_its_own(run.path, progress or Progress())
        else:
            report(run.path)
    return run


def fit_reward(
    model: str | Path, *, data: str | Path | Sequence[str | Path] | Sequence[Group], output: str | Path,
    progress: Progress | None = None, **options: Any,
) -> tuple[Fitted, RewardReport | None]:  # fmt: skip
    """Fit a reward that is linear in what `model` sees, to a few hundred verdicts, into the run directory `output`; and
    what it is worth on the part that was held out. `options` are those settings of `train` that say what is read."""
    chosen, groups = _chosen("reward", model, data, output, options)
    fitted = fit(chosen, groups=groups or None, progress=progress)
    if not fitted.held_out:
        return fitted, None
    return fitted, _hold_against_its_own(fitted.path, progress or Progress())


def _hold_against_its_own(path: Path, progress: Progress) -> RewardReport | None:
    """What a new reward model is worth on its held-out part, which may hold no pair to rank: that is told, and the
    model is there all the same."""
    try:
        return evaluate_reward(path, data=path / "held_out.jsonl", output=path)
    except DataError as error:
        progress.warn("not_evaluated", str(error), "hold out more rows, or evaluate it on others")
        report(path)
        return None


def plan(
    method: str, *, model: str | Path, data: str | Path | Sequence[str | Path] | Sequence[Group] = (),
    output: str | Path, **options: Any,
) -> Plan:  # fmt: skip
    """What `train` with the same arguments would do, hold in memory and take in time. It trains and leaves nothing.

    The data is read and cut into its micro-batches; the model is tried for a few seconds, unless it would not fit.
    """
    chosen, groups = _chosen(method, model, data, output, options)
    ready = (READY_PROMPTS, READY_TOKENS) if _asks_ready(chosen) else (0, 0)
    return plan_run(chosen, groups=groups or None, ready=ready)


def evaluate(
    model: Model,
    *,
    against: Model,
    data: str | Path | Sequence[Group],
    judge: str | ScoreFunction | Judge,
    output: str | Path | None = None,
    temperature: float = 0.7,
    max_tokens: int = 256,
    samples: int = 1,
    limit: int | None = None,
    seed: int = 0,
    kl: bool = True,
    best_of: int | None = None,
    reward: Sequence[str] = (),
    slices: Sequence[str] = (),
    axes: Mapping[str, str | ScoreFunction | Judge] | None = None,
    progress: Callable[[int], None] | None = None,
    note: Note = silent,
    **loading: Any,
) -> WinRate:
    """How often `judge` prefers the answers of `model` to those of `against` on held-out prompts.

    `judge` is a score function or its name, `module:function`: `score(prompts, completions)` gives a list of numbers,
    or None where it cannot tell; or a judge of pairs or its name (`judging.named.judge_of`): a language model on a
    server as a YAML file describes it, a reward model. With `output` (a run directory) the result, samples and KL are
    written there, and its report is made anew; for a run on pairs those that it held out are ranked too, beside the win
    rate.
    With `best_of` each answer of `model` is the best of so many by `reward`; that has a file of its own there. `slices`
    are columns of the prompts' rows, `axes` judges of one axis each: the win rate is told by these too.
    Answers are kept under `output` before they are judged, so the same call goes on where the judge fails; `note` is
    told where it does.
    """
    decides, score = decided_by(judge)
    by_axis = {name: decided_by(one)[0] for name, one in (axes or {}).items()}
    ours, theirs = _loaded(model, **loading), _loaded(against, **loading)
    prompts, too_long = with_room(prompts_in(data, limit), [ours, theirs], max_tokens)
    if not prompts:
        raise DataError(f"None of {too_long} prompts leaves room to answer in the context of these models.")
    decoding = Decoding(temperature=temperature, max_tokens=max_tokens)
    how: dict[str, Any] = {"samples": samples, "seed": seed, "progress": progress}
    answer, more = answering(reward, best_of, **loading)
    how |= {"answer": answer, "slices": slices, "axes": by_axis, "kept": KeptAnswers(output, note)}
    result = compare(ours, theirs, prompts, decides, decoding, **how)
    if output is not None:
        shared = ours.tokenizer.get_vocab() == theirs.tokenizer.get_vocab()
        own = kl and shared and not more  # of the best of several it is not known
        drift = measure_kl(ours, theirs, prompts[:128], max_tokens=max_tokens, seed=seed) if own else None
        store(
            result, Path(output), judge=judge if isinstance(judge, str) else name_of(judge),
            model=ours.name, against=theirs.name, kl=drift, scores=score, too_long=too_long,
            name=f"win_rate@best-of-{best_of}" if more else "win_rate", more=more,
        )  # fmt: skip
        if shared and (pairs := held_out_pairs(Path(output))):
            ranked = rank_pairs(ours, theirs, pairs)
            RunDirectory(Path(output)).write_json("evaluation/preference_accuracy.json", ranked.as_json())
        report(output)
    return result.result


def rank(
    model: Model,
    *,
    against: Model,
    data: str | Path,
    output: str | Path | None = None,
    limit: int | None = None,
    **loading: Any,
) -> PreferenceAccuracy:
    """Held-out preference accuracy by implicit reward of `model` over `against`, on the pairs in `data`.

    With `output` (a run directory) it is written there, and its report is made anew. Raises `ModelError` for models
    with different tokenizers, whose log-probs cannot be subtracted.
    """
    ours, theirs = _loaded(model, **loading), _loaded(against, **loading)
    found = rank_pairs(ours, theirs, load_feedback([data], "pairs", limit=limit).groups)
    if output is not None:
        RunDirectory(Path(output)).make()
        RunDirectory(Path(output)).write_json("evaluation/preference_accuracy.json", found.as_json())
        report(output)
    return found


def evaluate_reward(
    model: Model, *, data: str | Path | Sequence[str | Path], output: str | Path | None = None, **loading: Any
) -> RewardReport:
    """What the reward model `model` is worth against the verdicts in `data`: accuracy, where, and calibration.

    With `output` (a run directory) it is written there, and its report is made anew. Raises `DataError` where there is
    no pair.
    """
    loaded = _reward(model, **loading)
    files = [data] if isinstance(data, str | Path) else list(data)
    found = evaluation_of_rewards(loaded, load_feedback(files, "rankings").records)
    if output is not None:
        RunDirectory(Path(output)).make()
        RunDirectory(Path(output)).write_json("evaluation/reward_model.json", found.as_json())
        report(output)
    return found


@dataclass(frozen=True, slots=True)
class Explanation:
    """The completions of a prompt with what each of their pieces adds to the score, and the names of the axes."""

    axes: tuple[str, ...]
    completions: list[Explained]


def explain(
    model: Model, group: Group, *, by: By = "sentences", output: str | Path | None = None, **loading: Any
) -> Explanation:
    """Why the reward model `model` scores the completions of `group` as it does; `output` is a page to write."""
    loaded = _reward(model, **loading)
    axes, found = scorer_of(loaded).axes, explained(loaded, group, by=by)
    if output is not None:
        told = [asdict(one) for one in found]
        render_explanation(Path(output), model=loaded.name, prompt=group.prompt_text, axes=axes, completions=told)
    return Explanation(axes, found)


def agreement(store: str | Path, *, leads: Sequence[str] = (), seed: int = 0) -> Worth:
    """What the judgments in a store are worth: who agrees, who is reliable, who leans or drifts, what is disputed.

    `leads` are labelers that count as leads beside those whom the store has as such; `seed` draws resamples. Raises
    `DataError` where there is no store, or no verdict in it, and `ConfigError` for a lead who said nothing.
    """
    from preferably.feedback.store.labels_read import worth_in
    from preferably.feedback.store.store import Store

    with Store(store, create=False) as opened:
        return worth_in(opened, leads=leads, seed=seed)


def check(
    model: Model,
    *,
    data: str | Path | Sequence[Group],
    checker: str | ScoreFunction | None = None,
    wanted: str | Callable[[str], bool] | None = None,
    samples: int = 4,
    max_tokens: int = 256,
    limit: int = 64,
    seed: int = 0,
) -> Readiness:
    """Can `model` do the task at all? By `checker` (a score function: 1 is right) where there is one, and by form.

    `wanted` is the format of a whole reply: a regular expression, or a function. Where `data` has answers too, the loss
    on them is told. Prompts that leave no room to answer are left out; `Readiness.prompts` says how many were asked.
    """
    loaded = _loaded(model)
    prompts, too_long = with_room(prompts_in(data, limit), [loaded], max_tokens)
    if not prompts:
        raise DataError(f"None of {too_long} prompts leaves room to answer in the context of {loaded.name}.")
    score = load_function(checker) if isinstance(checker, str) else checker
    how: dict[str, Any] = {"samples": samples, "seed": seed, "check": score, "wanted": wanted}
    return ask(loaded, prompts, Decoding(0.7, max_tokens=max_tokens), known=answers_in(data, limit), **how)


def report(run: str | Path) -> Path:
    """Write `report.html` and `MODEL_CARD.md` of a run directory from its files."""
    if not (Path(run) / "evaluation").is_dir() and not (Path(run) / "status.json").exists():
        raise ConfigError(f"{run} is not a run directory: it holds neither status.json nor evaluation/.")
    with telling(Path(run) / "report.html"):
        write_card(Path(run))
        return render_report(Path(run))


def compare_runs(runs: Sequence[str | Path], *, output: str | Path = "comparison.html") -> Path:
    """Write a page that compares two or more run directories: settings that differ, win rates, warnings, curves."""
    return render_comparison([Path(run) for run in runs], Path(output))


def export(
    run: str | Path,
    output: str | Path,
    *,
    adapter: bool = False,
    dtype: str = "same",
    checkpoint: str | int | None = None,
) -> Export:
    """Write the model of a run to the new directory `output`, for plain transformers (or peft), and prove it.

    `adapter`: the adapters of a LoRA run alone, else merged. `dtype`: `same` (float32, as trained), `float32` or
    `bfloat16`. `checkpoint`: `best`, `last` or a step; by default what the run made, or would make, its model.
    """
    text = card(Path(run), "peft" if adapter else "transformers")
    return export_run(Path(run), Path(output), adapter=adapter, dtype=dtype, checkpoint=checkpoint, card=text)


def _chosen(
    method: str, model: str | Path, data: Any, output: str | Path, options: dict[str, Any]
) -> tuple[TrainSettings, list[Group]]:
    """The settings, and the groups where `data` is groups rather than files."""
    items = [data] if isinstance(data, str | Path) else list(data)
    groups = [item for item in items if isinstance(item, Group)]
    files = [str(item) for item in items if not isinstance(item, Group)]
    if groups and files:
        raise ConfigError("data holds both groups and files; give one kind.")
    values = {"method": method, "model": model_directory(model), "data": files, "output": output} | options
    return settings(values), groups


def _asks_ready(chosen: TrainSettings) -> bool:
    """Whether the method shapes what the model can do already: demonstrations teach, and a scorer does no task."""
    return chosen.row.feedback in ("pairs", "labels", "prompts")


def _check_ready(loaded: Loaded, held_out: Sequence[Group], output: Path) -> list[Warning]:
    distinct = list({group.prompt: Group(group.prompt) for group in held_out if group.prompt}.values())
    prompts, _ = with_room(distinct, [loaded], READY_TOKENS)
    if not prompts:
        return []
    decoding = Decoding(0.7, max_tokens=READY_TOKENS)
    found = ask(loaded, prompts[:READY_PROMPTS], decoding, samples=1, known=held_out[:READY_KNOWN])
    RunDirectory(output).write_json("evaluation/readiness.json", found.as_json())
    if found.ready:
        return []
    return [
        Warning(0, "not_ready", found.verdict, "preferences shape what a model can do already; they teach no skill")
    ]


def _reward(model: Model, **loading: Any) -> Loaded:
    return model if isinstance(model, Loaded) else load_reward(model_directory(model), **loading)


def _loaded(model: Model, **loading: Any) -> Loaded:
    return model if isinstance(model, Loaded) else load(model_directory(model), **loading)
