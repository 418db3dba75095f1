#!/usr/bin/env bash
# The demonstration behind `make demo`: demo.sh TRIAGE-SET BIN-FOLDER FOLDER
# Collects this host, imports the container into a store of its own and prints what was found and where it lies.
set -euo pipefail
triage=$1 bin=$2 folder=$3
container=$folder/$(uname -n).zip
store=$folder/store

rm -rf "$folder"
mkdir -p "$folder"

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
run() { say "$@"; "$@"; }

# 3 says: complete, but some items failed (without root, for one, not every file may be read).
run "$bin/collect" run "$triage" -o "$container" || [ $? = 3 ]
say "$bin/ingest" import --store "$store" "$container"
flow=$("$bin/ingest" import --store "$store" --json "$container" | tee /dev/stderr | sed -n 's/.*"flow_id": *"\([^"]*\)".*/\1/p')
[ -n "$flow" ] || { echo "the import named no flow" >&2; exit 1; }
run "$bin/ingest" report --store "$store" "$flow"
"$bin/ingest" report --store "$store" "$flow" -o "$folder/report.html" >/dev/null

cat <<END

container   $container   (any unzip opens it; $bin/ingest verify $container)
store       $store   ($bin/ingest flows --store $store)
page        $folder/report.html
next        $bin/ingest results --store $store $flow
            $bin/ingest uploads --store $store $flow
END
