"""Questions for the user in the quickstart, and one answer followed through both roads."""

import json
from dataclasses import replace

import pytest
import torch
from labelers import answer, person

from preferably.batches.group import collate
from preferably.data.tokens import encode
from preferably.feedback.store.store import Store
from preferably.labeling.queue import Queue
from preferably.models.loading import load
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.run import quickstart
from preferably.quickstart.your_labels import PROJECT, YOU, YourLabels, answered
from preferably.reporting.yours import told
from preferably.training.closing import Progress

TINY = replace(
    Recipe(), documents=256, demonstrations=96, asked=64, prompts=60, samples=2, max_tokens=40, ppo_prompts=96,
    ppo_batch_size=16, best_of=2, best_of_prompts=20, sft_epochs=1.0, reward_epochs=1.0,
)  # fmt: skip


class Quiet:
    def training(self, name):
        return Progress()

    def counting(self, name, total):
        return lambda done: None


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    output, seen = tmp_path_factory.mktemp("quickstart") / "job", []

    def ask(store, count):
        queue, you = Queue(store, PROJECT), person(store, YOU, YOU)
        while (turn := queue.next(you)) is not None:
            seen.append(turn)
            word = "tie" if len(seen) == 1 else 0
            queue.answer(you, turn.asked.turn, answer(word))
        assert answered(store) == count == len(seen)

    results = quickstart(output, seed=7, watcher=Quiet(), recipe=TINY, yours=YourLabels(ask))
    return output, results, seen


def test_the_answers_are_judgments_of_a_person_that_both_roads_learn_from(job):
    output, results, seen = job
    with Store(output / "preferably.db") as store:
        mine = [entry for entry in store.entries() if entry.judgment.labeler == YOU]
    assert len(mine) == len(seen) and {entry.labeler_kind for entry in mine} == {"human"}
    assert results["your_labels"]["answered"] == len(seen) - 1  # a tie is no choice
    for road in ("dpo", "reward"):
        assert json.loads((output / road / "evaluation" / "your_label.json").read_text()) == results["your_labels"]


def test_the_trace_is_the_score_gap_and_the_margin_by_hand(job):
    output, results, seen = job
    traced = results["your_labels"]["traced"]
    turn = next(one for one in seen if one.asked.group.prompt_text == traced["prompt"])
    texts = [turn.asked.group.completions[place].text for place in turn.asked.shown]
    assert [traced["chosen"], traced["rejected"]] == texts
    pair = replace(turn.asked.group, completions=tuple(turn.asked.group.completions[at] for at in turn.asked.shown))
    dpo, sft = (load(output / name / "model", device="cpu") for name in ("dpo", "sft"))
    batch = collate(encode([pair], sft.tokenizer, max_length=256).groups)
    with torch.no_grad():
        sums = [batch.sums(model.policy(batch)) for model in (dpo, sft)]
    margin = TINY.beta * float((sums[0] - sums[1])[0] - (sums[0] - sums[1])[1])
    assert traced["dpo"] | {"chance": None} == {"before": 0.0, "after": pytest.approx(margin, abs=1e-4), "chance": None}
    assert traced["reward"]["before"] != traced["reward"]["after"]
    assert 0 < traced["reward"]["chance"] < 1


def test_the_report_of_both_roads_shows_it(job):
    output, results, _ = job
    for road in ("dpo", "reward"):
        page = (output / road / "report.html").read_text()
        assert "Your label" in page and "chance of your choice" in page
    assert "Your label" not in (output / "ppo" / "report.html").read_text()
    assert told({}) is None and told({"traced": None, "answered": 3}) is None
