/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic weights against DIALECTS section 5, computed apart with numpy in uint64 and float64; its results are the
 * literals here. */
#define _GNU_SOURCE
#include "synth.h"

#include "scratch.h"

static char error[4096];

/* Seed 7; the first three values of one tensor for each rule. */
Test(synth, values_of_every_rule)
{
    static const struct {
        struct msagen_synth_tensor t;
        float expected[3];
    } cases[] = {
        {{"image_encoder.pos_embed", 4, {1, 2, 2, 2}}, {0x1.d54696p-2f, 0x1.3d5fc6p-2f, -0x1.935372p-6f}},
        {{"a.norm.weight", 1, {3}}, {0x1.2fc450p+0f, 0x1.2fc510p+0f, 0x1.b98f86p-1f}},
        {{"a.norm.bias", 1, {3}}, {0x1.1d9c3ep-2f, 0x1.b773e8p-5f, 0x1.fac670p-3f}},
        {{"prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, {2, 2}},
         {-0x1.53e904p-1f, 0x1.8b696ep-1f, -0x1.94dc42p+0f}},
        {{"image_encoder.patch_embed.proj.weight", 4, {2, 3, 1, 1}},
            {-0x1.5c097ep-2f, 0x1.9669f8p-1f, -0x1.538c4ep-1f}},
        {{"mask_decoder.iou_token.weight", 2, {1, 3}}, {0x1.771e94p-2f, 0x1.a76d58p-2f, -0x1.0dbe34p+0f}},
        {{"mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight", 2, {2, 4}},
         {0x1.74a882p-2f, -0x1.f0f154p-3f, -0x1.689760p-3f}},
        {{"mask_decoder.output_upscaling.0.weight", 4, {4, 2, 1, 1}},
            {0x1.bfe65ap-4f, -0x1.ea7230p-2f, 0x1.0b6076p-5f}},
        {{"prompt_encoder.no_mask_embed.weight", 2, {1, 3}}, {0x1.150532p+0f, 0x1.178530p-1f, 0x1.acc2aap-2f}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        float got[3], last;
        msagen_synth_values(&cases[i].t, 7, 0, 3, got);
        for (int k = 0; k < 3; ++k)
            cr_assert_eq(got[k], cases[i].expected[k], "%s: value %d is %a", cases[i].t.name, k, got[k]);
        msagen_synth_values(&cases[i].t, 7, 2, 1, &last);
        cr_assert_eq(last, got[2], "a value does not depend on where reading starts");
    }
}

Test(synth, image_of_seed_1)
{
    static const unsigned char expected[12] = {31, 98, 183, 167, 101, 160, 125, 67, 165, 124, 196, 57};
    unsigned char got[12];
    msagen_synth_image(1, 0, 12, got);
    cr_assert_eq(memcmp(got, expected, 12), 0);
    unsigned char lots[4096];
    int low = 255, high = 0;
    msagen_synth_image(1, 0, sizeof lots, lots);
    for (size_t i = 0; i < sizeof lots; ++i) {
        low = lots[i] < low ? lots[i] : low;
        high = lots[i] > high ? lots[i] : high;
    }
    cr_assert(low >= 24 && low < 30 && high > 226 && high <= 231, "128 +- 60 sqrt(3), found %d to %d", low, high);
}

Test(synth, a_whole_file, .init = scratch_open, .fini = scratch_close)
{
    static const struct msagen_synth_tensor tensors[] = {{"a.bias", 1, {3}}, {"b.weight", 2, {200, 300}}};
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"a.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                                 "\"b.weight\":{\"dtype\":\"F32\",\"shape\":[200,300],\"data_offsets\":[12,240012]}}";
    cr_assert_eq(msagen_synth_write(scratch_path("s.safetensors"), tensors, 2, 5, NULL, NULL, error, sizeof error), 0,
        "%s", error);
    size_t bytes;
    unsigned char *file = scratch_read("s.safetensors", &bytes);
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | file[i];
    cr_assert_eq(length % 8, 0, "data are aligned");
    cr_assert(length >= sizeof header - 1 && length < sizeof header + 7);
    cr_assert_eq(memcmp(file + 8, header, sizeof header - 1), 0);
    for (size_t i = sizeof header - 1; i < length; ++i)
        cr_assert_eq(file[8 + i], ' ');
    cr_assert_eq(bytes, 8 + length + 240012);
    static float expected[60000];
    msagen_synth_values(&tensors[0], 5, 0, 3, expected);
    cr_assert_eq(memcmp(file + 8 + length, expected, 12), 0);
    msagen_synth_values(&tensors[1], 5, 0, 60000, expected);
    cr_assert_eq(memcmp(file + 8 + length + 12, expected, 240000), 0);
    free(file);
}

Test(synth, what_cannot_be_written_leaves_nothing, .init = scratch_open, .fini = scratch_close)
{
    static const struct msagen_synth_tensor broken = {"a\nb", 1, {3}},
        huge = {"a", 3, {INT64_C(1) << 30, INT64_C(1) << 30, 16}};
    cr_assert_eq(msagen_synth_write(scratch_path("s"), &broken, 1, 5, NULL, NULL, error, sizeof error), -1);
    cr_assert_eq(msagen_synth_write(scratch_path("s"), &huge, 1, 5, NULL, NULL, error, sizeof error), -1);
    cr_assert_eq(msagen_synth_write(scratch_path("no/s"), &huge, 0, 5, NULL, NULL, error, sizeof error), -1);
    cr_assert(strstr(error, "no/s: cannot be created: "));
    cr_assert_eq(scratch_entries(), 0);
}
