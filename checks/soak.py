#!/usr/bin/env python3
"""Trains for a long time and samples memory, file handles and threads (Linux).

    checks/soak.py --minutes 60 --out docs/soak/flex -- \\
        target/release/proxmo train --backend flex --iterations 0 --quiet --run /tmp/soak-flex

Writes OUT.csv (a line a sample) and OUT.svg (the curve of resident memory). Memory rises and falls within
every iteration, so medians are compared. Exits with 0 if, after the warm-up, the median of the last third
is at most --most-growth per cent above that of the first third, and file handles and threads have not
increased.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time


def sample(pid, run):
    """Resident KiB, open files, threads, and the number of iterations in metrics.jsonl."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    try:
        with open(run / "metrics.jsonl", "rb") as metrics:
            iterations = sum(1 for _ in metrics) - 1
    except FileNotFoundError:
        iterations = 0
    files = len(os.listdir(f"/proc/{pid}/fd"))
    return int(fields["VmRSS"].split()[0]), files, int(fields["Threads"]), iterations


def watch(command, run, seconds, every):
    """Samples a command until the time is up, then interrupts it and waits."""
    begun = time.monotonic()
    child = subprocess.Popen(command)
    samples = []
    while (elapsed := time.monotonic() - begun) < seconds:
        if child.poll() is not None:
            sys.exit(f"the command ended by itself after {elapsed:.0f} s with {child.returncode}")
        try:
            samples.append((elapsed, *sample(child.pid, run)))
        except (FileNotFoundError, KeyError, ProcessLookupError):
            pass  # It is just ending, which the next look tells.
        time.sleep(every)
    child.send_signal(signal.SIGINT)
    if child.wait() != 0:
        sys.exit(f"the command ended with {child.returncode} after it was interrupted")
    return samples


def median(samples, column):
    return sorted(sample[column] for sample in samples)[len(samples) // 2]


def draw(samples, title):
    """The curve of resident memory as SVG."""
    width, height, left, top = 640, 220, 64, 28
    most = max(s[1] for s in samples) * 1.1
    last = samples[-1][0]
    place = lambda s: f"{left + s[0] / last * width:.1f},{top + height - s[1] / most * height:.1f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 16} {top + height + 44}"'
        ' font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="18">{title}</text>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y, x = top + height - share * height, left + share * width
        lines.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{share * most / 1024:.0f}</text>')
        lines.append(f'<text x="{x:.1f}" y="{top + height + 18}" text-anchor="middle">{share * last / 60:.0f}</text>')
    lines.append(f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">minutes</text>')
    points = " ".join(map(place, samples))
    lines.append(f'<polyline points="{points}" fill="none" stroke="#2563eb" stroke-width="1.5"/>')
    return "\n".join(lines + ["</svg>\n"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-up", type=float, default=10, help="minutes that do not count")
    parser.add_argument("--every", type=float, default=10, help="seconds between samples")
    parser.add_argument("--most-growth", type=float, default=10, help="per cent")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--again", action="store_true", help="judge and draw what OUT.csv holds")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- proxmo train … --run FOLDER")
    arguments = parser.parse_args()
    table = arguments.out.with_suffix(".csv")
    if arguments.again:
        lines = table.read_text(encoding="utf-8").splitlines()[1:]
        judge([tuple(map(float, line.split(","))) for line in lines], arguments)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if "--run" not in command[:-1]:
        parser.error("the command has no --run FOLDER")
    run = pathlib.Path(command[command.index("--run") + 1])

    samples = watch(command, run, 60 * arguments.minutes, arguments.every)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", encoding="utf-8") as lines:
        print("seconds,resident_kib,files,threads,iterations", file=lines)
        for elapsed, *numbers in samples:
            print(f"{elapsed:.0f}", *numbers, sep=",", file=lines)
    judge(samples, arguments)


def judge(samples, arguments):
    """Says what the samples come to, and ends with it."""
    after = [s for s in samples if s[0] >= 60 * arguments.warm_up]
    if len(after) < 10:
        sys.exit("too few samples after the warm-up")
    third = len(after) // 3
    first, last = after[:third], after[-third:]
    growth = 100 * (median(last, 1) / median(first, 1) - 1)
    title = (
        f"resident MiB after {arguments.warm_up:.0f} min: {median(first, 1) / 1024:.0f} in the first third, "
        f"{median(last, 1) / 1024:.0f} in the last (medians), {max(s[1] for s in after) / 1024:.0f} at most; "
        f"{samples[-1][4]:.0f} iterations"
    )
    arguments.out.with_suffix(".svg").write_text(draw(samples, title), encoding="utf-8")
    print(f"{title}; files {median(last, 2):.0f}, threads {median(last, 3):.0f}")
    steady = all(median(last, column) <= median(first, column) for column in (2, 3))
    sys.exit(0 if growth < arguments.most_growth and steady else "not flat")


if __name__ == "__main__":
    main()
