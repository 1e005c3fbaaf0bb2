#!/usr/bin/env bash
# Usage: scripts/quickstart.sh [EK_TRAIN_ARGUMENT...]
#
# From a fresh checkout to a first result: installs what is missing, builds the programs, trains
# plain cross-entropy and Difficulty-Net on a small long-tailed set that is drawn by the program
# itself, and prints their accuracies side by side. The runs are in out/quickstart/, which is
# replaced. Arguments go to both trainings (for example --threads 2 or --set schedule.length=100).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
esac

scripts/build.sh
out=out/quickstart
rm -rf "$out"
mkdir -p "$out"
for recipe in ce difficulty-net; do
  echo "training synthetic/$recipe into $out/$recipe" >&2
  build/release/bin/ek-train --recipe "synthetic/$recipe" --data synthetic:shapes \
    --out "$out/$recipe" "$@"
done
build/release/bin/ek-eval --compare "$out/ce" "$out/difficulty-net"
