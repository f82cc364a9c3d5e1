"""The decision table and what is made of it: which rule decides, what comes first, what would turn it, the file."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from preferably.errors import ConfigError
from preferably.methods import METHODS
from preferably.models.tokenizers import load_tokenizer
from preferably.pipeline.advice import advise, decide, methods_of
from preferably.pipeline.expected import Cost, advise_with_costs, costs_of, labels_tell
from preferably.pipeline.plan import read_align
from preferably.pipeline.road_file import road_values, write_road
from preferably.pipeline.roads import ROADS, lacks
from preferably.pipeline.rules import DECIDE, FIRST, RULES, SETTINGS, basis, sure
from preferably.pipeline.situation import WANTS, Situation
from preferably.statistics.intervals import wilson
from preferably.statistics.shares import Share

DOCS = Path(__file__).resolve().parents[2] / "docs"
PLENTY = Situation("research", pairs=9000, prompts=3000, own="yes", ready=True, weights=900_000)
NONE = Situation("research", prompts=9)


def share(value, n=1000):
    return Share(value, n, wilson(value * n, n))


def by_rule(name):
    return next(rule for rule in RULES if rule.name == name)


# rule: a situation in which it holds, and a fact of it without which it does not
HOLDS = {
    "rows-at-fault": (replace(PLENTY, stops=("rejected",)), {"stops": ()}),
    "would-not-begin": (replace(PLENTY, refused=("too long",)), {"refused": ()}),
    "contradicting": (replace(PLENTY, agreement=share(0.51)), {"agreement": share(0.6)}),
    "not-ready": (replace(PLENTY, ready=False), {"ready": None}),
    "ready-unknown": (replace(PLENTY, ready=None), {"ready": False}),
    "too-few": (replace(PLENTY, pairs=499), {"pairs": 500}),
    "one-sided-thumbs": (replace(NONE, labels=900, good=1.0), {"good": 0.9}),
    "few-thumbs": (replace(NONE, labels=499), {"labels": 500}),
    "fit-the-reward": (replace(PLENTY, pairs=100), {"pairs": 99}),
    "agreement-unknown": (PLENTY, {"agreement": share(0.7)}),
    "length": (replace(PLENTY, longer=share(0.34)), {"longer": share(0.36)}),
    "not-its-own": (replace(PLENTY, own="no"), {"own": None}),
    "baseline": (replace(NONE, function=True, pairs=499), {"pairs": 500}),
    "test-the-reward": (PLENTY, {}),
    "guard": (replace(PLENTY, want="production"), {"want": "research"}),
    "nothing": (NONE, {"demonstrations": 1}),
    "demonstrations-only": (replace(NONE, demonstrations=9), {"judge": True}),
    "thumbs": (replace(NONE, pairs=2, labels=9), {"pairs": 3}),
    "function-limited": (replace(NONE, pairs=499, function=True, want="limited"), {"want": "explain"}),
    "function-research": (replace(NONE, pairs=499, function=True), {"pairs": 500}),
    "function": (replace(NONE, pairs=3, function=True, want="explain"), {"function": False}),
    "judge-quick": (replace(NONE, pairs=499, labels=499, judge=True), {"pairs": 500}),
    "judge": (replace(NONE, pairs=3, judge=True, want="production"), {"judge": False}),
    "explain": (replace(PLENTY, want="explain"), {"want": "limited"}),
    "few-and-noisy": (replace(PLENTY, pairs=1999, agreement=share(0.75)), {"agreement": share(0.81)}),
    "production": (replace(PLENTY, want="production"), {"pairs": 1999}),
    "judged-anew": (replace(PLENTY, own="no", judge=True), {"judge": False}),
    "pairs": (PLENTY, {"pairs": 0}),
    "trust": (replace(PLENTY, busy=True), {"many": 0.1}),
    "kl": (PLENTY, {}),
    "small-model": (PLENTY, {"weights": 10_000_000}),
    "lora": (replace(PLENTY, fits=False), {"fits": None}),
    "margin": (replace(PLENTY, strong=0.6), {"strong": 0.4}),
}


@pytest.mark.parametrize("name", [rule.name for rule in RULES])
def test_each_rule_holds_where_it_says_and_not_beside(name):
    situation, changed = HOLDS[name]
    rule = by_rule(name)
    assert rule.holds(situation)
    if changed:  # what is about a road holds of every situation
        assert not rule.holds(replace(situation, **changed))
    if rule.kind == "road":
        assert decide(situation) is rule


def test_names_are_one_each_and_roads_and_evidence_are_there():
    assert len({rule.name for rule in RULES}) == len(RULES) == len(HOLDS)
    assert {rule.then for rule in DECIDE} < set(ROADS)
    root = DOCS.parent
    files = [one for rule in RULES for one in rule.evidence if not one.startswith("https://arxiv.org/abs/")]
    assert files and all((root / one).is_file() for one in files)
    assert all(method in METHODS for road in ROADS for method in methods_of(road))


def table(rules):
    for rule in rules:
        sources = ", ".join(
            one.removeprefix("bench/results/")
            if one.startswith("bench")
            else one.removeprefix("https://arxiv.org/abs/")
            for one in rule.evidence
        )
        yield f"| {rule.name} | {rule.when} | {rule.then} | {rule.basis}: {sources} |"


def test_the_docs_show_the_very_table():
    text = (DOCS / "advise.md").read_text()
    shown = [line for line in text.splitlines() if re.match(r"\| [a-z-]+ \|.*(measured|published|opinion): ", line)]
    assert shown == [*table(DECIDE), *table(FIRST), *table(SETTINGS)]


def test_any_situation_comes_to_a_road_that_lacks_nothing():
    for want in WANTS:
        for bits in range(128):
            judge, function, pairs, labels, shown, own, few = (bool(bits >> at & 1) for at in range(7))
            situation = Situation(
                want, judge=judge, function=function, pairs=(3 if few else 900) * pairs, labels=900 * labels,
                demonstrations=900 * shown, prompts=900 * (pairs or labels or shown or own), own="no" if own else None,
            )  # fmt: skip
            advice = advise(situation)
            assert not lacks(ROADS[advice.road], situation)
            assert advice.road not in [one.road for one in advice.others]
            assert "too-few" not in [one.name for one in advice.first] or advice.road in ("dpo", "rlhf")
            assert all(one.road != advice.road for one in advice.turns)


def test_a_reward_model_is_tested_before_anything_is_trained_against_it():
    told = [rule.name for rule in advise(replace(PLENTY, want="production")).first]
    assert told[-2:] == ["test-the-reward", "guard"]
    assert "guard" not in [rule.name for rule in advise(replace(PLENTY, want="explain")).first]
    assert "test-the-reward" not in [rule.name for rule in advise(PLENTY).first]


def test_a_judge_without_anything_to_ask_is_not_enough():
    assert advise(Situation("research", judge=True)).road == "collect"
    assert advise(Situation("research", judge=True, prompts=1)).road == "dpo-own"
    assert "there were a judge, and prompts to ask" in [one.fact for one in advise(Situation("research")).turns]


def test_what_would_turn_the_road_does_turn_it():
    told = {(one.road, one.rule): one.fact for one in advise(replace(PLENTY, own=None)).turns}
    assert set(told) == {
        ("rlhf", "few-and-noisy"),
        ("dpo-own", "judged-anew"),
        ("rlhf", "explain"),
        ("rlhf", "production"),
    }
    assert told["rlhf", "production"] == "you wanted production (--want)"
    few = replace(PLENTY, want="production", pairs=1000)
    assert [one.fact for one in advise(few).turns if one.rule == "production"] == ["there were 2,000 pairs"]


@pytest.mark.parametrize(
    "situation",
    [
        replace(NONE, labels=6), replace(NONE, labels=1600), replace(NONE, labels=9000, judge=True), NONE,
        replace(NONE, pairs=3, function=True), replace(PLENTY, want="production", pairs=700), replace(NONE, judge=True),
    ],
)  # fmt: skip
def test_a_number_of_pairs_that_turns_the_road_is_the_least_that_does(situation):
    found = [one for one in advise(situation).turns if re.match(r"there were [\d,]+ pair", one.fact)]
    assert found
    for one in found:
        pairs = int(re.search(r"[\d,]+", one.fact)[0].replace(",", ""))
        assert (decide(replace(situation, pairs=pairs)).then, decide(replace(situation, pairs=pairs)).name) == (
            one.road, one.rule,
        )  # fmt: skip
        assert decide(replace(situation, pairs=pairs - 1)).name != one.rule


def test_three_pairs_that_two_people_judged_tell_nothing_of_the_rest():
    few = replace(PLENTY, pairs=1000, agreement=share(2 / 3, 3))  # Wilson's interval is [21%, 94%]
    names = [rule.name for rule in advise(few).first]
    assert advise(few).road == "dpo" and "agreement-unknown" in names and "contradicting" not in names
    assert few.wrong is None


def test_a_few_pairs_do_not_outdo_what_else_there_is():
    few = Situation("research", pairs=3, prompts=5000, ready=True)
    assert advise(replace(few, function=True)).road == "rloo" and advise(replace(few, judge=True)).road == "dpo-own"
    assert advise(replace(few, judge=True, want="explain")).road == "rlaif"
    assert advise(replace(few, pairs=1, labels=10_000)).road == "kto"
    thumbs = advise(Situation("research", labels=6, good=1.0, prompts=6, ready=True))
    assert [rule.name for rule in thumbs.first] == ["one-sided-thumbs", "few-thumbs"]
    assert "length" not in [rule.name for rule in advise(replace(few, function=True, longer=share(0.9))).first]


def test_what_was_measured_on_small_models_is_not_said_of_large_ones():
    large = replace(PLENTY, weights=7_000_000_000)
    assert basis(by_rule("not-ready"), large) == "measured on models of 0.3 to 1 million weights only"
    assert basis(by_rule("not-ready"), PLENTY) == basis(by_rule("trust"), large) == "measured"
    assert basis(by_rule("lora"), large) == "published"


def test_settings_follow_the_road_and_the_size():
    large = replace(PLENTY, weights=7_000_000_000, want="production", busy=True, strong=0.9, fits=False)
    assert advise(large).trainings() == {
        "reward": {"lora": True, "aggregate": "posterior", "margin": 1.0}, "ppo": {"lora": True, "kl_coef": 0.2}
    }  # fmt: skip
    assert advise(replace(large, want="research", fits=True)).trainings() == {"dpo": {"aggregate": "posterior"}}
    taught = replace(PLENTY, demonstrations=10, ready=None)
    assert list(advise(taught).trainings()) == ["sft", "dpo"]
    assert list(advise(replace(taught, ready=True)).trainings()) == ["dpo"]


def test_how_sure_says_where_nothing_was_measured():
    rule = by_rule("pairs")
    assert sure(rule, PLENTY) == "measured on models of about this size"
    assert sure(rule, replace(PLENTY, pairs=1200)) == "measured; not sure with 1,200 pairs, as 8,400 were measured"
    assert "not sure at 494 million weights" in sure(rule, replace(PLENTY, weights=494_000_000))
    assert (
        sure(by_rule("thumbs"), PLENTY) == "published, not measured here"
        and sure(by_rule("nothing"), NONE) == "opinion"
    )


def test_a_model_that_is_not_ready_is_not_told_whose_answers_it_was_shown():
    names = [rule.name for rule in advise(replace(PLENTY, own="no", ready=False)).first]
    assert "not-ready" in names and "not-its-own" not in names


def test_a_training_that_does_not_fit_gets_adapters(monkeypatch):
    asked = []

    def costs(advice, model, paths, device, judge):
        asked.append(advice.trainings())
        return [Cost("DPO", None, 9 * 10**9, "", "" if "lora" in advice.trainings()["dpo"] else "it holds 9 GB")]

    monkeypatch.setattr("preferably.pipeline.expected.costs_of", costs)
    advice, [cost] = advise_with_costs(replace(PLENTY, weights=10**9), "m", {})
    assert asked == [{"dpo": {}}, {"dpo": {"lora": True}}] and advice.trainings() == asked[1] and not cost.refused
    assert "lora" in [rule.name for rule in advice.settings] and advice.situation.fits is False
    small, _ = advise_with_costs(replace(PLENTY, fits=True), "m", {})
    assert "lora" not in [rule.name for rule in small.settings]


def test_costs_that_nobody_knows_say_why(tmp_path):
    [cost] = costs_of(advise(PLENTY), None, {"pairs": ["pairs.jsonl"]})
    assert (cost.seconds, cost.memory, cost.why) == (None, None, "no --model was given")
    [cost] = costs_of(advise(replace(PLENTY, own="no", judge=True)), "m", {"pairs": ["pairs.jsonl"]})
    assert cost.why == "there is no file of prompts that the model could answer" or "no such" in cost.why, cost
    [cost] = costs_of(advise(PLENTY), str(tmp_path / "none"), {"pairs": ["pairs.jsonl"]})
    assert cost.why == f"a run would not begin: {cost.error}" and "no such directory" in cost.error
    advice, _ = advise_with_costs(PLENTY, str(tmp_path / "none"), {"pairs": ["pairs.jsonl"]})
    assert advice.situation.refused == (f"DPO: {cost.error}",) and advice.first[0].name == "would-not-begin"
    with pytest.raises(ConfigError, match="was not written, as its job would stop. DPO: "):
        write_road(tmp_path / "a.yaml", advice, road_values(advice, "m", {"pairs": ["pairs.jsonl"]}))


def test_questions_to_a_judge_are_counted_and_priced(tmp_path, tiny_model_directory, monkeypatch):
    monkeypatch.setattr("preferably.training.pace.ENOUGH", 0.01)
    words = ["red", "cold", "new", "far", "odd", "wet", "dry", "big", "low", "sad"]
    (tmp_path / "ask.jsonl").write_text("".join(json.dumps({"prompt": f"{one}? "}) + "\n" for one in words))
    row = {"prompt": "why? ", "chosen": "a", "rejected": "b"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    told = {"server": "http://127.0.0.1:1/v1", "model": "judge", "max_tokens": 100}
    (tmp_path / "judge.yaml").write_text(json.dumps(told | {"prices": [0.0, 2.0]}))
    (tmp_path / "free.yaml").write_text(json.dumps(told))
    (tmp_path / "asked.yaml").write_text(json.dumps(told | {"prices": [1.0, 0.0], "rubric": "good " * 10_000}))
    advice = advise(replace(PLENTY, own="no", judge=True))

    def costs(judge, **more):
        paths = {"prompts": [str(tmp_path / "ask.jsonl")], **more}
        return costs_of(advice, str(tiny_model_directory), paths, device="cpu", judge=str(tmp_path / judge))

    judge, trained = costs("judge.yaml", pairs=[str(tmp_path / "pairs.jsonl")])
    # Four answers make 6 pairs; 240 replies of 100 tokens, at 2 a million.
    counted = "10 prompts x 6 pairs x 2 orders x 2 rounds"
    assert judge.asked == f"240 questions at most to judge new answers ({counted}), 0.048 by its prices"
    assert trained.training == "DPO" and trained.seconds > 0 and trained.memory > 1e6 and not trained.error
    assert trained.why.startswith("a round of 61 pairs at most")  # with the one that is there
    monkeypatch.setattr("preferably.pipeline.expected._planned", lambda method, *rest: Cost(method))
    assert costs("free.yaml")[0].asked.endswith("; what they cost is not known: judge has no prices")
    tokens = len(load_tokenizer(str(tiny_model_directory))[0]("good " * 10_000)["input_ids"])
    cost = float(costs("asked.yaml")[0].asked.split("), ")[1].split(" by")[0].replace(",", ""))
    assert cost == pytest.approx(240 * tokens / 1e6, rel=0.05)  # the rubric goes with each question, and little else
    assert costs("rules.py:score")[0].training == "DPO"  # a function is asked nothing that costs


def test_what_labels_tell():
    # (1.960 + 0.842) x 0.5 / sqrt(100) = 0.140, and half of it with four times as many.
    assert labels_tell(1000).startswith(
        "the 100 pairs that a run holds out tell an accuracy of 64% from a coin; with 4,000"
    )
    assert "would tell 57%" in labels_tell(1000)
    # Of 6 it would take 0.5 + 0.57; of 24 0.5 + 0.29.
    assert labels_tell(60).startswith("the 6 pairs that a run holds out are too few to tell any accuracy from a coin;")
    assert "with 240 pairs they would tell 79%" in labels_tell(60)
    # Of 8 it would take 0.9953, which no accuracy in whole percent is told by.
    assert labels_tell(75).startswith("the 8 pairs that a run holds out are too few to tell any accuracy from a coin;")
    assert labels_tell(10).startswith("the 1 pair that a run holds out is too few to tell any accuracy from a coin;")
    assert "with 40 pairs they would still be too few. In" in labels_tell(10)
    assert "100%" not in "".join(map(labels_tell, range(1, 200)))


FILES = {
    "pairs": ["pairs.jsonl"],
    "demonstrations": ["shown.jsonl"],
    "prompts": ["ask.jsonl"],
    "labels": ["thumbs.jsonl"],
}


@pytest.mark.parametrize(
    ("situation", "judge", "trained"),
    [
        (PLENTY, None, "dpo"),
        (replace(PLENTY, want="production", demonstrations=9, ready=None), None, "ppo"),
        (replace(PLENTY, own="no", judge=True), "judge.yaml", "dpo"),
        (replace(NONE, judge=True, prompts=9, want="production"), "judge.yaml", "ppo"),
        (replace(NONE, function=True, prompts=9), "rules.py:score", "rloo"),
        (replace(NONE, function=True, prompts=9, want="limited"), "rules.py:score", "dpo"),
        (replace(NONE, labels=9), None, "kto"),
        (replace(NONE, demonstrations=9), None, None),
    ],
)
@pytest.mark.parametrize("prompts", [None, "held.jsonl"])
def test_the_file_is_one_that_align_reads(tmp_path, situation, judge, trained, prompts):
    advice = advise(situation)
    values = road_values(advice, "runs/sft", FILES, prompts=prompts, judge=judge)
    written = write_road(tmp_path / "new" / "align.yaml", advice, values)
    read = read_align(written)
    assert [road.method for road in read.train] == ([trained] if trained else [])
    assert yaml.safe_load(written.read_text()) == values
    assert written.read_text().startswith(f"# {ROADS[advice.road].does[:1].upper()}")
    assert (read.prompts is None) == (prompts is None) == ("Held-out prompts are missing" in written.read_text())
    with pytest.raises(ConfigError, match="nothing is overwritten"):
        write_road(written, advice, values)


def test_a_store_is_a_source_and_no_file_of_prompts(tmp_path):
    store = f"sqlite:///{tmp_path}/desk.db"
    values = road_values(advise(replace(PLENTY, want="production")), "m", {"pairs": [store]})
    assert values["preferences"] == [{"store": store}] and values["train"][0]["ppo"]["data"] == [store]
    with pytest.raises(ConfigError, match="give a file of prompts"):
        road_values(advise(replace(PLENTY, own="no", judge=True)), "m", {"pairs": [store]}, judge="judge.yaml")


@pytest.mark.parametrize(
    ("changed", "prompts", "said"),
    [({"stops": ("Rows at fault.",)}, None, "Rows at fault"), ({"ready": False}, "held.jsonl", "need demonstrations")],
)
def test_a_job_that_is_known_to_stop_is_not_written(tmp_path, changed, prompts, said):
    advice = advise(replace(PLENTY, **changed))
    with pytest.raises(ConfigError, match=said):
        write_road(tmp_path / "align.yaml", advice, road_values(advice, "m", FILES, prompts=prompts))
    assert not (tmp_path / "align.yaml").exists()


def test_where_there_is_nothing_to_train_nothing_is_written():
    with pytest.raises(ConfigError, match="gather feedback first"):
        road_values(advise(NONE), "m", {})


def test_all_is_told_to_programs():
    told = advise(replace(PLENTY, agreement=share(0.75))).as_json()
    assert told["road"] == "dpo" and told["decided"]["rule"] == "pairs" and told["situation"]["pairs"] == 9000
    # (1 - sqrt(2 x 0.75 - 1)) / 2 = 0.1464
    assert round(told["situation"]["wrong"], 4) == 0.1464
