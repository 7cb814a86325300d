#!/usr/bin/env python3
"""Lets a policy that proxmo trained play an environment written in Python, with the standard library only.

    python3 examples/acting_agent.py --run runs/household-1

The environment here, a room with drawers, stands for your own: anything that has a goal, an observation
and a list of actions. `proxmo act` reads one JSON object per line from standard input and
answers each with one line on standard output.
"""

import argparse
import json
import random
import subprocess
import sys


class Agent:
    """A `proxmo act` process. It remembers each episode by its id."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **line):
        self.process.stdin.write((json.dumps(line) + "\n").encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"the agent ended with status {self.process.wait()}")
        answer = json.loads(answer)
        if "error" in answer:
            sys.exit(f"the agent refused: {answer['error']}")
        return answer

    def begin(self, episode, goal, observation, admissible):
        """The first action of an episode."""
        step = {"goal": goal, "observation": observation, "admissible": admissible}
        return self.ask(id=episode, **step)["action"]

    def act(self, episode, observation, admissible):
        """The next action of an episode."""
        return self.ask(id=episode, observation=observation, admissible=admissible)["action"]

    def end(self, episode):
        self.ask(id=episode, end=True)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


class Drawers:
    """Find the key: it is in one of some drawers."""

    goal = "put the key on the table"

    def __init__(self, rng):
        self.place = rng.randint(1, 4)
        self.seen = set()
        self.has_key = False

    def admissible(self):
        actions = [f"open drawer {number}" for number in range(1, 5) if number not in self.seen]
        return ["look", *actions, *(["put key on table"] if self.has_key else [])]

    def reset(self):
        return "You are in a room with four drawers and a table."

    def step(self, action):
        """Takes an action. Returns the observation and whether the goal is reached."""
        if action == "put key on table":
            return "The key is on the table.", True
        if action == "look":
            return self.reset(), False
        number = int(action.split()[-1])
        self.seen.add(number)
        self.has_key |= number == self.place
        return f"Drawer {number}: " + ("a key." if number == self.place else "nothing."), False


def play(agent, episode, environment, max_steps):
    """Plays one episode and prints it."""
    observation = environment.reset()
    print(f"{environment.goal}\n\n{observation}")
    action = agent.begin(episode, environment.goal, observation, environment.admissible())
    for step in range(1, max_steps + 1):
        observation, is_won = environment.step(action)
        print(f"\n> {action}\n{observation}")
        if is_won or step == max_steps:
            break
        action = agent.act(episode, observation, environment.admissible())
    agent.end(episode)
    print("\nWon" if is_won else "\nNot won", f"after {step} steps.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="folder of the run")
    parser.add_argument("--proxmo", default="proxmo", help="the proxmo program [default: proxmo]")
    parser.add_argument("--backend", default="auto", help="backend that computes")
    parser.add_argument("--temperature", default="0", help="temperature at which actions are drawn")
    parser.add_argument("--episodes", type=int, default=1)
    parser.add_argument("--max-steps", type=int, default=20)
    arguments = parser.parse_args()

    command = [arguments.proxmo, "act", "--run", arguments.run]
    command += ["--backend", arguments.backend, "--temperature", arguments.temperature]
    agent = Agent(command)
    for episode in range(arguments.episodes):
        play(agent, episode, Drawers(random.Random(episode)), arguments.max_steps)
    sys.exit(agent.close())


if __name__ == "__main__":
    main()
