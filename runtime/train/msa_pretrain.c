/* SPDX-License-Identifier: 0BSD */
/* msa_pretrain.c - losses of pre-training and their gradients. */
#ifndef MSA_TRAIN_FLOAT64 /* which brings its own arithmetic */
#include "msa_runtime.h"
#include "msa_train_arith.h"
#endif
#include "msa_pretrain.h"

#define PRETRAIN_LANES 16u
#define LEAST_NORM ((msa_real)1e-12)

/* The fixed tree of sixteen partial sums. */
static msa_real lanes_sum(msa_real part[PRETRAIN_LANES])
{
    for (uint32_t half = PRETRAIN_LANES / 2u; half > 0u; half /= 2u) {
        for (uint32_t i = 0; i < half; ++i) {
            part[i] = part[i] + part[i + half];
        }
    }
    return part[0];
}

static bool rows_bounded(const msa_real *x, size_t stride, uint32_t rows, uint32_t width)
{
    for (uint32_t r = 0; r < rows; ++r) {
        for (uint32_t i = 0; i < width; ++i) {
            if (!msa_is_bounded(x[r * stride + i])) {
                return false;
            }
        }
    }
    return true;
}

/* How many of these are not 0; SIZE_MAX where one is neither 0 nor 1. */
static size_t marks_of(const uint8_t *marks, uint32_t places)
{
    size_t count = 0;
    for (uint32_t i = 0; i < places; ++i) {
        if (marks[i] > 1u) {
            return SIZE_MAX;
        }
        count += marks[i];
    }
    return count;
}

/* ---- MAE ---- */

/* Mean, and one over the deviation's place: targets are (pixel - mean) / root. */
typedef struct patch_scale {
    msa_real mean, root;
} patch_scale;

static const msa_real *colour_of(const msa_reconstruction *in, uint32_t place, uint32_t colour)
{
    return in->patches + ((size_t)colour * in->places + place) * in->patch_stride;
}

static patch_scale scale_of(const msa_reconstruction *in, uint32_t place)
{
    const msa_real count = (msa_real)(3u * in->pixels);
    msa_real part[PRETRAIN_LANES] = {0};
    patch_scale s;
    for (uint32_t colour = 0; colour < 3u; ++colour) {
        const msa_real *const x = colour_of(in, place, colour);
        for (uint32_t i = 0; i < in->pixels; ++i) {
            const uint32_t j = (colour * in->pixels + i) % PRETRAIN_LANES;
            part[j] = part[j] + x[i];
        }
    }
    s.mean = lanes_sum(part) / count;
    for (uint32_t j = 0; j < PRETRAIN_LANES; ++j) {
        part[j] = 0;
    }
    for (uint32_t colour = 0; colour < 3u; ++colour) {
        const msa_real *const x = colour_of(in, place, colour);
        for (uint32_t i = 0; i < in->pixels; ++i) {
            const uint32_t j = (colour * in->pixels + i) % PRETRAIN_LANES;
            const msa_real d = x[i] - s.mean;
            part[j] = msa_fma(d, d, part[j]);
        }
    }
    s.root = msa_sqrt(lanes_sum(part) / (count - 1) + (msa_real)1e-6);
    return s;
}

/* The mean over a patch's pixels of the error's square; the gradient gets the error times a factor. */
static double patch_error(const msa_reconstruction *in, uint32_t place, msa_real factor, msa_real *gradient)
{
    const msa_real *const prediction = in->prediction + place * in->stride;
    const patch_scale s = scale_of(in, place);
    msa_real part[PRETRAIN_LANES] = {0};
    for (uint32_t i = 0; i < in->pixels; ++i) {
        for (uint32_t colour = 0; colour < 3u; ++colour) {
            const uint32_t at = i * 3u + colour, j = at % PRETRAIN_LANES;
            const msa_real error = prediction[at] - (colour_of(in, place, colour)[i] - s.mean) / s.root;
            part[j] = msa_fma(error, error, part[j]);
            gradient[at] = error * factor;
        }
    }
    return (double)(lanes_sum(part) / (msa_real)(3u * in->pixels));
}

msa_status msa_reconstruction_loss(const msa_reconstruction *in, msa_real *gradient, double *value)
{
    if (in == NULL || gradient == NULL || value == NULL || in->prediction == NULL || in->patches == NULL
        || in->removed == NULL || in->places < 1u || in->places > 1048576u || in->pixels < 1u || in->pixels > 65536u
        || in->stride < 3u * (size_t)in->pixels || in->patch_stride < in->pixels) {
        return MSA_E_ARGUMENT;
    }
    const size_t count = marks_of(in->removed, in->places);
    if (count == 0 || count == SIZE_MAX) {
        return MSA_E_ARGUMENT;
    }
    if (!rows_bounded(in->prediction, in->stride, in->places, 3u * in->pixels)) {
        return MSA_E_NAN;
    }
    const msa_real factor = (msa_real)(2.0 / ((double)count * (3.0 * (double)in->pixels)));
    double sum = 0.0;
    for (uint32_t place = 0; place < in->places; ++place) {
        msa_real *const row = gradient + place * in->stride;
        if (in->removed[place] != 0u) {
            sum = sum + patch_error(in, place, factor, row);
        } else {
            for (uint32_t i = 0; i < 3u * in->pixels; ++i) {
                row[i] = 0;
            }
        }
    }
    *value = sum / (double)count;
    return MSA_OK;
}

/* ---- ShED ---- */

msa_status msa_moved_loss(const msa_real *prediction, size_t stride, const uint8_t *moved, uint32_t places,
                          msa_real *gradient, double *value)
{
    if (prediction == NULL || moved == NULL || gradient == NULL || value == NULL || places < 1u || places > 1048576u
        || stride < 2u || marks_of(moved, places) == SIZE_MAX) {
        return MSA_E_ARGUMENT;
    }
    if (!rows_bounded(prediction, stride, places, 2)) {
        return MSA_E_NAN;
    }
    const msa_real factor = (msa_real)(1.0 / (double)places);
    double sum = 0.0;
    for (uint32_t place = 0; place < places; ++place) {
        const msa_real *const row = prediction + place * stride;
        const msa_real x = row[1] - row[0], e = msa_exp(x < 0 ? x : -x), whole = 1 + e;
        const msa_real p = (x < 0 ? e : 1) / whole, q = (x < 0 ? 1 : e) / whole;
        const bool is_moved = moved[place] != 0u;
        sum = sum + (double)(msa_log1p(e) + msa_max(is_moved ? -x : x, 0));
        const msa_real dx = (is_moved ? -q : p) * factor;
        gradient[place * stride] = -dx;
        gradient[place * stride + 1u] = dx;
    }
    *value = sum / (double)places;
    return MSA_OK;
}

/* ---- e-Mix ---- */

/* Memory of a batch: features of length 1, their lengths before, a row of the batch. */
typedef struct mixture_work {
    msa_real *mixed, *plain, *norms, *row; /* norms: of mixed, then of plain */
} mixture_work;

static void normalise(const msa_real *x, uint32_t width, msa_real *to, msa_real *norm)
{
    msa_real sum = 0;
    for (uint32_t i = 0; i < width; ++i) {
        sum = msa_fma(x[i], x[i], sum);
    }
    const msa_real root = msa_sqrt(sum);
    *norm = root;
    for (uint32_t i = 0; i < width; ++i) {
        to[i] = x[i] / (root < LEAST_NORM ? LEAST_NORM : root);
    }
}

/* The gradient of what was normalised, of the gradient g of the result; in its place. */
static void normalise_back(const msa_real *result, uint32_t width, msa_real norm, msa_real *g)
{
    msa_real along = 0;
    for (uint32_t i = 0; i < width && !(norm < LEAST_NORM); ++i) {
        along = msa_fma(result[i], g[i], along);
    }
    for (uint32_t i = 0; i < width; ++i) {
        g[i] = msa_fma(-along, result[i], g[i]) / (norm < LEAST_NORM ? LEAST_NORM : norm);
    }
}

/* ln x, x >= 1. */
static double ln_of(msa_real x)
{
    double halvings = 0.0;
    while (x >= 2) {
        x = x * (msa_real)0.5;
        halvings = halvings + 1.0;
    }
    return halvings * 0.69314718055994530942 + (double)msa_log1p(x - 1);
}

/* Of mixture i: its part of the value; gradients of both kinds of features of length 1 are added. */
static double mixture_of(const msa_mixture *in, uint32_t i, const mixture_work *w, msa_real *dmixed, msa_real *dplain)
{
    const msa_real scale = (msa_real)(1.0 / in->temperature);
    const msa_real *const a = w->mixed + (size_t)i * in->width;
    const msa_real own = (msa_real)in->shares[i], other = (msa_real)(1.0 - in->shares[i]);
    msa_real most = 0, sum = 0;
    for (uint32_t j = 0; j < in->batch; ++j) {
        const msa_real *const b = w->plain + (size_t)j * in->width;
        msa_real s = 0;
        for (uint32_t k = 0; k < in->width; ++k) {
            s = msa_fma(a[k], b[k], s);
        }
        w->row[j] = s * scale;
        most = j == 0u || w->row[j] > most ? w->row[j] : most;
    }
    const double to_own = (double)w->row[i] - (double)most, to_other = (double)w->row[in->partners[i]] - (double)most;
    for (uint32_t j = 0; j < in->batch; ++j) {
        w->row[j] = msa_exp(w->row[j] - most);
        sum = sum + w->row[j];
    }
    for (uint32_t j = 0; j < in->batch; ++j) {
        const msa_real target = (j == i ? own : 0) + (j == in->partners[i] ? other : 0);
        const msa_real ds = (w->row[j] / sum - target) * scale;
        for (uint32_t k = 0; k < in->width; ++k) {
            dmixed[k] = msa_fma(ds, w->plain[(size_t)j * in->width + k], dmixed[k]);
            dplain[(size_t)j * in->width + k] = msa_fma(ds, a[k], dplain[(size_t)j * in->width + k]);
        }
    }
    const double ln = ln_of(sum);
    return in->shares[i] * (ln - to_own) + (1.0 - in->shares[i]) * (ln - to_other);
}

static msa_status check_mixture(const msa_mixture *in)
{
    if (in->mixed == NULL || in->plain == NULL || in->shares == NULL || in->partners == NULL || in->batch < 1u
        || in->batch > 65536u || in->width < 1u || in->width > 65536u
        || !(in->temperature > 0.0 && in->temperature <= 1048576.0)) {
        return MSA_E_ARGUMENT;
    }
    for (uint32_t i = 0; i < in->batch; ++i) {
        if (!(in->shares[i] >= 0.0 && in->shares[i] <= 1.0) || in->partners[i] >= in->batch) {
            return MSA_E_ARGUMENT;
        }
    }
    return rows_bounded(in->mixed, in->width, in->batch, in->width)
        && rows_bounded(in->plain, in->width, in->batch, in->width) ? MSA_OK : MSA_E_NAN;
}

msa_status msa_mixture_loss(const msa_mixture *in, msa_real *work, msa_real *dmixed, msa_real *dplain, double *value)
{
    if (in == NULL || work == NULL || dmixed == NULL || dplain == NULL || value == NULL) {
        return MSA_E_ARGUMENT;
    }
    const msa_status status = check_mixture(in);
    if (status != MSA_OK) {
        return status;
    }
    const size_t all = (size_t)in->batch * in->width;
    const mixture_work w = {work, work + all, work + 2u * all, work + 2u * all + 2u * (size_t)in->batch};
    for (uint32_t i = 0; i < in->batch; ++i) {
        normalise(in->mixed + (size_t)i * in->width, in->width, w.mixed + (size_t)i * in->width, &w.norms[i]);
        normalise(in->plain + (size_t)i * in->width, in->width, w.plain + (size_t)i * in->width,
            &w.norms[in->batch + i]);
    }
    for (size_t k = 0; k < all; ++k) {
        dmixed[k] = 0;
        dplain[k] = 0;
    }
    double sum = 0.0;
    for (uint32_t i = 0; i < in->batch; ++i) {
        sum = sum + mixture_of(in, i, &w, dmixed + (size_t)i * in->width, dplain);
    }
    for (uint32_t i = 0; i < in->batch; ++i) {
        const size_t at = (size_t)i * in->width;
        normalise_back(w.mixed + at, in->width, w.norms[i], dmixed + at);
        normalise_back(w.plain + at, in->width, w.norms[in->batch + i], dplain + at);
    }
    *value = sum / (double)in->batch;
    return MSA_OK;
}

#ifndef MSA_TRAIN_FLOAT64
bool msa_pretrain_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}
#endif
