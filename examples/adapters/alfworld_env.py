#!/usr/bin/env python3
"""Games of ALFWorld, played by the original's own engine.

    pip install alfworld && alfworld-download
    proxmo train --env process --processes 2 \\
        --command "python3 examples/adapters/alfworld_env.py ~/.cache/alfworld/json_2.1.1/train 40" \\
        --run runs/original

The folder may be that of a split, a task or a game. The number takes as many games, spread over the folder.
`proxmo train --env alfworld` plays the same games without Python, faster by orders of magnitude.
"""

import glob
import os
import sys

import textworld
from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
from shim import serve

MAX_STEPS = 50
WANTED = textworld.EnvInfos(won=True, admissible_commands=True)


def games(folder, wanted):
    """The files of some games below a folder."""
    files = glob.glob(os.path.join(os.path.expanduser(folder), "**", "game.tw-pddl"), recursive=True)
    wanted = min(wanted or len(files), len(files))
    return [sorted(files)[place * len(files) // wanted] for place in range(wanted)]


class Episode:
    def __init__(self, seed):
        self.engine = textworld.start(GAMES[seed], WANTED, [AlfredDemangler()])
        state = self.engine.reset()
        # The welcome, the room and the task are paragraphs.
        room, self.goal = state.feedback.strip().split("Your task is to: ")
        self.observation = room.strip().split("\n\n")[-1]
        self.admissible = state.admissible_commands

    def step(self, action):
        state, _, done = self.engine.step(action)
        self.observation = state.feedback.strip()
        self.admissible = state.admissible_commands
        return float(state.won), done, state.won


GAMES = games(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
serve("alfworld", len(GAMES), MAX_STEPS, Episode)
