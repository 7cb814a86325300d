#!/usr/bin/env python3
"""A task of ScienceWorld, whose engine runs in Java. Its first variations are the tasks.

    pip install scienceworld
    proxmo train --env process --command "python3 examples/adapters/scienceworld_env.py find-living-thing" \\
        --groups 2 --group-size 8 --run runs/science

Each episode in progress has an engine of its own, a Java process of some 200 MB. Before a training, proxmo
plays up to 128 training tasks at the same time for the words of its scorer, so the number of tasks is small:
20, or that of a second argument.
"""

import sys

from scienceworld import ScienceWorldEnv
from shim import serve

NAME = sys.argv[1] if len(sys.argv) > 1 else "find-living-thing"
TASKS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
MAX_STEPS = 30
idle = [ScienceWorldEnv("", envStepLimit=MAX_STEPS)]


class Episode:
    engine = None

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
            self.leave()
        # The score is a percentage, and below 0 if the task can no longer be done.
        return reward / 100, done, state["score"] >= 100

    def leave(self):
        """Hands the engine to a later episode."""
        if self.engine:
            idle.append(self.engine)
            self.engine = None

    # An episode that has not ended is deleted when another takes its session.
    __del__ = leave


idle[0].load(NAME)
serve(NAME, min(TASKS, idle[0].get_max_variations(NAME)), MAX_STEPS, Episode)
