"""ProxMO in verl.

verl loads this module by itself where proxmo is installed (entry point `verl.plugins`):

- `algorithm.adv_estimator=proxmo` is ProxMO for the outcome of whole responses: rewards are compared with
  their group's mean and modulated by the group's success rate.
- `trainer.v1.trainer_mode=proxmo_sync` is the synchronous trainer with an advantage for each step of an episode.
  A step is one output of an agent loop's session.

Settings are keys below `+algorithm.proxmo`: those of `proxmo.credit`, and `success_reward`, the reward
from which an episode counts as a success (1 by default, null if rewards do not say so).
"""

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

from ._rows import added, credit_rows, outcome_credit


def settings_of(config):
    """The settings below `algorithm.proxmo`, and the reward of a success."""
    settings = dict((config.get("proxmo") if config is not None else None) or {})
    return settings, settings.pop("success_reward", 1.0)


@register_adv_est("proxmo")
def compute_proxmo_outcome_advantage(
    token_level_rewards, response_mask, index=None, config=None, **kwargs
):
    """The advantage of each response.

    Args:
        token_level_rewards: `[responses, tokens]`.
        response_mask: `[responses, tokens]`.
        index: The group of each response: `[responses]`.
        config: `algorithm` of verl's configuration.

    Returns:
        Advantages and returns, which are the same: `[responses, tokens]`.
    """
    if index is None:
        raise ValueError("index: the estimator 'proxmo' needs the group (uid) of each response")
    settings, success_reward = settings_of(config)
    scores = token_level_rewards.sum(dim=-1).double().cpu().numpy()
    advantages = outcome_credit(scores, list(index), success_reward, settings)
    advantages = torch.as_tensor(advantages).to(token_level_rewards).unsqueeze(-1) * response_mask
    return advantages, advantages


def step_advantages(keys, rewards, prompts, responses, decode, config=None):
    """The advantage of each output of the sessions of an iteration.

    Args:
        keys: `{uid}_{session}_{index}` of each output: `[outputs]`. Outputs with the same uid are one
            group, those of one session one episode.
        rewards: The reward of each output: `[outputs]`.
        prompts: The tokens of each prompt: `[outputs]`, lists of numbers.
        responses: The tokens of each response: `[outputs]`, lists of numbers.
        decode: Turns tokens into text.
        config: `algorithm` of verl's configuration.

    Returns:
        Credit in the order of the outputs.
    """
    settings, success_reward = settings_of(config)
    groups, sessions, times = zip(*(key.rsplit("_", 2) for key in keys))
    times = np.array([int(time) for time in times])
    texts = [""] * len(keys)
    before = {}
    for row in np.argsort(times, kind="stable"):
        episode = (groups[row], sessions[row])
        texts[row] = decode(added(before.get(episode, []), prompts[row]))
        before[episode] = prompts[row] + responses[row]
    rewards = np.asarray(rewards, dtype=np.float64)
    success = None
    if success_reward is not None:
        totals = {}
        for group, session, reward in zip(groups, sessions, rewards):
            totals[group, session] = totals.get((group, session), 0.0) + reward
        success = [totals[episode] >= success_reward for episode in zip(groups, sessions)]
    return credit_rows(
        rewards, groups, sessions, times=times, success=success, texts=texts, **settings
    )
