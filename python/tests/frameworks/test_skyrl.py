"""The plug-in for SkyRL, with the package itself on the CPU."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skyrl.train.trainer")

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


WORDS = ["hall", "go", "study", "take", "cellar", "look"]


class Words:
    """A tokenizer whose tokens are words."""

    def decode(self, ids, **kwargs):
        return " ".join(WORDS[number] for number in ids)


def batch(prompts, responses, rewards, masks, **metadata):
    from skyrl.backends.skyrl_train.training_batch import TrainingInputBatch
    from skyrl.train.dataset.preprocess import convert_prompts_responses_to_batch_tensors

    parts = convert_prompts_responses_to_batch_tensors(0, prompts, responses, rewards, masks)
    names = ["sequences", "attention_mask", "response_mask", "rewards", "loss_mask"]
    data = TrainingInputBatch(dict(zip(names, parts)) | {"values": None})
    count = len(prompts)
    data.metadata = {"uids": ["a"] * count, "avg_response_length": 1.0} | metadata
    return data


def trainer(step_wise):
    made = object.__new__(proxmo.skyrl.ProxMOTrainer)
    made.tokenizer, made.all_metrics = Words(), {}
    algorithm = SimpleNamespace(
        advantage_estimator="proxmo", gamma=1.0, lambd=1.0, grpo_norm_by_std=True
    )
    made.cfg = SimpleNamespace(
        generator=SimpleNamespace(step_wise_trajectories=step_wise),
        trainer=SimpleNamespace(algorithm=algorithm),
    )
    return made


def expected():
    """The advantages of two episodes of two steps."""
    texts = ["hall", "study", "hall", "cellar"]
    return proxmo.credit([0, 1, 0, 0], [0, 2, 4], [0, 2], [True, False], texts).advantages


def test_the_trainer_credits_the_steps_of_step_wise_trajectories():
    data = batch(
        [[0], [0, 1, 2], [0], [0, 1, 4], [0]],
        [[1], [3], [1], [5], [1]],
        [[0.0], [1.0], [0.0], [0.0], [0.0]],
        [[1]] * 5,
        # The last one only pads the batch.
        is_last_step=[False, True, False, True, True],
        pad_size=1,
    )
    made = trainer(step_wise=True)
    found = made.compute_advantages_and_returns(data)["advantages"]
    np.testing.assert_allclose(found[:4, 0].numpy(), expected(), rtol=1e-5)
    assert found[4].sum() == 0 and made.all_metrics["proxmo/rows"] == 4


def test_the_trainer_credits_the_turns_of_conversations():
    data = batch(
        [[0], [0]],
        [[1, 2, 3], [1, 4, 5]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
        [[1, 0, 1], [1, 0, 1]],
    )
    found = trainer(step_wise=False).compute_advantages_and_returns(data)["advantages"]
    np.testing.assert_allclose(found[:, [0, 2]].numpy().ravel(), expected(), rtol=1e-5)
    assert (found[:, 1] == 0).all()
