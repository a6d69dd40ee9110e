#!/usr/bin/env bash
# need.sh TOOL...: names each tool that is missing, a line each, with what to
# install. What building the database engine takes is not in it: the one list
# is in svckit/engine/build.go, and whatever starts the engine names it.
set -euo pipefail

missing=0

has() { command -v "$1" >/dev/null 2>&1; }

lack() {
  printf '%s is missing: %s\n' "$1" "$2" >&2
  missing=1
}

go_current() {
  # Go 1.21 and newer fetch the version that go.work names, unless told not to.
  [[ $(go env GOVERSION 2>/dev/null) =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 26))
}

need() {
  case $1 in
    go)
      if ! has go; then
        lack go "install Go 1.26 or newer from https://go.dev/dl"
      elif ! go_current; then
        lack "Go 1.26" "the go on PATH is older; install Go 1.26 or newer from https://go.dev/dl"
      fi ;;
    cc) has cc || has gcc || has clang || lack "a C compiler" "apt-get install build-essential, or xcode-select --install" ;;
    git) has git || lack git "apt-get install git, or brew install git" ;;
    curl) has curl || lack curl "apt-get install curl, or brew install curl" ;;
    *) lack "$1" "need.sh does not know it" ;;
  esac
}

for tool in "$@"; do need "$tool"; done
exit "$missing"
