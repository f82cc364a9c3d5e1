"""The quickstart in miniature: every stage, every file that other programs read. What it learns is for `bench/`."""

import io
import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from labelers import answer, person
from rich.console import Console

from preferably.batches.group import collate
from preferably.cli.quickstarting import _print_full
from preferably.data.tokens import encode
from preferably.errors import ConfigError
from preferably.feedback.store.store import Store
from preferably.labeling.queue import Queue
from preferably.models.loading import load
from preferably.quickstart.full import Extent
from preferably.quickstart.labelers import LABELERS
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.run import quickstart
from preferably.quickstart.your_labels import PROJECT, YOU, YourLabels, answered
from preferably.reporting.yours import told
from preferably.training.closing import Progress

TINY = replace(
    Recipe(), documents=256, demonstrations=96, asked=64, prompts=60, samples=2, max_tokens=40, ppo_prompts=160,
    ppo_batch_size=16, best_of=4, best_of_prompts=40,
)  # fmt: skip


FEW = Extent(
    pairs=60, judged=10, attacked=3, unknown=3, private=3, along=4, best_of=2, canary=4, samples=1, relearning=(1,),
    prompts=4, tokens=8,
)  # fmt: skip
AUDITED = {
    "dpo": {"honesty", "safety"}, "ppo": {"honesty", "safety", "run"}, "honest": {"honesty"},
    "suppressed": {"suppression"},
}  # fmt: skip


class Quiet:
    def training(self, name):
        return Progress()

    def counting(self, name, total):
        return lambda done: None


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Where the job is, what it gave, and the turns of the user, who ties the first question and then takes what stands
    first."""
    output, seen = tmp_path_factory.mktemp("quickstart") / "job", []

    def ask(store, count):
        queue, you = Queue(store, PROJECT), person(store, YOU, YOU)
        while (turn := queue.next(you)) is not None:
            seen.append(turn)
            queue.answer(you, turn.asked.turn, answer("tie" if len(seen) == 1 else 0))
        assert answered(store) == count == len(seen)

    return output, quickstart(output, seed=7, watcher=Quiet(), recipe=TINY, yours=YourLabels(ask), full=FEW), seen


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_one_run_directory_a_stage(job):
    output, _, _ = job
    for stage in ("base", "sft", "dpo", "reward", "ppo"):
        run = output / stage
        assert {path.name for path in run.iterdir()} >= {
            "config.yaml", "environment.json", "status.json", "data.json", "held_out.jsonl", "metrics.jsonl",
            "timing.jsonl", "checkpoints", "model", "evaluation", "report.html", "MODEL_CARD.md",
        }  # fmt: skip
        assert read(run / "status.json")["state"] == "finished"
        data = read(run / "data.json")
        assert data["read"] == data["used"] + data["deduplicated"] + sum(data["rejected"].values())
        assert data["used"] == data["train"] + data["held_out"]
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == list(range(len(lines)))
        watched = "eval_objective/scores" if stage == "ppo" else "eval_loss"
        assert watched in lines[0] and watched in lines[-1]
    assert (output / "comparison.html").is_file()


def test_the_headline_is_what_the_evaluation_says(job):
    output, results, _ = job
    for road in ("dpo", "ppo"):
        stored = read(output / road / "evaluation" / "win_rate.json")
        assert (stored["model"], stored["against"]) == (road, "sft")
        assert {key: results[road][key] for key in stored} == stored
    stored = read(output / "ppo" / "evaluation" / "win_rate@dpo.json")
    assert stored["against"] == "dpo" and results["ppo_over_dpo"]["win_rate"] == stored["win_rate"]
    assert stored["n"] == TINY.prompts
    assert stored["wins"] + stored["ties"] + stored["losses"] + stored["missing"] == TINY.prompts * TINY.samples
    # A prompt counts as the mean of its samples, and all prompts have as many.
    assert stored["win_rate"] == pytest.approx((stored["wins"] + stored["ties"] / 2) / (TINY.prompts * TINY.samples))
    assert stored["interval"][0] <= stored["win_rate"] <= stored["interval"][1]
    assert set(results["decodings"]["ppo"]) == {"0.7", "1", "0"}
    assert read(output / "results.json")["schema"] == 1
    axes = read(output / "dpo" / "evaluation" / "axes.json")
    assert {"correctness", "directness", "voice", "brevity", "honesty", "harmlessness", "malformed_words"} <= set(axes)


def test_the_reward_model_is_held_against_what_is_known(job):
    """The chances are known, so the ceiling is; going by length is half of two that add up to one."""
    _, results, _ = job
    worth = results["reward_model"]
    assert 0 < worth["pairs"] <= TINY.best_of_prompts * TINY.best_of // 2
    assert 0.5 < worth["ceiling"] < 1 and worth["accuracy"] <= worth["ceiling"]
    assert worth["covered"] == pytest.approx((worth["accuracy"] - 0.5) / (worth["ceiling"] - 0.5))
    assert worth["interval"][0] <= worth["accuracy"] <= worth["interval"][1]
    assert worth["longer"] + worth["shorter"] == pytest.approx(1)


def test_reward_and_truth_by_kl_of_both_roads_and_best_of_n(job):
    output, results, _ = job
    points = read(output / "ppo" / "evaluation" / "reward_kl.json")["points"]
    assert [point["label"] for point in points] == ["best of 1", "best of 2", "best of 4", "DPO", "PPO"]
    best = [point["reward"][0] for point in points[:3]]
    assert best == sorted(best) and best[0] < best[2]
    assert points[-1]["kl"] == results["ppo"]["kl"]["mean"]
    page = (output / "ppo" / "report.html").read_text(encoding="utf-8")
    assert "Reward against KL" in page and "Truth against KL" in page and "best of 4" in page


def test_labels_are_accounted_for_and_in_the_store(job):
    output, results, _ = job
    said = results["labels"]
    assert said["compared"] + said["identical"] == TINY.asked * TINY.pairs
    assert said["labeled"] + said["tie"] + said["unsure"] == said["compared"]
    with Store(output / "preferably.db", create=False) as store:
        kept = [entry for entry in store.entries() if entry.judgment.labeler != YOU]
    assert len(kept) == said["compared"] and {one.labeler_kind for one in kept} == {"rule"}
    assert {one.judgment.labeler for one in kept} <= {labeler.name for labeler in LABELERS}
    assert {one.judgment.order for one in kept} == {(0, 1), (1, 0)}
    assert (
        read(output / "dpo" / "data.json")["read"] <= said["labeled"] + 9
    )  # the user's; several verdicts on one pair are one group


def test_an_untrained_base_is_not_ready(job):
    _, results, _ = job
    assert results["readiness"]["base"].startswith("fine-tune first")


def test_a_second_job_in_the_same_place_is_refused(job):
    with pytest.raises(ConfigError, match="already holds a quickstart"):
        quickstart(job[0], seed=7, watcher=Quiet(), recipe=TINY)


def test_the_answers_are_judgments_of_a_person_that_both_roads_learn_from(job):
    output, results, seen = job
    with Store(output / "preferably.db") as store:
        mine = [entry for entry in store.entries() if entry.judgment.labeler == YOU]
    assert len(mine) == len(seen) and {entry.labeler_kind for entry in mine} == {"human"}
    assert results["your_labels"]["answered"] == len(seen) - 1  # a tie is no choice
    for road in ("dpo", "reward"):
        assert read(output / road / "evaluation" / "your_label.json") == results["your_labels"]


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


def test_with_full_every_road_is_audited_and_the_terminal_says_what_came_out(job):
    output, results, _ = job
    told = results["full"]
    assert {road: set(found) for road, found in told["audits"].items()} == AUDITED
    for road, names in AUDITED.items():
        for name in names:
            stored = read(output / road / "evaluation" / f"audit_{name}.json")
            assert stored["model"] == road and stored["verdict"] == told["audits"][road][name]["verdict"]
    assert read(output / "suppressed" / "evaluation" / "audit_suppression.json")["control"] == "sft"
    course = read(output / "ppo" / "evaluation" / "audit_run.json")
    assert sum(point["series"] == "training" and point["by"] == "judge" for point in course["points"]) > 2
    for road, start in (("honest", "sft"), ("suppressed", "canary")):
        stored = read(output / road / "evaluation" / "win_rate.json")
        assert (stored["model"], stored["against"], stored["n"]) == (road, start, FEW.prompts)
    console = Console(file=io.StringIO(), width=200)
    _print_full(console, told)
    said = console.file.getvalue()
    assert all(f"{road}: {name}" in said for road, names in AUDITED.items() for name in names)
    assert "the reward model" in said and "clicks at random" in said


def test_with_full_simulated_people_are_told_beside_what_is_true_of_them(job):
    output, results, _ = job
    people = results["full"]["people"]
    with Store(output / "people.db", create=False) as store:
        said = list(store.entries())
    assert {one.labeler_kind for one in said} == {"rule"} and len(said) == FEW.overlap * people["pairs"]
    assert people["decided"] <= people["pairs"] <= FEW.pairs
    assert people["simulated"]["nico"]["right"] == 0.5  # clicks at random
    by_name = Counter(one.judgment.labeler for one in said)
    kept = read(output / "people" / "labelers.json")["labelers"]["labelers"]
    assert {name: one["judged"] for name, one in kept.items()} == by_name
    assert set(people["simulated"]) <= set(kept) and len(kept) == 9


def test_the_page_of_the_whole_job_is_made_of_an_account_like_that_of_align(job):
    output, results, _ = job
    account = read(output / "align.json")
    assert account["state"] == "finished"
    assert [(one["road"], one["run"]) for one in account["rounds"]] == [(road, road) for road in AUDITED]
    assert account["rounds"][0]["quality"]["win_rate"] == results["dpo"]["win_rate"]
    kinds = Counter(one["kind"] for one in account["stages"])
    assert kinds["sft"] == 3 and kinds["train"] == 5 and kinds["judge-audit"] == 2 and kinds["audit"] == 7
    assert all((output / one["folder"]).is_dir() for one in account["stages"])
    page = (output / "report.html").read_text(encoding="utf-8")
    assert "Simulated people" in page and "A rule: fewer words are better" in page
