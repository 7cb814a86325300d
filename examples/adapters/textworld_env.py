#!/usr/bin/env python3
"""Games that TextWorld makes: one for each seed, in a folder beside the temporary files.

    pip install textworld
    proxmo train --env process --command "python3 examples/adapters/textworld_env.py" --run runs/textworld
"""

import os
import tempfile

import textworld
from shim import serve

FOLDER = os.path.join(tempfile.gettempdir(), "proxmo-textworld")
WANTED = textworld.EnvInfos(
    admissible_commands=True, description=True, objective=True, won=True, score=True
)


def game(seed):
    """The file of a game: a small house with a quest of three steps."""
    options = textworld.GameOptions()
    options.nb_rooms, options.nb_objects, options.quest_length = 3, 6, 3
    options.seeds, options.path = seed, os.path.join(FOLDER, f"{seed}.z8")
    if not os.path.exists(options.path):
        textworld.make(options)
    return options.path


class Episode:
    def __init__(self, seed):
        self.game, self.score = textworld.start(game(seed), WANTED), 0
        state = self.game.reset()
        self.goal, self.observation = state.objective, state.description.strip()
        self.admissible = state.admissible_commands

    def step(self, action):
        state, _, done = self.game.step(action)
        # The game's prompt and its status line follow.
        self.observation = state.feedback.split("\n>")[0].strip()
        self.admissible = state.admissible_commands or []
        reward, self.score = state.score - self.score, state.score
        return reward, done, state.won

    def __del__(self):
        self.game.close()


os.makedirs(FOLDER, exist_ok=True)
serve("textworld", 20, 30, Episode)
