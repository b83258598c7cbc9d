#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The table of docs/fuzzing.md: table.sh BUILD RUNS [TARGET...]. A line a target, and status 1 where one failed. Logs and
# what was found are in BUILD/tests/fuzz/found, from where a later call goes on.
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd) runs=$2 status=0
shift 2
# shellcheck disable=SC2046
[ $# != 0 ] || set -- $("$here/one.sh")
echo '| target | executions | edges | features | executions a second | date |'
echo '|---|---|---|---|---|---|'
for target in "$@"; do
  folder=$build/tests/fuzz/found/$target
  mkdir -p "$folder"
  if "$here/one.sh" "$build" "$target" "$folder" -runs="$runs" -close_fd_mask=3 > "$folder/log" 2>&1; then
    awk -v target="$target" -v date="$(date +%Y-%m-%d)" '
      { for (i = 1; i < NF; ++i) { if ($i == "cov:") edges = $(i + 1); if ($i == "ft:") features = $(i + 1) } }
      /number_of_executed_units/ { runs = $2 } /average_exec_per_sec/ { rate = $2 }
      END { printf "| %s | %s | %d | %s | %s | %s |\n", target, runs, edges, features, rate, date }' "$folder/log"
  else
    status=1
    echo "| $target | FAILED: see $folder/log |"
  fi
done
exit $status
