#!/usr/bin/env bash
# Runs every fuzz target of the module: fuzz.sh TIME [PATTERN]. Fails when it finds none.
set -euo pipefail
cd "$(dirname "$0")/.."
time=$1 pattern=${2:-.}

targets=$(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | grep -v '^./internal/tools/' |
  sed -E 's,^(.*)/[^/]+:[0-9]+:func ,\1 ,' | sort -u | grep -E "$pattern" || true)
[ -n "$targets" ] || { echo "no fuzz target matches $pattern" >&2; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
count=0
while read -r package target; do
  count=$((count + 1))
  for try in 1 2; do
    if go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s "$package" >"$log" 2>&1; then
      printf '%-28s %s  %s\n' "$target" "$package" "$(grep -E '^fuzz: elapsed' "$log" | tail -n 1)"
      break
    fi
    # The go command sometimes fails at the very end with nothing but its own deadline: once more then.
    if [ "$try" = 2 ] || grep -q 'Failing input written' "$log" || ! grep -q 'context deadline exceeded' "$log"; then
      cat "$log"
      echo "FAIL $target $package" >&2
      exit 1
    fi
  done
done <<<"$targets"
echo "ok: $count fuzz targets, $time each"
