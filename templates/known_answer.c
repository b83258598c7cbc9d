/* SPDX-License-Identifier: 0BSD */
/* msa_known_answer.c - the self-test's computation. $(made_by)
$(origin)
 * The model's functions run on fixed patterns; the CRC-32C of what they give was computed with plain loops at
 * generation. */
#include "msa_internal.h"
#include "msa_kernels.h"

/* Rows of a pattern, which then repeat. */
#define PERIOD $(answer.PERIOD)u

/* x (n) = the pattern from place `first` on: uniform in [-1, 1). */
static void pattern(uint32_t first, size_t n, float *x)
{
    for (size_t i = 0; i < n; ++i) {
        uint32_t z = (first + (uint32_t)i) * 0x9e3779b9u;
        z = (z ^ (z >> 16)) * 0x85ebca6bu;
        z = (z ^ (z >> 13)) * 0xc2b2ae35u;
        z ^= z >> 16;
        x[i] = (float)(int32_t)(z >> 8) * (1.0f / 8388608.0f) - 1.0f;
    }
}

/* x (rows, width), rows `stride` apart, zeros between. */
static void fill(float *x, size_t rows, size_t width, size_t stride, uint32_t first)
{
    for (size_t r = 0; r < rows; ++r) {
        float *const row = x + r * stride;
        if (r >= PERIOD) {
            (void)memcpy(row, row - PERIOD * stride, stride * sizeof(float));
            continue;
        }
        (void)memset(row + width, 0, (stride - width) * sizeof(float));
        pattern(first + (uint32_t)(r * width), width, row);
    }
}

/* The CRC of `count` runs of `width` floats, `stride` apart. */
static uint32_t sum_rows(uint32_t crc, const float *x, size_t count, size_t width, size_t stride)
{
    for (size_t i = 0; i < count; ++i) {
        crc = msa_crc32c(crc, x + i * stride, width * sizeof(float));
    }
    return crc;
}

/* The same at some places. */
static uint32_t sum_at(uint32_t crc, const float *x, const uint32_t *at, size_t count, size_t width, size_t stride)
{
    for (size_t i = 0; i < count; ++i) {
        crc = msa_crc32c(crc, x + at[i] * stride, width * sizeof(float));
    }
    return crc;
}

@ local function weights_of(L) return (streamed and "w" or place("weights", L.weights_at)) .. bank_of(L) end
@ local function weights_for(L, name)
@   local takes = not L.lowered or kernels:signature(name)[2].text:find "bank"
@   return (streamed and "w" or place("weights", L.weights_at)) .. (takes and bank_of(L) or "")
@ end
@ local function scratch_of(L, at) return place("arena", L.scratch_at + at) end
@ local function places(list) return ("{%s}"):format(table.concat(list, ", ")) end
@ local alone = cores > 1 and ", MSA_ALONE" or ""
@ local grid, slices = model.grid, model.depth
@ local function pieces_of(L) return ("msa_%s_pieces + %d"):format(L.decoding and "decode" or "encode", L.item - 1) end
@ -- Only a fetch can fail: what the layers return besides is of sizes that are constants here.
@ local status = streamed and ", msa_status *status" or ""
@ local function open(text)
static uint32_t $(text)(msa_session *s, uint32_t crc$(status))
{
    float *const arena = (float *)(void *)s->arena;
@   if not streamed then
    const float *const weights = (const float *)(const void *)s->weights;
@   end
@ end
@ local function fetch(L)
@   if streamed then
    const float *const w = msa_stream_fetch(s, $(pieces_of(L)));
    if (w == NULL) {
        *status = MSA_E_FETCH;
        return crc;
    }
@   end
@ end
@ local function start(L, count)
    msa_stream stream = {s, $(pieces_of(L)), $(count or #L.segment.pieces), 0, $(cores > 1 and "MSA_ALONE" or "0")};
@ end
@ local function unread()
@   if streamed then
    (void)status;
@   end
@ end
@ local function close()
    return crc;
}

@ end
@ local first = answer.FIRST
@ local tokens = #answer.tokens
$(wrapped(("static const uint32_t some_tokens[%d] = %s;"):format(tokens, places(answer.tokens))))

@ do
@   local L, image, small = answer.patch, answer.IMAGE, answer.SMALL
@   local how = L.env.resizer
@   local what = how and "A picture made smaller, then patches of it" or "Patches of a picture"
@   local row = how and (", row[%d]"):format(small.width * 3) or ""
/* $(what); each slice begins a byte later. */
@ open "test_image"
    static const uint32_t bytes = $(image.width * image.height * 3 + slices - 1);
    uint8_t pixels[$(image.width * image.height * 3 + slices - 1)]$(row);
    for (uint32_t i = 0; i < bytes; ++i) {
        pixels[i] = (uint8_t)((i * 2654435761u) >> 24);
    }
    const msa_image image = {.pixels = pixels, .width = $(image.width), .height = $(image.height),
                             .stride = $(image.width * 3), .slice_stride = 1};
@   if how then
@     local work = scratch_of(L, L.shared + L.env.s.resizer)
    $(how.type) resizer;
    (void)$(how.calls)_init(&resizer, &image, 0, $(small.width), $(small.height), $(work),
        $(how.macro)($(L.env.size)));
    for (uint32_t y = 0; y < $(small.height); ++y) {
        $(how.calls)_row(&resizer, row);
        crc = msa_crc32c(crc, row, sizeof row);
    }
@   end
@   if L.segment.pieces then
@     start(L)
    *status = msa_$(L.name)(arena, &stream, &image$(alone));
@   else
@     fetch(L)
@     local result = streamed and "*status = " or "(void)"
    $(result)msa_$(L.name)(arena, $(weights_of(L)), &image$(alone));
@   end
    crc = sum_at(crc, $(place("arena", L.at[L.to])), some_tokens, $(tokens), $(L.env.C), $(L.env.ldc));
@ close()
@ end
@ local function whole(L)
@     start(L)
    if (!msa_$(L.name)(arena, &stream$(L.core == "team" and ", s, MSA_ALONE" or L.core and ", MSA_ALONE" or ""))) {
        *status = MSA_E_FETCH;
    }
@ end
@ for i, L in ipairs(answer.mlps) do
@   local count = L.segment.pieces and grid * grid or L.env.rows
/* A strip of tokens of $(L.name). */
@ open("test_mlp_" .. i)
    float *const x = $(place("arena", L.at[L.from]));
    fill(x, $(count), $(L.env.C), $(L.env.ldc), $(first.x)u);
@   if L.segment.pieces then
@     whole(L)
@   else
@     fetch(L)
    $(L.env.strip)($(weights_for(L, L.env.strip)), x, $(scratch_of(L, L.shared)));
@   end
    crc = sum_rows(crc, x, $(L.env.rows), $(L.env.C), $(L.env.ldc));
@ unread()
@ close()
@ end
@ for i, test in ipairs(answer.wholes) do
@   local L, e = test.layer, test.layer.env
/* $(L.name), whole: some tokens of each kind of window. */
@ open("test_attention_" .. i)
$(wrapped(("    static const uint32_t at[%d] = %s;"):format(#test.tokens, places(test.tokens))))
    float *const x = $(place("arena", L.at.x));
    fill(x, $(grid * grid), $(e.C), $(e.ldc), $(first.x)u);
@     whole(L)
    crc = sum_at(crc, x, at, $(#test.tokens), $(e.C), $(e.ldc));
@ close()
@ end
@ for i, test in ipairs(answer.windows) do
@   local L, kind, e = test.layer, test.kind, test.layer.env
/* One head of one window of $(L.name): $(kind.height) x $(kind.width) of $(e.side) x $(e.side). */
@ open("test_window_" .. i)
$(wrapped(("    static const uint32_t at[%d] = %s;"):format(#test.tokens, places(test.tokens))))
@   local origin = e.s.o + types.bytes(types.BASE, test.origin * e.ldc)
    float *const x = $(place("arena", L.at.x)), *const o = $(scratch_of(L, origin));
    float *const scratch = $(scratch_of(L, L.shared));
    fill(x, $(test.origin + (kind.height - 1) * grid + kind.width), $(e.C), $(e.ldc), $(first.x)u);
@   fetch(L)
    $(kind.name)($(weights_for(L, kind.name)), x + $(test.origin * e.ldc), o, $(test.head), $(test.head + 1), scratch);
    crc = sum_at(crc, o + $(test.head * e.d), at, $(#test.tokens), $(e.d), $(e.ldc));
@ unread()
@ close()
@ end
@ for i, L in ipairs(answer.projects) do
@   local e = L.env
/* What follows attention in $(L.name), for a strip of tokens. */
@ open("test_project_" .. i)
    float *const x = $(place("arena", L.at.x)), *const o = $(scratch_of(L, e.s.o));
    float *const scratch = $(scratch_of(L, L.shared));
    fill(x, $(e.rows), $(e.C), $(e.ldc), $(first.x)u);
    fill(o, $(e.rows), $(e.C), $(e.ldc), $(first.o)u);
@   if e.depth then
    float *const depth = $(scratch_of(L, e.s.depth));
    fill(depth, $(e.rows), $(e.C), $(e.ldc), $(first.depth)u);
@   end
@   fetch(L)
    $(e.project)($(weights_for(L, e.project)), o,$(e.depth and " depth," or "") x, scratch);
    crc = sum_rows(crc, x, $(e.rows), $(e.C), $(e.ldc));
@ unread()
@ close()
@ end
@ for i, test in ipairs(answer.depths) do
@   local L, e = test.layer, test.layer.env
/* Some sequences along the depth of $(L.name). */
@ open("test_depth_" .. i)
    static const uint32_t at[$(math.max(1, #test.tokens))] = $(places(#test.tokens > 0 and test.tokens or { 0 }));
    float *const x = $(place("arena", L.at.x)), *const depth = $(scratch_of(L, e.s.depth));
    fill(x, $(slices * grid * grid), $(e.C), $(e.ldc), $(first.x)u);
@   fetch(L)
    $(e.depth.kernel)($(weights_for(L, e.depth.kernel)), x, depth, $(test.unit), $(scratch_of(L, L.shared)));
    crc = sum_at(crc, depth, at, $(#test.tokens), $(e.C), $(e.ldc));
@ unread()
@ close()
@ end
@ for i, test in ipairs(answer.others) do
@   local L = test.layer
/* $(L.name), whole. */
@ open("test_other_" .. i)
@   for k, one in ipairs(test.outputs) do
    static const uint32_t at$(k)[$(#one.places)] = $(places(one.places));
@   end
@   for k, one in ipairs(test.inputs) do
    fill($(place("arena", L.at[one.buffer])), $(one.rows), $(one.width), $(one.stride), $(answer.OTHER * k)u);
@   end
@   if L.segment.pieces then
@     whole(L)
@   else
@     fetch(L)
    msa_$(L.name)(arena, $(weights_of(L))$(L.core == "team" and ", s, MSA_ALONE" or L.core and ", MSA_ALONE" or ""));
@   end
@   for k, one in ipairs(test.outputs) do
    crc = sum_at(crc, $(place("arena", L.at[one.buffer])), at$(k), $(#one.places), $(one.width), $(one.stride));
@   end
@ unread()
@ close()
@ end
@ do
@   local L = answer.neck
/* The neck, whole. */
@ open "test_neck"
    fill($(place("arena", L.at[L.from])), $(slices * grid * grid), $(L.env.C), $(L.env.ldc), $(first.x)u);
@   if L.segment.pieces then
@     whole(L)
@   else
@     fetch(L)
    msa_$(L.name)(arena, $(weights_of(L))$(cores > 1 and ", s, MSA_ALONE" or ""));
@   end
    crc = sum_at(crc, $(place("arena", L.at.embedding)), some_tokens, $(tokens), $(L.env.E), $(L.env.lde));
@ unread()
@ close()
@ end
@ local E, masks, side = model.out, model.decoder.masks, 4 * grid
/* A prompt, from its places in the image to logits of some rows of tokens. */
static uint32_t test_prompt(msa_session *s, uint32_t crc, const msa_prompt *prompt$(status))
{
    static const uint32_t rows[$(#answer.mask_rows)] = $(places(answer.mask_rows));
    const float *const arena = (const float *)(const void *)s->arena;
    const float *const logits = arena + MSA_LOGITS_OFFSET / sizeof(float);
    const uint32_t count = msa_tokens_of(s, prompt, $(slices - 1), $(answer.IMAGE.width), $(answer.IMAGE.height));
@ local decoding = ("msa_decode_layers(s, %d, count, prompt->mask%s);"):format(slices - 1, alone)
@ if streamed then
    if (*status == MSA_OK) {
        *status = $(decoding)
    }
@ else
    (void)$(decoding)
@ end
    for (size_t i = 0; i < $(#answer.mask_rows); ++i) {
        crc = sum_rows(crc, logits + rows[i] * $(4 * side), $(masks), $(4 * side), $(side * side));
    }
    return msa_crc32c(crc, arena + MSA_IOU_OFFSET / sizeof(float), $(masks) * sizeof(float));
}

@ local function number(v) return v % 1 == 0 and ("%.1ff"):format(v) or ("%.9gf"):format(v) end
@ local few, many = answer.PROMPTS[1], answer.PROMPTS[2]
@ local points, labels, box, to, side = {}, {}, {}, answer.ENLARGED, answer.side_of(model)
@ local squares = answer.squares_of(model)
@ for i, p in ipairs(many.points) do points[i], labels[i] = ("{%s, %s}"):format(number(p[1]), number(p[2])), p[3] end
@ for i, v in ipairs(many.box) do box[i] = number(v) end
@ local texts = model.texts and #model.texts.names or 0
@ if model.places then
/* Two prompts on an embedding that is a pattern; and a part of it enlarged. */
@ else
/* Two prompts on an embedding that is a pattern, the second one with part of it as its mask; and the same part
 * enlarged. */
@ end
@ open "test_decoder"
    static const float points[$(#points)][2] = {$(table.concat(points, ", "))};
    static const float box[1][4] = {{$(table.concat(box, ", "))}};
    static const int8_t labels[$(#labels)] = {$(table.concat(labels, ", "))};
    static const uint32_t squares[$(#squares)] = $(places(squares));
    float *const embedding = arena + MSA_EMBEDDING_OFFSET / sizeof(float);
    float *const rows = arena + MSA_LOGITS_OFFSET / sizeof(float);
    fill(embedding, $(slices * grid * grid), $(E), MSA_EMBEDDING_STRIDE, $(first.x)u);
@ if streamed then
    if (msa_stream_fetch(s, msa_encode_pieces + $(answer.tables_item - 1)) == NULL) {
        *status = MSA_E_FETCH;
    }
@ end
@ if answer.prepare then
@   local L = answer.prepare
@   fetch(L)
    msa_$(L.name)(arena, $(streamed and "w" or "weights")$(#banks > 1 and ", s->bank" or "")$(alone));
@ elseif not streamed then
    (void)weights;
@ end
    const msa_prompt few = {points, labels, $(#few.points), NULL, NULL, false, 1, false, 0};
    crc = test_prompt(s, crc, &few$(streamed and ", status" or ""));
@ local has_text, last_text = texts > 0 and "true" or "false", math.max(0, texts - 1)
@ local mask = model.places and "NULL" or "embedding"
    const msa_prompt many = {points, labels, $(#many.points), box, $(mask), false, 1, $(has_text), $(last_text)};
    crc = test_prompt(s, crc, &many$(streamed and ", status" or ""));
    for (uint32_t i = 0; i < $(#squares); ++i) {
        msa_upsampler u;
        msa_upsample_init(&u, embedding, $(side), squares[i], $(to.width), $(to.height), rows);
        for (uint32_t y = 0; y < $(to.height); ++y) {
            float row[$(to.width)];
            msa_upsample_row(&u, y, row);
            crc = msa_crc32c(crc, row, sizeof row);
        }
    }
@ if answer.enlarges_so(model) then
    msa_upsampler so;
    msa_upsample_init(&so, embedding, $(side), $(answer.enlarges_so(model)), $(to.width), $(to.height), rows);
    MSA_ENLARGE_SO(&so);
    for (uint32_t y = 0; y < $(to.height); ++y) {
        float row[$(to.width)];
        msa_upsample_row(&so, y, row);
        crc = msa_crc32c(crc, row, sizeof row);
    }
@ end
@ close()
msa_status msa_known_answer(msa_session *s)
{
    static const uint32_t expected[$(#banks)] = { $(table.concat(answer.crcs, ", ")) };
@ if streamed then
    msa_status status = MSA_OK;
    uint32_t crc = test_image(s, 0, &status);
@ else
    uint32_t crc = test_image(s, 0);
@ end
@ local function call(name)
@   if streamed then
    if (status == MSA_OK) {
        crc = $(name)(s, crc, &status);
    }
@   else
    crc = $(name)(s, crc);
@   end
@ end
@ for i = 1, #answer.mlps do call("test_mlp_" .. i) end
@ for i = 1, #answer.wholes do call("test_attention_" .. i) end
@ for i = 1, #answer.windows do call("test_window_" .. i) end
@ for i = 1, #answer.projects do call("test_project_" .. i) end
@ for i = 1, #answer.depths do call("test_depth_" .. i) end
@ for i = 1, #answer.others do call("test_other_" .. i) end
@ call "test_neck"
@ call "test_decoder"
@ if streamed then
    if (status != MSA_OK) {
        return status;
    }
@ end
    return crc == expected[s->bank] ? MSA_OK : MSA_E_SELF_TEST;
}
