#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A compiler for the check, called by a compiler's name from a folder that comes first in PATH. Files of a generated folder that are the
# same whatever the model is (the runtime's, and the test bench's but msa_run_model.c) are compiled once for the same flags: $COMPILED_ONCE
# is where their objects are. Everything else, and what a compiler says a word about, goes to the compiler itself.
name=${0##*/} here=${0%/*}
[ "${COMPILED_BY-}" != "$0" ] || { echo "$0: calls itself" >&2; exit 1; }
export COMPILED_BY="$0"
# The compiler itself is behind this folder, wherever in PATH that is.
paths=:$PATH:
case $paths in *:"$here":*) paths=${paths%%:"$here":*}:${paths#*:"$here":} ;; esac
paths=${paths#:}
PATH=${paths%:}
compiles= source= output= last= words=
for word; do
  case $last in -o) output=$word ;; *) words="$words $word" ;; esac
  case $word in
    -c) compiles=1 ;;
    *.c) source=$word ;;
    -fstack-usage | -fcallgraph-info* | -M* | -save-temps* | --coverage | -fprofile* | -ftest-coverage | -fdump* | -gsplit*)
      exec "$name" "$@" ;; # these write more than an object
  esac
  last=$word
done
headers='msa.h msa_arith.h msa_runtime.h msa_simd.h'
case $compiles${source##*/} in
  1msa_run_model.c | 1msa_run_team.c) exec "$name" "$@" ;;
  1msa_run*.c | 1msa_check.c | 1msa_crc32c.c | 1msa_cycles.c | 1msa_hooks.c | 1msa_image.c | 1msa_prompt.c | 1msa_status.c | 1msa_threads.c) ;;
  *) exec "$name" "$@" ;;
esac
[ -n "${COMPILED_ONCE-}" ] && [ -n "$output" ] && [ -f msa_runtime.h ] || exec "$name" "$@"
for more in msa_threads.h runner/msa_run.h runner/msa_run_clicks.h; do [ ! -f $more ] || headers="$headers $more"; done
# shellcheck disable=SC2086
object=$(printf '%s %s\n' "$name" "$words" | cat - "$source" $headers 2> /dev/null | sha256sum)
object=$COMPILED_ONCE/${object%% *}
if [ -f "$object.o" ]; then exec cp "$object.o" "$output"; fi
"$name" "$@" -MMD -MF "$object.$$.d" 2> "$object.$$.said"
status=$?
if [ -s "$object.$$.said" ]; then
  cat "$object.$$.said" >&2
elif [ $status = 0 ] && ! grep -qE '/?msa_(model|internal|kernels)\.h' "$object.$$.d"; then
  cp "$output" "$object.$$.o" && mv "$object.$$.o" "$object.o"
fi
rm -f "$object.$$.d" "$object.$$.said"
exit $status
