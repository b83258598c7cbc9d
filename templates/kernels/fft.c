@ -- SPDX-License-Identifier: 0BSD
@ local sentence = { first = "Transforms of $(points) points, is apart, of count groups, xs and ys apart.",
@   turned = "Transforms of points s apart, each but the first turned as w says, in their places.",
@   real_first = "Transforms of real points, is apart, of count groups, xs and ys apart.",
@   real_zero = "Of spectra of real points s apart the first places, to places t apart.",
@   real_middle = "Of spectra of an even number of real points s apart the last places, to places t apart.",
@   real_turned = "Of spectra of real points s apart the other places, to y and, as conjugates, to z.",
@   halves_zero = "Of spectra of real points the first and the last place, which are real, as re and im.",
@   mirror = "Places of spectra to their conjugates', from z downwards.", re = "re of complex points.",
@   halves = "Of spectra of real points those of even and odd ones as re and im." }
/* $(points) points. $(sentence[part]:gsub("%$%(points%)", "as many")) Each lane is a line. */
void $(name)($(parameters))
{
@ for _, distance in ipairs(unused) do
    (void)$(distance);
@ end
@ if loops then
    for (size_t i = 0; i < count; ++i) {
@ end
@ local pad = loops and "        " or "    "
@ for _, line in ipairs(lines) do
$(pad)$(line)
@ end
@ for _, line in ipairs(moves) do
$(pad)$(line)
@ end
@ if loops then
    }
@ end
}

