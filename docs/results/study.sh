#!/usr/bin/env bash
# The comparison of docs/results/README.md: ten variants with paraphrased observations, three without,
# five seeds each. The same command resumes after an interruption.
#   docs/results/study.sh json_2.1.1 runs/study
set -euo pipefail
games=$(realpath "$1") folder=$2
proxmo() { cargo run --release --quiet -- "$@"; }

# All variants of a study start from the same policy, which imitates a hundred episodes of the expert.
clone() { # name, flags
  [ -e "$folder/$1/report.html" ] || proxmo clone --env alfworld --games "$games" --imitation-tasks 100 \
    --minibatch 128 --iterations 30 --eval-every 10 --quiet --run "$folder/$1" "${@:2}"
}
compare() { # name, flags
  proxmo compare --preset alfworld --games "$games" --groups 8 --iterations 150 --minibatch 512 \
    --checkpoint-every 50 --eval-every 25 --seeds 5 --jobs 2 --run-folder "$folder/$1" "${@:2}"
}

clone cloned-paraphrased --paraphrase 0.3
compare paraphrased --paraphrase 0.3 --init "$folder/cloned-paraphrased" \
  --estimators grpo,gigpo,hgpo,g2po,proxmo,proxmo-no-modulation,proxmo-no-aggregation,proxmo-exact-states,proxmo-improved \
  --variant "graphgpo: --estimator graphgpo --gamma 0.1"
clone cloned
compare plain --init "$folder/cloned" --estimators grpo,gigpo,proxmo
