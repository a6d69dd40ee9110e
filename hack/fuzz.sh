#!/usr/bin/env bash
# fuzz.sh: runs every fuzz target of the tree, FUZZTIME each. Targets are found
# by their name, so a new one needs no registration. FUZZTIME is a count of
# inputs (50000x): with a duration, Go before 1.27 may report its own end as
# "context deadline exceeded" (golang/go#75804). Shrinking an input that reached
# new code is bounded likewise.
set -euo pipefail
FUZZTIME=${FUZZTIME:-200000x}
cd "$(dirname "$0")/.."

targets=$(grep -rE --include='*_test.go' '^func Fuzz[A-Z][A-Za-z0-9_]*\(' -o . | sort)
if [[ -z $targets ]]; then
  echo "no fuzz targets"
  exit 0
fi
while IFS=: read -r file line; do
  name=${line#func }
  name=${name%(}
  echo "fuzz $(dirname "$file") $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 100x "$(dirname "$file")"
done <<<"$targets"
