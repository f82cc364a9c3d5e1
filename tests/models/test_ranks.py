"""Log-probs and ranks of given tokens, against a plain forward of each text alone in float64."""

import numpy as np
import pytest
import torch

from preferably.models.policy import Policy
from preferably.models.ranks import forced


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_each_token_has_the_log_prob_and_rank_of_the_plain_forward(tiny, kind):
    groups = tiny.groups([(3, [5]), (7, [2]), (1, [9])])
    found = forced(Policy(tiny.build(kind)), [g.prompt for g in groups], [g.completions[0] for g in groups])
    plain = tiny.build(kind, attention="eager")
    with torch.no_grad():
        for group, one in zip(groups, found, strict=True):
            assert one.logps == pytest.approx(tiny.plain_logps(plain, group).tolist(), abs=1e-4)
            logits = plain(
                input_ids=torch.from_numpy(np.concatenate([group.prompt, group.completions[0]]))[None]
            ).logits
            for at, token in enumerate(group.completions[0]):
                order = logits[0, len(group.prompt) - 1 + at].argsort(descending=True).tolist()
                assert one.ranks[at] == order.index(token) + 1
