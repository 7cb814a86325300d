"""Copies the metrics of a run to Weights & Biases or MLflow.

Usage: python examples/import_run.py wandb|mlflow RUN [PROJECT]
  RUN      the folder of a run
  PROJECT  the project or experiment [default: proxmo]

Needs the package wandb or mlflow, and `proxmo` on the path. Both packages take their server from their own
settings, such as WANDB_MODE=offline or MLFLOW_TRACKING_URI=sqlite:///runs.db.
"""

import csv
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def rows(run):
    """The numbers of each iteration, by name."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "metrics.csv"
        report = Path(folder) / "report.html"
        command = ["proxmo", "report", run, "--csv", table, "--output", report]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with table.open(newline="") as lines:
            for row in csv.DictReader(lines):
                del row["run"]
                iteration = int(row.pop("iteration"))
                yield iteration, {name: float(value) for name, value in row.items() if value}


def settings(run):
    """The settings as a flat dictionary."""
    flat = {}
    for section, values in tomllib.loads((Path(run) / "config.toml").read_text()).items():
        if isinstance(values, dict):
            flat.update({f"{section}.{name}": value for name, value in values.items()})
    return flat


def to_wandb(run, project):
    import wandb

    with wandb.init(project=project, name=Path(run).name, config=settings(run)) as target:
        for iteration, numbers in rows(run):
            target.log(numbers, step=iteration)


def to_mlflow(run, project):
    import mlflow

    mlflow.set_experiment(project)
    with mlflow.start_run(run_name=Path(run).name):
        mlflow.log_params(settings(run))
        for iteration, numbers in rows(run):
            mlflow.log_metrics(numbers, step=iteration)


if __name__ == "__main__":
    targets = {"wandb": to_wandb, "mlflow": to_mlflow}
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in targets:
        sys.exit(__doc__)
    targets[sys.argv[1]](sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "proxmo")
