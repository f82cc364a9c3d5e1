"""One process: helpers that do nothing."""

import pytest

from preferably.batches.packing import split_by_tokens
from preferably.config import settings
from preferably.errors import ConfigError, DataError
from preferably.models.policy import Policy
from preferably.training import parallel
from preferably.training.sharding import assembled, like, shard, to_main, whole


def test_one_process_does_all_of_it_once(tiny):
    groups = tiny.groups([(3, [4, 5]), (2, [2, 6]), (7, [1, 1]), (2, [9, 3])])
    cut = parallel.share(groups, 20)
    assert [run for run, _ in cut] == split_by_tokens(groups, 20) and len(cut) > 1
    assert [real for _, real in cut] == [1.0] * len(cut)
    assert parallel.total(0.5, {"a": 1.25}) == (0.5, {"a": 1.25})
    assert parallel.any_of(True) and not parallel.any_of(False)
    assert parallel.from_all("x") == ["x"] and parallel.on_main(lambda: 3) == 3
    assert (parallel.world(), parallel.rank(), parallel.is_main()) == (1, 0, True)


def test_one_process_has_the_weights_whole(tiny):
    policy = Policy(tiny.build("llama"))
    before = {name: p.clone() for name, p in policy.named_parameters()}
    shard(policy, "cpu")
    assert assembled(policy) is policy
    parameter = next(policy.parameters())
    assert whole(parameter) is parameter and like(parameter, parameter).equal(parameter)
    kept = to_main(dict(policy.named_parameters()))
    assert kept.keys() == before.keys() and all(kept[name].equal(before[name]) for name in kept)
    assert type(policy) is Policy


def test_errors_of_one_process_pass_as_they_are():
    error = DataError("no")
    assert parallel.explained(error) is error
    with pytest.raises(DataError) as caught, parallel.together():
        raise error
    assert caught.value is error


def test_the_number_of_processes_is_that_which_runs(monkeypatch):
    given = {"method": "sft", "model": "m", "output": "o"}
    assert parallel.confirmed(settings(given)).processes == 1
    with pytest.raises(ConfigError, match="processes = 3 was asked for, but this program runs as 1"):
        parallel.confirmed(settings(given | {"processes": 3}))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert [parallel.confirmed(settings(given | more)).processes for more in ({}, {"processes": 2})] == [2, 2]
    assert (parallel.rank(), parallel.is_main()) == (1, False)
    with pytest.raises(ConfigError, match="runs as 2"):
        parallel.confirmed(settings(given | {"processes": 3}))
