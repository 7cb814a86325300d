"""Language models beside PyTorch in f32: speed and peak memory, case by case, with two threads.

Usage: PYTHON benches/lm_compare.py [FILTER], with a Python that has torch, transformers and peft. It builds
the bench `lm` and runs each case in a process of its own, first ours, then PyTorch's, so that both see the
same load. Ratios above 1 are in our favour, for memory those below 1.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

CASES = ["smollm2 prefill 1x512", "smollm2 train 8x256", "smollm2 lora 4x256", "smollm2 decode 1x128",
         "smollm2 decode 32x128", "small prefill 32x128", "small train 32x128", "small decode 1x128",
         "small decode 128x128", "small decode 128x512"]


def built():
    """The path of the bench."""
    command = ["cargo", "bench", "--bench", "lm", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    return next(message["executable"] for message in messages
                if message.get("executable") and message["target"]["name"] == "lm")


def run(command, **variables):
    """A program's line of JSON, and its peak memory in MiB."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **variables})
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: status {status}")
    return json.loads(output.splitlines()[-1]), usage.ru_maxrss / 1024


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    bench, torch = built(), str(Path(__file__).with_name("lm_torch.py"))
    threads = {"RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    print("| case | tokens/s | PyTorch | ratio | ratio of CPU time | MiB | PyTorch | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for case in (case for case in CASES if wanted in case):
        ours, memory = run([bench], PROXMO_LM_CASE=case, **threads)
        theirs, their_memory = run([sys.executable, torch, case], **threads)
        print(f"| {case} | {ours['wall']:,.0f} | {theirs['wall']:,.0f} | {ours['wall'] / theirs['wall']:.2f} "
              f"| {ours['cpu'] / theirs['cpu']:.2f} | {memory:,.0f} | {their_memory:,.0f} "
              f"| {memory / their_memory:.2f} |", flush=True)


main()
