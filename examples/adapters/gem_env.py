#!/usr/bin/env python3
"""A game of GEM whose actions can be listed: a number is guessed.

    pip install gem-llm
    proxmo train --env process --command "python3 examples/adapters/gem_env.py" --run runs/gem

A game of another name is `gem_env.py NAME ACTION ACTION ...`.
"""

import sys

import gem
from shim import serve

NAME = sys.argv[1] if len(sys.argv) > 1 else "game:GuessTheNumber-v0-easy"
ACTIONS = sys.argv[2:] or [str(number) for number in range(1, 11)]


class Episode:
    admissible = ACTIONS

    def __init__(self, seed):
        self.game = gem.make(NAME)
        self.goal, _ = self.game.reset(seed=seed)
        self.observation = "The game begins."

    def step(self, action):
        seen, reward, terminated, truncated, _ = self.game.step(f"\\boxed{{{action}}}")
        # What was seen before is the policy's to remember; here it is part of the state.
        self.observation = f"{self.observation}\n{seen}"
        return reward, terminated or truncated, reward == 1


serve(NAME, 200, 20, Episode)
