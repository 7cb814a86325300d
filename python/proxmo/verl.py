"""ProxMO in verl.

verl loads this module by itself where proxmo is installed (entry point `verl.plugins`):

- `algorithm.adv_estimator=proxmo` is ProxMO for the outcome of whole responses: rewards are compared with
  their group's mean and modulated by the group's success rate.
- `trainer.v1.trainer_mode=proxmo_sync`, together with the above, is the synchronous trainer with an
  advantage for each step. The sessions of an agent loop are episodes; a step is one turn: a run of tokens
  that the model wrote.

Settings are keys below `+algorithm.proxmo`: those of `proxmo.credit`, and `success_reward`, the reward
from which an episode counts as a success (1 by default, null if rewards do not say so).
"""

import logging

import torch
from verl.trainer.ppo.core_algos import register_adv_est

from ._rows import outcome_credit
from ._turns import Output, credit_outputs


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


def step_advantages(keys, prompts, responses, masks, rewards, decode, config=None):
    """The advantage of each token of the outputs of an iteration.

    Args:
        keys: `{uid}_{session}_{index}` of each output: `[outputs]`. Outputs with the same uid are one
            group, those of one session one episode.
        prompts: The tokens of each prompt: `[outputs]`, lists of numbers.
        responses: The tokens of each response: `[outputs]`, lists of numbers.
        masks: Whether the model wrote each token of a response: `[outputs]`, lists of 0 and 1.
        rewards: The reward of each token of a response: `[outputs]`, lists of numbers.
        decode: Turns tokens into text.
        config: `algorithm` of verl's configuration.

    Returns:
        The advantages of each output's tokens, and statistics for monitoring.
    """
    settings, success_reward = settings_of(config)
    outputs = []
    for key, *tokens in zip(keys, prompts, responses, masks, rewards):
        group, session, index = key.rsplit("_", 2)
        outputs.append(Output(group, session, int(index), *tokens))
    return credit_outputs(outputs, decode, success_reward, settings)


def _define_trainer():
    """Registers the trainer. verl's trainers need packages that its estimators do not."""
    import transfer_queue as tq
    from tensordict import TensorDict
    from verl.trainer.ppo.v1.trainer_base import register_trainer
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

    @register_trainer("proxmo_sync")
    class ProxMOTrainerSync(PPOTrainerSync):
        """verl's synchronous trainer with ProxMO's advantage for each step."""

        def _compute_advantage(self, batch, metrics):
            # What verl does beside advantages: KL penalty, rollout correction.
            batch = super()._compute_advantage(batch, metrics)
            penalized = self.config.algorithm.use_kl_in_reward
            scores = "token_level_rewards" if penalized else "rm_scores"
            fields = ["prompts", "responses", "response_mask", scores]
            data = tq.kv_batch_get(
                keys=batch.keys, partition_id=batch.partition_id, select_fields=fields
            )
            columns = [[row.tolist() for row in data[name].unbind()] for name in fields]
            decode = lambda ids: self.tokenizer.decode(ids, skip_special_tokens=True)
            found, numbers = step_advantages(batch.keys, *columns, decode, self.config.algorithm)
            for name, value in numbers.items():
                if isinstance(value, (int, float)):
                    metrics[f"proxmo/{name}"] = value
            rows = [torch.as_tensor(row, dtype=torch.float32) for row in found]
            nested = torch.nested.as_nested_tensor(rows, layout=torch.jagged)
            fields = TensorDict({"advantages": nested, "returns": nested}, batch_size=len(batch))
            return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    return ProxMOTrainerSync


try:
    ProxMOTrainerSync = _define_trainer()
except ImportError as error:
    logging.getLogger(__name__).debug("the trainer 'proxmo_sync' is not available: %s", error)
