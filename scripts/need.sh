#!/usr/bin/env bash
# Makes sure that a command is there: need.sh COMMAND DEBIAN-PACKAGE...
# Installs the packages when it may, else says in one line what to run.
set -euo pipefail
command=$1
shift
command -v "$command" >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >&2 && exit 0
fi
echo "$command is missing; run: sudo apt-get install $*" >&2
exit 1
