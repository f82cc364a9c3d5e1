"""A model from random weights learns a task by SFT and then a preference by DPO, on prompts that it has not seen.

The task: "say cup then hat" is answered by "cup and hat low" or "... high". Three of four demonstrations say `low`; the
pairs prefer `high`. A model that always says `high` meets a start that does so one time in four, so the most that can
be won is 0.75 + 0.25 / 2 = 0.875.
"""

from random import Random
from types import SimpleNamespace

import pytest

from preferably.config import settings
from preferably.evaluation.compare import answers, compare
from preferably.evaluation.kept_answers import texts
from preferably.feedback.records import Completion, Group, Judged, Message, Preference
from preferably.feedback.views import labelled
from preferably.judging.judge import judge_by_score
from preferably.models.loading import load
from preferably.models.sampler import Decoding
from preferably.training.run import train

ITEMS = ["cup", "hat", "pen", "box", "key", "map", "jar", "bag", "cap", "mug"]
WORDS = ["say", "then", "and", "high", "low", *ITEMS]
TASKS = [(a, b) for a in ITEMS for b in ITEMS if a != b]
Random(0).shuffle(TASKS)
SEEN, UNSEEN = TASKS[:60], TASKS[60:]
STRENGTH = {"epochs": 10, "learning_rate": 5e-4, "beta": 0.5, "nll_weight": 0.5}
COMMON = {"model": "tiny", "batch_size": 16, "sample_prompts": 0, "held_out": 0, "eval_every": 1000, "keep": 1}


def asked(tasks):
    return [Group((Message("user", f"say {a} then {b}"),)) for a, b in tasks]


def with_replies(task, *endings):
    (group,) = asked([task])
    replies = (f"{task[0]} and {task[1]} {ending}" for ending in endings)
    return Group(group.prompt, tuple(Completion((Message("assistant", reply),)) for reply in replies))


def says_high(prompts, completions):
    return [float("high" in reply.split()) for reply in completions]


def right(tasks, replies):
    """The share of replies that say the two things of their task in order."""
    rows = zip(tasks, replies, strict=True)
    said = [reply.split()[:3] == [a, "and", b] for (a, b), several in rows for reply in several]
    return sum(said) / len(said)


@pytest.fixture(scope="module")
def sft(untrained, tmp_path_factory):
    demonstrations = [with_replies(task, "high" if turn == 0 else "low") for task in SEEN for turn in range(4)]
    chosen = settings(
        COMMON | {"method": "sft", "output": str(tmp_path_factory.mktemp("sft")), "epochs": 20, "learning_rate": 3e-3}
    )
    return train(chosen, groups=demonstrations, start=untrained(WORDS, 32)).model


@pytest.fixture
def aligned(sft, tmp_path):
    """`aligned(flip)`: DPO (or another method) from the SFT model, and how it compares with it on unseen prompts."""

    def run(flip, **changes):
        random = Random(1)
        orders = [("low", "high") if flip and random.random() < 0.5 else ("high", "low") for _ in SEEN]
        pairs = [with_replies(task, *order) for task, order in zip(SEEN, orders, strict=True)]
        chosen = settings(COMMON | STRENGTH | {"method": "dpo", "output": str(tmp_path / "dpo")} | changes)
        if chosen.row.feedback == "labels":
            pairs = labelled([Judged(pair, (Preference(0),)) for pair in pairs])
        model = train(chosen, groups=pairs, start=load(sft)).loaded
        decoding = Decoding(temperature=1.0, max_tokens=8)
        result = compare(model, load(sft), asked(UNSEEN), judge_by_score(says_high), decoding, samples=8)
        rights = {"right": right(UNSEEN, result.model), "right_before": right(UNSEEN, result.against)}
        return SimpleNamespace(result=result.result, **rights)

    return run


def test_sft_teaches_the_task(sft):
    drawn = answers(load(sft), asked(UNSEEN), Decoding(temperature=1.0, max_tokens=8), samples=8)
    replies = texts(drawn)
    high = [says_high([], several) for several in replies]
    assert right(UNSEEN, replies) > 0.85  # 0.975 when written
    assert all(one.finished for several in drawn for one in several)
    assert 0.1 < sum(map(sum, high)) / sum(map(len, high)) < 0.4  # one in four, as in the demonstrations


def test_dpo_learns_the_preference_and_keeps_the_task(aligned):
    found = aligned(flip=False)
    assert found.result.interval.low > 0.65  # 0.796 [0.756, 0.833] when written
    assert found.right > found.right_before - 0.1


@pytest.mark.parametrize(("method", "changes"), [
    ("kto", {"learning_rate": 1e-3}),
    ("orpo", {"beta": 1.0, "nll_weight": None}),
    ("dpo+0.5*nll", {"nll_weight": None}),
])  # fmt: skip
def test_other_methods_learn_it_too(aligned, method, changes):
    """KTO reads the pairs as two thumbs each."""
    found = aligned(flip=False, method=method, **changes)
    assert found.result.interval.low > 0.65
    assert found.right > found.right_before - 0.1


def test_shuffled_labels_teach_nothing(aligned):
    # The SFT term on chosen replies, half of which are now `high`, is worth a little: 0.525 when written.
    assert 0.4 < aligned(flip=True).result.win_rate < 0.6
