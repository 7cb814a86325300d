#!/usr/bin/env bash
# GRPO, GiGPO and ProxMO on a catalogue of WebShop from scratch, five seeds each.
# The same command resumes after an interruption.
#   docs/results/webshop.sh CATALOGUE runs/webshop
set -euo pipefail
cargo run --release --quiet -- compare --preset webshop --catalogue "$(realpath "$1")" \
  --estimators grpo,gigpo,proxmo --iterations 400 --eval-every 100 --seeds 5 --jobs 2 --run-folder "$2"
