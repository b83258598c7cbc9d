-- SPDX-License-Identifier: Apache-2.0
--- Types of samples, as a probe or a camera gives them, an entry each:
--   value   C of number c of a line at `x`, bytes; false where the kernel has a function for it
--   bits    of a sample
--   align   bytes: of a line's address and of the distance to the next
--   dtype   of the NumPy array that holds such lines; bytes packed where a sample is no whole number of them
--   what    a sentence

local closed = require "support.closed"

local samples = {}

samples.of = {
  int16 = { value = "(float)((const int16_t *)(const void *)x)[c]", bits = 16, align = 2, dtype = "i16",
    what = "signed 16-bit numbers" },
  uint16 = { value = "(float)((const uint16_t *)(const void *)x)[c]", bits = 16, align = 2, dtype = "u16",
    what = "unsigned 16-bit numbers" },
  uint8 = { value = "(float)x[c]", bits = 8, align = 1, dtype = "u8", what = "unsigned bytes" },
  int8 = { value = "(float)(int8_t)x[c]", bits = 8, align = 1, dtype = "i8", what = "signed bytes" },
  float32 = { value = "((const float *)(const void *)x)[c]", bits = 32, align = 4, dtype = "f32",
    what = "floats" },
  -- Two samples in three bytes, the first in the lower bits.
  int12 = { value = false, bits = 12, align = 1, dtype = "u8",
    what = "signed 12-bit numbers, two in three bytes, the first in the lower bits" },
}

samples.names = closed.sorted(samples.of)

--- Bytes of so many samples.
function samples.bytes(type_, count) return (samples.of[type_].bits * count + 7) // 8 end

return samples
