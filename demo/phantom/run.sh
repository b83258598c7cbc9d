#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a probe's samples to the mask on three machines: run.sh MSAGEN FOLDER. What it shows: ./quickstart phantom.
set -eu
msagen=$1 out=$2
demo=$(dirname "$0")
mkdir -p "$out"
say() { printf '\n== %s\n' "$*"; }

say 'Samples of a phantom, as a curved probe of 96 lines would give them'
$msagen phantom "$demo/probe.lua" -o "$out/frame.npy"
say 'Compiling front end and network to C: for this computer, Cortex-M7 and Cortex-M55'
$msagen build "$demo/probe.lua" -o "$out"
first=
for board in generic-c99 cortex-m7 cortex-m55; do
  say "Samples to picture to mask: $board"
  said=$($msagen run "$out/$board" --samples "$out/frame.npy" --point 142,128 --digest \
    --bmode-out "$out/$board.png" --overlay-out "$out/$board.overlay.png")
  echo "$said"
  first=${first:-$said}
  if [ "$said" != "$first" ] || ! cmp -s "$out/$board.png" "$out/generic-c99.png"; then
    echo "phantom: $board: expected the bits of generic-c99, found others" >&2
    exit 1
  fi
done
say 'Done: one digest on all three'
cat <<END
samples         $out/frame.npy   int16 [96,2400], synthetic
B-mode picture  $out/generic-c99.png
mask            $out/generic-c99.overlay.png   the click is at 142,128
generated code  $out/cortex-m7/   front end: msa_front.c, one function a step
The phantom is no head: the mask shows that the pipeline works, from the converter's numbers on.
END
