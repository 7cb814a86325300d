"""ProxMO in SkyRL.

Importing this module registers `trainer.algorithm.advantage_estimator=proxmo`: ProxMO for the outcome of
whole responses. `ProxMOTrainer` is SkyRL's trainer with an advantage for each step, of whole
conversations or of step-wise trajectories (`generator.step_wise_trajectories=true`):

    class Experiment(BasePPOExp):
        def get_trainer(self, *args, **kwargs):
            return proxmo.skyrl.ProxMOTrainer(*args, **kwargs)
"""

import torch
from skyrl.backends.skyrl_train.utils.ppo_utils import register_advantage_estimator
from skyrl.train.trainer import RayPPOTrainer

from ._rows import outcome_credit
from ._turns import Output, credit_outputs


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


def outputs_of(data):
    """The outputs of a training batch, without those that pad it.

    A trajectory is an episode: the steps up to the next `is_last_step`, or one sequence where the batch
    does not say so.
    """
    count = len(data["sequences"]) - data.metadata.get("pad_size", 0)
    last = list(data.metadata.get("is_last_step") or [True] * count)
    width = data["response_mask"].shape[1]
    outputs, trajectory = [], 0
    for row in range(count):
        ids, seen = data["sequences"][row], data["attention_mask"][row].bool()
        responds = data["response_mask"][row].bool()
        before = seen.clone()
        before[-width:] &= ~responds
        outputs.append(
            Output(
                data.metadata["uids"][row],
                trajectory,
                row,
                ids[before].tolist(),
                ids[-width:][responds].tolist(),
                (data["loss_mask"][row][responds] > 0).tolist(),
                data["rewards"][row][responds].tolist(),
            )
        )
        trajectory += int(bool(last[row]))
    return outputs


class ProxMOTrainer(RayPPOTrainer):
    """SkyRL's trainer with ProxMO's advantage for each step.

    A step is one turn: a run of tokens that the model wrote. The observation is the text that was added
    since the turn before.
    """

    success_reward = 1.0
    """The total reward from which a trajectory counts as a success. None if rewards do not say so."""
    credit_settings: dict = {}
    """Settings of credit assignment, as for `proxmo.credit`."""

    @torch.no_grad()
    def compute_advantages_and_returns(self, data):
        """Sets `advantages` and `returns`, which are the same: `[outputs, response tokens]`."""
        data = super().compute_advantages_and_returns(data)
        outputs = outputs_of(data)
        decode = lambda ids: self.tokenizer.decode(ids, skip_special_tokens=True)
        found, numbers = credit_outputs(outputs, decode, self.success_reward, self.credit_settings)
        advantages = torch.zeros_like(data["advantages"], dtype=torch.float32)
        for row, of_tokens in enumerate(found):
            responds = data["response_mask"][row].bool()
            advantages[row, responds] = torch.as_tensor(of_tokens, dtype=torch.float32)
        data["advantages"], data["returns"] = advantages, advantages.clone()
        written = advantages[data["loss_mask"] > 0]
        self.all_metrics["loss/avg_raw_advantages"] = written.mean().item()
        self.all_metrics["loss/avg_raw_advantages_abs"] = written.abs().mean().item()
        for name, value in numbers.items():
            if isinstance(value, (int, float)):
                self.all_metrics[f"proxmo/{name}"] = value
        return data
