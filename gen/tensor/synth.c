/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic weights: every value is a function of the seed, the tensor's name and the index. */
#include "synth.h"

#include "explain.h"
#include "outfile.h"
#include "random.h"
#include "safetensors.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384, NAME_MAX = 256 };

static uint64_t fnv1a64(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; ++text)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t stream(const char *name, uint64_t seed)
{
    return fnv1a64(name) + seed * UINT64_C(0x9E3779B97F4A7C15);
}

/* Uniform with mean 0 and variance 1. */
static double uniform(uint64_t start, uint64_t i)
{
    const uint64_t z = msagen_random_mix(start + (i + 1) * UINT64_C(0xD1B54A32D192ED03));
    const double u = (double)(z >> 40) * 0x1p-24;
    return (2 * u - 1) * sqrt(3);
}

/* 1 if `name` holds `what` once all of `first`, then all of `second` have been deleted from it. */
static int holds_without(const char *name, const char *what, const char *first, const char *second)
{
    char text[NAME_MAX];
    snprintf(text, sizeof text, "%s", name);
    const char *const deleted[] = {first, second};
    for (int i = 0; i < 2; ++i)
        for (char *at = text; deleted[i] && (at = strstr(at, deleted[i]));)
            memmove(at, at + strlen(deleted[i]), strlen(at + strlen(deleted[i])) + 1);
    return strstr(text, what) != NULL;
}

static int ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* value = offset + factor * r / divisor */
struct scale {
    double offset, factor, divisor;
};

static struct scale scale_of(const struct msagen_synth_tensor *t)
{
    if (strstr(t->name, "positional_encoding_gaussian"))
        return (struct scale){0, 1, 1};
    if (t->dims == 1)
        return (struct scale){ends_with(t->name, "weight") || ends_with(t->name, "running_var") ? 1 : 0, 0.2, 1};
    if (strstr(t->name, "rel_") || strstr(t->name, "pos_embed"))
        return (struct scale){0, 0.3, 1};
    if (holds_without(t->name, "embed", "patch_embed", NULL) || holds_without(t->name, "token", "token_to", "to_token"))
        return (struct scale){0, 0.7, 1};
    double fan = 1;
    if (t->dims == 4 && strstr(t->name, "output_upscaling"))
        fan = (double)t->shape[0]; /* a transposed convolution's inputs */
    else
        for (int i = 1; i < t->dims; ++i)
            fan *= (double)t->shape[i];
    return (struct scale){0, 1.1, sqrt(fan)};
}

void msagen_synth_values(const struct msagen_synth_tensor *t, uint64_t seed, uint64_t first, size_t count, float *out)
{
    const struct scale s = scale_of(t);
    const uint64_t start = stream(t->name, seed);
    for (size_t i = 0; i < count; ++i)
        out[i] = (float)(s.offset + s.factor * uniform(start, first + i) / s.divisor);
}

void msagen_synth_image(uint64_t seed, uint64_t first, size_t count, unsigned char *out)
{
    const uint64_t start = stream("image", seed);
    for (size_t i = 0; i < count; ++i) {
        const double level = floor(128 + 60 * uniform(start, first + i));
        out[i] = (unsigned char)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
}

static uint64_t elements(const struct msagen_synth_tensor *t)
{
    uint64_t n = 1;
    for (int i = 0; i < t->dims; ++i)
        n *= (uint64_t)t->shape[i];
    return n;
}

/* Names and shapes are ours; this keeps a mistake in them from writing nonsense. */
static const char *unusable(const struct msagen_synth_tensor *t)
{
    uint64_t n = 1;
    if (strlen(t->name) >= NAME_MAX || !msagen_is_text(t->name, strlen(t->name)))
        return "a name that cannot be written";
    for (int i = 0; i < t->dims; ++i) {
        if (t->shape[i] < 1 || (uint64_t)t->shape[i] > (UINT64_C(1) << 40) / n)
            return "a shape out of range";
        n *= (uint64_t)t->shape[i];
    }
    return NULL;
}

/* The header of the file, members in the tensors' order. 0, or -1 where memory is short. */
static int write_header(struct msagen_outfile *f, const struct msagen_synth_tensor *tensors, uint32_t count)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    struct msagen_safetensors_item *items = calloc((size_t)count + 1, sizeof *items);
    for (uint32_t i = 0; items && i < count; ++i)
        items[i] = (struct msagen_safetensors_item){tensors[i].name, MSAGEN_F32, tensors[i].dims, tensors[i].shape};
    const int done = items ? msagen_safetensors_header(f, items, count, metadata) : -1;
    free(items);
    return done;
}

int msagen_synth_write(const char *path, const struct msagen_synth_tensor *tensors, uint32_t count, uint64_t seed,
                       msagen_synth_progress *progress, void *context, char *error, size_t error_bytes)
{
    for (uint32_t i = 0; i < count; ++i) {
        const char *why = unusable(&tensors[i]);
        if (why) {
            snprintf(error, error_bytes, "%s: tensor %u has %s", path, (unsigned)i + 1, why);
            return -1;
        }
    }
    float *values = malloc(CHUNK * sizeof *values);
    struct msagen_outfile *f = values ? msagen_outfile_open(path, error, error_bytes) : NULL;
    int short_of_memory = !values;
    if (f && write_header(f, tensors, count) != 0) {
        msagen_outfile_abort(f);
        f = NULL;
        short_of_memory = 1;
    }
    if (short_of_memory)
        snprintf(error, error_bytes, "%s: out of memory", path);
    for (uint32_t i = 0; f && i < count && !msagen_outfile_failed(f); ++i) {
        const uint64_t n = elements(&tensors[i]);
        for (uint64_t first = 0; first < n && !msagen_outfile_failed(f); first += CHUNK) {
            const size_t step = n - first < CHUNK ? (size_t)(n - first) : CHUNK;
            msagen_synth_values(&tensors[i], seed, first, step, values);
            msagen_outfile_write(f, values, step * sizeof *values);
        }
        if (progress)
            progress(context, i + 1, count);
    }
    free(values);
    return f ? msagen_outfile_finish(f, error, error_bytes) : -1;
}
