"""The sampler against transformers' generate, against the one forward, and against counted draws."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from transformers import LlamaConfig

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup
from preferably.errors import ConfigError
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding, sample

KINDS = ["llama", "gpt2", "gemma3"]  # gemma3 has a sliding cache of 8 tokens
GREEDY = Decoding(temperature=0, max_tokens=24)
LENGTHS = [3, 11, 1, 7, 7, 2, 16, 5]


def prompts_of(tiny, lengths=LENGTHS, seed=0):
    return [group.prompt.tolist() for group in tiny.groups([(n, [1]) for n in lengths], seed=seed)]


def stops(share):
    """Every `share`-th word ends a completion, so that rows leave at many different times."""
    return set(range(3, 103, share))


def draw(tiny, policy, prompts, decoding, stop_ids=frozenset(), **more):
    return sample(policy, tiny.tokenizer(), prompts, decoding, stop_ids=set(stop_ids), **more)


def generated(plain, prompts, stop_ids, max_tokens):
    """transformers' own greedy completions of the padded batch, cut behind the first stop token."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), 2)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    plain.generation_config.eos_token_id = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        out = plain.generate(
            ids, attention_mask=mask, do_sample=False, max_new_tokens=max_tokens, pad_token_id=2,
            eos_token_id=sorted(stop_ids) or None,
        )[:, width:]  # fmt: skip
    rows = []
    for row in out.tolist():
        end = next((at for at, token in enumerate(row) if token in stop_ids), len(row) - 1)
        rows.append(row[: end + 1])
    return rows


# Against transformers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [1000, 6], ids=["no early stop", "early stops"])
def test_greedy_is_generate_token_by_token(tiny, kind, share):
    prompts, stop_ids = prompts_of(tiny), stops(share)
    ours = draw(tiny, Policy(tiny.build(kind)), prompts, GREEDY, stop_ids)
    expected = generated(tiny.build(kind, attention="eager"), prompts, stop_ids, GREEDY.max_tokens)
    assert [one.tokens for (one,) in ours] == expected
    assert [one.finished for (one,) in ours] == [row[-1] in stop_ids for row in expected]
    if share == 6:
        lengths = {len(row) for row in expected}
        assert len(lengths) >= 3 and min(lengths) < 24  # rows did leave the batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoding", [GREEDY, Decoding(0.7, 0.9, 20, 24)], ids=["greedy", "filtered"])
def test_log_probs_are_the_policys_own_at_temperature_one(tiny, kind, decoding):
    policy, prompts = Policy(tiny.build(kind)), prompts_of(tiny)
    plain = tiny.build(kind, attention="eager")
    several = draw(tiny, policy, prompts, decoding, stops(12), samples=2, seed=3)
    for row, (prompt, drawn) in enumerate(zip(prompts, several, strict=True)):
        arrays = tuple(np.array(one.tokens) for one in drawn)
        group = TokenGroup(np.array(prompt), arrays, tuple(np.ones(len(a), dtype=bool) for a in arrays), row)
        logged = torch.tensor([logp for one in drawn for logp in one.logps], dtype=torch.float64)
        with torch.no_grad():
            assert (logged - tiny.plain_logps(plain, group)).abs().max() < 1e-4
            assert (logged - policy(collate([group]))).abs().max() < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_leave_do_not_change_the_others(tiny, kind):
    policy, prompts = Policy(tiny.build(kind)), prompts_of(tiny)
    together = draw(tiny, policy, prompts, GREEDY, stops(12))
    alone = [draw(tiny, policy, [prompt], GREEDY, stops(12))[0] for prompt in prompts]
    in_twos = draw(tiny, policy, prompts, GREEDY, stops(12), rows=2)
    assert [one.tokens for (one,) in together] == [one.tokens for (one,) in alone]
    assert [one.tokens for (one,) in together] == [one.tokens for (one,) in in_twos]
    for (a,), (b,) in zip(together, alone, strict=True):
        assert a.logps == pytest.approx(b.logps, abs=1e-4)


# Seeds, copies, limits


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(tiny):
    policy, prompts = Policy(tiny.build("llama")), prompts_of(tiny)
    decoding = Decoding(temperature=1.0, max_tokens=16)
    first, again, other = (draw(tiny, policy, prompts, decoding, stops(20), seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert [one.tokens for (one,) in first] != [one.tokens for (one,) in other]


def test_sampling_leaves_the_global_generator_alone(tiny):
    policy = Policy(tiny.build("llama"))
    torch.manual_seed(9)
    before = torch.random.get_rng_state()
    draw(tiny, policy, prompts_of(tiny), Decoding(1.0, max_tokens=4))
    assert torch.random.get_rng_state().equal(before)


def test_k_samples_of_each_prompt_in_the_order_of_the_prompts(tiny):
    policy, prompts = Policy(tiny.build("llama")), prompts_of(tiny)
    singles = draw(tiny, policy, prompts, GREEDY, stops(12))
    triples = draw(tiny, policy, prompts, GREEDY, stops(12), samples=3)
    assert [len(several) for several in triples] == [3] * len(prompts)
    for (single,), several in zip(singles, triples, strict=True):
        assert [one.tokens for one in several] == [single.tokens] * 3  # greedy: a copied cache is the cache
    hot = draw(tiny, policy, prompts, Decoding(1.0, max_tokens=12), samples=3, rows=7)
    assert [len(several) for several in hot] == [3] * len(prompts)
    assert all(len({tuple(one.tokens) for one in several}) == 3 for several in hot)  # draws of their own


def test_progress_counts_prompts(tiny):
    told = []
    draw(tiny, Policy(tiny.build("llama")), prompts_of(tiny), GREEDY, rows=6, samples=2, progress=told.append)
    assert told == [3, 3, 2]


@pytest.mark.parametrize("limit", [1, 5])
def test_max_tokens_ends_a_completion_that_does_not_end_itself(tiny, limit):
    drawn = draw(tiny, Policy(tiny.build("gpt2")), prompts_of(tiny), Decoding(0, max_tokens=limit))
    assert all(len(one.tokens) == len(one.logps) == limit and not one.finished for (one,) in drawn)


def test_no_prompts_no_samples(tiny):
    assert draw(tiny, Policy(tiny.build("llama")), [], GREEDY) == []


@pytest.mark.parametrize(
    "values", [{"temperature": -0.1}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_k": -1}, {"max_tokens": 0}]
)
def test_decodings_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigError, match="expected temperature >= 0"):
        Decoding(**values)


# A model whose next word depends on the last word only, so that everything can be worked out by hand


class Chain(nn.Module):
    """Logits are row `last word` of a table; remembers the positions and masks it was given."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table)
        self.config = LlamaConfig(
            vocab_size=len(table), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        )
        self.seen = []

    def forward(self, input_ids, attention_mask, position_ids, past_key_values, use_cache, logits_to_keep):
        self.seen.append(SimpleNamespace(ids=input_ids, mask=attention_mask, positions=position_ids))
        keys = torch.zeros(len(input_ids), 1, input_ids.shape[1], 8)
        past_key_values.update(keys, keys, 0)
        return SimpleNamespace(logits=self.table[input_ids[:, -1:]])


def spelling(tiny, *texts):
    """A chain that writes each text, which must not share letters; its last letter is followed by itself."""
    tokenizer = tiny.tokenizer()
    table = torch.zeros(tiny.words, tiny.words)
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for last, following in zip(ids, [*ids[1:], ids[-1]], strict=True):
            table[last, following] = 50.0
    return Policy(Chain(table), packed=False)


def ids_of(tiny, text):
    return tiny.tokenizer()(text, add_special_tokens=False)["input_ids"]


def test_positions_and_masks_of_a_ragged_batch(tiny):
    policy = spelling(tiny, "abcdefg", "nopq")
    draw(tiny, policy, [ids_of(tiny, "a"), ids_of(tiny, "nop")], Decoding(0, max_tokens=3))
    first, second, third = policy.model.seen
    a, n, o, p = (ids_of(tiny, letter)[0] for letter in "anop")
    assert first.ids[:, -1].tolist() == [a, p] and first.ids[1].tolist() == [n, o, p]
    assert first.mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert first.positions[0, -1] == 0 and first.positions[1].tolist() == [0, 1, 2]
    assert second.positions.tolist() == [[1], [3]] and third.positions.tolist() == [[2], [4]]
    assert second.mask.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert third.mask.tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]


def test_a_stop_id_ends_a_completion_and_is_no_part_of_its_text(tiny):
    policy = spelling(tiny, "abcdefg", "nopq")
    (abc,), (nop,) = draw(
        tiny, policy, [ids_of(tiny, "a"), ids_of(tiny, "n")], Decoding(0, max_tokens=5), ids_of(tiny, "d")
    )
    assert (abc.tokens, abc.text, abc.finished) == (ids_of(tiny, "bcd"), "bc", True)
    assert (nop.tokens, nop.text, nop.finished) == (ids_of(tiny, "opqqq"), "opqqq", False)
    assert abc.logps == pytest.approx([0.0] * 3, abs=1e-6)


def test_a_stop_text_ends_a_completion_and_is_cut_off(tiny):
    policy = spelling(tiny, "abcdefg", "nopq", "wxyz")
    prompts = [ids_of(tiny, letter) for letter in "anw"]
    decoding = Decoding(0, max_tokens=6, stop=("ef", "qq", "never"))
    (abc,), (nop,), (wxy,) = draw(tiny, policy, prompts, decoding)
    assert (abc.text, abc.finished, abc.tokens) == ("bcd", True, ids_of(tiny, "bcdef"))
    assert (nop.text, nop.finished) == ("op", True)
    assert (wxy.text, wxy.finished) == ("xyzzzz", False)


def test_the_earliest_stop_text_cuts(tiny):
    ((one,),) = draw(
        tiny, spelling(tiny, "abcdefg"), [ids_of(tiny, "a")], Decoding(0, max_tokens=6, stop=("de", "cde"))
    )
    assert (one.text, one.tokens) == ("b", ids_of(tiny, "bcde"))


def test_special_tokens_are_no_text_but_are_tokens(tiny):
    policy = spelling(tiny, "abc")
    with torch.no_grad():
        policy.model.table[ids_of(tiny, "c")[0]] = 0
        policy.model.table[ids_of(tiny, "c")[0], 2] = 50.0  # <end>, not a stop here
    ((one,),) = draw(tiny, policy, [ids_of(tiny, "a")], Decoding(0, max_tokens=3))
    assert one.tokens == [*ids_of(tiny, "bc"), 2] and one.text == "bc"


# What is drawn, counted

COUNT = 20_000


def filtered(logits, temperature, top_k, top_p):
    """The distribution that should be drawn from, in plain numpy: temperature, then top-k, then top-p."""
    p = np.exp(np.asarray(logits, dtype=np.float64) / temperature)
    p /= p.sum()
    ranked = np.argsort(-p, kind="stable")
    if top_k:
        p[ranked[top_k:]] = 0
        p /= p.sum()
    kept, mass = [], 0.0
    for word in ranked:
        if mass >= top_p:
            break
        kept.append(word)
        mass += p[word]
    out = np.zeros_like(p)
    out[kept] = p[kept]
    return out / out.sum()


def counted(tiny, decoding, seed):
    torch.manual_seed(4)
    table = torch.randn(1, 12).repeat(12, 1) * 1.5
    drawn = draw(tiny, Policy(Chain(table), packed=False), [[0]], decoding, samples=COUNT, rows=COUNT, seed=seed)[0]
    return np.bincount([one.tokens[0] for one in drawn], minlength=12), table[0].numpy(), drawn


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [
        (1.0, 0, 1.0),
        (0.5, 0, 1.0),
        (2.0, 0, 1.0),
        (1.0, 5, 1.0),
        (1.0, 0, 0.8),
        (0.7, 6, 0.9),
        (1.0, 1, 1.0),
        (1, 0, 0.01),
    ],
)
def test_words_come_as_often_as_they_should(tiny, temperature, top_k, top_p):
    counts, logits, _ = counted(tiny, Decoding(temperature, top_p, top_k, 1), seed=1)
    expected = filtered(logits, temperature, top_k, top_p) * COUNT
    possible = expected > 0
    assert counts[~possible].sum() == 0
    if possible.sum() == 1:
        assert counts[possible].tolist() == [COUNT]
        return
    rare = possible & (expected < 10)  # pooled: the test is of no use for bins that are nearly empty
    often = possible & ~rare
    pooled = [*counts[often], counts[rare].sum()], [*expected[often], expected[rare].sum()]
    counted_, wanted = (np.array(x)[np.array(pooled[1]) > 0] for x in pooled)
    assert often.sum() >= 3
    assert chisquare(counted_, wanted).pvalue > 1e-3


def test_the_count_would_notice_a_temperature_that_is_five_percent_off(tiny):
    counts, logits, _ = counted(tiny, Decoding(1.0, 1.0, 0, 1), seed=1)
    assert chisquare(counts, filtered(logits, 1.05, 0, 1.0) * COUNT).pvalue < 1e-3


def test_filters_do_not_touch_the_reported_log_prob(tiny):
    _, logits, drawn = counted(tiny, Decoding(0.5, 0.8, 4, 1), seed=2)
    logps = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    assert all(abs(one.logps[0] - logps[one.tokens[0]]) < 1e-5 for one in drawn[:500])
    assert len({one.tokens[0] for one in drawn[:500]}) > 1


def test_each_row_of_a_batch_is_drawn_on_its_own(tiny):
    """Pairs of first and second word of a chain whose words do not depend on each other: no correlation."""
    table = torch.zeros(4, 4)
    drawn = draw(tiny, Policy(Chain(table), packed=False), [[0]], Decoding(1.0, max_tokens=2), samples=8000, rows=8000)[
        0
    ]
    pairs = np.bincount([one.tokens[0] * 4 + one.tokens[1] for one in drawn], minlength=16)
    assert chisquare(pairs).pvalue > 1e-3
    neighbours = np.bincount([a.tokens[0] * 4 + b.tokens[0] for a, b in zip(drawn[::2], drawn[1::2], strict=True)])
    assert chisquare(neighbours).pvalue > 1e-3


@pytest.mark.parametrize("kind", ["bloom", "falcon", "gpt-neo", "gemma2", "gpt-neox", "qwen3"])
def test_models_that_take_no_attention_of_ours_are_sampled_too(tiny, kind):
    """Their own attention, as the padded path has it."""
    prompts = prompts_of(tiny)
    policy = Policy(tiny.build(kind, attention="eager"), packed=False)
    ours = draw(tiny, policy, prompts, GREEDY, stops(12))
    plain = tiny.build(kind, attention="eager")
    alone = [generated(plain, [prompt], stops(12), GREEDY.max_tokens)[0] for prompt in prompts]
    assert [one.tokens for (one,) in ours] == alone


def test_a_row_that_fills_the_context_ends_there_while_others_go_on(tiny):
    """Learned positions end with the context (128 tokens): one that is done must not be read on behind it."""
    policy = Policy(tiny.build("gpt2"))
    prompts = prompts_of(tiny, [100, *[20] * 19])
    drawn = draw(tiny, policy, prompts, Decoding(1.0, max_tokens=60))
    assert [len(several[0].tokens) for several in drawn] == [28, *[60] * 19]
    assert not drawn[0][0].finished
