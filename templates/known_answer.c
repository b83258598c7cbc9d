/* SPDX-License-Identifier: 0BSD */
/* msa_known_answer.c - the self-test's computation. $(made_by)
$(origin)
 * Layers of the model run on a fixed pattern; the CRC-32C of what they give was computed with plain loops at generation. */
#include "msa_internal.h"
#include "msa_kernels.h"

/* x (n) = the pattern from place `first` on: uniform in [-1, 1). */
static void pattern(uint32_t first, size_t n, float *x)
{
    for (size_t i = 0; i < n; ++i) {
        uint32_t z = (first + (uint32_t)i) * 0x9e3779b9u;
        z = (z ^ z >> 16) * 0x85ebca6bu;
        z = (z ^ z >> 13) * 0xc2b2ae35u;
        z ^= z >> 16;
        x[i] = (float)(int32_t)(z >> 8) * (1.0f / 8388608.0f) - 1.0f;
    }
}

/* MSA_OK, or MSA_E_SELF_TEST if this machine or this compiler computes something else. Overwrites the arena. */
@ local function bank_of(L) return L.segment.own > 0 and (", bank * (size_t)%d"):format(L.segment.own) or "" end
@ if streamed then
msa_status msa_known_answer(msa_session *s, uint32_t bank)
{
    float *const arena = (float *)(void *)s->arena;
    const float *w;
@ else
msa_status msa_known_answer(float *arena, const float *weights, uint32_t bank)
{
@ end
@ local function fetch(L)
@   if streamed then
        w = msa_stream_fetch(s, msa_$(L.decoding and "decode" or "encode")_pieces + $(L.item - 1));
        if (w == NULL) return MSA_E_FETCH;
@   end
@ end
@ local function start(L)
        msa_stream stream = {s, msa_$(L.decoding and "decode" or "encode")_pieces + $(L.item - 1), $(#L.segment.pieces), 0, $(cores > 1 and "MSA_ALONE" or "0")};
@ end
@ local function next_piece()
        w = msa_stream_next(&stream);
        if (w == NULL) return MSA_E_FETCH;
@ end
@ local function weights_of(L) return (streamed and "w" or "weights + " .. L.weights_at) .. bank_of(L) end
    static const uint32_t expected[$(#banks)] = { $(table.concat(answer.crcs, ", ")) };
    uint32_t crc = 0;
@ do
@   local L = answer.mlp
    {
        float *const x = arena + $(L.at.x);
        for (uint32_t i = 0; i < $(L.env.rows); ++i) pattern(i * $(L.env.C), $(L.env.C), x + i * (size_t)$(L.env.ldc));
@   if L.segment.pieces then
@     start(L)
        float *const y = arena + $(L.scratch_at + L.env.s.y), *const scratch = arena + $(L.scratch_at + L.shared);
@     next_piece()
        const float *const held = msa_stream_next(&stream);
        if (held == NULL) return MSA_E_FETCH;
        memset(y, 0, $(L.env.rows * L.env.ldc) * sizeof(float));
        for (uint32_t group = 0; group < $(L.env.groups); ++group) {
            if (group > 0) w = msa_stream_next(&stream);
            if (w == NULL) return MSA_E_FETCH;
            $(L.env.part)(held, w, x, y, scratch);
        }
@     if L.env.adapter then next_piece() end
        $(L.env.last)(held,$(L.env.adapter and " w," or "") x, y$(L.env.adapter and ", scratch" or ""));
@   else
@     fetch(L)
        $(L.env.block)($(weights_of(L)), x, arena + $(L.scratch_at + L.shared));
@   end
@   for _, i in ipairs(answer.samples(L.env.rows)) do
        crc = msa_crc32c(crc, x + $(i * L.env.ldc), $(L.env.C) * sizeof(float));
@   end
    }
@ end
@ if answer.window then
@   local L = answer.window
@   local side = L.env.side
    {
        float *const x = arena + $(L.at.x), *const o = arena + $(L.scratch_at + L.env.s.o), *const scratch = arena + $(L.scratch_at + L.shared);
        memset(x, 0, $(L.env.rows * L.env.ldc) * sizeof(float));
        memset(o, 0, $(L.env.rows * L.env.ldc) * sizeof(float));
        for (uint32_t y = 0; y < $(side); ++y) {
            for (uint32_t c = 0; c < $(side); ++c) pattern((y * $(side) + c) * $(L.env.C), $(L.env.C), x + (y * $(L.env.grid) + c) * (size_t)$(L.env.ldc));
        }
@   if L.segment.pieces then
@     local e = L.env
@     start(L)
@     next_piece()
        const float *const held = msa_stream_next(&stream);
        if (held == NULL) return MSA_E_FETCH;
        for (uint32_t head = 0; head < $(e.heads); head += $(e.group)) {
            if (head > 0) w = msa_stream_next(&stream);
            if (w == NULL) return MSA_E_FETCH;
            $(e.whole_window)(held, w, x, o, head, head + $(e.group), scratch);
        }
@     if e.adapter then
        float *const y = arena + $(L.scratch_at + e.s.y);
@     end
        for (uint32_t c = 0; c < $(e.C); c += $(e.columns)) {
@     next_piece()
            $(e.out)(o, w,$(e.out_bias and (" held + %d + c,"):format(e.p.proj_bias) or "") $(e.adapter and "y" or "x") + c);
        }
@     if e.adapter then
@       next_piece()
        $(e.down)(y, w + $(e.p.fc1), w + $(e.p.fc1_bias), scratch + $(e.own_s.hidden));
        $(e.up)(scratch + $(e.own_s.hidden), w + $(e.p.fc2), w + $(e.p.fc2_bias), scratch + $(e.own_s.a));
        $(e.add)(y, scratch + $(e.own_s.a), x);
@     end
@   else
@     fetch(L)
        $(L.env.whole_window)($(weights_of(L)), x, o,$(cores > 1 and (" 0, %d,"):format(L.env.heads) or "") scratch);
        $(L.env.project)($(weights_of(L)), o, x, scratch);
@   end
@   for _, place in ipairs(answer.window_samples(L)) do
        crc = msa_crc32c(crc, x + $(place.token * L.env.ldc), $(L.env.C) * sizeof(float));
@   end
    }
@ end
@ do
@   local S, M = answer.self, answer.token_mlp
    {
        float *const tokens = arena + $(S.at.tokens), *const queries = arena + $(S.at.queries);
        memset(tokens, 0, $(S.buffers.tokens) * sizeof(float));
        for (uint32_t i = 0; i < $(S.env.rows); ++i) pattern(i * $(S.env.E), $(S.env.E), tokens + i * (size_t)$(S.env.lde));
@   fetch(S)
        msa_$(S.name)(arena, $(weights_of(S)), $(S.env.rows));
@   if M.segment.pieces then
@     start(M)
        if (!msa_$(M.name)(arena, &stream, $(M.env.rows)$(cores > 1 and ", 0" or ""))) return MSA_E_FETCH;
@   else
@     fetch(M)
        msa_$(M.name)(arena, $(weights_of(M)), $(M.env.rows));
@   end
        for (uint32_t i = 0; i < $(S.env.rows); ++i) crc = msa_crc32c(crc, queries + i * (size_t)$(S.env.lde), $(S.env.E) * sizeof(float));
    }
@ end
    return crc == expected[bank] ? MSA_OK : MSA_E_SELF_TEST;
}
