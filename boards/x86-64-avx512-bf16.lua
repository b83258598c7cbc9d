-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with AVX-512, VNNI and products of pairs in bf16: AMD since Zen 4 (2022), and on Zen 5 at twice the rate of
-- float32's. Intel's server cores since Sapphire Rapids have them at half the rate of float32's: there --precision bf16
-- is faster on x86-64-avx512-vnni, and that is the default.
return {
  like = "x86-64-avx512-vnni",
  name = "x86-64-avx512-bf16",
  summary = "x86-64 with AVX-512, VNNI and BF16",
  bf16 = "avx512bf16",
  requires = { "avx512f", "avx512bw", "avx512vl", "avx512vnni", "avx512bf16" },
  preference = 22,
  default_on = { "amd" },
  flags = { "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mavx512bf16", "-mfma",
    "-mprefer-vector-width=512" },
}
