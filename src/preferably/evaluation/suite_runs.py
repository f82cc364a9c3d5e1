"""Suites from files to files: what is asked, what the model answers, what is said of it, and the figures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.instructed import read_instructed, read_responses
from preferably.data.mt_bench import read_questions
from preferably.data.outputs import Output, read_answers, read_outputs
from preferably.data.subsets import read_subsets
from preferably.data.writers import refuse_existing, write_files
from preferably.errors import ConfigError, DataError
from preferably.evaluation.board_files import BoardFile, board_of
from preferably.evaluation.compare import Tell
from preferably.evaluation.flags import Flag, flags_of_outputs
from preferably.evaluation.following import Detector, Following, following
from preferably.evaluation.kept_answers import KeptAnswers, Note, silent
from preferably.evaluation.mt_bench import records
from preferably.evaluation.reward_bench import RewardBench, reward_bench
from preferably.evaluation.suites import annotated, answered, conversed, duelled, flags_of_turns
from preferably.feedback.records import Message
from preferably.functions import load_function
from preferably.judging.described import Decider, deciders, judged_by
from preferably.judging.named import ready_judge
from preferably.models.loading import Loaded, load, load_reward, model_directory
from preferably.models.sampler import Decoding
from preferably.training.run_directory import RunDirectory

Model = str | Path | Loaded


@dataclass(frozen=True, slots=True)
class Judged:
    """The board of a suite with a judge, and what was left out of it."""

    board: BoardFile
    too_long: int  # questions, or turns of them, that leave the model no room to answer
    unmatched: int  # answers of one side to what the other side did not answer
    flags: tuple[Flag, ...]  # replies that deserve a look, of those that were compared
    judged_by: list[Decider]


@dataclass(frozen=True, slots=True)
class Checked:
    """IFEval's figures, and what became of the rows of its files."""

    result: Following
    accounting: Accounting
    too_long: int


def run_alpaca_eval(
    data: str | Path, judge: str, output: str | Path, *, model: Model | None = None, outputs: str | Path | None = None,
    name: str | None = None, decoding: Decoding, limit: int | None = None, seed: int = 0, progress: Tell | None = None,
    note: Note = silent, **loading: Any,
) -> Judged:  # fmt: skip
    """A model's outputs against those of the baseline in `data`, by `judge` (`judging.named.judge_of`).

    The model answers the instructions in `data`, or its `outputs` are read. Written under `output`:
    `alpaca_eval/annotations.json` and `model_outputs.json` in AlpacaEval's format, and `evaluation/alpaca_eval.json`.
    Raises a `PreferablyError` for what cannot be read, loaded, judged or written.
    """
    _one_of(model, outputs, "outputs")
    folder = Path(output) / "alpaca_eval"
    refuse_existing(files := folder / "annotations.json", made := folder / "model_outputs.json")
    said, kept = ready_judge(judge), KeptAnswers(output, note)
    baseline, account = read_outputs(data, limit=limit)
    too_long = 0
    if outputs is not None:
        ours, more = read_outputs(outputs)
        account.merge(more)
    else:
        loaded = _loaded(model, **loading)
        texts = _replies(loaded, [one.instruction for one in baseline], decoding, seed, progress, kept)
        ours = [Output(asked, text, name or loaded.name) for asked, text in texts.items()]
        too_long = len(baseline) - len(ours)
    _different(ours[0].generator, baseline[0].generator)
    with kept.judging():
        found = annotated(baseline, ours, said, annotator=judge)
    write_files([([one.as_row() for one in found], files), ([one.as_row() for one in ours], made)])
    board, unmatched = board_of(found, account, seed=seed), _unmatched(baseline, ours) - too_long
    result = Judged(board, too_long, unmatched, flags_of_outputs(found), deciders(said))
    _store(output, "alpaca_eval", result.board.as_json() | _left_out(result) | _decoded(decoding, seed))
    return result


def run_mt_bench(
    data: str | Path, against: str | Path, judge: str, output: str | Path, *, model: Model | None = None,
    outputs: str | Path | None = None, name: str | None = None, decoding: Decoding, limit: int | None = None,
    seed: int = 0, progress: Tell | None = None, note: Note = silent, **loading: Any,
) -> Judged:  # fmt: skip
    """A model's answers to the questions in `data` against the answers in `against`, turn by turn, by `judge`.

    The model answers, or its `outputs` are read. Written under `output`: `mt_bench/judgments.jsonl` and
    `model_answer.jsonl` in MT-bench's formats, and `evaluation/mt_bench.json`. Raises as `run_alpaca_eval`.
    """
    _one_of(model, outputs, "outputs")
    folder = Path(output) / "mt_bench"
    refuse_existing(files := folder / "judgments.jsonl", made := folder / "model_answer.jsonl")
    said, kept = ready_judge(judge), KeptAnswers(output, note)
    questions, account = read_questions(data)
    questions = questions[:limit]
    theirs, more = read_answers(against)
    account.merge(more)
    too_long = 0
    if outputs is not None:
        ours, more = read_answers(outputs)
        account.merge(more)
    else:
        loaded = _loaded(model, **loading)
        ours = conversed(loaded, questions, name or loaded.name, decoding, seed=seed, progress=progress, kept=kept)
        too_long = sum(len(question.turns) for question in questions) - sum(len(one.turns) for one in ours)
    _different(ours[0].model, theirs[0].model)
    with kept.judging():
        found = duelled(questions, ours, theirs, said, annotator=judge)
    write_files([([one.as_row() for one in found], files), ([one.as_row() for one in ours], made)])
    told = records(found, questions, against=theirs[0].model, seed=seed)
    turns = sum(len(one.turns) for one in (*ours, *theirs))
    board = BoardFile("pairs", (), tuple(told), (), (), account)
    result = Judged(board, too_long, turns - 2 * len(found), flags_of_turns(questions, ours, theirs), deciders(said))
    _store(output, "mt_bench", result.board.as_json() | _left_out(result) | _decoded(decoding, seed))
    return result


def run_reward_bench(
    data: str | Path, model: Model, *, output: str | Path | None = None, limit: int | None = None, **loading: Any
) -> tuple[RewardBench, Accounting]:
    """The accuracy of the reward model `model` on the pairs in `data`, and what became of the rows.

    With `output`, written as `evaluation/reward_bench.json` there. Raises as `reward_bench` and `read_subsets`.
    """
    pairs, account = read_subsets([data], limit=limit)
    loaded = model if isinstance(model, Loaded) else load_reward(model_directory(model), **loading)
    found = reward_bench(loaded, pairs)
    if output is not None:
        _store(output, "reward_bench", found.as_json() | {"model": loaded.name, "rows": account.as_json()})
    return found, account


def run_ifeval(
    data: str | Path, *, model: Model | None = None, responses: str | Path | None = None,
    language: str | Detector | None = None, output: str | Path | None = None, decoding: Decoding,
    limit: int | None = None, seed: int = 0, progress: Tell | None = None, note: Note = silent, **loading: Any,
) -> Checked:  # fmt: skip
    """How often the instructions in `data` were followed, in `responses` or in what `model` answers.

    `language` is a function `text -> code`, or its name. With `output` written there: `evaluation/ifeval.json`,
    `ifeval/checked.jsonl` (each prompt) and, of a model, `ifeval/responses.jsonl`. Raises as `following`.
    """
    _one_of(model, responses, "responses")
    detect = load_function(language) if isinstance(language, str) else language
    folder = None if output is None else Path(output) / "ifeval"
    if folder is not None:
        refuse_existing(folder / "checked.jsonl", folder / "responses.jsonl")
    prompts, account = read_instructed(data, limit=limit)
    too_long = 0
    if responses is not None:
        said, more = read_responses(responses)
        account.merge(more)
    else:
        kept = KeptAnswers(output, note)
        said = _replies(_loaded(model, **loading), [one.prompt for one in prompts], decoding, seed, progress, kept)
        too_long = len(prompts) - len(said)
    found = following(prompts, said, language=detect)
    if output is not None and folder is not None:
        rows = [{"prompt": prompt, "response": text} for prompt, text in said.items()]
        parts: list[tuple[list[dict[str, Any]], Path]] = [
            ([one.as_row() for one in found.rows], folder / "checked.jsonl")
        ]
        write_files([*parts, (rows, folder / "responses.jsonl")] if model is not None else parts)
        how = _decoded(decoding, seed) if model is not None else {}
        _store(output, "ifeval", found.as_json() | {"too_long": too_long, "rows": account.as_json()} | how)
    return Checked(found, account, too_long)


def _one_of(model: object, file: object, option: str) -> None:
    if (model is None) == (file is None):
        raise ConfigError(f"Give a model to answer, or a file of its {option}: one of the two.")


def _different(ours: str, theirs: str) -> None:
    if ours == theirs:
        raise ConfigError(f"Both sides are called {ours!r}, so nothing could tell them apart; give the model a name.")


def _loaded(model: Model | None, **loading: Any) -> Loaded:
    assert model is not None, "neither a model nor a file"
    return model if isinstance(model, Loaded) else load(model_directory(model), **loading)


def _replies(
    loaded: Loaded, asked: Sequence[str], decoding: Decoding, seed: int, progress: Tell | None, kept: KeptAnswers
) -> dict[str, str]:
    """By question what the model says to it, without those that leave no room; `DataError` where none does."""
    turns = [[Message("user", one)] for one in asked]
    texts = answered(loaded, turns, decoding, seed=seed, progress=progress, kept=kept)
    said = {one: text for one, text in zip(asked, texts, strict=True) if text is not None}
    if not said:
        raise DataError(f"None of {len(asked)} questions leaves room to answer in the context of {loaded.name}.")
    return said


def _unmatched(baseline: Sequence[Output], ours: Sequence[Output]) -> int:
    return len({one.instruction for one in baseline} ^ {one.instruction for one in ours})


def _left_out(result: Judged) -> dict[str, Any]:
    told = {"flags": [one.as_json() for one in result.flags], "judged_by": judged_by(result.judged_by)}
    return {"too_long": result.too_long, "unmatched": result.unmatched} | told


def _decoded(decoding: Decoding, seed: int) -> dict[str, Any]:
    return {"decoding": asdict(decoding) | {"seed": seed}}


def _store(output: str | Path, name: str, values: Mapping[str, Any]) -> None:
    run = RunDirectory(Path(output))
    run.make()
    run.write_json(f"evaluation/{name}.json", dict(values))
