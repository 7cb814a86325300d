#!/usr/bin/env python3
"""An environment for proxmo in plain Python: say the treasure's colour, where a clue tells it.

    proxmo train --env process --command 'python3 examples/guess_env.py' \\
        --iterations 60 --eval-every 20 --groups 8 --run runs/guess
    proxmo eval --run runs/guess

`proxmo play --env process --command 'python3 examples/guess_env.py'` has you play it. The program reads
one JSON object a line and answers each by one line, in order; many episodes ("sessions") are under way
at once. Standard output is for answers alone: print anything else to standard error.
"""

import json
import random
import sys

COLOURS = ["red", "blue", "green", "gold", "grey", "pink", "black", "white"]
ROOMS = ["attic", "cellar", "garden", "kitchen"]
TASKS, MAX_STEPS = 200, 8


class Episode:
    """A clue lies in the room that the goal names; it tells which of the chests to open."""

    def __init__(self, seed):
        rng = random.Random(seed)
        self.room, self.colour = rng.choice(ROOMS), rng.choice(COLOURS)
        self.task = f"{self.room}-{self.colour}"
        self.goal = f"read the clue in the {self.room}, then open the chest that it names"
        self.observation = "You stand in the hall."
        self.steps, self.done, self.success = 0, False, False

    def admissible(self):
        return [f"go to {room}" for room in ROOMS] + [f"open {colour} chest" for colour in COLOURS]

    def step(self, action):
        """Takes an action and returns its reward."""
        self.steps += 1
        verb, _, what = action.partition(" ")
        if verb == "go":
            room = what.removeprefix("to ")
            clue = f"A clue says: {self.colour}." if room == self.room else "Nothing is here."
            self.observation = f"You are in the {room}. {clue}"
        elif verb == "open":
            self.done, self.success = True, what == f"{self.colour} chest"
            self.observation = "Gold!" if self.success else "The chest is empty."
        else:
            self.observation = "That does nothing."
        return 1.0 if self.success else 0.0


def answer(request, episodes):
    """The answer to one request."""
    if request["op"] == "describe":
        return {"protocol": 1, "name": "guess", "tasks": TASKS, "max_steps": MAX_STEPS}
    session, said = request["session"], {}
    if request["op"] == "reset":
        # The seed alone decides the task: the same seed must always begin the same one.
        episode = episodes[session] = Episode(request["seed"])
        said = {"task": episode.task, "goal": episode.goal}
    else:
        episode = episodes[session]
        said["reward"] = episode.step(request["action"])
        said["terminated"], said["success"] = episode.done, episode.success
        said["truncated"] = not episode.done and episode.steps >= MAX_STEPS
    state = {"observation": episode.observation, "admissible": episode.admissible()}
    return {"session": session, **said, **state}


def main():
    episodes = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "close":
            break
        print(json.dumps(answer(request, episodes)), flush=True)


if __name__ == "__main__":
    main()
