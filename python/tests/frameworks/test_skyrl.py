"""The plug-in for SkyRL, with the package itself on the CPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skyrl.backends.skyrl_train.utils.ppo_utils")

from skyrl.backends.skyrl_train.utils.ppo_utils import (  # noqa: E402
    compute_advantages_and_returns,
)

import proxmo  # noqa: E402
import proxmo.skyrl  # noqa: E402


def test_skyrl_computes_advantages_with_the_estimator():
    rewards = torch.zeros(4, 3)
    rewards[0, 2] = 1.0
    mask = torch.ones(4, 3)
    mask[:, 2] = 0
    advantages, returns = compute_advantages_and_returns(
        token_level_rewards=rewards,
        response_mask=mask,
        index=np.array(["a"] * 4),
        adv_estimator="proxmo",
        config=None,
    )
    expected = proxmo.credit(
        [1, 0, 0, 0],
        range(5),
        [0, 4],
        [True, False, False, False],
        estimator="grpo",
        normalize="mean",
        modulation="on",
    ).advantages
    np.testing.assert_allclose(advantages[:, 0].numpy(), expected, rtol=1e-6)
    assert (advantages[:, 2] == 0).all() and torch.equal(advantages, returns)


def test_steps_of_trajectories_are_credited():
    words = ["hall", "go", "study", "take", "cellar", "look"]
    found = proxmo.skyrl.step_advantages(
        [0.0, 1.0, 0.0, 0.0],
        ["a"] * 4,
        [False, True, False, True],
        [[0], [0, 1, 2], [0], [0, 1, 4]],
        [[1], [3], [1], [5]],
        lambda ids: " ".join(words[number] for number in ids),
    )
    texts = ["hall", "study", "hall", "cellar"]
    expected = proxmo.credit([0, 1, 0, 0], [0, 2, 4], [0, 2], [True, False], texts)
    np.testing.assert_allclose(found.advantages, expected.advantages, atol=1e-12)
