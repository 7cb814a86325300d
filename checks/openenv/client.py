"""OpenEnv's own client plays household tasks that proxmo serves. The address is the argument."""

import sys
import threading

import requests
from openenv.core.generic_client import GenericEnvClient

URL = sys.argv[1]


def post(path, **body):
    answer = requests.post(f"{URL}/household/{path}", json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


def play(split, index, seed=0):
    """Plays a task with the first admissible action that was not tried yet. Returns all that is seen."""
    seen = []
    with GenericEnvClient(base_url=URL).sync() as env:
        result = env.reset(split=split, index=index, seed=seed)
        tried = set()
        while not result.done:
            seen.append((result.observation["observation"], result.reward))
            new = [a for a in result.observation["admissible"] if a not in tried]
            action = (new or result.observation["admissible"])[0]
            tried.add(action)
            result = env.step({"action": action})
        state = env.state()
        assert state["step_count"] == len(seen), state
        assert state["task"] == result.observation["task"]
        seen.append((result.observation["observation"], result.reward))
        assert isinstance(result.observation["success"], bool)
    return seen


assert requests.get(f"{URL}/health", timeout=30).json() == {"status": "healthy"}
assert requests.get(f"{URL}/list_environments", timeout=30).json() == ["household"]
assert post("num_tasks", split="valid") == {"num_tasks": 200}
tasks = post("task_range", split="valid", start=0, stop=8)["tasks"]
assert post("task", split="valid", index=3)["task"] == tasks[3]

# Sessions at a time, each twice: a task and a seed decide everything.
episodes = {}


def worker(number):
    episodes[number] = play("valid", number % 8)


threads = [threading.Thread(target=worker, args=(number,)) for number in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(episodes) == 16
for number in range(8):
    assert episodes[number] == episodes[number + 8]
assert len({str(episode) for episode in episodes.values()}) > 4

with GenericEnvClient(base_url=URL).sync() as env:
    first = env.reset(seed=7).observation
    assert env.reset(seed=7).observation == first
    try:
        env.step({"message": "look"})
    except RuntimeError as error:
        assert "VALIDATION_ERROR" in str(error), error
    else:
        raise AssertionError("an action of another form was taken")
    assert env.step({"action": "look"}).observation["valid"]

steps = sum(len(episode) - 1 for episode in episodes.values())
print(f"16 sessions, {steps} steps")
