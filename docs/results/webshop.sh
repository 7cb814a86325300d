#!/usr/bin/env bash
# GRPO, GiGPO and ProxMO on WebShop, five seeds each, from one policy that imitates the shopper by rules.
# The same command resumes after an interruption. Results are in FOLDER/study/report.html. More flags of
# `proxmo compare`, such as --jobs 2, may follow the folder.
#   docs/results/webshop.sh webshop/data runs/webshop-study
set -euo pipefail
catalogue=$(realpath "$1") folder=$2
shift 2
proxmo() { cargo run --release --quiet -- "$@"; }

[ -e "$folder/cloned/report.html" ] || proxmo clone --preset webshop --catalogue "$catalogue" \
  --iterations 120 --eval-every 0 --eval-tasks 500 --quiet --run "$folder/cloned"
proxmo compare --preset webshop --catalogue "$catalogue" --init "$folder/cloned" \
  --estimators grpo,gigpo,proxmo --seeds 5 --entropy-weight 0.005 --iterations 300 \
  --eval-every 100 --eval-tasks 500 --checkpoint-every 100 --run-folder "$folder/study" "$@"
