#!/usr/bin/env bash
# verify.sh: brings everything that is derived up to date and fails,
# naming the files, when that changed anything. Tidy looks at one module at a
# time and not at go.work, hence GOWORK=off and the replace lines in each go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."

snapshot() {
  git ls-files -z --cached --others --exclude-standard | sort -z |
    { xargs -0 sha256sum 2>/dev/null || true; }
}

before=$(snapshot)
go run ./hack/cmd/generate
for module in $(go list -m -f '{{.Dir}}'); do
  echo "go mod tidy in ${module#"$PWD"/}"
  GOWORK=off go -C "$module" mod tidy
done
gofmt -w .
after=$(snapshot)

stale=$(comm -13 <(sort <<<"$before") <(sort <<<"$after") | awk '{ print $2 }')
if [[ -n $stale ]]; then
  printf '\nThese files were not up to date. They are now: look at them and commit them.\n' >&2
  sed 's/^/  /' <<<"$stale" >&2
  exit 1
fi
echo "generated files, go.mod files and formatting are up to date"
