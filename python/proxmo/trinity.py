"""ProxMO in Trinity-RFT: `advantage_fn: proxmo.trinity.ProxMO` in the algorithm's configuration."""

import torch
from trinity.algorithm.advantage_fn import AdvantageFn
from trinity.buffer.operators import ExperienceOperator

from ._proxmo import Config, State
from ._rows import credit_rows


class ProxMO(AdvantageFn, ExperienceOperator):
    """An advantage for each experience of multi-step workflows.

    The experiences of a task are a group, those of a run an episode, in the order of `eid.step`.

    Args:
        observation_key: Where `info` has the observation before the step's action; `prompt_text` is
            used where it is absent.
        step_reward_key: Where `info` has the reward of the step. Where a run has none, `reward` of its
            last step is paid by that step.
        success_key: Where `info` says whether the run reached its goal. Where no experience says so, a
            run with a total reward of `success_reward` or more succeeded.
        success_reward: See `success_key`; None if rewards do not say so.
        **settings: As for `proxmo.credit`.
    """

    def __init__(
        self,
        observation_key="observation",
        step_reward_key="step_reward",
        success_key="success",
        success_reward=1.0,
        **settings,
    ):
        self.observation_key = observation_key
        self.step_reward_key = step_reward_key
        self.success_key = success_key
        self.success_reward = success_reward
        self.config = Config(**settings)
        self.state = State()

    def process(self, exps):
        """Sets `advantages` and `returns` of each experience: the advantage where `action_mask` is.

        Returns:
            The experiences, and statistics for monitoring.
        """
        if not exps:
            return [], {}
        runs = {}
        for row, exp in enumerate(exps):
            runs.setdefault(exp.eid.rid, []).append(row)
        rewards, success = [0.0] * len(exps), [False] * len(exps)
        says_success = any(self.success_key in (exp.info or {}) for exp in exps)
        for rows in runs.values():
            rows.sort(key=lambda row: exps[row].eid.step)
            for row, reward in zip(rows, self._rewards([exps[row] for row in rows])):
                rewards[row] = reward
            won = self._succeeded([exps[row] for row in rows], [rewards[row] for row in rows])
            for row in rows:
                success[row] = won if not says_success else self._says(exps[row])
        found = credit_rows(
            rewards,
            [exp.eid.tid for exp in exps],
            [exp.eid.rid for exp in exps],
            times=[exp.eid.step for exp in exps],
            success=success if says_success or self.success_reward is not None else None,
            texts=[self._observation(exp) for exp in exps],
            config=self.config,
            state=self.state,
        )
        for exp, advantage in zip(exps, found.advantages.tolist()):
            mask = 1.0 if exp.action_mask is None else exp.action_mask
            exp.advantages = torch.as_tensor(mask * advantage, dtype=torch.float32)
            exp.returns = exp.advantages.clone()
        numbers = found.diagnostics.items()
        metrics = {f"proxmo/{name}": v for name, v in numbers if isinstance(v, (int, float))}
        return exps, metrics | {"experience_count": len(exps)}

    def _rewards(self, run):
        if any(self.step_reward_key in (exp.info or {}) for exp in run):
            return [float((exp.info or {}).get(self.step_reward_key, 0.0)) for exp in run]
        return [0.0] * (len(run) - 1) + [float(run[-1].reward or 0.0)]

    def _succeeded(self, run, rewards):
        return self.success_reward is not None and sum(rewards) >= self.success_reward

    def _says(self, exp):
        return bool((exp.info or {}).get(self.success_key, False))

    def _observation(self, exp):
        text = (exp.info or {}).get(self.observation_key, exp.prompt_text)
        if text is None:
            raise ValueError(f"info['{self.observation_key}']: an experience has no observation")
        return str(text)

    def __call__(self, exps, **kwargs):
        return self.process(exps)

    @classmethod
    def compute_in_trainer(cls):
        """Advantages are computed in the experience pipeline."""
        return False

    @classmethod
    def default_args(cls):
        """The default settings."""
        return {}
