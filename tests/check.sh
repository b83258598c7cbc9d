#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the tests of the build in the current folder: check.sh [-v] [all | quick | full | PIECE...]. A piece that fails does not stop the next.
# all is the whole check; quick (make check) is what compiles little; full (make check-full) samples nothing: docs/testing.md.
# A line a piece is printed when it ends, and what fails when it does, each with its piece's name before it; every line with -v or VERBOSE=1.
# Pieces run side by side, one for each CPU; CHECK_LANES=1 runs one after the other.
# Each tool ends with "N passed, N failed[, N skipped]"; the last line here is the sum. Logs and products: out/check.
set -u
began_all=$(date +%s)
build=$PWD
source=$(cd "$(dirname "$0")/.." && pwd)
work=$build/out/check
# The first two make what the others use; of the others those that take longest come first.
all='tree build sanitizers lua golden train training trainboards fft front precision generated dist stream demo cores bare boards pages evaluate diff evidence coverage errors ranks dicom fuzz sizes misra full trouble injected'
quick='tree lua c golden train oracle'
# What another piece of the whole check runs as well, from the tarball or with sanitizers.
apart='c oracle'
if [ "${1-}" = -v ]; then
  VERBOSE=1
  shift
fi
export VERBOSE="${VERBOSE-}"
case "${1-all}" in
  all) set -- $all ;;
  quick) CHECK_TIER=quick; set -- $quick ;;
  full) CHECK_TIER=full; set -- $all $apart ;;
esac
export CHECK_TIER="${CHECK_TIER-whole}"

jobs=$(nproc)
lane=
if [ "$1" != --lane ]; then
  for piece in "$@"; do
    case " $all $apart " in *" $piece "*) ;; *) echo "check.sh: expected all, quick, full or some of $all $apart, found $piece" >&2; exit 2 ;; esac
  done
fi
if [ "$1" = --lane ]; then
  lane=$2
  export CHECK_LANES=1 # of a check within a check
  shift 2
else
  rm -rf "$work"
  mkdir -p "$work/logs" "$work/tmp" "$work/taken"
fi
piece=
export CHECK_WORK="$work/tmp" MSAGEN="$build/gen/msagen"
luahost=$build/tests/luahost
# What is the same in many generated folders is compiled once. (Not by ccache, which preprocesses all that is not.)
if [ "$CHECK_TIER" != full ]; then
  export COMPILED_ONCE="$work/compiled"
  [ -n "$lane" ] || { mkdir -p "$work/once" "$COMPILED_ONCE"
    for compiler in gcc clang-14 aarch64-linux-gnu-gcc arm-linux-gnueabihf-gcc arm-none-eabi-gcc; do
      ! command -v $compiler > /dev/null || ln -s "$source/tests/compile_once.sh" "$work/once/$compiler"
    done; PATH=$work/once:$PATH; }
fi

# spent: the seconds of processor time that this shell's commands have taken. (A subshell would count its own.)
spent() {
  times > "$work/spent.$piece"
  spent=$(awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += 60 * t[1] + t[2] } print int(sum) }' "$work/spent.$piece")
}
# step NAME COMMAND...: one test of a piece written in shell; its output is shown if it fails.
passed=0 failed=0
step() {
  name=$1
  shift
  spent
  since=$spent
  if "$@" > "$work/step.$piece" 2>&1; then
    passed=$((passed + 1))
    spent
    echo "ok $name$([ $((spent - since)) -lt 1 ] || echo "  $((spent - since)) s")"
  else
    failed=$((failed + 1))
    echo "FAILED $name: $(tail -n 1 "$work/step.$piece" | cut -c1-200)"
    tail -n 25 "$work/step.$piece" | sed 's/^/  | /'
  fi
}
finish() {
  echo "$passed passed, $failed failed${1+, $1 skipped}"
  [ $failed = 0 ]
}

# The sources as a tarball has them: what is built from them cannot lean on this tree.
unpacked() {
  [ -d "$work/src" ] && return
  mkdir -p "$work/dist" && make -C "$build" --no-print-directory dist distdir=msagen-check &&
    mv "$build"/msagen-check.tar.gz "$work/dist/msagen.tar.gz" && unpacked_to src
}
unpacked_to() {
  mkdir "$work/unpack" && tar -xzf "$work/dist/msagen.tar.gz" -C "$work/unpack" && mv "$work/unpack/msagen-check" "$work/$1" &&
    rmdir "$work/unpack" && chmod -R u+w "$work/$1"
}
src=src
# configured FOLDER OPTIONS...: a build of those sources in a folder of its own
configured() {
  folder=$work/$1
  shift
  unpacked && mkdir -p "$folder" && (cd "$folder" && "$work/$src/configure" --quiet "$@")
}
made() {
  folder=$work/$1
  shift
  make -C "$folder" --no-print-directory -j "$jobs" "$@"
}

# C tests of what reads files and arguments of others run with sanitizers, the rest as they are compiled for users; all
# of them both ways in the full tier.
c_hostile='blob calls checkpoint image infile json nifti npy outfile overlay pickle picture prompt refine resize safetensors session synth tensor tiff upsample volume zip'
c_names() {
  (cd "$source" && for t in tests/c/test_*.c; do
    name=${t#tests/c/test_} name=${name%.c} kind=rest
    case " $c_hostile " in *" $name "*) kind=hostile ;; esac
    [ "$CHECK_TIER" != whole ] || [ $kind = "$1" ] || continue
    echo "tests/c/test_$name"
  done)
}

# Criterion's tests in a build: a line and a count for each program
criterion() {
  total=0
  for t in "$1"/tests/c/test_*; do
    case $t in *.c | *.o | *.h) continue ;; esac
    [ -x "$t" ] || continue
    total=$((total + 1))
    (cd "$source" && "$t" --jobs "$jobs") > "$work/step.$piece" 2>&1
    status=$?
    counts=$(sed 's/\x1b\[[0-9;]*m//g' "$work/step.$piece" | grep 'Synthesis: Tested:' | tail -n 1)
    ok=$(echo "$counts" | sed -n 's/.*Passing: *\([0-9]*\).*/\1/p')
    bad=$(echo "$counts" | sed -n 's/.*Failing: *\([0-9]*\).*/\1/p')
    crash=$(echo "$counts" | sed -n 's/.*Crashing: *\([0-9]*\).*/\1/p')
    bad=$((${bad:-0} + ${crash:-0}))
    [ $status = 0 ] || [ $bad != 0 ] || bad=1
    [ $bad = 0 ] && [ "${ok:-0}" != 0 ] && echo "ok ${t##*/}: $ok tests" || {
      [ $bad != 0 ] || bad=1
      echo "FAILED ${t##*/}: $bad of its tests"
      grep -v '^$' "$work/step.$piece" | tail -n 25 | sed 's/^/  | /'
    }
    passed=$((passed + ${ok:-0})) failed=$((failed + bad))
  done
  [ $total != 0 ] || { failed=$((failed + 1)); echo "FAILED no C test was built"; }
}

# What is committed is as it should be.
first_lines_name_a_licence() {
  (cd "$source" && { git ls-files 2> /dev/null || find . -name out -prune -o -type f -printf '%P\n'; } |
    grep -E '\.(c|cc|h|S|lua|sh|am|ac|ld|md)$|^quickstart$|^\.ci/run$|^\.gitignore$' | tr '\n' '\0' | xargs -0 awk '
      FNR == 1 { check(); name = FILENAME; found = 0 }
      FNR <= 2 && index($0, "SPDX-License-Identifier: " wanted(FILENAME)) { found = 1 }
      FNR == 2 { nextfile }
      function wanted(f) { return f ~ /^(tests\/added\/)?(runtime|templates)\/|^boards\/.*\/|^tests\/c\/fake\// ? "0BSD" : "Apache-2.0" }
      function check() { if (name != "" && !found) { print name ": no SPDX line with " wanted(name); bad = 1 } }
      END { check(); exit bad }')
}
generated_files_are_current() { (cd "$source" && sha256sum --quiet -c build-aux/made-from.sha256) || { echo 'older than its source: run ./autogen.sh'; false; }; }
every_file_is_listed() {
  sed -n 's/^\t\([^ ]*\).*/\1/p' "$source"/gen/files.am "$source"/lua/files.am "$source"/tests/files.am | sed 's,^\(tests/\(c\|fuzz\)/[^.]*\)$,\1.c,' > "$work/listed"
  unlisted=$(cd "$source" && find gen lua runtime templates boards tests/c tests/fuzz -type f \( -name '*.[chS]' -o -name '*.lua' \) |
    grep -vx -F -f "$work/listed" | grep -vx gen/main.c) || return 0
  echo "$unlisted" | sed 's/$/ is in no files.am: run .\/autogen.sh/'
  return 1
}
no_machine_is_named() {
  # Put together here, or this file would name them.
  ! grep -rnIE "(^|[^a-zA-Z0-9_.])/(ho""me|ro""ot|wo""rk)/" "$source" --include='*.[ch]' --include='*.lua' --include='*.sh' --include='*.am' \
    --include='*.md' --include='*.ac' --exclude-dir=out --exclude-dir=.git
}
files_are_small() { ! find "$source" -path "$source/.git" -prune -o -path "$source/out" -prune -o -type f -size +16M -print | grep .; }
scripts_parse() { for f in quickstart .ci/run autogen.sh tests/check.sh; do sh -n "$source/$f" || return 1; done; }

# Without its tools autogen.sh writes nothing; where one of them fails the lists are as they were.
autogen_asks_first() {
  copy=$work/autogen
  rm -rf "$copy" && mkdir -p "$copy/bin" "$copy/tree/gen" "$copy/tree/lua" "$copy/tree/tests" || return 1
  cp "$source/autogen.sh" "$copy/tree" && cd "$copy/tree" && git init -q . && git add autogen.sh || return 1
  for f in gen lua tests; do echo "as it was" > $f/files.am; done
  for tool in sh git dirname mktemp sort grep sed cut cp mv rm mkdir; do ln -s "$(command -v $tool)" "$copy/bin/$tool" || return 1; done
  PATH=$copy/bin ./autogen.sh > out 2>&1 && return 1
  cat out
  grep -q 'apt-get install autoconf automake pkg-config' out && [ "$(wc -l < out)" = 1 ] && grep -q 'as it was' gen/files.am || return 1
  for tool in autoreconf autoconf automake aclocal pkg-config sha256sum; do
    printf '#!/bin/sh\nexit 3\n' > "$copy/bin/$tool" && chmod +x "$copy/bin/$tool" || return 1
  done
  PATH=$copy/bin ./autogen.sh > out 2>&1
  [ $? = 3 ] && [ "$(cat gen/files.am lua/files.am tests/files.am | grep -c 'as it was')" = 3 ] && [ "$(ls -d autogen.*)" = autogen.sh ]
}

# What .reuse/dep5, LICENSES/ and the files themselves say, by REUSE's own tool, which asks git which files there are.
reuse_is_kept() {
  cd "$source" && reuse lint > "$work/reuse" 2>&1 && ! grep -e '- ERROR -' "$work/reuse" || { cat "$work/reuse"; false; }
}

piece_tree() {
  step 'every source names its licence in its first lines' first_lines_name_a_licence
  step 'configure and Makefile.in are not older than their sources' generated_files_are_current
  step 'every source is listed for build and distribution' every_file_is_listed
  step 'no path of a machine in the sources' no_machine_is_named
  step 'no file over 16 MB' files_are_small
  step 'shell scripts parse' scripts_parse
  step 'autogen.sh asks for its tools before it writes' autogen_asks_first
  without=
  command -v reuse > /dev/null || without='there is no reuse'
  [ -e "$source/.git" ] || without='this is no clone'
  if [ -z "$without" ]; then
    step 'every file has authors and a licence (REUSE)' reuse_is_kept
    finish
  else
    echo "skipped every file has authors and a licence (REUSE): $without"
    finish 1
  fi
}

configure_names_packages() {
  mkdir -p "$work/bare" && cd "$work/bare" || return 1
  ! PKG_CONFIG_LIBDIR=$work/bare "$work/src/configure" --quiet > out 2>&1 && cat out && grep -q 'apt-get install liblua5.4-dev' out
}
# By clang, whose warnings are errors, with sanitizers and what fuzzers need: for both these pieces.
instrumented() {
  [ ! -d "$work/clang" ] || return
  step 'configure elsewhere, clang, sanitizers, libFuzzer, warnings are errors' configured clang --enable-werror --enable-fuzzers CC=clang-14 CXX=clang++-14 CFLAGS=-O1 CXXFLAGS=-O1
  step 'make with clang' made clang
}
piece_build() {
  if [ ! -f "$build/Makefile" ]; then step 'configure in place' sh -c "cd '$build' && ./configure --quiet"; fi
  step 'make in place' make -C "$build" --no-print-directory -j "$jobs"
  instrumented
  step 'configure names the package that is missing' configure_names_packages
  finish
}

piece_c() {
  # shellcheck disable=SC2046
  step 'the C tests compile' make -C "$build" --no-print-directory -j "$jobs" $(c_names rest)
  criterion "$build"
  finish
}

# Of the Lua tests, those that read what users give: with sanitizers as well, and below the full tier only so where both pieces are asked for.
hostile='base dicom embed import_account import_files import_hostile inspect metrics sandbox scans synth tensor tokeniser truth'
# Every other file in a process of its own, side by side.
lua_tests() {
  cd "$source" || return
  [ $# != 0 ] || set -- tests/lua/test_*.lua
  [ $# != 1 ] || { "$luahost" tests/lua/suite.lua "$1"; return; }
  first='' second=''
  while [ $# != 0 ]; do
    first="$first $1" && shift
    [ $# = 0 ] || { second="$second $1" && shift; }
  done
  # shellcheck disable=SC2086
  "$luahost" tests/lua/suite.lua $first & pid=$!
  # shellcheck disable=SC2086
  "$luahost" tests/lua/suite.lua $second
  status=$?
  wait $pid && [ $status = 0 ]
}
# What make check leaves to the whole one: tests of limits on time and memory, and of many wrong files.
lengthy='boards build_script import_hostile sandbox'
piece_lua() {
  case $CHECK_TIER$both in
    whole1) left_out=$hostile ;;
    quick*) left_out=$lengthy ;;
    *) lua_tests; return ;;
  esac
  # shellcheck disable=SC2046
  lua_tests $(cd "$source" && for file in tests/lua/test_*.lua; do
    name=${file#tests/lua/test_}
    case " $left_out " in *" ${name%.lua} "*) ;; *) echo "$file" ;; esac
  done)
}
piece_errors() { "$luahost" "$source/tests/run_errors.lua"; }
piece_dicom() { "$luahost" "$source/tests/run_dicom.lua"; }
# The ranks of mpirun need a msagen that is built for them.
piece_ranks() {
  configured ranks --with-mpi --without-dicom CFLAGS=-O0 && made ranks all && MSAGEN=$work/ranks/gen/msagen "$luahost" "$source/tests/run_ranks.lua"
}
piece_trouble() { "$luahost" "$source/tests/run_trouble.lua"; }
piece_injected() {
  status=0
  for name in run_calls run_power; do "$luahost" "$source/tests/$name.lua" || status=1; done
  return $status
}
piece_demo() {
  status=0
  for name in run_demo run_demo_volume run_demo_targets run_profile; do "$luahost" "$source/tests/$name.lua" || status=1; done
  return $status
}
piece_golden() { "$luahost" "$source/tests/run_golden.lua"; }
piece_train() {
  status=0
  for name in run_train run_train_shapes; do "$luahost" "$source/tests/$name.lua" || status=1; done
  return $status
}
piece_trainboards() { "$luahost" "$source/tests/run_train_boards.lua"; }
piece_fft() { "$luahost" "$source/tests/run_fft.lua"; }
piece_front() { "$luahost" "$source/tests/run_front.lua"; }
piece_precision() { "$luahost" "$source/tests/run_precision.lua"; }
piece_training() {
  status=0
  for name in run_training run_demo_training; do "$luahost" "$source/tests/$name.lua" || status=1; done
  return $status
}
piece_boards() {
  status=0
  BOARDS= CASES= "$luahost" "$source/tests/check_boards.lua" small || status=1
  "$luahost" "$source/tests/run_boards.lua" || status=1
  return $status
}
piece_sizes() { "$luahost" "$source/tests/run_sizes.lua"; }
piece_evidence() { "$luahost" "$source/tests/run_evidence.lua"; }
piece_misra() { "$luahost" "$source/tests/run_misra.lua"; }
piece_coverage() { "$luahost" "$source/tests/run_coverage.lua"; }
piece_evaluate() { "$luahost" "$source/tests/run_evaluate.lua"; }
piece_diff() { "$luahost" "$source/tests/run_diff.lua"; }
piece_oracle() { "$luahost" "$source/tests/run_oracle.lua"; }
piece_cores() { "$luahost" "$source/tests/run_cores.lua"; }
piece_stream() { "$luahost" "$source/tests/run_stream.lua"; }
piece_generated() { "$luahost" "$source/tests/run_generated.lua"; }
piece_bare() { "$luahost" "$source/tests/run_bare.lua"; }
piece_pages() { mkdir -p "$work/pages" && "$luahost" "$source/tests/run_pages.lua" "$work/pages"; }
piece_full() { "$luahost" "$source/tests/run_full.lua"; }

installed_works() {
  prefix=$work/prefix
  mv "$work/$src" "$work/$src-away" # or it would find its files there
  rm -rf "$work/installed-fw"
  (cd / && "$prefix/bin/msagen" build "$source/demo/fetal-head/checkpoint.safetensors" --dialect msa-paper -o "$work/installed-fw" &&
    "$prefix/bin/msagen" run "$work/installed-fw" --image "$source/demo/fetal-head/image.png" --point 247,261 --digest &&
    "$prefix/bin/msagen" boards && [ -f "$prefix/share/doc/msagen/docs/boards.md" ] &&
    grep -q '^\.SS "msagen build"' "$prefix/share/man/man1/msagen.1" &&
    grep -q '^complete .* msagen$' "$prefix/share/bash-completion/completions/msagen" && MSAGEN="$prefix/bin/msagen" "$luahost" "$source/tests/run_own_boards.lua")
  status=$?
  mv "$work/$src-away" "$work/$src"
  return $status
}
# A program that may not run here writes no page: it is left out, and the rest is built.
cross_builds_lack_documents() {
  configured cross --build=x86_64-pc-linux-gnu --host=x86_64-elsewhere-linux-gnu CC=gcc > "$work/cross.log" 2>&1 &&
    grep 'without manual page and completion' "$work/cross/config.log" &&
    make -C "$work/cross" -n all > "$work/cross.log" && grep -q 'gen/msagen' "$work/cross.log" && ! grep 'document' "$work/cross.log"
}
piece_dist() {
  step 'make dist' unpacked
  src=dist-src
  step 'the tarball unpacks' unpacked_to $src
  step 'the tarball configures, in another folder, with gcc' configured vpath --prefix="$work/prefix" --enable-werror CC=gcc CFLAGS=-O2
  step 'configured for another machine, there is no manual page to make' cross_builds_lack_documents
  step 'the tarball builds, warnings are errors' made vpath
  step 'and passes: make check' made vpath check 'CHECK_PIECES=c oracle'
  step 'make install' made vpath install
  step 'what is installed works without the sources' installed_works
  finish
}

piece_sanitizers() {
  # shellcheck disable=SC2046
  step 'the C tests compile with sanitizers' made clang $(c_names hostile)
  export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=print_stacktrace=1
  criterion "$work/clang"
  finish
  build=$work/clang MSAGEN=$work/clang/gen/msagen luahost=$work/clang/tests/luahost
  # What a program leaves at its end is the C tests' to find: looking for it costs as much as most of these commands.
  [ "$CHECK_TIER" = full ] || export ASAN_OPTIONS=exitcode=99:detect_leaks=0
  # The others compile and run generated code, and little of msagen's own that these do not.
  # shellcheck disable=SC2046
  lua_tests $(for name in $hostile; do echo "tests/lua/test_$name.lua"; done)
  [ "$CHECK_TIER" != full ] || piece_errors
}

fuzz_seconds=1
[ "$CHECK_TIER" != full ] || fuzz_seconds=60
fuzz_one() {
  timeout $((fuzz_seconds + 120)) "$source/tests/fuzz/one.sh" "$work/clang" "$1" "$work/fuzz/$1" -max_total_time=$fuzz_seconds > "$work/logs/fuzz_$1" 2>&1
}
piece_fuzz() {
  # shellcheck disable=SC2046
  set -- $("$source/tests/fuzz/one.sh")
  if [ "$CHECK_TIER" = full ]; then
    step 'the fuzzer of msagen-dicom' made clang tests/fuzz/fuzz_dicom
  else # compiling that takes longer than all of these run
    # shellcheck disable=SC2046
    set -- $(for name; do [ "$name" = dicom ] || echo "$name"; done)
  fi
  [ $# -gt 20 ] || { failed=$((failed + 1)); echo "FAILED expected more than 20 targets, found $#"; }
  while [ $# != 0 ]; do
    fuzz_one "$1" & first=$!
    second=
    if [ $# != 1 ]; then fuzz_one "$2" & second=$!; fi
    for pair in "$1 $first" ${2+"$2 $second"}; do
      name=${pair% *}
      if wait "${pair##* }"; then
        passed=$((passed + 1))
        echo "ok $name, $fuzz_seconds s: $(sed -n 's/stat::number_of_executed_units: *//p' "$work/logs/fuzz_$name") runs"
      else
        failed=$((failed + 1))
        echo "FAILED $name: see $work/logs/fuzz_$name"
        tail -n 25 "$work/logs/fuzz_$name" | sed 's/^/  | /'
      fi
    done
    shift
    [ $# = 0 ] || shift
  done
  finish
}

# Of a piece's lines as they come: all, or what failed with the lines that belong to it, which begin with a blank.
shown() {
  if [ -n "$VERBOSE" ]; then sed -u "s/^/$(printf '%-10s' "$1") /"; return; fi
  awk -v piece="$(printf '%-10s' "$1")" '/^FAILED / { belongs = 1; print piece, $0; fflush(); next }
    /^[ \t]/ && belongs { print piece, $0; fflush(); next } { belongs = 0 }'
}

# The sum of the "N passed, N failed[, N skipped]" in logs; fails where a test failed, or there was none.
summed() {
  cat -- "$@" | awk '
    /^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { passed += $1; failed += $3; skipped += $5 }
    END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""; exit failed != 0 || passed == 0 }'
}

# processor PIECE...: the seconds of processor time that pieces and what they started took, of what `times` said
processor() { (cd "$work" && for piece in "$@"; do cat "times.$piece" 2> /dev/null; done) | awk '{ for (i = 1; i <= NF; i++) { split($i, t, /[ms]/); sum += 60 * t[1] + t[2] } } END { printf "%.0f", sum }'; }

# run PIECE: its lines, with its name before them, a log of them, and a line of what they come to.
run() {
  piece=$1
  began=$(date +%s)
  log=$work/logs/$piece
  [ -z "$VERBOSE" ] || printf '\n== %s begins\n' "$piece"
  { ("piece_$piece"; status=$?; times > "$work/times.$piece"; exit $status) 2>&1; echo $? > "$work/ended.$piece"; } | tee "$log" | shown "$piece"
  # A piece that ended badly without a count of failures is a failure.
  if [ "$(cat "$work/ended.$piece")" != 0 ] && ! grep -qE '^[0-9]+ passed, [1-9][0-9]* failed' "$log"; then
    printf 'FAILED %s ended with status %s\n0 passed, 1 failed\n' "$piece" "$(cat "$work/ended.$piece")" | tee -a "$log" | shown "$piece"
  fi
  mv "$work/ended.$piece" "$work/status.$piece"
  set -- "$work"/status.*
  printf '%-10s %s   %s s, %s s of processor time   [%d of %d]\n' "$piece" "$(summed "$log")" "$(($(date +%s) - began))" "$(processor "$piece")" $# "$pieces"
}

# Each lane takes the next piece that none has taken.
if [ -n "$lane" ]; then
  for piece in "$@"; do mkdir "$work/taken/$piece" 2> /dev/null && run "$piece"; done
  exit 0
fi

pids=
# shellcheck disable=SC2064
stop() { for pid in $pids; do kill -s TERM -- "-$pid" 2> /dev/null; done; }
trap 'stop; exit 130' INT
trap 'stop; exit 143' TERM
trap 'stop; exit 129' HUP
export pieces=$#
case " $* " in *" sanitizers "*) both=1 ;; *) both= ;; esac
export both
for piece in tree build; do
  case " $* " in *" $piece "*) mkdir "$work/taken/$piece" && run "$piece" ;; esac
done
case " $* " in *" dist "* | *" sanitizers "* | *" fuzz "*) unpacked > "$work/logs/unpacked" 2>&1 ;; esac
case " $* " in *" sanitizers "* | *" fuzz "*) piece=build; instrumented > "$work/logs/instrumented" 2>&1 ;; esac
number=1
while [ $number -le "${CHECK_LANES:-$jobs}" ]; do
  # A group of its own: what a lane has started stops with it.
  setsid sh "$source/tests/check.sh" --lane $number "$@" &
  pids="$pids $!"
  number=$((number + 1))
done
for pid in $pids; do wait "$pid"; done

printf '\n'
for piece in "$@"; do
  [ -f "$work/status.$piece" ] || printf 'FAILED %s: it did not come to its end\n0 passed, 1 failed\n' "$piece" >> "$work/logs/$piece"
done
for piece in "$@"; do grep -E '^FAILED ' "$work/logs/$piece" | sed "s/^/$piece: /" | cut -c1-300; done
rm -rf "$work/tmp"
took=$(($(date +%s) - began_all))
[ "$CHECK_TIER" != quick ] || echo 'This is the quick part. The whole check, which compiles and runs generated code on every board: ./quickstart check'
echo "$# pieces in $took s ($((took / 60)) min $((took % 60)) s), $(processor "$@") s of processor time; a log of each: $work/logs"
(cd "$work/logs" && summed "$@")
