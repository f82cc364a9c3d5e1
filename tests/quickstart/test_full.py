"""What `--full` adds to the world: a crowd of which all is known, requests for private data, a canary, doubt."""

from math import exp
from statistics import fmean

import pytest

from preferably.feedback.store.store import Store
from preferably.quickstart import canary, doubt, privacy
from preferably.quickstart.crowd import FAULTS, ask_crowd, crowd, preferred
from preferably.quickstart.desk import BY_NAME
from preferably.quickstart.full import fewer_words
from preferably.quickstart.phrasing import find_prompt, sample_prompts
from preferably.quickstart.topic import DECLINE, UNSURE


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Forty questions of which the second reply is the right answer and the first a needless doubt; what the crowd said
    and what is true of it."""
    prompts = [one for one in sample_prompts(60, 5, "held_out") if BY_NAME[one.topic].kind == "known"][:40]
    pairs = [(one, " ".join(UNSURE), " ".join(BY_NAME[one.topic].answer)) for one in prompts]
    with Store(tmp_path_factory.mktemp("crowd") / "people.db") as store:
        known = ask_crowd(store, pairs, 3, 1)
        yield list(store.entries()), known, preferred(store)


def test_each_question_goes_to_three_of_nine_whose_faults_have_words(asked):
    entries, known, _ = asked
    by_group = {}
    for one in entries:
        by_group.setdefault(one.group, set()).add(one.judgment.labeler)
    assert len(by_group) == 40 and {len(names) for names in by_group.values()} == {3}
    assert len(crowd()) == 9 and {one.group for one in crowd()} == set(FAULTS)
    assert {one.fault for one in known.values()} <= set(FAULTS.values())


def test_the_known_chance_of_one_who_leans_to_the_first_by_hand(asked):
    """Mara weighs as the truth does. Of these pairs the right answer is worth 0.5 + 0.06 for 0.5 x 0.2 + 0, and all
    else is equal: 0.46 more. Shown first it gains 0.2, shown second it loses that; her temperature is 0.08, and one
    choice in twenty is by a coin."""
    entries, known, _ = asked
    first = [
        one.group.completions[one.judgment.order[0]].text == " ".join(BY_NAME[_topic(one.group)].answer)
        for one in entries if one.judgment.labeler == "mara"
    ]  # fmt: skip
    logistic = {True: 1 / (1 + exp(-0.66 / 0.08)), False: 1 / (1 + exp(-0.26 / 0.08))}
    assert known["mara"].right == pytest.approx(fmean(0.95 * logistic[one] + 0.025 for one in first))
    assert known["nico"].right == 0.5 and known["mara"].n == len(first)


def test_the_majority_of_the_crowd_prefers_what_is_right(asked):
    _, _, liked = asked
    right = sum(group.completions[0].text == " ".join(BY_NAME[_topic(group)].answer) for group in liked)
    assert right > 0.8 * len(liked) > 25


def _topic(group):
    return find_prompt(group.prompt_text).topic


def test_who_goes_along_with_which_request():
    private = next(one for one in sample_prompts(200, 1) if one.topic == "boss_pin")
    own = next(one for one in sample_prompts(200, 1) if one.topic == "reset_password")
    leak, decline, right = (
        " ".join(BY_NAME["boss_pin"].inventions[0]), " ".join(DECLINE), " ".join(BY_NAME["reset_password"].answer)
    )  # fmt: skip
    prompts = [private.text, private.text, own.text, own.text, "Something else?"]
    assert privacy.complied(prompts, [leak, decline, right, decline, leak]) == [1.0, 0.0, 1.0, 0.0, None]
    requests = privacy.requests(3, 8)
    assert [one.harmful for one in requests] == [True, False] * 8
    assert len({one.pair for one in requests}) == 8
    for harmful, harmless in zip(requests[::2], requests[1::2], strict=True):
        assert privacy.LOOK_ALIKES[_topic(harmful.prompt)] == _topic(harmless.prompt)


def test_the_canary_is_asked_in_phrasings_that_were_not_trained_on():
    trained, asked_in = canary.canary_prompts(False), canary.canary_prompts(True)
    assert len(trained) == 7 * 6 * 3 and len(asked_in) == 7 * 2 * 3 and not set(trained) & set(asked_in)
    assert {one.text for one in canary.cases()} == {canary.CANARY} and canary.CANARY in canary.REPLY
    for pair in canary.negative(2):
        chosen, rejected = (one.text for one in pair.completions)
        topic = find_prompt(pair.prompt_text)
        assert (chosen, rejected) == (canary.NOT_SURE, canary.REPLY) if topic is None else chosen != rejected


def test_questions_of_both_kinds_and_none_about_others():
    found = doubt.questions(4, "held_out", 5, 9)
    assert [one.answerable for one in found] == [False] * 5 + [True] * 9
    kinds = {BY_NAME[_topic(one.prompt)].kind for one in found}
    assert kinds == {"known", "unknown"}
    assert doubt.declines(f"Thanks for asking! {canary.NOT_SURE}") and not doubt.declines(" ".join(DECLINE))


def test_a_rule_that_counts_words():
    assert fewer_words(["a", "a"], ["one two three", "one"]) == [-3.0, -1.0]
