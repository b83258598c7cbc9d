@ -- SPDX-License-Identifier: 0BSD
@ local function at(row, dx)
@   return ("msa_load(r%d + x%s)"):format(row, dx == 0 and "" or (" %s %d"):format(dx < 0 and "-" or "+", math.abs(dx)))
@ end
@ local function pair(a, b) return ("msa_vadd(%s, %s)"):format(a, b) end
@ local function times(s, v) return ("msa_vmul(msa_splat(%s), %s)"):format(s, v) end
@ local function more(s, v, sum) return ("msa_vfma(msa_splat(%s), %s, %s)"):format(s, v, sum) end
/* A colour of the picture, 0 to 255, of the sensor's. */
static inline msa_vec $(name)_level(const float *m, const msa_vec colour[3])
{
    msa_vec v = msa_vmul(msa_splat(m[0]), colour[0]);
    v = msa_vfma(msa_splat(m[1]), colour[1], v);
    v = msa_vfma(msa_splat(m[2]), colour[2], v);
    v = msa_vmin(msa_vmax(v, msa_splat(0.0f)), msa_splat(1.0f));
@ if curve == "srgb" then
    /* 12.92 v up to 0.0031308, then 1.055 v^(1 / 2.4) - 0.055. */
    const msa_vec p = msa_vmax(v, msa_splat(0.0031308f));
    const msa_vec octaves = msa_vadd(msa_vexponent(p), msa_vlog2_near(msa_vmantissa(p)));
    const msa_vec root = msa_vexp(msa_vmin(msa_vmul(octaves, msa_splat(0.288811326f)), msa_splat(0.0f)));
    const msa_vec bright = msa_vfma(msa_splat(269.025f), root, msa_splat(-14.025f));
    return msa_vselect(v, msa_splat(0.00313080009f), msa_vmul(v, msa_splat(3294.6f)), bright);
@ else
    return msa_vmul(v, msa_splat(255.0f));
@ end
}

/* A row of the picture from five rows of numbers of the sensor, which go on for two beyond its borders; `odd` rows of
 * the pattern begin with its third colour. */
static void $(name)_out(const float *restrict r0, const float *restrict r1, const float *restrict r2,
    const float *restrict r3, const float *restrict r4, uint8_t *restrict to, float *restrict rows,
    const float *restrict w, bool odd)
{
    for (size_t x = 0; x < $(width); x += $(W)) {
        const msa_vec here = $(at(2, 0));
        const msa_vec beside = $(pair(at(2, -1), at(2, 1))), above = $(pair(at(1, 0), at(3, 0)));
        const msa_vec corners = $(pair(pair(at(1, -1), at(1, 1)), pair(at(3, -1), at(3, 1))));
@ if demosaic == "malvar" then
        const msa_vec far_beside = $(pair(at(2, -2), at(2, 2))), far_above = $(pair(at(0, 0), at(4, 0)));
        const msa_vec far = msa_vadd(far_beside, far_above), near = msa_vadd(beside, above);
        const msa_vec green = $(more("-0.125f", "far", more("0.25f", "near", times("0.5f", "here"))));
        const msa_vec five = msa_vfma(msa_splat(-0.125f), corners, $(times("0.625f", "here")));
        msa_vec along = msa_vfma(msa_splat(0.5f), beside, five), across = msa_vfma(msa_splat(0.5f), above, five);
        along = $(more("0.0625f", "far_above", more("-0.125f", "far_beside", "along")));
        across = $(more("0.0625f", "far_beside", more("-0.125f", "far_above", "across")));
        const msa_vec diagonal = $(more("-0.1875f", "far", more("0.25f", "corners", times("0.75f", "here"))));
@ else
        (void)r0;
        (void)r4;
        const msa_vec green = $(times("0.25f", "msa_vadd(beside, above)"));
        const msa_vec along = $(times("0.5f", "beside")), across = $(times("0.5f", "above"));
        const msa_vec diagonal = $(times("0.25f", "corners"));
@ end
        /* 0 where a column has the first colour of its row, 1 where it has the second one. */
@ if W > 1 then
        static const float second[$(W)] = {$(("0.0f, 1.0f, "):rep(W // 2):sub(1, -3))};
        const msa_vec place = msa_load(second);
@ else
        const float place = (float)(x & 1u);
@ end
        msa_vec colour[3];
@ for parity = 0, 1 do
@   local r = row_of(pattern, parity)
@   local function choose(at_green, at_own)
@     local first, other = at_green, at_own
@     if r.green == 1 then first, other = at_own, at_green end
@     return ("msa_vselect(place, msa_splat(0.5f), %s, %s)"):format(first, other)
@   end
@   if parity == 0 then
        if (!odd) {
@   else
        } else {
@   end
            colour[1] = $(choose("here", "green"));
            colour[$(r.own)] = $(choose("along", "here"));
            colour[$(r.other)] = $(choose("across", "diagonal"));
@ end
        }
        for (size_t c = 0; c < 3; ++c) {
            msa_store(rows + c * $(stride) + x, $(name)_level(w + 4 + 3 * c, colour));
        }
    }
    for (size_t x = 0; x < $(width); ++x) {
        for (size_t c = 0; c < 3; ++c) {
            to[3 * x + c] = (uint8_t)(int32_t)(rows[c * $(stride) + x] + 0.5f);
        }
    }
}

/* The row of a sensor row that may lie beyond the border, mirrored there. */
static const float *$(name)_row(const float *ring, size_t row, size_t back, size_t on)
{
    size_t at = row + on >= back ? row + on - back : back - row - on;
    if (at >= $(height)) {
        at = 2 * $(height - 1) - at;
    }
    return ring + at % 5 * $(stride) + 2;
}

/* Row `row` of the sensor, $(pattern), to the rows of the picture that it completes. */
void $(name)(const unsigned char *restrict x, uint8_t *restrict picture, float *restrict ring, float *restrict rows,
    const float *restrict w, size_t row)
{
    float *const z = ring + row % 5 * $(stride) + 2;
@ for parity = 0, 1 do
@   local colours = row_of(pattern, parity).colours
    const float gains_$(parity)[2] = {w[$(1 + colours[1])], w[$(1 + colours[2])]};
@ end
    const float *const gains = row % 2 == 0 ? gains_0 : gains_1;
    for (size_t c = 0; c < $(width); ++c) {
        z[c] = msa_max(($(value) - w[0]) * gains[c & 1u], 0.0f);
    }
    for (size_t c = 1; c <= 2; ++c) {
        *(z - c) = z[c];
        z[$(width - 1) + c] = z[$(width - 1) - c];
    }
    const size_t from = row < 2 ? 1 : row - 2, to = row == $(height - 1) ? $(height) : row < 2 ? 1 : row - 1;
    for (size_t y = from; y < to; ++y) {
        $(name)_out($(name)_row(ring, y, 2, 0), $(name)_row(ring, y, 1, 0), $(name)_row(ring, y, 0, 0),
            $(name)_row(ring, y, 0, 1), $(name)_row(ring, y, 0, 2), picture + y * $(3 * width), rows, w, y % 2 == 1);
    }
}

