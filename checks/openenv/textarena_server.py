"""A game of TextArena on OpenEnv's own server. The port is the argument; 0 takes a free one."""

import socket
import sys

import textarena
import uvicorn
from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app


class Guess(Action):
    message: str


class Seen(Observation):
    text: str


class GuessTheNumber(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self.game, self.steps = None, 0

    def reset(self, seed=None, episode_id=None, **_):
        self.game, self.steps = textarena.make("GuessTheNumber-v0"), 0
        self.game.reset(num_players=1, seed=seed)
        return Seen(text=self.read())

    def step(self, action, **_):
        self.steps += 1
        done, _ = self.game.step(action.message)
        if not done:
            return Seen(text=self.read(), reward=0.0)
        rewards, _ = self.game.close()
        # A lost game pays for a last guess that is near, which would teach to end it early.
        return Seen(text="The game is over.", reward=float(rewards[0] == 1), done=True)

    def read(self):
        # The rules are the same in every step.
        return self.game.get_observation()[1].split("Enter your guess.")[-1].strip()

    @property
    def state(self):
        return State(step_count=self.steps)


app = create_fastapi_app(GuessTheNumber, Guess, Seen, max_concurrent_envs=64)
listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[1])))
print(f"serving at http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
