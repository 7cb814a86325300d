#!/usr/bin/env python3
"""An environment for proxmo in plain Python: take the key that the goal names to the door that it names.

    proxmo train --env process --command "python3 examples/keys_env.py" --iterations 100 --run runs/keys
    proxmo eval --run runs/keys

To play it yourself: `proxmo play --env process --command "python3 examples/keys_env.py"`.

The program reads one JSON object per line and answers each with one line, in order. Many episodes
("sessions") run at the same time. Standard output is for answers only; write debugging output to
standard error. The program ends when its input ends.
"""

import json
import random
import sys

COLOURS = ["red", "blue", "green", "gold", "grey", "pink", "black", "white"]
ROOMS = ["attic", "cellar", "garden", "kitchen"]
MAX_STEPS = 8

# Each pair is a task. They are shuffled, because the last fifth is held out.
TASKS = [(colour, room) for colour in COLOURS for room in ROOMS]
random.Random(0).shuffle(TASKS)


class Episode:
    def __init__(self, seed):
        # The seed decides everything. proxmo requests task i by the seed i.
        self.colour, self.room = TASKS[seed % len(TASKS)]
        self.task = f"{self.colour}-{self.room}"
        self.goal = f"open the {self.room} with the {self.colour} key"
        self.observation, self.key, self.steps, self.won = "Keys hang on a board.", None, 0, False

    def admissible(self):
        if self.key is None:
            return [f"take {colour} key" for colour in COLOURS]
        return [f"try {room} door" for room in ROOMS] + ["hang up key"]

    def step(self, action):
        self.steps += 1
        if action not in self.admissible():
            self.observation = "That cannot be done."
        elif action.startswith("take"):
            self.key = action.split()[1]
            self.observation = f"You hold the {self.key} key."
        elif action.startswith("try"):
            self.won = (self.key, action.split()[1]) == (self.colour, self.room)
            self.observation = "The door opens." if self.won else "The key does not fit."
        else:
            self.observation, self.key = "Keys hang on a board.", None


def answer(request, episodes):
    """The answer to one request."""
    if request["op"] == "describe":
        return {"protocol": 1, "name": "keys", "tasks": len(TASKS), "max_steps": MAX_STEPS}
    session = request["session"]
    if request["op"] == "reset":
        episode = episodes[session] = Episode(request["seed"])
        told = {"task": episode.task, "goal": episode.goal}
    else:
        episode = episodes[session]
        episode.step(request["action"])
        told = {"reward": float(episode.won), "terminated": episode.won, "success": episode.won}
        told["truncated"] = not episode.won and episode.steps >= MAX_STEPS
    state = {"observation": episode.observation, "admissible": episode.admissible()}
    return {"session": session, **state, **told}


def main():
    episodes = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "close":
            break
        print(json.dumps(answer(request, episodes)), flush=True)


if __name__ == "__main__":
    main()
