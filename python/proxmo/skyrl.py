"""ProxMO in SkyRL.

Importing this module registers `trainer.algorithm.advantage_estimator=proxmo`: ProxMO for the outcome of
whole responses. `ProxMOTrainer` is SkyRL's trainer with an advantage for each step of step-wise
trajectories (`generator.step_wise_trajectories=true`):

    class Experiment(BasePPOExp):
        def get_trainer(self, *args, **kwargs):
            return proxmo.skyrl.ProxMOTrainer(*args, **kwargs)
"""

import numpy as np
import torch
from skyrl.backends.skyrl_train.utils.ppo_utils import register_advantage_estimator

from ._rows import added, credit_rows, outcome_credit


@register_advantage_estimator("proxmo")
def compute_proxmo_outcome_advantage(token_level_rewards, response_mask, index, **kwargs):
    """The advantage of each response.

    A response whose reward is 1 or more counts as a success.

    Args:
        token_level_rewards: `[responses, tokens]`.
        response_mask: `[responses, tokens]`.
        index: The group of each response: `[responses]`.

    Returns:
        Advantages and returns, which are the same: `[responses, tokens]`.
    """
    scores = token_level_rewards.sum(dim=-1).double().cpu().numpy()
    advantages = outcome_credit(scores, list(index), 1.0, {})
    advantages = torch.as_tensor(advantages).to(token_level_rewards).unsqueeze(-1) * response_mask
    return advantages, advantages


def step_advantages(
    rewards, uids, is_last_step, prompts, responses, decode, success_reward=1.0, **settings
):
    """The advantage of each step of step-wise trajectories.

    Args:
        rewards: The reward of each step: `[steps]`.
        uids: The group of each step: `[steps]`.
        is_last_step: Whether a trajectory ends with the step: `[steps]`. The steps of a trajectory
            follow each other.
        prompts: The tokens of each prompt: `[steps]`, lists of numbers.
        responses: The tokens of each response: `[steps]`, lists of numbers.
        decode: Turns tokens into text.
        success_reward: The total reward from which a trajectory counts as a success. None if rewards do
            not say so.
        **settings: As for `proxmo.credit`.

    Returns:
        Credit in the order of the steps.
    """
    last = np.asarray(is_last_step, dtype=bool)
    trajectories = np.concatenate([[0], np.cumsum(last[:-1])])
    rewards = np.asarray(rewards, dtype=np.float64)
    texts, before = [], []
    for row, prompt in enumerate(prompts):
        texts.append(decode(added(before, prompt)))
        before = [] if last[row] else prompt + responses[row]
    success = None
    if success_reward is not None:
        success = (np.bincount(trajectories, weights=rewards) >= success_reward)[trajectories]
    return credit_rows(
        rewards, list(uids), trajectories.tolist(), success=success, texts=texts, **settings
    )
