"""Checks by hand that TensorBoard reads the event files that proxmo writes.

Usage: python checks/tensorboard_events.py PROXMO
  PROXMO  the program
Needs the package tensorboard. Trains for a few iterations, kills the run, resumes it, and compares all that
TensorBoard has read with metrics.jsonl.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def numbers(value, path=""):
    """Every number of a metrics line with its path."""
    if isinstance(value, bool) or isinstance(value, (int, float)):
        yield path, float(value)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from numbers(part, f"{path}/{name}" if path else name)
    elif isinstance(value, list):
        for place, part in enumerate(value):
            name = part.get("kind", place) if isinstance(part, dict) else place
            yield from numbers(part, f"{path}/{name}")


def main(program):
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        train = [program, "train", "--run", run, "--backend", "flex", "--quiet", "--eval-tasks", "10"]
        begun = subprocess.Popen([*train, "--iterations", "1000", "--tensorboard"])
        metrics = run / "metrics.jsonl"
        while not metrics.exists() or len(metrics.read_text().splitlines()) < 8:
            assert begun.poll() is None, "the run has ended"
            time.sleep(0.1)
        begun.send_signal(signal.SIGKILL)
        begun.wait()
        # A resumed run goes on with TensorBoard without the flag.
        subprocess.run([*train, "--resume", "--iterations", "12"], check=True, stdout=subprocess.DEVNULL)
        files = sorted(run.glob("events.out.tfevents.*"))
        assert len(files) == 2, files
        read = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
        read.Reload()
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        expected = {}
        for line in lines:
            line.pop("changes", None)
            for name, value in numbers(line):
                if name != "iteration":
                    expected.setdefault(name, []).append((line["iteration"], value))
        tags = read.Tags()
        assert sorted(tags["scalars"]) == sorted(expected), set(tags["scalars"]) ^ set(expected)
        for name, points in expected.items():
            found = [(event.step, event.value) for event in read.Scalars(name)]
            assert [step for step, _ in found] == [step for step, _ in points], (name, found, points)
            for (_, one), (_, other) in zip(found, points):
                assert abs(one - other) <= 1e-6 * max(1.0, abs(other)), (name, one, other)
        assert "settings/text_summary" in tags["tensors"] or "settings" in tags["tensors"], tags["tensors"]
        print(f"TensorBoard reads {len(expected)} curves of {len(lines)} iterations, none twice")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
