import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.data.hygiene import cluster_prompts, cluster_texts, prompt_key, prompt_text
from preferably.feedback.records import Completion, Group, Message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  AI?", "what is ai"),
        ("\uff37hat is AI", "What is AI"),  # a full-width W
        ("caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u201cHi,\u201d she said \u2014 twice\u2026", 'hi "she" said twice...'),
    ],
)
def test_near_equal_prompts_have_one_key(one, other):
    assert prompt_key(one) == prompt_key(other)


@pytest.mark.parametrize(("one", "other"), [("6-2", "6/2"), ("6 + 2", "6 * 2"), ("C#", "C"), ("?", "!"), ("5%", "5")])
def test_what_changes_the_question_stays_in_the_key(one, other):
    assert prompt_key(one) != prompt_key(other)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_a_key_is_its_own_key_in_any_case(text):
    assert prompt_key(prompt_key(text)) == prompt_key(text) == prompt_key(f" {text}\n")


def test_text_leaves_the_system_message_out_and_falls_back_to_the_completion():
    system, user = Message("system", "be brief"), Message("user", "q")
    assert prompt_text(Group((system, user))) == "q"
    assert prompt_text(Group((), (Completion((Message("text", "once"),)),))) == "once"


def by_hand(texts, alike):
    """The definition, pair by pair."""

    def shingles(text):
        words = prompt_key(text).split()
        size = min(3, len(words))
        return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}

    sets = [shingles(text) for text in texts]
    label = list(range(len(texts)))
    for high in range(len(texts)):
        for low in range(high):
            if len(sets[low] & sets[high]) >= alike * len(sets[low] | sets[high]):
                old, new = max(label[low], label[high]), min(label[low], label[high])
                label = [new if one == old else one for one in label]
    return label


@pytest.mark.parametrize("alike", [0.5, 0.8, 1.0])
def test_clusters_are_those_of_the_definition(alike):
    rng = random.Random(3)
    joined = 0
    for _ in range(60):
        base = [" ".join(rng.choices("abcdefgh", k=rng.randrange(1, 25))) for _ in range(4)]
        texts = []
        for _ in range(18):
            words = rng.choice(base).split()
            for _ in range(rng.randrange(3)):
                words[rng.randrange(len(words))] = rng.choice("abcdefgh")
            texts.append(" ".join(words))
        found = cluster_prompts(texts, alike)
        assert found == by_hand(texts, alike)
        joined += len(texts) - len(set(found))
    assert joined > 100


def test_boilerplate_does_not_join_prompts():
    head = "Below is an instruction that describes a task. Write a response that completes the request. " * 3
    texts = [f"{head} tell me of {number} and {number + 1}" for number in range(300)]
    assert cluster_prompts(texts) == list(range(300))


def test_many_prompts_take_little_time():
    rng = random.Random(0)
    words = [f"w{number}" for number in range(3000)]
    texts = [" ".join(rng.choices(words, k=30)) for _ in range(4000)]
    assert len(set(cluster_prompts(texts + texts[:500]))) == 4000


def test_no_prompts():
    assert cluster_prompts([]) == []


def jaccard(one, other):
    sets = []
    for text in (one, other):
        words = prompt_key(text).split()
        size = max(min(3, len(words)), 1)
        sets.append({tuple(words[at : at + size]) for at in range(len(words) - size + 1)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_texts_join_the_first_that_began_a_cluster_and_is_like_them():
    """Against the same by comparing every two, where most texts are nearly one and its shingles boilerplate."""
    chance = random.Random(0)
    base = [f"w{at}" for at in range(24)]
    texts = []
    for _ in range(150):
        words = [f"x{chance.randrange(50)}" if chance.random() < 0.06 else word for word in base]
        texts.append(" ".join(words[: chance.choice([24, 24, 22, 8])]))
    leaders, expected = [], []
    for at, text in enumerate(texts):
        found = next((other for other in leaders if jaccard(texts[other], text) >= 0.8), None)
        leaders += [at] if found is None else []
        expected.append(at if found is None else found)
    assert len(set(cluster_texts(texts))) == len(leaders) < 100
    for at, (got, wanted) in enumerate(zip(cluster_texts(texts), expected, strict=True)):
        assert (got == at) == (wanted == at)  # of several leaders that are like it, either may be taken
        assert got == at or jaccard(texts[got], texts[at]) >= 0.8


def test_texts_without_words_are_alike_where_they_are_equal():
    assert cluster_texts(["", "...", "", "Yes!", "yes", "..."]) == [0, 1, 0, 3, 3, 1]
