/* SPDX-License-Identifier: Apache-2.0 */
/* From stored numbers to grey levels: the modality and VOI transformations of DICOM PS3.3 C.11.1 and C.11.2. */
#include "display.h"

#include <math.h>

enum { CHUNK = 4096 };

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

static double looked_up(const struct msagen_table *t, double value)
{
    return t->entries[(size_t)clamp(trunc(value) - t->first, 0, (double)(t->count - 1))];
}

double msagen_modality_of(const struct msagen_modality *m, double stored)
{
    return m->table.count ? looked_up(&m->table, stored) : stored * m->slope + m->intercept;
}

static double grey_of(const struct msagen_voi *voi, double x)
{
    const double c = voi->a, w = voi->b;
    switch (voi->kind) {
    case MSAGEN_VOI_TABLE:
        return clamp(looked_up(&voi->table, x) / voi->most, 0, 1) * 255;
    case MSAGEN_VOI_RANGE:
        return clamp((x - c) / (w > c ? w - c : 1), 0, 1) * 255;
    case MSAGEN_VOI_LINEAR:
        return w <= 1 ? (x <= c - 0.5 ? 0 : 255) : clamp((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1) * 255;
    case MSAGEN_VOI_LINEAR_EXACT:
        return w <= 0 ? (x <= c ? 0 : 255) : clamp((x - c) / w + 0.5, 0, 1) * 255;
    default:
        return w <= 0 ? (x <= c ? 0 : 255) : 255 / (1 + exp(-4 * (x - c) / w));
    }
}

double msagen_voi_of(const struct msagen_voi *voi, double x)
{
    const double y = grey_of(voi, x);
    return voi->inverted ? 255 - y : y;
}

void msagen_display_grey(const struct msagen_tensor *t, int64_t first, int64_t count, const struct msagen_modality *m,
                         const struct msagen_voi *voi, unsigned char *out)
{
    double values[CHUNK];
    for (int64_t done = 0; done < count; done += CHUNK) {
        const int64_t n = count - done < CHUNK ? count - done : CHUNK;
        msagen_tensor_read_f64_range(t, first + done, n, values);
        for (int64_t i = 0; i < n; ++i) {
            const double y = floor(msagen_voi_of(voi, msagen_modality_of(m, values[i])) + 0.5);
            out[done + i] = y > 0 ? (unsigned char)y : 0; /* a NaN, too, is 0 */
        }
    }
}

void msagen_display_modality(const struct msagen_tensor *t, int64_t first, int64_t count,
                             const struct msagen_modality *m, double *out)
{
    msagen_tensor_read_f64_range(t, first, count, out);
    for (int64_t i = 0; i < count; ++i)
        out[i] = msagen_modality_of(m, out[i]);
}

int64_t msagen_display_range(const struct msagen_tensor *t, int64_t first, int64_t count,
                             const struct msagen_modality *m, double from, double to, double *low, double *high)
{
    double values[CHUNK];
    int64_t used = 0;
    for (int64_t done = 0; done < count; done += CHUNK) {
        const int64_t n = count - done < CHUNK ? count - done : CHUNK;
        msagen_tensor_read_f64_range(t, first + done, n, values);
        for (int64_t i = 0; i < n; ++i) {
            if (values[i] >= from && values[i] <= to)
                continue;
            const double x = msagen_modality_of(m, values[i]);
            *low = x < *low ? x : *low;
            *high = x > *high ? x : *high;
            ++used;
        }
    }
    return used;
}
