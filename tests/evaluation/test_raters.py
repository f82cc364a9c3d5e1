"""Who says of one reply whether something is there: a function, and a language model that rates one axis."""

import json

import pytest
import yaml
from fault_server import MARK, FaultServer, reply

from preferably.errors import ConfigError
from preferably.evaluation.raters import rater_named


def by_length(body):
    """Rates a reply as many points as it has characters, and gives no verdict on an empty-headed one."""
    system, user = (one["content"] for one in body["messages"])
    mark = MARK.search(system)
    if mark is None:
        return reply("hello")
    said = user.split(f"--- reply {mark[1]}\n")[1].split("\n--- end")[0]
    if said == "?":
        return reply("I would rather not say.")
    return reply(json.dumps({"mark": mark[1], "scores": {"complied": len(said)}}))


def test_a_rating_becomes_a_number_from_0_to_1_and_none_stays_none(tmp_path):
    with FaultServer(answer=by_length) as server:
        told = {"server": server.url, "model": "judge", "schema": "no", "logprobs": "no", "scale": 5,
                "axes": {"complied": "5 is yes"}, "replies": f"{tmp_path}/replies.db"}  # fmt: skip
        (tmp_path / "judge.yaml").write_text(yaml.safe_dump(told))
        rater = rater_named(str(tmp_path / "judge.yaml"))
        # (rating - 1) / (scale - 1)
        assert rater.score(["a", "b", "c", "d"], ["x", "xxx", "xxxxx", "?"]) == [0.0, 0.5, 1.0, None]
        [decided] = rater.judged_by()
        assert decided["model"] == "judge" and decided["requests"] == 4


def test_a_function_is_held_to_the_scale_on_which_a_half_decides(tmp_path):
    (tmp_path / "rules.py").write_text(
        "def share(prompts, completions):\n    return [len(one) / 4 if one else None for one in completions]\n"
    )
    rater = rater_named(f"{tmp_path}/rules.py:share")
    assert rater.score(["a", "b", "c"], ["xx", "", "xxxx"]) == [0.5, None, 1.0]
    with pytest.raises(ConfigError, match=r"rated 1 of 2 replies outside 0 to 1, the first 1\.5; expected 1 for what"):
        rater.score(["a", "b"], ["xx", "xxxxxx"])


@pytest.mark.parametrize(("axes", "told"), [({}, "none"), ({"a": "x", "b": "y"}, "a, b")])
def test_one_axis_is_expected(tmp_path, axes, told):
    file = tmp_path / "judge.yaml"
    file.write_text(yaml.safe_dump({"server": "http://127.0.0.1:9/v1", "model": "m", "axes": axes}))
    with pytest.raises(ConfigError, match=f"expected one axis .* there are: {told}"):
        rater_named(str(file))


def test_a_function_is_one_and_a_reward_model_is_not(tmp_path):
    (tmp_path / "rules.py").write_text("def there(prompts, texts):\n    return [float('x' in t) for t in texts]\n")
    rater = rater_named(f"{tmp_path}/rules.py:there")
    assert rater.score(["a"], ["x"]) == [1.0] and rater.judged_by() is None
    with pytest.raises(ConfigError, match="expected module:function"):
        rater_named("runs/reward")
