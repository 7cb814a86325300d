#!/usr/bin/env bash
# Five estimators on generated household tasks, twenty seeds each, with paired differences over the seeds:
# GRPO, GiGPO, ProxMO, PPO with a value head, and ProxMO whose step baselines are mixed with learned values.
# The same command resumes after an interruption. Results are in FOLDER/report.html. More flags of `proxmo
# compare`, such as --jobs 2, may follow the folder.
#   docs/results/household.sh runs/household-study
set -euo pipefail
folder=$1
shift
cargo run --release --quiet -- compare --estimators grpo,gigpo,proxmo,ppo,proxmo-value --seeds 20 \
  --iterations 100 --eval-every 20 --checkpoint-every 100 --backend flex --run-folder "$folder" "$@"
