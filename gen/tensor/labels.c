/* SPDX-License-Identifier: Apache-2.0 */
/* An expert's mask as whole numbers, a label for each pixel, and which labels there are. */
#include "labels.h"

#include "infile.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4 * MSAGEN_LABELS_COUNTED, /* a power of two */
    RINGING = 32,                      /* JPEG moves black and white by less */
    TINGE = 8,                         /* channels of grey in a JPEG of colours differ by no more */
    SPREAD = 4,                        /* shades of one area in a JPEG */
    CHUNK = 4096
};

/* ---- counting ---- */

struct slot {
    int64_t count; /* 0: free */
    int32_t label;
};

static int by_count(const void *a, const void *b)
{
    const struct slot *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->label < y->label ? -1 : x->label > y->label;
}

/* 0, or -1: out of memory. */
static int count_labels(struct msagen_labels *found, const int32_t *labels, int64_t n)
{
    struct slot *slots = calloc(SLOTS, sizeof *slots);
    if (!slots)
        return -1;
    found->distinct = 0;
    for (int64_t i = 0; i < n; ++i) {
        size_t at = (uint32_t)labels[i] * UINT32_C(2654435761) % SLOTS;
        while (slots[at].count && slots[at].label != labels[i])
            at = (at + 1) % SLOTS;
        if (!slots[at].count) {
            if (found->distinct == MSAGEN_LABELS_COUNTED)
                continue;
            ++found->distinct;
            slots[at].label = labels[i];
        }
        ++slots[at].count;
    }
    qsort(slots, SLOTS, sizeof *slots, by_count);
    found->listed = found->distinct < MSAGEN_LABELS_LISTED ? found->distinct : MSAGEN_LABELS_LISTED;
    for (int i = 0; i < found->listed; ++i) {
        found->list[i].label = slots[i].label;
        found->list[i].count = slots[i].count;
    }
    free(slots);
    return 0;
}

/* Nine pixels around (x, y), of one shade that is neither black nor white. */
static int is_flat(const struct msagen_labels *found, const int32_t *middle, int64_t width)
{
    const int32_t low = found->lossy ? RINGING : 1, high = found->most - low, spread = found->lossy ? SPREAD : 0;
    for (int64_t dy = -1; dy <= 1; ++dy)
        for (int64_t dx = -1; dx <= 1; ++dx) {
            const int32_t v = middle[dy * width + dx];
            if (v < low || v > high || abs(v - *middle) > spread)
                return 0;
        }
    return 1;
}

static int has_flat_area(const struct msagen_labels *found, const int32_t *labels, int64_t height, int64_t width)
{
    for (int64_t y = 1; y + 1 < height; ++y)
        for (int64_t x = 1; x + 1 < width; ++x)
            if (is_flat(found, labels + y * width + x, width))
                return 1;
    return 0;
}

static int32_t *values_of(const struct msagen_tensor *t)
{
    return (int32_t *)(uintptr_t)t->storage->data + t->offset;
}

/* ---- pictures ---- */

static int32_t shade(const struct msagen_picture *p, size_t i)
{
    return p->bytes == 1 ? p->samples[i] : p->samples[2 * i] << 8 | p->samples[2 * i + 1];
}

/* What all pixels of a picture have in common. */
struct colours {
    int grey; /* no pixel has a colour */
    int one;  /* all have the same */
    int32_t least_alpha, most_alpha;
};

static struct colours look(const struct msagen_picture *p)
{
    const size_t pixels = (size_t)p->width * p->height, n = p->channels;
    const int32_t tinge = p->jpeg ? TINGE : 0;
    struct colours c = {1, 1, 65535, 0};
    for (size_t i = 0; i < pixels; ++i) {
        if (n >= 3) {
            const int32_t r = shade(p, i * n), g = shade(p, i * n + 1), b = shade(p, i * n + 2);
            c.grey = c.grey && abs(r - g) <= tinge && abs(g - b) <= tinge && abs(r - b) <= tinge;
            c.one = c.one && g == shade(p, 1) && b == shade(p, 2);
        }
        c.one = c.one && shade(p, i * n) == shade(p, 0);
        if (n % 2 == 0) {
            const int32_t alpha = shade(p, i * n + n - 1);
            c.least_alpha = alpha < c.least_alpha ? alpha : c.least_alpha;
            c.most_alpha = alpha > c.most_alpha ? alpha : c.most_alpha;
        }
    }
    return c;
}

static int32_t label_of(const struct msagen_picture *p, enum msagen_label_kind kind, int32_t most, size_t i)
{
    const size_t n = p->channels, at = i * n;
    if (kind == MSAGEN_LABELS_ALPHA)
        return shade(p, at + n - 1);
    const int clear = n % 2 == 0 && shade(p, at + n - 1) <= most / 2;
    if (kind == MSAGEN_LABELS_GREY)
        return clear ? 0 : n < 3 ? shade(p, at) : (shade(p, at) + shade(p, at + 1) + shade(p, at + 2)) / 3;
    int32_t label = MSAGEN_LABEL_COLOUR;
    for (size_t c = 0; c < 3 && !clear; ++c)
        label += (p->bytes == 1 ? shade(p, at + c) : shade(p, at + c) >> 8) << (16 - 8 * c);
    return label;
}

static struct msagen_tensor *from_picture(const struct msagen_picture *p, const char *name, struct msagen_labels *found)
{
    const struct msagen_view view = msagen_picture_view(p);
    const struct colours colours = look(p);
    const int alpha = p->channels % 2 == 0 && colours.one && colours.least_alpha < colours.most_alpha;
    found->kind = alpha ? MSAGEN_LABELS_ALPHA : colours.grey ? MSAGEN_LABELS_GREY : MSAGEN_LABELS_COLOUR;
    found->most = p->bytes == 2 ? 65535 : 255;
    found->lossy = p->jpeg;
    found->orientation = p->orientation > 0 ? p->orientation : 1;
    struct msagen_tensor *t = msagen_tensor_zeros(name, MSAGEN_I32, 2, (int64_t[]){view.height, view.width});
    if (!t)
        return NULL;
    int32_t *out = values_of(t);
    for (ptrdiff_t y = 0; y < (ptrdiff_t)view.height; ++y)
        for (ptrdiff_t x = 0; x < (ptrdiff_t)view.width; ++x)
            *out++ = label_of(p, found->kind, found->most, (size_t)(view.first + x * view.right + y * view.down));
    found->flat = found->kind != MSAGEN_LABELS_COLOUR && has_flat_area(found, values_of(t), view.height, view.width);
    return t;
}

struct msagen_tensor *msagen_labels_parse(const unsigned char *data, size_t bytes, const char *name,
                                          struct msagen_labels *labels, char *error, size_t error_bytes)
{
    struct msagen_picture picture;
    *labels = (struct msagen_labels){0};
    if (msagen_picture_parse(&picture, data, bytes, name, error, error_bytes) != 0)
        return NULL;
    struct msagen_tensor *t = from_picture(&picture, name, labels);
    msagen_picture_free(&picture);
    if (!t || count_labels(labels, values_of(t), msagen_tensor_numel(t)) != 0) {
        msagen_tensor_free(t);
        snprintf(error, error_bytes, "%s: out of memory", name);
        return NULL;
    }
    return t;
}

struct msagen_tensor *msagen_labels_read(const char *path, struct msagen_labels *labels, char *error,
                                         size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes);
    if (!file)
        return NULL;
    struct msagen_tensor *t = msagen_labels_parse(file->data, file->bytes, path, labels, error, error_bytes);
    msagen_buffer_unref(file);
    return t;
}

/* ---- numbers ---- */

struct msagen_tensor *msagen_labels_of(const struct msagen_tensor *t, int numbers, struct msagen_labels *labels,
                                       char *error, size_t error_bytes)
{
    const int shades = t->dtype == MSAGEN_U8 && !numbers;
    *labels = (struct msagen_labels){.kind = shades ? MSAGEN_LABELS_GREY : MSAGEN_LABELS_NUMBERS, .orientation = 1};
    const int64_t numel = msagen_tensor_numel(t);
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, MSAGEN_I32, t->dims, t->shape);
    if (!made) {
        snprintf(error, error_bytes, "%s: out of memory", t->name);
        return NULL;
    }
    int32_t *out = values_of(made);
    double values[CHUNK];
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(t, first, count, values);
        for (int64_t i = 0; i < count; ++i) {
            if (!(fabs(values[i]) <= 1e9) || values[i] != floor(values[i])) {
                snprintf(error, error_bytes, "%s: expected a mask of whole numbers, found %g at element %lld", t->name,
                         values[i], (long long)(first + i));
                msagen_tensor_free(made);
                return NULL;
            }
            out[first + i] = (int32_t)values[i];
            labels->most = out[first + i] > labels->most ? out[first + i] : labels->most;
        }
    }
    if (labels->kind == MSAGEN_LABELS_GREY) {
        labels->most = 255;
        const int64_t height = t->dims >= 2 ? t->shape[t->dims - 2] : 0,
                      width = t->dims >= 2 ? t->shape[t->dims - 1] : 0;
        for (int64_t at = 0; at < numel && !labels->flat; at += height * width)
            labels->flat = has_flat_area(labels, out + at, height, width);
    }
    if (count_labels(labels, out, numel) != 0) {
        msagen_tensor_free(made);
        snprintf(error, error_bytes, "%s: out of memory", t->name);
        return NULL;
    }
    return made;
}

/* ---- masks ---- */

struct msagen_tensor *msagen_labels_inside(const struct msagen_tensor *labels, const struct msagen_label_range *ranges,
                                           size_t count, int64_t *pixels)
{
    struct msagen_tensor *mask = msagen_tensor_zeros(labels->name, MSAGEN_U8, labels->dims, labels->shape);
    if (!mask)
        return NULL;
    unsigned char *out = (unsigned char *)(uintptr_t)mask->storage->data;
    const int32_t *in = values_of(labels);
    const int64_t numel = msagen_tensor_numel(labels);
    *pixels = 0;
    for (int64_t i = 0; i < numel; ++i) {
        int within = 0;
        for (size_t k = 0; k < count && !within; ++k)
            within = in[i] >= ranges[k].low && in[i] <= ranges[k].high;
        out[i] = within ? 255 : 0;
        *pixels += within;
    }
    return mask;
}

void msagen_labels_overlap(const struct msagen_tensor *a, const struct msagen_tensor *b, int64_t *both, int64_t *sum)
{
    unsigned char x[CHUNK], y[CHUNK];
    const int64_t numel = msagen_tensor_numel(a);
    *both = *sum = 0;
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_raw(a, first, count, x);
        msagen_tensor_read_raw(b, first, count, y);
        for (int64_t i = 0; i < count; ++i) {
            *both += x[i] > 127 && y[i] > 127;
            *sum += (x[i] > 127) + (y[i] > 127);
        }
    }
}
