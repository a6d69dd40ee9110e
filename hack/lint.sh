#!/usr/bin/env bash
# lint.sh run|fmt: runs the pinned golangci-lint over every module of go.work.
# The linter has a go.mod of its own under hack/tools, so that its dependencies
# never meet ours; Go builds it once and keeps the program in its build cache.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "finding golangci-lint (built the first time, which takes a few minutes)"
linter=$(GOWORK=off go -C hack/tools/golangci-lint tool -n golangci-lint)

packages=()
for module in $(go list -m -f '{{.Dir}}'); do
  # A module without packages is no error.
  if [[ -n $(go list "$module/..." 2>/dev/null) ]]; then packages+=(".${module#"$PWD"}/..."); fi
done
"$linter" "$1" "${packages[@]}"
