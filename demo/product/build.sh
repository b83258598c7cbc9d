#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# build.sh FOLDER FRAME.npy PROGRAM: the product of this folder with a generated model (demo/phantom/probe.lua). What
# compiles and links it is what the folder's Makefile says of the board.
set -eu
folder=$1 frame=$(cd "$(dirname "$2")" && pwd)/$(basename "$2") program=$3
here=$(cd "$(dirname "$0")" && pwd)
word() { printf 'include Makefile\n.word:\n\t@echo ${%s}\n' "$1" | make -s -C "$folder" -f - .word; }
cc=$(word CC) flags="$(word CFLAGS) $(word MSA_CFLAGS)"
script=$(cd "$folder" && ls ./*.ld 2> /dev/null || true)
make -s -C "$folder" lib weights ${script:+start}
start=
link=
if [ -n "$script" ]; then
  for object in $(word START); do start="$start $folder/$object"; done
  link="-nostdlib -T $folder/$script -Wl,-z,noexecstack"
fi
# shellcheck disable=SC2086
$cc $flags -std=gnu99 -I"$folder" -I"$here" -DFRAME="\"$frame\"" -o "$program" \
  "$here/product.c" "$here/machine.c" $start "$folder/msa_weights.o" "$folder/libmsa_model.a" $link
