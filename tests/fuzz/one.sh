#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One target's fuzzer: one.sh BUILD TARGET FOLDER [OPTION OF LIBFUZZER...]; or with it once more the inputs of files:
# one.sh BUILD TARGET FOLDER FILE... BUILD was configured with --enable-fuzzers. FOLDER, an absolute path, gets what is
# found: corpus/ inputs of more coverage, crash-* or timeout-* one that fails.
# Without arguments: the names of all targets. A target is a folder of corpus/; its program is fuzz_TARGET, or fuzz_lua
# with a reader of that name (readers.lua). Leaks are not looked for where a Lua state lives on, which is slow.
here=$(cd "$(dirname "$0")" && pwd)
if [ $# = 0 ]; then ls "$here/corpus"; exit; fi
build=$1 target=$2 folder=$3
shift 3
[ -d "$here/corpus/$target" ] || { echo "one.sh: expected one of $(ls "$here/corpus" | tr '\n' ' '), found $target" >&2; exit 2; }
program=$build/tests/fuzz/fuzz_$target leaks=1 longest=4096 words=
case $target in
  api) longest=128 ;;
  dicom) leaks=0 longest=8192 ;;
  pickle) longest=8192 ;;
  json) leaks=0 ;;
  plain) leaks=0 longest=512 ;;
  image | nifti | npy | safetensors | tiff | zip) ;;
  *) program=$build/tests/fuzz/fuzz_lua leaks=0 longest=2048 words=$here/words.dict ;;
esac
[ -x "$program" ] || { echo "one.sh: $program: expected a program, found none: configure with --enable-fuzzers CC=clang-14 CXX=clang++-14" >&2; exit 2; }
mkdir -p "$folder/corpus"
# Files of other tests that are the same format.
golden=$here/../golden-front/$target
[ -d "$golden" ] || golden=
case ${1--} in -*) set -- "$@" "$folder/corpus" "$here/corpus/$target" ${golden:+"$golden"} ;; esac
export MSAGEN_READER="$target"
exec "$program" -timeout=20 -rss_limit_mb=3000 -detect_leaks=$leaks -max_len=$longest ${words:+-dict="$words"} -print_final_stats=1 -artifact_prefix="$folder/" "$@"
