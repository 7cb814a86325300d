"""The plug-in for verl, with the package itself on the CPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("verl")

from tensordict import TensorDict  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.trainer.ppo.core_algos import get_adv_estimator_fn  # noqa: E402

import proxmo  # noqa: E402


def batch():
    """Two groups of two responses, of which one is a success in each."""
    rewards = torch.zeros(4, 6)
    rewards[[0, 3], 3] = 1.0
    mask = torch.ones(4, 6)
    mask[:, 4:] = 0
    tensors = {"token_level_rewards": rewards, "response_mask": mask}
    data = DataProto(batch=TensorDict(tensors, batch_size=4))
    data.non_tensor_batch["uid"] = np.array(["a", "a", "b", "b"], dtype=object)
    return data


def test_verl_loads_the_estimator_by_itself():
    assert get_adv_estimator_fn("proxmo").__module__ == "proxmo.verl"


def test_verl_computes_advantages_with_it():
    ray_trainer = pytest.importorskip("verl.trainer.ppo.ray_trainer")
    data = ray_trainer.compute_advantage(batch(), adv_estimator="proxmo", config={})
    advantages = data.batch["advantages"]
    assert advantages.shape == (4, 6) and (advantages[:, 4:] == 0).all()
    expected = proxmo.credit(
        [1, 0, 0, 1],
        range(5),
        [0, 2, 4],
        [True, False, False, True],
        estimator="grpo",
        normalize="mean",
        modulation="on",
    ).advantages
    np.testing.assert_allclose(advantages[:, 0].numpy(), expected, rtol=1e-6)
    config = {"proxmo": {"modulation": "off"}}
    data = ray_trainer.compute_advantage(batch(), adv_estimator="proxmo", config=config)
    np.testing.assert_allclose(data.batch["advantages"][:, 0].numpy(), [0.5, -0.5, -0.5, 0.5])


def test_a_response_without_a_group_is_refused():
    estimate = get_adv_estimator_fn("proxmo")
    with pytest.raises(ValueError, match="index"):
        estimate(torch.zeros(1, 2), torch.ones(1, 2))


def test_outputs_of_a_session_are_the_steps_of_an_episode():
    from proxmo.verl import step_advantages

    words = ["hall", "go", "study", "take", "cellar", "look"]
    decode = lambda ids: " ".join(words[number] for number in ids)
    # Session 0 wins, session 1 does not; outputs come in any order, and prompts hold the history.
    found = step_advantages(
        ["a_0_1", "a_1_0", "a_0_0", "a_1_1"],
        [1.0, 0.0, 0.0, 0.0],
        [[0, 1, 2], [0], [0], [0, 1, 4]],
        [[3], [1], [1], [5]],
        decode,
        {"proxmo": {"gamma": 0.5}},
    )
    expected = proxmo.credit(
        [0, 1, 0, 0],
        [0, 2, 4],
        [0, 2],
        [True, False],
        ["hall", "study", "hall", "cellar"],
        gamma=0.5,
    ).advantages
    np.testing.assert_allclose(found.advantages, expected[[1, 2, 0, 3]], atol=1e-12)
