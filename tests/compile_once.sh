#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A compiler for the check, called by a compiler's name from a folder that comes first in PATH. What is compiled in generated folders is
# compiled once for the same bytes and flags: $COMPILED_ONCE is where the objects are. Files that are the same whatever the model is (the
# runtime's, and the test bench's but msa_run_model.c) are found again in folders of other models, too; the others in one of the same model
# alone, whose headers are all the same. What a compiler says a word about goes to the compiler itself each time.
name=${0##*/} here=${0%/*}
[ "${COMPILED_BY-}" != "$0" ] || { echo "$0: calls itself" >&2; exit 1; }
export COMPILED_BY="$0"
# The compiler itself is behind this folder, wherever in PATH that is.
paths=:$PATH:
case $paths in *:"$here":*) paths=${paths%%:"$here":*}:${paths#*:"$here":} ;; esac
paths=${paths#:}
PATH=${paths%:}
compiles= source= output= last= words= sanitized=
for word; do
  case $last in -o) output=$word ;; *) words="$words $word" ;; esac
  case $word in
    -c) compiles=1 ;;
    *.c) source=$word ;;
    -fsanitize*) sanitized=1 ;;
    -fstack-usage | -fcallgraph-info* | -M* | -save-temps* | --coverage | -fprofile* | -ftest-coverage | -fdump* | -gsplit*)
      exec "$name" "$@" ;; # these write more than an object
  esac
  last=$word
done
[ -n "$compiles" ] && [ -n "$source" ] && [ -n "${COMPILED_ONCE-}" ] && [ -n "$output" ] && [ -f msa_runtime.h ] || exec "$name" "$@"
own='/?msa_(model|internal|kernels)\.h'
case ${source##*/} in
  msa_run_model.c | msa_run_team.c) own= ;;
  msa_run*.c | msa_check.c | msa_crc32c.c | msa_cycles.c | msa_hooks.c | msa_image.c | msa_image_line.c | msa_mask.c | msa_prompt.c | msa_status.c | msa_threads.c) ;;
  *) own= ;;
esac
if [ -n "$own" ]; then
  headers='msa.h msa_arith.h msa_runtime.h msa_simd.h'
  for more in msa_threads.h runner/msa_run.h runner/msa_run_clicks.h; do [ ! -f $more ] || headers="$headers $more"; done
else
  # These are large with a sanitizer, and few of them come again.
  [ -z "$sanitized" ] || exec "$name" "$@"
  headers='*.h'
  [ ! -f runner/msa_run.h ] || headers="$headers runner/*.h"
  own='(/|^)\.\./|(^| )/|/.*/' # a header that is of no generated folder
fi
# shellcheck disable=SC2086
object=$(printf '%s %s\n' "$name" "$words" | cat - "$source" $headers 2> /dev/null | sha256sum)
object=$COMPILED_ONCE/${object%% *}
if [ -f "$object.o" ]; then exec cp "$object.o" "$output"; fi
"$name" "$@" -MMD -MF "$object.$$.d" 2> "$object.$$.said"
status=$?
if [ -s "$object.$$.said" ]; then
  cat "$object.$$.said" >&2
elif [ $status = 0 ] && ! sed 's/^[^:]*://; s/\\$//' "$object.$$.d" | grep -qE "$own"; then
  cp "$output" "$object.$$.o" && mv "$object.$$.o" "$object.o"
fi
rm -f "$object.$$.d" "$object.$$.said"
exit $status
