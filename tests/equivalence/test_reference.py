"""Reference log-probs that are kept are those that would be computed again."""

import pytest
import torch

from preferably.training.reference import Reference


@pytest.fixture
def calls(monkeypatch):
    """Groups that the reference computed, in order."""
    seen = []
    honest = Reference.logps

    def spy(self, batch):
        seen.extend(group.row for group in batch.groups)
        return honest(self, batch)

    monkeypatch.setattr(Reference, "logps", spy)
    return seen


@pytest.mark.parametrize("method", ["dpo", "ipo"])
def test_a_kept_reference_is_a_live_one(tiny, offline, calls, method):
    held_out = tiny.groups([(3, [4, 5]), (2, [2, 6])], seed=5)
    cached = offline(method, epochs=3, reference="cache", held_out=held_out, name="cache")
    kept = calls.copy()
    calls.clear()
    live = offline(method, epochs=3, reference="live", held_out=held_out, name="live")
    # once for each of 24 groups and 2 held-out ones; live: 3 epochs, and 6 evaluations (steps 0, 4, 8, 12, 16, 18)
    assert len(kept) == 24 + 2 and len(calls) == 3 * 24 + 6 * 2
    for a, b in zip(cached.metrics, live.metrics, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-5)
    assert max(m["loss"] for m in cached.metrics[1:]) - min(m["loss"] for m in cached.metrics[1:]) > 0.01


def test_the_reference_stays_where_training_began(tiny, offline):
    out = offline(epochs=1, learning_rate=1e-2)
    now = list(out.policy.parameters())
    then = list(tiny.build("llama").parameters())
    assert all(a.equal(b) for a, b in zip(out.reference.policy.parameters(), then, strict=True))
    assert not any(p.requires_grad for p in out.reference.policy.parameters())
    assert not torch.equal(now[0], then[0])


def test_rows_of_different_parts_are_not_confused(tiny):
    """Training row 0 and held-out row 0 are two groups."""
    from preferably.batches.group import collate
    from preferably.models.policy import Policy

    reference = Reference(Policy(tiny.build("llama")), adapters=False, cache=True)
    one, other = tiny.groups([(3, [4, 5])], seed=1), tiny.groups([(3, [4, 5])], seed=2)
    first = reference.sums(collate(one), "train")
    second = reference.sums(collate(other), "held_out")
    assert not first.equal(second)
    assert reference.sums(collate(one), "train").equal(first)


def test_a_batch_that_is_half_known_is_right(tiny):
    from preferably.batches.group import collate
    from preferably.models.policy import Policy

    plain = tiny.build("llama", attention="eager")
    reference = Reference(Policy(tiny.build("llama")), adapters=False, cache=True)
    groups = tiny.groups([(3, [4, 5]), (1, [2]), (6, [1, 1, 3])], masked=True)
    reference.sums(collate(groups[:1]), "train")
    with torch.no_grad():
        expected = []
        for group in groups:
            parts = tiny.plain_logps(plain, group).split([len(c) for c in group.completions])
            expected += [float(p[torch.from_numpy(m)].sum()) for p, m in zip(parts, group.train, strict=True)]
    assert reference.sums(collate(groups), "train").tolist() == pytest.approx(expected, abs=1e-4)
    assert reference.sums(collate(groups[::-1]), "train").tolist() == pytest.approx(
        expected[3:] + expected[2:3] + expected[:2], abs=1e-4
    )
