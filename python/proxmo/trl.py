"""ProxMO in TRL.

    from proxmo.trl import ProxMOTrainer

    trainer = ProxMOTrainer(model, reward_funcs, args, train_dataset, environment_factory=…)

`ProxMOTrainer` is TRL's `GRPOTrainer` with an advantage for each step. A step is one turn of the model: a
run of tokens that the model wrote. The observation of the first step is the prompt, that of a later one
is the text that tools or the environment added since the turn before.
"""

import numpy as np
import torch
from accelerate.utils import gather_object
from trl import GRPOTrainer

from ._proxmo import State, credit
from ._turns import runs


class ProxMOTrainer(GRPOTrainer):
    """`GRPOTrainer` whose advantages are ProxMO's, with shape `[completions, tokens]`.

    The reward of a completion is the weighted sum of its reward functions and is paid by its last step.
    A completion without a reward is left out of its group and has an advantage of 0. A completion is a
    success if its input has a true field `success` (a rollout function may return this field); without
    such fields, if its reward is `success_reward` or more.

    Args:
        credit: Settings of credit assignment as keyword arguments of `proxmo.credit`; the default is
            ProxMO as published.
        success_reward: The reward from which a completion counts as a success, where no field says so.
            None if rewards do not say so either; nothing is then modulated by success.
        *args, **kwargs: As for `GRPOTrainer`. `scale_rewards` and `multi_objective_aggregation` have no
            effect: `credit={"normalize": …}` decides. The Liger loss takes one advantage a completion
            and is refused.
    """

    def __init__(self, *args, credit=None, success_reward=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        if getattr(self, "use_liger_kernel", False):
            raise ValueError("use_liger_kernel: the Liger loss takes no advantage for each step")
        self.credit_settings = dict(credit or {})
        self.success_reward = success_reward
        self.credit_state = State()

    def _calculate_rewards(self, *args, **kwargs):
        rewards = super()._calculate_rewards(*args, **kwargs)
        self._rewards_of_all = rewards
        return rewards

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        steps = self._steps(output)
        success = gather_object([row.get("success") for row in inputs])
        mode = "train" if self.model.training else "eval"
        assigned = self._assign(gather_object(steps), success, mode)
        first = self.accelerator.process_index * len(steps)
        advantages = torch.zeros(output["completion_ids"].shape, dtype=torch.float32)
        for row, of_steps in enumerate(assigned[first : first + len(steps)]):
            for (_, (start, end)), advantage in zip(steps[row], of_steps):
                advantages[row, start:end] = float(advantage)
        output["advantages"] = advantages.to(output["completion_ids"].device)
        self._replace_log([float(np.mean(of_steps)) for of_steps in assigned])
        return output

    def _steps(self, output):
        """The steps of each completion: `[completions]`, lists of (observation, (start, end))."""
        written = output["completion_mask"]
        if "tool_mask" in output:
            written = written * output["tool_mask"]
        prompts = [
            ids[mask.bool()] for ids, mask in zip(output["prompt_ids"], output["prompt_mask"])
        ]
        prompts = self.processing_class.batch_decode(prompts, skip_special_tokens=True)
        completions = []
        for prompt, ids, mask in zip(prompts, output["completion_ids"], written.bool().tolist()):
            steps, before = [], 0
            # A completion that is masked as a whole still has its reward.
            for start, end in runs(mask) or [(0, 0)]:
                added = ids[before:start]
                text = self.processing_class.decode(added, skip_special_tokens=True)
                steps.append((text if steps or start > 0 else prompt, (start, end)))
                before = end
            completions.append(steps)
        return completions

    def _assign(self, completions, success, mode):
        """The advantages of the steps of each completion of all processes."""
        rewards = self._rewards_of_all
        weights = self.reward_weights.to(rewards.device)
        totals = (rewards * weights).nansum(dim=1).double().cpu().numpy()
        scored = ~torch.isnan(rewards).all(dim=1).cpu().numpy()
        size = self.num_generations if mode == "train" else self.num_generations_eval
        kept = np.flatnonzero(scored)
        lengths = [len(completions[row]) for row in kept]
        episode_offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        step_rewards = np.zeros(episode_offsets[-1])
        step_rewards[episode_offsets[1:] - 1] = totals[kept]
        if all(won is not None for won in success):
            succeeded = np.array(success, dtype=bool)[kept]
        else:
            succeeded = None if self.success_reward is None else totals[kept] >= self.success_reward
        found = credit(
            step_rewards,
            episode_offsets,
            np.searchsorted(kept, np.arange(0, len(completions) + size, size)),
            succeeded,
            [text for row in kept for text, _ in completions[row]],
            state=self.credit_state,
            **self.credit_settings,
        )
        for name, value in found.diagnostics.items():
            if isinstance(value, (int, float)):
                self._metrics[mode][f"credit/{name}"].append(float(value))
        assigned = [np.zeros(len(steps)) for steps in completions]
        for row, start, end in zip(kept, episode_offsets, episode_offsets[1:]):
            assigned[row] = found.advantages[start:end]
        return assigned

    def _replace_log(self, advantages):
        """Logs these advantages in place of GRPO's."""
        log = self._logs["advantages"]
        for _ in range(min(len(advantages), len(log))):
            log.pop()
        log.extend(advantages)
