"""Language models of proxmo beside PyTorch, case by case: time of an iteration and peak memory.

`python benches/lm_compare.py [WORD …]` runs the cases of `lm_torch.py` whose names hold a word, on two
threads each, first proxmo (`cargo bench --bench lm`) and then PyTorch, in turn `RUNS` times (3 unless the
variable is set), and prints medians. Each run has a process of its own. A ratio above 1 means that proxmo is
faster, or takes less memory.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
RUNS = int(os.environ.get("RUNS", "3"))
CRITERION = HERE.parent / "target" / "criterion"


def run(command, environment=None):
    """Runs a command. Gives its output and the peak memory of its process in MiB."""
    process = subprocess.Popen(
        command, cwd=HERE.parent, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed")
    return output, usage.ru_maxrss / 1024


def built():
    """Builds the bench and gives the path of its program."""
    command = ["cargo", "bench", "--bench", "lm", "--no-run", "--message-format", "json"]
    output, _ = run(command)
    messages = [json.loads(line) for line in output.splitlines()]
    return next(
        message["executable"] for message in messages
        if message.get("target", {}).get("name") == "lm" and message.get("executable")
    )


def ours(program, case):
    home = {"RAYON_NUM_THREADS": "2", "CRITERION_HOME": str(CRITERION)}
    times = ["--warm-up-time", "1", "--measurement-time", "4"]
    _, memory = run([program, "--bench", "--exact", *times, case], home)
    estimates = json.loads((CRITERION / case / "new" / "estimates.json").read_text())
    return estimates["median"]["point_estimate"] / 1e9, memory


def theirs(case):
    output, memory = run([sys.executable, HERE / "lm_torch.py", case])
    return json.loads(output)["seconds"], memory


def main():
    words = sys.argv[1:] or [""]
    cases = run([sys.executable, HERE / "lm_torch.py"])[0].splitlines()
    program = os.environ.get("LM_BENCH") or built()
    print("| case | proxmo, s | PyTorch, s | speed | proxmo, MiB | PyTorch, MiB | memory |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for case in cases:
        if any(word in case for word in words):
            pairs = [(*ours(program, case), *theirs(case)) for _ in range(RUNS)]
            seconds, memory, their_seconds, their_memory = map(statistics.median, zip(*pairs))
            print(
                f"| {case} | {seconds:.4f} | {their_seconds:.4f} | {their_seconds / seconds:.2f} "
                f"| {memory:.0f} | {their_memory:.0f} | {their_memory / memory:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
