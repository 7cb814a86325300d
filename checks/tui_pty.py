#!/usr/bin/env python3
"""Runs trainings in a pseudo-terminal and checks what their screen shows, and that the terminal is
restored whatever ends them (Unix).

    checks/tui_pty.py target/release/proxmo            all checks
    checks/tui_pty.py target/release/proxmo --show     prints the screen of a training at 80x24 and 120x40
    checks/tui_pty.py --left COMMAND...                COMMAND enters a screen and leaves it restored
"""

import codecs
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import sys
import tempfile
import termios
import time

# The longest wait for something that has to come. Nothing is judged by the time that it took.
PATIENCE = 120

SMALL = ["--backend", "flex", "--train-tasks", "30", "--held-out", "6", "--groups", "2", "--group-size",
         "2", "--max-steps", "10", "--policy-embedding", "8", "--hidden", "8", "--eval-every", "2"]

# Control sequences: CSI, and other escapes of two characters.
SEQUENCE = re.compile(r"\x1b(?:\[(?P<mark>[?>]?)(?P<numbers>[\d;]*)(?P<kind>[A-Za-z])|(?P<short>[^\[]))")


class Screen:
    """The part of a terminal that the screen of a training needs."""

    def __init__(self, columns, rows):
        self.full, self.has_cursor, self.pending = False, True, ""
        self.entered, self.left = 0, 0
        # What was written while nothing filled the terminal.
        self.normal = ""
        self.resize(columns, rows)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.x = self.y = 0

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def feed(self, text):
        text = self.pending + text
        self.pending = ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            found = SEQUENCE.match(text, at)
            if not found:
                self.pending = text[at:]
                return
            self.obey(found)
            at = found.end()

    def put(self, letter):
        if not self.full:
            self.normal += letter
        elif letter == "\r":
            self.x = 0
        elif letter == "\n":
            self.y += 1
        elif self.y < self.rows and self.x < self.columns:
            self.cells[self.y][self.x] = letter
            self.x += 1

    def obey(self, found):
        kind, mark = found["kind"], found["mark"]
        numbers = [int(number or 0) for number in (found["numbers"] or "").split(";")]
        if (mark, kind) == ("?", "h") and 1049 in numbers:
            self.full, self.entered = True, self.entered + 1
            self.clear()
        elif (mark, kind) == ("?", "l") and 1049 in numbers:
            self.full, self.left = False, self.left + 1
        elif mark == "?" and 25 in numbers:
            self.has_cursor = kind == "h"
        elif kind == "H":
            row, column = (numbers + [1, 1])[:2] if found["numbers"] else (1, 1)
            self.y, self.x = max(row, 1) - 1, max(column, 1) - 1
        elif kind == "J" and numbers[0] in (0, 2, 3):
            first = self.y if numbers[0] == 0 else 0
            self.cells[first:] = [[" "] * self.columns for _ in self.cells[first:]]


class Session:
    """A command in a pseudo-terminal, as a job of a small shell."""

    def __init__(self, command, columns=80, rows=24, environment=None):
        self.screen = Screen(columns, rows)
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.reports, reports = os.pipe()
        orders, self.orders = os.pipe()
        self.shell, self.terminal = pty.fork()
        if self.shell == 0:
            os.close(self.reports)
            os.close(self.orders)
            run_shell(command, environment or {}, reports, orders)
        os.close(reports)
        os.close(orders)
        self.size(columns, rows)
        self.before = self.expect_report("start", waits=False)
        os.write(self.orders, b"s")
        self.status = None

    def size(self, columns, rows):
        self.screen.resize(columns, rows)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        """Reads what the command writes, for at most so long."""
        ready, _, _ = select.select([self.terminal], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.screen.feed(self.decoder.decode(data))
        return bool(data)

    def wait(self, what, condition):
        until = time.monotonic() + PATIENCE
        while not condition():
            self.read(0.05)
            if time.monotonic() > until or (self.report_is_ready() and not condition()):
                self.read(0.2)
                if not condition():
                    raise SystemExit(f"no {what}. The screen:\n{self.screen.text()}\n"
                                     f"Outside of it:\n{self.screen.normal}")

    def see(self, *words):
        self.wait(f"'{words}'", lambda: all(word in self.screen.text() for word in words))

    def press(self, keys):
        os.write(self.terminal, keys.encode())

    def report_is_ready(self):
        return bool(select.select([self.reports], [], [], 0)[0])

    def expect_report(self, kind, waits=True):
        """The next report of the shell: its kind, a number, and the state of the terminal."""
        line = b""
        until = time.monotonic() + PATIENCE
        while not line.endswith(b"\n"):
            if waits:
                self.read(0.02)
                if not self.report_is_ready():
                    check(time.monotonic() < until, f"no {kind}:\n{self.screen.text()}\n{self.screen.normal}")
                    continue
            line += os.read(self.reports, 1)
        found, number, state = line.decode().split(" ", 2)
        check(found == kind, f"the shell reports {found} {number}, expected {kind}:\n"
                             f"{self.screen.text()}\n{self.screen.normal}")
        self.number = int(number)
        return state

    def expect_restored(self, state):
        check(state == self.before, f"the terminal's state is {state}, it was {self.before}")
        while self.read(0.1):
            pass
        check(not self.screen.full, "the screen still fills the terminal")
        check(self.screen.has_cursor, "the cursor is still hidden")

    def end(self, status):
        """Waits for the end of the command, whose exit status has to be `status`."""
        self.expect_restored(self.expect_report("exit"))
        check(self.number == status, f"the exit status is {self.number}, expected {status}:\n"
                                     f"{self.screen.normal}")
        os.waitpid(self.shell, 0)
        return self.screen.normal

    def pid(self):
        os.write(self.orders, b"p")
        self.expect_report("pid")
        return self.number


def run_shell(command, environment, reports, orders):
    """The child: starts `command` as a foreground job and reports when it stops or ends."""
    def state():
        return repr(termios.tcgetattr(0)[:4])

    def report(kind, number):
        os.write(reports, f"{kind} {number} {state()}\n".encode())

    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    report("start", 0)
    # The terminal has its size now.
    os.read(orders, 1)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for name in ("NO_COLOR", "CI"):
            os.environ.pop(name, None)
        os.environ.update({"TERM": "xterm-256color", **environment})
        os.execvp(command[0], command)
    try:
        os.setpgid(job, job)
    except OSError:
        pass
    while True:
        if select.select([orders], [], [], 0.05)[0]:
            order = os.read(orders, 1)
            if order == b"p":
                report("pid", job)
            elif order in (b"f", b"b"):
                os.tcsetpgrp(0, job if order == b"f" else os.getpgrp())
                os.killpg(job, signal.SIGCONT)
        found, status = os.waitpid(job, os.WUNTRACED | os.WNOHANG)
        if found and os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpgrp())
            report("stop", os.WSTOPSIG(status))
        elif found:
            os.tcsetpgrp(0, os.getpgrp())
            ended = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            report("exit", ended)
            os._exit(0)


def check(condition, message):
    if not condition:
        raise SystemExit(message)


def train(proxmo, run, *more):
    return [proxmo, "train", *SMALL, "--run", str(run), *more]


def iterations(run):
    return len((run / "metrics.jsonl").read_text().splitlines()) - 1


def checkpoints(run):
    return sorted(int(path.parent.name) for path in run.glob("checkpoints/*/state.json"))


def keys_sizes_and_q(proxmo, folder):
    """Curves, keys, sizes, Ctrl-Z, and `q`."""
    run = folder / "keys"
    session = Session(train(proxmo, run, "--iterations", "100000"))
    session.see("q stop", "1 success", "household", "episode of iteration")
    session.wait("third iteration", lambda: re.search(r"iteration ([3-9]|\d\d)", session.screen.text()))
    check(re.search("[\u2801-\u28ff]", session.screen.text()), f"no curve:\n{session.screen.text()}")
    session.press("3")
    session.see("┌ loss ")
    session.press("\t")
    session.see("┌ KL ")
    session.press("m")
    session.see("┌ messages ", "scorer, ")
    session.size(120, 40)
    session.see("┌ success ", "┌ return ", "┌ loss ", "┌ KL ", "┌ entropy ", "┌ gradient norm ", "task", "Task:")
    session.size(40, 10)
    session.wait("status line", lambda: re.match(r"iteration \d+/\d+, ", session.screen.text())
                 and "┌" not in session.screen.text())
    session.size(80, 24)
    session.see("┌ KL ", "q stop")
    # Ctrl-Z gives the terminal back; in the background the training goes on without the screen.
    session.press("\x1a")
    session.expect_restored(session.expect_report("stop"))
    os.write(session.orders, b"b")
    done = iterations(run)
    session.wait("iteration in the background", lambda: iterations(run) > done + 1)
    check(not session.screen.full, "a training in the background fills the terminal")
    os.write(session.orders, b"f")
    session.wait("screen in the foreground", lambda: session.screen.full)
    session.see("┌ KL ", "q stop")
    session.press("q")
    text = session.end(0)
    check("Stopped after iteration" in text and f"proxmo train --run {run} --resume" in text, text)
    check("Held-out tasks after iteration" in text and "estimator proxmo" in text, text)
    check(text.count("stopping after this iteration") == 1, text)
    check(checkpoints(run)[-1] == iterations(run), f"{checkpoints(run)}, {iterations(run)} iterations")
    return run


def resumed_and_exited(proxmo, run):
    """A resumed run shows the curve from its beginning; a second `q` exits at once."""
    session = Session([proxmo, "train", "--run", str(run), "--resume", "--max-steps", "40", "--groups", "200"])
    session.see("q stop", "┌ success ", "•")
    session.press("q")
    session.see("stopping after this iteration")
    session.press("q")
    session.end(130)


def signals_and_errors(proxmo, folder):
    """Signals during the training and before it, and errors."""
    session = Session(train(proxmo, folder / "term", "--iterations", "100000"))
    session.see("q stop", "┌ success ")
    os.kill(session.pid(), signal.SIGTERM)
    text = session.end(0)
    check("asked to end" in text and "--resume" in text, text)

    # A program that never answers: the training waits while it loads the tasks.
    silent = ["--env", "process", "--command", "sleep 1000", "--answer-timeout", "1000"]
    for stop, status in [(lambda session: session.press("q"), -signal.SIGINT),
                         (lambda session: session.press("\x03"), -signal.SIGINT),
                         (lambda session: os.kill(session.pid(), signal.SIGTERM), -signal.SIGTERM)]:
        session = Session([proxmo, "train", *silent, "--backend", "flex", "--run", str(folder / "silent")])
        session.see("loading the tasks")
        stop(session)
        session.end(status)

    session = Session([proxmo, "train", "--env", "process", "--command", "false", "--run", str(folder / "none")])
    text = session.end(2)
    check("proxmo: error: " in text, text)


# A program that fails at the first step.
FAILS = """
import json, sys
answers = {"describe": {"protocol": 1, "name": "fails", "tasks": 4, "max_steps": 5},
           "reset": {"task": "t", "goal": "g", "observation": "o", "admissible": ["a", "b"]}}
for line in sys.stdin:
    asked = json.loads(line)
    if asked["op"] not in answers:
        sys.exit(3)
    session = {"session": asked["session"]} if "session" in asked else {}
    print(json.dumps({**answers[asked["op"]], **session}), flush=True)
"""


def failures_and_imitation(proxmo, folder):
    """A training that fails, and one that imitates."""
    program = folder / "fails.py"
    program.write_text(FAILS)
    session = Session([proxmo, "train", "--env", "process", "--command", f"{sys.executable} {program}",
                       "--backend", "flex", "--run", str(folder / "failed")])
    text = session.end(1)
    check(session.screen.entered == 1 and "proxmo: error: environment: " in text, text)

    session = Session([proxmo, "clone", *SMALL, "--iterations", "3", "--run", str(folder / "cloned")])
    text = session.end(0)
    check(session.screen.entered == 1 and "demonstrations from expert" in text, text)
    check("Trained 3 iterations" in text, text)


def refused_terminals(proxmo, folder):
    """No screen where none is wanted."""
    cases = [(["--plain"], {}), ([], {"TERM": "dumb"}), ([], {"CI": "true"}), (["--quiet"], {})]
    for number, (flags, environment) in enumerate(cases):
        run = folder / f"plain-{number}"
        command = train(proxmo, run, "--iterations", "2", *flags)
        session = Session(command, environment=environment)
        text = session.end(0)
        check(session.screen.entered == 0, f"{flags} {environment}: a screen was entered")
        check("Trained 2 iterations" in text, text)
        check((" iter " in text) == (flags != ["--quiet"]), text)


def colours(proxmo, folder):
    """NO_COLOR is respected."""
    for name, environment, expected in [("with", {}, True), ("without", {"NO_COLOR": "1"}, False)]:
        session = Session(train(proxmo, folder / name, "--iterations", "2"), environment=environment)
        seen = []
        feed = session.screen.feed
        session.screen.feed = lambda text: (seen.append(text), feed(text))
        session.end(0)
        has_colours = bool(re.search(r"\x1b\[(38;5;\d+|3[1-7])m", "".join(seen)))
        check(session.screen.entered == 1 and has_colours == expected, f"{name} colours: {has_colours}")


def left(command):
    """`command` enters a screen and leaves it restored."""
    session = Session(command)
    session.expect_restored(session.expect_report("exit"))
    check(session.screen.entered == 1, f"no screen was entered:\n{session.screen.normal}")
    print(session.screen.normal)


def show(proxmo, folder):
    session = Session([proxmo, "train", "--backend", "flex", "--run", str(folder / "shown")])
    session.wait("enough iterations", lambda: re.search(r"iteration (6\d|7\d)/", session.screen.text()))
    print(session.screen.text(), end="\n\n")
    session.size(120, 40)
    session.see("┌ gradient norm ", "Task:")
    print(session.screen.text(), end="\n\n")
    session.press("q")
    print(session.end(0))


def main():
    if sys.argv[1] == "--left":
        return left(sys.argv[2:])
    proxmo = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        folder = pathlib.Path(folder).resolve()
        if sys.argv[2:] == ["--show"]:
            return show(proxmo, folder)
        run = keys_sizes_and_q(proxmo, folder)
        resumed_and_exited(proxmo, run)
        signals_and_errors(proxmo, folder)
        failures_and_imitation(proxmo, folder)
        refused_terminals(proxmo, folder)
        colours(proxmo, folder)
    print("The screen of a training is as it should be, and every terminal was restored.")


if __name__ == "__main__":
    main()
