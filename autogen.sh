#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# For whoever adds a file or changes the build: list the sources, regenerate configure and Makefile.in, and note what they were made from.
set -eu
cd "$(dirname "$0")"

# Nothing is written before all that it takes is there.
missing=
for tool in git:git autoreconf:autoconf autoconf:autoconf automake:automake aclocal:automake pkg-config:pkg-config sha256sum:coreutils; do
  command -v "${tool%:*}" > /dev/null || case " $missing " in *" ${tool#*:} "*) ;; *) missing="$missing ${tool#*:}" ;; esac
done
[ -z "$missing" ] || { echo "autogen.sh: expected git, autoconf, automake and pkg-config, found some missing: apt-get install$missing" >&2; exit 1; }
git rev-parse --git-dir > /dev/null 2>&1 || { echo 'autogen.sh: expected a git checkout, which lists the files, found none' >&2; exit 1; }

# Lists change places with the old ones when all are written; where the rest fails the old ones come back.
new=$(mktemp -d ./autogen.XXXXXX)
ended() {
  status=$?
  for f in gen lua tests; do [ ! -f "$new/$f.old" ] || mv -f "$new/$f.old" $f/files.am; done
  rm -rf "$new"
  exit $status
}
trap ended EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# list NAME FILES...: a make variable, one file a line
list() {
  name=$1
  shift
  printf '%s =' "$name"
  for f in "$@"; do printf ' \\\n\t%s' "$f"; done
  printf '\n'
}
# sorted PATHSPECS...: files that are committed or could be, in byte order
sorted() { git ls-files --cached --others --exclude-standard -- "$@" | grep -v '\.am$' | LC_ALL=C sort -u; }

# In two pieces: none is this file's line.
head_of() { printf '# SPDX-License-%s: Apache-2.0\n# %s; written by autogen.sh.\n' Identifier "$1"; }

{
  head_of 'Every source of the host program'
  # shellcheck disable=SC2046
  list gen_sources $(sorted 'gen/*.[ch]' | grep -vx gen/main.c)
} > "$new/gen"
{
  head_of 'What is installed beside the program'
  for d in boards data docs lua runtime templates; do
    # shellcheck disable=SC2046
    list ${d}_files $(sorted $d)
  done
} > "$new/lua"
{
  head_of 'Tests, their data, the demo and the documents, as they go into a distribution'
  # shellcheck disable=SC2046
  list test_files $(sorted tests bench demo docs | grep -v -e '^demo/' -e '^tests/golden/' -e '^tests/fuzz/corpus/' -e '^tests/c/[^/]*$' -e '^tests/fuzz/fuzz_[^/]*\.cc*$' -e '^tests/luahost\.c$')
  # Folders of data go as they are.
  # shellcheck disable=SC2046
  list test_data $(sorted demo tests/golden tests/fuzz/corpus | cut -d/ -f1-3 | sed -n 's,^demo/.*,demo,p; s,^tests/golden/.*,tests/golden,p; s,^tests/fuzz/.*,tests/fuzz/corpus,p' | sort -u)
  c_tests=
  for f in $(sorted 'tests/c/test_*.c'); do c_tests="$c_tests ${f%.c}"; done
  # shellcheck disable=SC2086
  list c_tests $c_tests
  # shellcheck disable=SC2046
  list c_test_shared $(sorted tests/c | grep '^tests/c/[^/]*$' | grep -v '/test_[^/]*\.c$')
  for t in $c_tests; do
    id=$(echo "$t" | tr / _)
    printf '%s_SOURCES = %s.c $(c_test_shared)\n%s_LDADD = $(LDADD) $(CRITERION_LIBS)\n' "$id" "$t" "$id"
  done
  fuzzers=
  for f in $(sorted 'tests/fuzz/fuzz_*.c'); do fuzzers="$fuzzers ${f%.c}"; done
  # shellcheck disable=SC2086
  list fuzzers $fuzzers
  for t in $fuzzers; do
    id=$(echo "$t" | tr / _)
    printf '%s_SOURCES = %s.c\n%s_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer\n' "$id" "$t" "$id"
  done
} > "$new/tests"

for f in gen lua tests; do
  cp -p $f/files.am "$new/$f.old"
  mv -f "$new/$f" $f/files.am
done
autoreconf --force --install
rm -rf autom4te.cache configure~ build-aux/*~
sha256sum configure.ac Makefile.am gen/files.am lua/files.am tests/files.am aclocal.m4 configure Makefile.in > build-aux/made-from.sha256
rm -f "$new"/*.old
