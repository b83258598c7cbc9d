@ -- SPDX-License-Identifier: 0BSD
@ local whole, dpad = d // W * W, round16(d)
@ -- $(d) floats of `from`, and zeros.
@ local function row(from, indent)
@   local function copy(to, vector, scalar)
@     if whole > 0 then
$(indent)for (size_t j = 0; j < $(whole); j += $(W)) msa_store($(to) + j, $(vector));
@     end
@     if whole < d then
$(indent)for (size_t j = $(whole); j < $(d); ++j) $(to)[j] = $(scalar);
@     end
@     if d < dpad then
$(indent)for (size_t j = $(d); j < $(dpad); ++j) $(to)[j] = 0.0f;
@     end
@   end
@   local vector, scalar = ("msa_load(%s + j)"):format(from), from .. "[j]"
@   local by, times = ("msa_vmul(%s, by)"):format(vector), scalar .. " * s"
@   if both or not scaled then copy("to", vector, scalar) else copy("to", by, times) end
@   if both then copy("too", by, times) end
@ end
@ local padded = padding and "columns" or "width"
/* Rows of a set for one head: z (, $(d)) are places of x$(scaled and not both and ", times s" or ""): `height` rows of
 * `width` places, ld_row and ldx apart.
@ if both then
 * zs is z times s.
@ end
@ if padding then
 * A set has `lines` rows of `columns` places; those beyond the grid are pad.
@ end
 * Rows of z are ldz apart and end in +0. */
void $(name)(const float *restrict x,
@ if padding then
    const float *restrict pad,
@ end
    float *restrict z,
@ if both then
    float *restrict zs,
@ end
    size_t height, size_t width, size_t ldx, size_t ld_row, size_t ldz
@ if padding then
    , size_t lines, size_t columns
@ end
@ if scaled then
    , float s
@ end
    )
{
@ if scaled and whole > 0 then
    const msa_vec by = msa_splat(s);
@ end
    for (size_t y = 0; y < $(padding and "lines" or "height"); ++y) {
        for (size_t c = 0; c < $(padded); ++c) {
@ if padding then
            const float *const from = y < height && c < width ? x + y * ld_row + c * ldx : pad;
@ else
            const float *const from = x + y * ld_row + c * ldx;
@ end
            float *const to = z + (y * $(padded) + c) * ldz;
@ if both then
            float *const too = zs + (y * $(padded) + c) * ldz;
@ end
@ row("from", "            ")
        }
    }
}

