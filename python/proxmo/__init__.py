"""ProxMO credit assignment and text environments for training multi-turn agents.

`credit` assigns an advantage to each step of a batch of episodes, given as arrays; `credit_rows` does so
for rows in any order that name their group and episode. `env.make` opens an environment. The modules
`trl`, `verl`, `skyrl` and `trinity` bring ProxMO into these frameworks.
"""

from . import env
from ._proxmo import Config, Credit, State, __version__, credit
from ._rows import RowCredit, credit_rows
from ._settings import Settings

__all__ = [
    "Config",
    "Credit",
    "RowCredit",
    "Settings",
    "State",
    "__version__",
    "credit",
    "credit_rows",
    "env",
]
