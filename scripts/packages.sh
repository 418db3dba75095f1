#!/usr/bin/env bash
# Prints packages of this module by a property of their files; fails when there are none.
#   concurrent   start goroutines or hold locks (but for tests of whole programs)   bench   have benchmarks
#   golden       have a test with an -update flag   dirs    the folders that hold Go code, for gofmt
set -euo pipefail
cd "$(dirname "$0")/.."

folders() { # of the files that match the pattern
  grep -rlE --include='*.go' "$1" bench cmd container artifacts importer internal server vql 2>/dev/null | grep -E "$2" | xargs -r -n1 dirname | sort -u || true
}

case "${1:-}" in
  concurrent) found=$(folders '^[[:space:]]+go (func|[a-z])|"sync"|"sync/atomic"|"golang.org/x/sync' '\.go$' |
                grep -vE '^(bench|internal/(crashtest|e2e|layers|librarytest))') ;;
  bench)      found=$(folders '^func Benchmark[A-Z_]' '_test\.go$') ;;
  golden)     found=$(folders 'flag\.Bool\("update"' '_test\.go$') ;;
  dirs)       find . -name '*.go' -not -path './build/*' -not -path './.git/*' -print | cut -d/ -f2 | sort -u; exit ;;
  *)          echo "usage: $0 concurrent|bench|golden|dirs" >&2; exit 2 ;;
esac
[ -n "$found" ] || { echo "no package: $1" >&2; exit 1; }
sed 's,^,./,' <<<"$found" | grep -v '^./internal/tools'
