"""Gymnasium's interface to an environment."""

import gymnasium
from gymnasium.spaces import Text

from ._proxmo import make


class AnyText(Text):
    """All texts of up to `max_length` characters, whatever the characters."""

    def contains(self, x):
        return isinstance(x, str) and len(x) <= self.max_length


class GymEnv(gymnasium.Env):
    """One episode at a time.

    Observations and actions are texts. `info` has the `task`, the `goal` and the `admissible` actions;
    after a step also `success` and `valid`.

    Args:
        name: As for `proxmo.env.make`.
        tasks: Names or numbers of the tasks that `reset` draws from; all by default.
        **settings: As for `proxmo.env.make`.
    """

    metadata = {"render_modes": ["ansi"]}

    def __init__(self, name="household", *, tasks=None, render_mode=None, **settings):
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode: is {render_mode!r}, expected 'ansi' or None")
        self.environment = make(name, **settings)
        self.render_mode = render_mode
        self.observation_space = AnyText(1 << 20, min_length=0)
        self.action_space = AnyText(1 << 12, min_length=0)
        self._tasks = list(range(len(self.environment)) if tasks is None else tasks)
        if not self._tasks:
            raise ValueError("tasks: expected one task or more")
        self._observation = ""

    def reset(self, *, seed=None, options=None):
        """Starts an episode.

        Args:
            seed: Decides the task, unless `options` names it, and everything that is left to chance.
            options: `{"task": …}`, a name or a number.

        Returns:
            The observation and `info`.
        """
        super().reset(seed=seed)
        drawn = self._tasks[int(self.np_random.integers(len(self._tasks)))]
        task = (options or {}).get("task", drawn)
        begun = self.environment.reset([task], [int(self.np_random.integers(1 << 63))])
        self._observation = begun.observations[0]
        self._about = {"task": begun.tasks[0], "goal": begun.goals[0]}
        return self._observation, self._about | {"admissible": begun.admissible[0]}

    def step(self, action):
        """Takes an action.

        Returns:
            The observation, the reward, whether the task is over, whether the step limit ended the
            episode, and `info`.
        """
        done = self.environment.step([action])
        self._observation = done.observations[0]
        info = self._about | {"admissible": done.admissible[0], "valid": bool(done.valid[0])}
        if done.success is not None:
            info["success"] = bool(done.success[0])
        ended = bool(done.terminated[0]), bool(done.truncated[0])
        return self._observation, float(done.rewards[0]), *ended, info

    def render(self):
        """The last observation, with `render_mode="ansi"`."""
        return self._observation if self.render_mode == "ansi" else None
