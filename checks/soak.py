#!/usr/bin/env python3
"""Trains for a long time and watches memory, file handles and threads (Linux).

    checks/soak.py --minutes 60 --out docs/soak/flex -- \\
        target/release/proxmo train --backend flex --iterations 0 --quiet --run /tmp/soak-flex

Writes OUT.csv (a line a sample) and OUT.svg (the curve of resident memory). Ends with 0 where, after the
warm-up, resident memory grew by less than --most-growth per cent an hour on its straight line and as many
file handles and threads were there at the end as before.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time


def sample(pid, run):
    """Resident KiB, open files, threads, and how many iterations the run has written down."""
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


def slope(points):
    """Of the least-squares line, a second."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x, _ in points)


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
    parser.add_argument("--most-growth", type=float, default=2, help="per cent an hour")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- proxmo train … --run FOLDER")
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if "--run" not in command[:-1]:
        parser.error("the command has no --run FOLDER")
    run = pathlib.Path(command[command.index("--run") + 1])

    samples = watch(command, run, 60 * arguments.minutes, arguments.every)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with open(arguments.out.with_suffix(".csv"), "w", encoding="utf-8") as table:
        print("seconds,resident_kib,files,threads,iterations", file=table)
        for elapsed, *numbers in samples:
            print(f"{elapsed:.0f}", *numbers, sep=",", file=table)

    after = [s for s in samples if s[0] >= 60 * arguments.warm_up]
    if len(after) < 10:
        sys.exit("too few samples after the warm-up")
    mean = sum(s[1] for s in after) / len(after)
    growth = 3600 * slope([(s[0], s[1]) for s in after]) / mean * 100
    spans = {name: (min(s[at] for s in after), max(s[at] for s in after)) for at, name in ((2, "files"), (3, "threads"))}
    title = (
        f"resident memory, MiB: {mean / 1024:.0f} on average after {arguments.warm_up:.0f} min, "
        f"{growth:+.2f} % an hour; {samples[-1][4]} iterations"
    )
    arguments.out.with_suffix(".svg").write_text(draw(samples, title), encoding="utf-8")
    print(f"{title}; files {spans['files']}, threads {spans['threads']}")
    # Medians, as a file is open for a moment now and then.
    half = len(after) // 2
    middle = lambda part, at: sorted(s[at] for s in part)[len(part) // 2]
    steady = all(middle(after[half:], at) <= middle(after[:half], at) for at in (2, 3))
    sys.exit(0 if growth < arguments.most_growth and steady else "not flat")


if __name__ == "__main__":
    main()
