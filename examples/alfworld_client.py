#!/usr/bin/env python3
"""Plays an environment of proxmo from Python, with the standard library only.

    python3 examples/alfworld_client.py                               generated household tasks
    python3 examples/alfworld_client.py --env alfworld --games DIR --split valid_seen --seed 3
    python3 examples/alfworld_client.py --sessions 64 --steps 500000  measure the speed

`proxmo env serve` reads one JSON object per line from standard input and answers each with one line on
standard output. One process runs many sessions. For speed, send the requests of all sessions, then
read all answers.
"""

import argparse
import json
import random
import subprocess
import sys
import time


class Environment:
    """A `proxmo env serve` process and the sessions in it."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, requests):
        """Sends requests and returns the answers, in the same order."""
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        self.process.stdin.write(lines.encode())
        self.process.stdin.flush()
        return [self.answer() for _ in requests]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the environment ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            sys.exit(f"the environment refused: {answer['error']}")
        return answer

    def describe(self):
        return self.ask([{"op": "describe"}])[0]

    def reset(self, session, **what):
        """Starts an episode of `task="<name>"`, or of the task that `seed=<number>` picks."""
        return self.ask([{"op": "reset", "session": session, **what}])[0]

    def step(self, session, action):
        return self.ask([{"op": "step", "session": session, "action": action}])[0]

    def close(self):
        self.process.stdin.write(b'{"op":"close"}\n')
        self.process.stdin.close()
        return self.process.wait()


def choose(goal, admissible, tried, rng):
    """A simple rule: prefer objects that the goal names, and actions that were tried least.

    `tried` counts the actions. After a change, every place may be visited again.
    """
    wanted = set(goal.strip(".").replace(",", "").split())
    moves = ("go", "walk", "open")
    idle = ("look", "inventory", "help", "examine", "inspect")

    def concerns_goal(action):
        return not wanted.isdisjoint(action.split()[1:3])

    def rank(action):
        is_idle = action.split()[0] in idle
        return tried.get(action, 0), is_idle, not concerns_goal(action), rng.random()

    useful = [a for a in admissible if a.split()[0] in moves or concerns_goal(a)]
    action = min(useful or admissible, key=rank)
    if action.split()[0] not in moves + idle:
        for move in [a for a in tried if a.split()[0] in moves]:
            del tried[move]
    tried[action] = tried.get(action, 0) + 1
    return action


def play(environment, begin, rng):
    """Plays one episode and prints it."""
    state = environment.reset(0, **begin)
    goal, tried, steps, ended = state["goal"], {}, 0, False
    print(f"Task {state['task']}\nGoal: {goal}\n\n{state['observation']}\n")
    while not ended:
        action = choose(goal, state["admissible"], tried, rng)
        state = environment.step(0, action)
        steps += 1
        ended = state["terminated"] or state["truncated"]
        print(f"> {action}\n{state['observation']}\n")
    print("Won" if state["success"] else "Not won", f"after {steps} steps.")


def measure(environment, sessions, steps, rng):
    """Plays at random in many sessions and prints the number of steps per second.

    Python's own JSON takes most of the time. `waited` is the time spent waiting for answers.
    """
    resets = [{"op": "reset", "session": session, "seed": session} for session in range(sessions)]
    states = environment.ask(resets)
    done, waited, episodes, begin = 0, 0.0, sessions, time.perf_counter()
    read, write = environment.process.stdout, environment.process.stdin
    while done < steps:
        lines = []
        for session, state in enumerate(states):
            if state.get("terminated") or state.get("truncated"):
                episodes += 1
                lines.append(f'{{"op":"reset","session":{session},"seed":{episodes}}}\n')
            else:
                action = json.dumps(rng.choice(state["admissible"]))
                lines.append(f'{{"op":"step","session":{session},"action":{action}}}\n')
                done += 1
        sent = time.perf_counter()
        write.write("".join(lines).encode())
        write.flush()
        answers = [read.readline() for _ in lines]
        waited += time.perf_counter() - sent
        states = [json.loads(answer) for answer in answers]
    seconds = time.perf_counter() - begin
    print(f"{done} steps of {sessions} sessions in {seconds:.2f} s: {done / seconds:.0f} steps/s")
    print(f"of these, {waited:.2f} s waiting for answers: {done / waited:.0f} steps/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxmo", default="proxmo", help="the proxmo program [default: proxmo]")
    parser.add_argument("--env", default="household", help="household or alfworld")
    parser.add_argument("--games", help="ALFWorld: the folder json_2.1.1")
    parser.add_argument("--split", help="only the tasks of this split")
    parser.add_argument("--task", help="name of the task to play")
    parser.add_argument("--seed", type=int, default=0, help="picks the task; also the seed of the player")
    parser.add_argument("--sessions", type=int, help="measure the speed with this number of sessions")
    parser.add_argument("--steps", type=int, default=200_000, help="... and this number of steps")
    arguments = parser.parse_args()

    command = [arguments.proxmo, "env", "serve", "--env", arguments.env]
    for flag in ("games", "split"):
        if getattr(arguments, flag):
            command += [f"--{flag}", getattr(arguments, flag)]
    environment = Environment(command)
    about = environment.describe()
    print(f"{about['name']}: {about['tasks']} tasks of at most {about['max_steps']} steps\n")
    rng = random.Random(arguments.seed)
    if arguments.sessions:
        measure(environment, arguments.sessions, arguments.steps, rng)
    else:
        begin = {"task": arguments.task} if arguments.task else {"seed": arguments.seed}
        play(environment, begin, rng)
    sys.exit(environment.close())


if __name__ == "__main__":
    main()
