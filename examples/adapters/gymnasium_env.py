#!/usr/bin/env python3
"""A text environment of Gymnasium: the numbers of its observations and actions become words.

    pip install gymnasium
    proxmo train --env process --command "python3 examples/adapters/gymnasium_env.py FrozenLake-v1" --run runs/lake

Actions are `0`, `1` and so on; names may be given after the environment, as in
`gymnasium_env.py FrozenLake-v1 left down right up`.
"""

import sys

import gymnasium
from shim import serve

NAME, *WORDS = sys.argv[1:]
OPTIONS = {"is_slippery": False} if NAME.startswith("FrozenLake") else {}


class Episode:
    goal = f"play {NAME}"

    def __init__(self, seed):
        self.game = gymnasium.make(NAME, **OPTIONS)
        seen, _ = self.game.reset(seed=seed)
        self.admissible = WORDS or [str(action) for action in range(self.game.action_space.n)]
        self.observation = text(seen)

    def step(self, action):
        seen, reward, terminated, truncated, _ = self.game.step(self.admissible.index(action))
        self.observation = text(seen)
        return reward, terminated or truncated, reward > 0


def text(seen):
    return seen if isinstance(seen, str) else f"state {seen}"


serve(NAME, 100, 50, Episode)
