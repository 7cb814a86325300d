"""What the adapters beside this file share: proxmo's protocol of JSON lines, for any environment in Python.

An adapter calls serve(name, tasks, max_steps, begin). begin(seed) starts the episode of a task and returns an
object with `goal`, `observation` and `admissible`, and with step(action), which returns
(reward, terminated, success); `success` is None where an environment knows none. The seed decides everything:
proxmo asks for task i by the seed i, and holds the last fifth of the tasks back.

What an environment prints goes to standard error, because standard output is for answers only.
"""

import json
import sys


def serve(name, tasks, max_steps, begin):
    """Answers requests until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr
    episodes = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "close":
            break
        session = request.get("session")
        try:
            if request["op"] == "describe":
                answer = {"protocol": 1, "name": name, "tasks": tasks, "max_steps": max_steps}
            elif request["op"] == "reset":
                answer = reset(episodes, session, begin, request["seed"])
            else:
                answer = step(episodes[session], request["action"], max_steps)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        if session is not None:
            answer["session"] = session
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def state(episode):
    """What every answer shows."""
    return {"observation": episode.observation, "admissible": list(episode.admissible)}


def reset(episodes, session, begin, seed):
    """The answer to a reset."""
    episodes.pop(session, None)
    episode = episodes[session] = begin(seed)
    episode.steps = 0
    return {"task": str(seed), "goal": episode.goal, **state(episode)}


def step(episode, action, max_steps):
    """The answer to a step."""
    reward, terminated, success = episode.step(action)
    episode.steps += 1
    truncated = not terminated and episode.steps >= max_steps
    told = {"reward": float(reward), "terminated": bool(terminated), "truncated": truncated}
    if success is not None:
        told["success"] = bool(success)
    return {**state(episode), **told}
