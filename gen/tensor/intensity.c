/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of measured values as a network's numbers: statistics, and a rule for each voxel. */
#include "intensity.h"

#include "tensor_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 4096,
    DIGITS = 16, /* of a value's 64 bits that one pass tells apart */
    BINS = 1 << DIGITS,
    RANKS = 2 * MSAGEN_PERCENTILES
};

/* ---- values ---- */

void msagen_volume_read(const struct msagen_volume *volume, int64_t first, int64_t count, double *out)
{
    msagen_tensor_read_f64_range(volume->stored, first, count, out);
    for (int64_t i = 0; i < count; ++i)
        out[i] = volume->slope * out[i] + volume->intercept;
}

double msagen_volume_at(const struct msagen_volume *volume, int64_t place)
{
    return volume->slope * msagen_tensor_at_place(volume->stored, place) + volume->intercept;
}

/* ---- statistics ---- */

/* Goes through a volume chunk by chunk. */
struct reader {
    const struct msagen_volume *volume;
    int64_t first, numel, count;
    double values[CHUNK];
};

static void reader_start(struct reader *r, const struct msagen_volume *volume)
{
    r->volume = volume;
    r->first = r->count = 0;
    r->numel = msagen_tensor_numel(volume->stored);
}

static int reader_next(struct reader *r)
{
    r->first += r->count;
    const int64_t left = r->numel - r->first;
    r->count = left < CHUNK ? left : CHUNK;
    if (r->count > 0)
        msagen_volume_read(r->volume, r->first, r->count, r->values);
    return r->count > 0;
}

static int counts(double value, enum msagen_voxels voxels)
{
    return isfinite(value) && (voxels == MSAGEN_VOXELS_ALL || value > 0);
}

/* Neumaier's sum: what a plain sum loses is kept beside it. */
struct sum {
    double value, lost;
};

static void add(struct sum *sum, double x)
{
    const double next = sum->value + x;
    sum->lost += fabs(sum->value) >= fabs(x) ? (sum->value - next) + x : (x - next) + sum->value;
    sum->value = next;
}

struct msagen_range msagen_intensity_range(const struct msagen_volume *volume, enum msagen_voxels voxels)
{
    struct msagen_range found = {.low = INFINITY, .high = -INFINITY};
    struct sum sum = {0, 0};
    struct reader r;
    for (reader_start(&r, volume); reader_next(&r);)
        for (int64_t i = 0; i < r.count; ++i) {
            const double v = r.values[i];
            found.nans += isnan(v) != 0;
            found.infinite += isinf(v) != 0;
            if (!counts(v, voxels))
                continue;
            ++found.counted;
            found.low = v < found.low ? v : found.low;
            found.high = v > found.high ? v : found.high;
            add(&sum, v);
        }
    if (!found.counted)
        found.low = found.high = 0;
    else
        found.mean = (sum.value + sum.lost) / (double)found.counted;
    return found;
}

double msagen_intensity_deviation(const struct msagen_volume *volume, double mean)
{
    struct sum sum = {0, 0};
    int64_t counted = 0;
    struct reader r;
    for (reader_start(&r, volume); reader_next(&r);)
        for (int64_t i = 0; i < r.count; ++i)
            if (isfinite(r.values[i])) {
                const double off = r.values[i] - mean;
                ++counted;
                add(&sum, off * off);
            }
    return counted ? sqrt((sum.value + sum.lost) / (double)counted) : 0;
}

int msagen_intensity_box(const struct msagen_volume *volume, float above, int64_t first[3], int64_t size[3])
{
    const int64_t *shape = volume->stored->shape;
    int64_t low[3] = {shape[0], shape[1], shape[2]}, high[3] = {-1, -1, -1};
    struct reader r;
    for (reader_start(&r, volume); reader_next(&r);)
        for (int64_t i = 0; i < r.count; ++i) {
            if (!((float)r.values[i] > above))
                continue;
            const int64_t at = r.first + i;
            const int64_t index[3] = {at / shape[2] / shape[1], at / shape[2] % shape[1], at % shape[2]};
            for (int d = 0; d < 3; ++d) {
                low[d] = index[d] < low[d] ? index[d] : low[d];
                high[d] = index[d] > high[d] ? index[d] : high[d];
            }
        }
    for (int d = 0; d < 3; ++d) {
        first[d] = low[d];
        size[d] = high[d] - low[d] + 1;
    }
    return high[0] >= 0;
}

/* ---- percentiles ---- */

/* A finite value's bits, such that larger values have larger ones; -0 is 0. */
static uint64_t key_of(double value)
{
    const double plain = value + 0.0;
    uint64_t bits;
    memcpy(&bits, &plain, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static double value_of(uint64_t key)
{
    const uint64_t bits = key >> 63 ? key & ~(UINT64_C(1) << 63) : ~key;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* What one pass counts: for each rank, the voxels that share its known leading bits, by the bits that follow. */
static void count_bins(const struct msagen_volume *volume, enum msagen_voxels voxels, const uint64_t known[RANKS],
                       int shift, uint64_t (*bins)[BINS])
{
    memset(bins, 0, sizeof(uint64_t[RANKS][BINS]));
    struct reader r;
    for (reader_start(&r, volume); reader_next(&r);)
        for (int64_t i = 0; i < r.count; ++i) {
            if (!counts(r.values[i], voxels))
                continue;
            const uint64_t key = key_of(r.values[i]);
            for (int k = 0; k < RANKS; ++k)
                if (shift == 64 - DIGITS || key >> (shift + DIGITS) == known[k])
                    ++bins[k][key >> shift & (BINS - 1)];
        }
}

/* The values that have these ranks (from 0, below the number of voxels) in the sorted list. 0, or -1: out of memory. */
static int select_ranks(const struct msagen_volume *volume, enum msagen_voxels voxels, const int64_t ranks[RANKS],
                        double out[RANKS])
{
    uint64_t(*bins)[BINS] = malloc(sizeof(uint64_t[RANKS][BINS]));
    uint64_t known[RANKS] = {0}, left[RANKS];
    if (!bins)
        return -1;
    for (int k = 0; k < RANKS; ++k)
        left[k] = (uint64_t)ranks[k];
    for (int shift = 64 - DIGITS; shift >= 0; shift -= DIGITS) {
        count_bins(volume, voxels, known, shift, bins);
        for (int k = 0; k < RANKS; ++k) {
            uint64_t bin = 0;
            for (; bin + 1 < BINS && left[k] >= bins[k][bin]; ++bin)
                left[k] -= bins[k][bin];
            known[k] = known[k] << DIGITS | bin;
        }
    }
    for (int k = 0; k < RANKS; ++k)
        out[k] = value_of(known[k]);
    free(bins);
    return 0;
}

/* Between a and b: numpy's, which starts from the nearer end. */
static double between(double a, double b, double t)
{
    const double difference = b - a;
    return t >= 0.5 ? b - difference * (1 - t) : a + difference * t;
}

int64_t msagen_intensity_percentiles(const struct msagen_volume *volume, enum msagen_voxels voxels,
                                     const double percent[MSAGEN_PERCENTILES], double out[MSAGEN_PERCENTILES])
{
    const int64_t counted = msagen_intensity_range(volume, voxels).counted;
    if (!counted)
        return 0;
    int64_t ranks[RANKS];
    double part[MSAGEN_PERCENTILES], values[RANKS];
    for (int p = 0; p < MSAGEN_PERCENTILES; ++p) {
        const double at = (double)(counted - 1) * (percent[p] / 100);
        const int64_t low = (int64_t)at < counted - 1 ? (int64_t)at : counted - 1;
        part[p] = at - (double)low;
        ranks[2 * p] = low;
        ranks[2 * p + 1] = low + 1 < counted ? low + 1 : low;
    }
    if (select_ranks(volume, voxels, ranks, values) != 0)
        return -1;
    for (int p = 0; p < MSAGEN_PERCENTILES; ++p)
        out[p] = between(values[2 * p], values[2 * p + 1], part[p]);
    return counted;
}

/* ---- rules ---- */

double msagen_scaled(const struct msagen_scaling *scaling, double value)
{
    if (isnan(value) || (scaling->keep_zero && value == 0))
        return 0;
    const double clipped = value < scaling->low ? scaling->low : value > scaling->high ? scaling->high : value;
    const double made = ((clipped - scaling->from) / scaling->over + scaling->plus) * scaling->times;
    return isnan(made) ? 0 : scaling->whole ? trunc(made) : made;
}

unsigned char msagen_scaled_byte(double value, double times)
{
    const double byte = floor(value * times + 0.5);
    return byte > 0 ? byte < 255 ? (unsigned char)byte : 255 : 0;
}
