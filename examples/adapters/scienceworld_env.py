#!/usr/bin/env python3
"""A task of ScienceWorld, whose engine runs in Java. Its variations are the tasks.

    pip install scienceworld
    proxmo train --env process --command "python3 examples/adapters/scienceworld_env.py find-living-thing" \\
        --groups 2 --group-size 8 --run runs/science

Each episode in progress has an engine of its own, a Java process of some 200 MB.
"""

import sys

from scienceworld import ScienceWorldEnv
from shim import serve

NAME = sys.argv[1] if len(sys.argv) > 1 else "find-living-thing"
MAX_STEPS = 30
idle = [ScienceWorldEnv("", envStepLimit=MAX_STEPS)]


class Episode:
    def __init__(self, seed):
        self.engine = idle.pop() if idle else ScienceWorldEnv("", envStepLimit=MAX_STEPS)
        self.engine.load(NAME, seed, "easy", generateGoldPath=False)
        self.observation, state = self.engine.reset()
        self.goal, self.taken = state["taskDesc"], 0
        self.admissible = state["valid"]

    def step(self, action):
        self.observation, reward, done, state = self.engine.step(action)
        self.admissible = state["valid"]
        self.taken += 1
        if done or self.taken >= MAX_STEPS:
            idle.append(self.engine)
        # The score is a percentage, and below 0 if the task can no longer be done.
        return reward / 100, done, state["score"] >= 100


idle[0].load(NAME)
serve(NAME, idle[0].get_max_variations(NAME), MAX_STEPS, Episode)
