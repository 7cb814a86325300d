#!/usr/bin/env python3
"""A game of TextArena for one player whose actions can be listed.

    pip install textarena
    proxmo train --env process --command "python3 examples/adapters/textarena_env.py" --run runs/guess

The game is GuessTheNumber-v0, in which a number from 1 to 20 is guessed within ten turns.
"""

import textarena
from shim import serve


class Episode:
    goal = "guess the number"
    admissible = [f"[{number}]" for number in range(1, 21)]

    def __init__(self, seed):
        self.game = textarena.make("GuessTheNumber-v0")
        self.game.reset(num_players=1, seed=seed)
        self.observation = self.read()

    def read(self):
        # The rules, which are the same in every step, end with this sentence.
        return self.game.get_observation()[1].split("Enter your guess.")[-1].strip()

    def step(self, action):
        done, _ = self.game.step(action)
        if not done:
            self.observation = self.read()
            return 0, False, False
        # A lost game pays for a last guess that is near, which would teach to end it early.
        won = self.game.close()[0][0] == 1
        self.observation = "The game is over."
        return won, True, won


serve("guess-the-number", 100, 10, Episode)
