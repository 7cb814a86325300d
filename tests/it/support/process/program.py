"""Say the word that the goal names. `program.py FAULT FOLDER`: the fault strikes once per folder, in the
second step of an episode of task 3 or where its name says."""

import json
import os
import subprocess
import sys
import time

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
fault, folder = sys.argv[1:]
with open(os.path.join(folder, "pids"), "a") as pids:
    pids.write(f"{os.getpid()}\n")


def strikes(*faults):
    if fault not in faults:
        return False
    try:
        os.close(os.open(os.path.join(folder, "struck"), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(answer):
    write(json.dumps(answer) + "\n")


def describe():
    about = {"protocol": 1, "name": "words", "tasks": 9, "max_steps": 6}
    about["splits"] = [{"name": "train", "tasks": 6}, {"name": "valid", "tasks": 3}]
    about["kinds"] = ["short", "long"]
    about["unknown"] = [None]
    if fault.startswith("describe "):
        about.update(json.loads(fault.removeprefix("describe ")))
    if fault == "plain":
        del about["splits"], about["kinds"]
    return about


def apply_fault(answer):
    """Applies the fault. Returns the answer to give instead, or None for no answer."""
    if fault == "exit":
        sys.stderr.write("Traceback:\n  in the lamp\nOilError: \x1b[31mit is empty\n")
        os._exit(3)
    if fault == "kill":
        os.kill(os.getpid(), 9)
    if fault == "hang":
        time.sleep(600)
    if fault == "deaf":
        os.close(0)
        os.close(1)
        time.sleep(600)
    if fault == "leave child":
        child = subprocess.Popen(["sleep", "600"])
        with open(os.path.join(folder, "child"), "w") as file:
            file.write(str(child.pid))
        os._exit(4)
    if fault == "words":
        print("Loading the model ...", flush=True)
    if fault == "other session":
        answer["session"] += 1
    if fault == "no session":
        del answer["session"]
    if fault == "nan":
        answer["reward"] = float("nan")
    if fault == "infinite":
        write(json.dumps(answer).replace('"reward": 0.0', '"reward": 1e999') + "\n")
        return None
    if fault == "missing":
        del answer["terminated"]
    if fault == "nothing to do":
        answer["admissible"] = []
    if fault == "error":
        return {"error": "the lamp\x1b[2J fell over", "session": answer["session"]}
    if fault == "twice":
        say(answer)
    if fault == "endless":
        write("x" * (10 << 20))
        time.sleep(600)
    return answer


def main():
    if fault == "exit at once":
        sys.exit("no such model: llama")
    if fault == "hang at start":
        time.sleep(600)
    if fault == "exit at restart" and os.path.exists(os.path.join(folder, "broken")):
        sys.exit("the licence has run out")
    sessions, steps = {}, 0
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "describe":
            say(describe())
            continue
        if request["op"] == "close":
            with open(os.path.join(folder, "closed"), "a") as closed:
                closed.write("closed\n")
            break
        number = request["session"]
        if request["op"] == "reset":
            if strikes("die at reset"):
                os.kill(os.getpid(), 9)
            if strikes("hang at reset"):
                time.sleep(600)
            task = request.get("number", request["seed"] % 9)
            if fault == "die of task 3" and task == 3:
                os.kill(os.getpid(), 9)
            told = request["seed"] if fault == "moody" else task
            sessions[number] = session = {"task": task, "steps": 0}
            answer = {"session": number, "task": f"word {told}", "goal": f"say {WORDS[task % 6]}"}
            answer["kind"] = "long" if task == 4 else "short"
            answer["observation"] = "It is silent."
        else:
            steps += 1
            if steps == 40 and strikes("kill late"):
                os.kill(os.getpid(), 9)
            session = sessions[number]
            session["steps"] += 1
            word = request["action"].removeprefix("say ")
            won = word == WORDS[session["task"] % 6]
            answer = {"session": number, "observation": f"You said {word}.", "reward": float(won)}
            answer["terminated"] = answer["success"] = won
            answer["truncated"] = not won and session["steps"] >= 6
        answer["admissible"] = [f"say {word}" for word in WORDS]
        if session["steps"] == 2 and session["task"] == 3 and not answer.get("terminated"):
            if fault != "kill late" and strikes(fault):
                answer = apply_fault(answer)
        if fault == "flood":
            sys.stderr.write("x" * (1 << 18) + "\n" * 100)
        if fault == "slow" and 0 < steps <= 16:
            time.sleep(0.4)
        if answer is not None:
            say(answer)


main()
