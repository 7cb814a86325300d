#!/usr/bin/env python3
"""The games of TextWorldExpress, whose engine runs in Java.

    pip install textworld-express
    proxmo train --env process --command "python3 examples/adapters/textworld_express_env.py coin" \\
        --groups 2 --group-size 8 --run runs/coin

Each episode in progress has an engine of its own, a Java process of some 100 MB. Before a training, proxmo
plays up to 128 training tasks at the same time for the words of its scorer, so the number of tasks is small:
20, or that of a second argument.
"""

import sys

from shim import serve
from textworld_express import TextWorldExpressEnv

NAME = sys.argv[1] if len(sys.argv) > 1 else "coin"
TASKS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
PARAMETERS = {"coin": "numLocations=3,numDistractorItems=0,includeDoors=0,limitInventorySize=0"}
MAX_STEPS = 30
idle = []


def engine():
    """An engine that is idle, or a new one."""
    if idle:
        return idle.pop()
    new = TextWorldExpressEnv(envStepLimit=MAX_STEPS)
    new.load(gameName=NAME, gameParams=PARAMETERS.get(NAME, ""))
    return new


class Episode:
    engine = None

    def __init__(self, seed):
        self.engine, self.taken = engine(), 0
        _, state = self.engine.reset(seed=seed, gameFold="train", generateGoldPath=False)
        self.goal = state["taskDescription"]
        self.look(state)

    def look(self, state):
        self.observation, self.admissible = state["observation"], state["validActions"]

    def step(self, action):
        _, reward, _, state = self.engine.step(action)
        self.look(state)
        self.taken += 1
        won, lost = state["tasksuccess"], state["taskfailure"]
        if won or lost or self.taken >= MAX_STEPS:
            self.leave()
        return reward, won or lost, won

    def leave(self):
        """Hands the engine to a later episode."""
        if self.engine:
            idle.append(self.engine)
            self.engine = None

    # An episode that has not ended is deleted when another takes its session.
    __del__ = leave


serve(NAME, TASKS, MAX_STEPS, Episode)
