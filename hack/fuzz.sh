#!/usr/bin/env bash
# fuzz.sh: runs every fuzz target of the tree for FUZZTIME each. Targets are
# found by their name, so a new one needs no registration.
set -euo pipefail
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
  go test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$(dirname "$file")"
done <<<"$targets"
