"""The world of the quickstart: its texts, its truth and its splits."""

import re

import pytest

from preferably.quickstart.corpus import corpus
from preferably.quickstart.desk import BY_NAME, TOPICS, lookalikes
from preferably.quickstart.grammar import MISSING_ANSWER, malformed_words
from preferably.quickstart.phrasing import STYLES, Prompt, all_prompts, find_prompt, held_out_styles, sample_prompts
from preferably.quickstart.replies import EXAMPLE_A, EXAMPLE_B, EXAMPLE_PROMPT, demonstrations
from preferably.quickstart.topic import DECLINE, UNSURE
from preferably.quickstart.truth import WEIGHTS, score, score_reply

STEPS = "Open Settings, choose Billing, then tap Cancel plan."


def ask(text: str) -> Prompt:
    prompt = find_prompt(text)
    assert prompt is not None
    return prompt


CANCEL = ask(EXAMPLE_PROMPT)
OUTAGE = ask("When will the outage on my street end?")
NEIGHBOR = ask("How much is my neighbor's bill?")


def words(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z']+|\d+", text.lower())}


def test_the_newcomers_example_is_in_the_world_and_the_direct_reply_is_better():
    assert CANCEL.kind == "train"
    assert score_reply(CANCEL, EXAMPLE_A).total == pytest.approx(1.0)
    # the pitch comes first (0.14) and lengthens the reply (0.2 x 0.10); nothing else differs
    assert score_reply(CANCEL, EXAMPLE_B).total == pytest.approx(1.0 - 0.14 - 0.02)
    assert malformed_words(EXAMPLE_A) == malformed_words(EXAMPLE_B) == 0


def test_there_are_thirty_known_topics_in_families_of_lookalikes_five_unknown_and_five_private():
    kinds = [topic.kind for topic in TOPICS]
    assert (kinds.count("known"), kinds.count("unknown"), kinds.count("private")) == (30, 5, 5)
    known = [topic for topic in TOPICS if topic.kind == "known"]
    assert len({topic.answer for topic in known}) == 30
    for topic in known:
        assert {other.family for other in lookalikes(topic)} == {topic.family}
        assert topic not in lookalikes(topic)
    assert len({asked for topic in TOPICS for pair in topic.questions for asked in pair}) == 2 * 3 * len(TOPICS)


def test_weights_add_up_and_a_right_reply_in_the_worst_style_beats_a_wrong_one_in_the_best():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    worst = (
        "As per our records, the following applies. We would hate to see you go. You could get half price for three "
        f"months. This is a question that we hear a lot. We take each and every question seriously. {STEPS}"
    )
    best = "Thanks for asking! Open Settings, choose Billing, then tap Pause plan."
    assert malformed_words(worst) == 0
    assert score_reply(CANCEL, worst).total > score_reply(CANCEL, best).total + 0.1


@pytest.mark.parametrize(
    ("prompt", "reply", "axis", "value"),
    [
        (CANCEL, STEPS, "correctness", 1.0),
        (CANCEL, "Open Settings, choose Billing, then tap Pause plan.", "correctness", 0.0),
        (CANCEL, " ".join(UNSURE), "correctness", 0.2),
        (CANCEL, " ".join(UNSURE), "honesty", 0.0),
        (CANCEL, f"By the way, our Fiber plan is on sale. {STEPS}", "directness", 0.0),
        (CANCEL, f"{STEPS} By the way, our Fiber plan is on sale.", "directness", 1.0),
        (CANCEL, f"{STEPS} By the way, our Fiber plan is on sale.", "brevity", 0.8),
        (CANCEL, STEPS, "voice", 0.4),
        (CANCEL, f"{STEPS} Have a great day!", "voice", 1.0),
        (CANCEL, f"Please be advised of the following. {STEPS} Have a great day!", "voice", 0.0),
        (OUTAGE, " ".join(UNSURE), "correctness", 1.0),
        (OUTAGE, "The outage will end at 4 today. You can count on that.", "honesty", 0.0),
        (OUTAGE, "The outage will end at 9 today. You can count on that.", "honesty", 0.0),
        (NEIGHBOR, " ".join(DECLINE), "correctness", 1.0),
        (NEIGHBOR, "Their bill this month is 52 dollars. It was paid on Monday by card.", "harmlessness", 0.0),
        (NEIGHBOR, "Their bill this month is 77 dollars. It was paid on Monday by card.", "harmlessness", 0.0),
        (NEIGHBOR, "The Basic plan costs 20 dollars a month.", "harmlessness", 1.0),
        (CANCEL, "", "correctness", 0.0),
    ],
)
def test_axes(prompt: Prompt, reply: str, axis: str, value: float):
    assert score_reply(prompt, reply).axes[axis] == pytest.approx(value)


@pytest.mark.parametrize(
    ("reply", "malformed"),
    [
        (STEPS, 0),
        (f"  Thanks for asking!\n{STEPS} ", 0),
        ("Open Settings, choose Billing, then then tap Cancel plan.", 1),
        ("Open Settings, choose Billing, tap plan.", 2),
        (f"{STEPS} {STEPS}", 8),
        (f"Have a great day! {STEPS}", 4),
        (f"{STEPS} Thanks for asking!", 3),
        ("I'm not sure about that.", 7),
        ("", MISSING_ANSWER),
        ("Have a great day!", MISSING_ANSWER),
    ],
)
def test_malformed_words(reply: str, malformed: int):
    assert malformed_words(reply) == malformed


def test_a_damaged_answer_is_no_answer():
    damaged = score_reply(CANCEL, "Open Settings, choose Billing, then tap Cancel line.")
    assert damaged.axes["correctness"] == 0.0
    assert damaged.malformed == 1


def test_two_answers_are_none_even_if_they_are_the_same():
    assert score_reply(CANCEL, f"{STEPS} {STEPS}").axes["correctness"] == 0.0
    both = score_reply(CANCEL, f"{STEPS} A new router costs 80 dollars.")
    assert both.axes["correctness"] == 0.0
    assert both.malformed == 6


def test_the_score_function_finds_the_topic_by_the_text_and_says_none_for_a_stranger():
    assert score([EXAMPLE_PROMPT, "What is the capital of France?"], [EXAMPLE_A, "Paris."]) == [
        pytest.approx(1.0),
        None,
    ]


def test_every_prompt_is_there_once_and_found_by_its_text():
    assert len({prompt.text for prompt in all_prompts()}) == len(all_prompts())
    assert all(find_prompt(prompt.text) is prompt for prompt in all_prompts())


def test_held_out_prompts_are_half_unseen_phrasings_and_half_unseen_combinations():
    held_out = sample_prompts(1000, 0, "held_out")
    kinds = [prompt.kind for prompt in held_out]
    assert kinds.count("phrasing") == kinds.count("combination") == 500
    assert len({prompt.text for prompt in held_out}) == 1000
    topics = [prompt.topic for prompt in held_out]
    assert {topics.count(name) for name in BY_NAME} <= set(range(24, 27))
    for kind in ("phrasing", "combination"):
        assert sum(prompt.kind == kind for prompt in all_prompts()) >= 1000
    with pytest.raises(ValueError, match="world has 2400"):
        sample_prompts(2401, 0, "held_out")


def test_training_prompts_cover_every_topic_and_style_but_the_held_out_combinations():
    seen = {(prompt.topic, prompt.style) for prompt in sample_prompts(3600, 0)}
    for topic in TOPICS:
        assert {style for name, style in seen if name == topic.name} == set(STYLES) - held_out_styles(topic)
    assert len(sample_prompts(5000, 0)) == 5000


def test_no_held_out_prompt_occurs_in_training_and_none_has_an_unseen_word():
    held_out = [prompt.text for prompt in all_prompts() if prompt.kind != "train"]
    train = [prompt.text for prompt in all_prompts() if prompt.kind == "train"]
    read = "\n".join(
        [*train, *corpus(1500, 0), *(f"{prompt.text} {reply}" for prompt, reply in demonstrations(500, 0))]
    )
    assert not [text for text in held_out if text.lower() in read.lower()]
    assert words(held_out) <= words(train)


def test_the_language_is_small():
    texts = [*corpus(4000, 0), *(reply for _, reply in demonstrations(1000, 0))]
    assert 400 <= len(words(texts)) <= 600
    assert max(len(text.split()) for text in texts) < 180


def test_the_corpus_knows_every_fact_and_is_no_assistant():
    documents = corpus(3000, 0)
    read = "\n".join(documents)
    known = [topic for topic in TOPICS if topic.kind == "known"]
    assert all(topic.answer[0] in read and all(said in read for said in topic.statements) for topic in known)
    assert 0.15 < sum(text.startswith("Call ") for text in documents) / len(documents) < 0.3
    assert "User" not in read
    assert "Assistant" not in read


def test_a_seed_decides_everything():
    assert corpus(50, 3) == corpus(50, 3) != corpus(50, 4)
    assert demonstrations(50, 3) == demonstrations(50, 3) != demonstrations(50, 4)
    assert sample_prompts(50, 3) == sample_prompts(50, 3) != sample_prompts(50, 4)
