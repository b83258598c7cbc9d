/* SPDX-License-Identifier: 0BSD */
/* msa_optimiser.c - one step of Adam or AdamW. Blocks of a constant length, so that compilers take vectors. */
#ifndef MSA_TRAIN_FLOAT64 /* which brings its own arithmetic, and the squares */
#include "msa_arith.h"
#endif
#include "msa_optimiser.h"

#define BLOCK 64u
#define LANES 16u
#define CHUNK 65536u /* elements whose squares, each at most 2^44, are summed in 64 bits */

/* Moments smaller in magnitude are 0: vectors that met subnormals would be slow, or flush them. */
#define LEAST ((msa_real)0x1p-100)

/* Parameters smaller in magnitude are 0, as weights are in a blob; of float64 none are. */
#ifndef MSA_TRAIN_FLOAT64
#define LEAST_VALUE 0x1p-60f
#else
#define LEAST_VALUE 0.0
#endif

/* Gradients are smaller, or no square is a float; what counts as the largest where one is no number. */
#define LIMIT ((msa_real)0x1p60)
#define NO_NUMBER ((msa_real)0x1p126)

/* Powers of beta below it are 0: 1 less them is 1. */
#define LEAST_POWER 0x1p-100

static msa_real magnitude(msa_real x)
{
    return x < 0 ? -x : x;
}

#ifndef MSA_TRAIN_FLOAT64
/* Magnitudes are in the order of their bits, and what is no finite number comes last. */
void msa_squares_largest(msa_squares *squares, const float *gradient, size_t count)
{
    uint32_t most[LANES] = {0};
    size_t at = 0u;
    for (; at + LANES <= count; at += LANES) {
        for (size_t j = 0; j < LANES; ++j) {
            const uint32_t a = msa_bits(gradient[at + j]) & 0x7fffffffu;
            most[j] = a > most[j] ? a : most[j];
        }
    }
    for (size_t j = 0; at + j < count; ++j) {
        const uint32_t a = msa_bits(gradient[at + j]) & 0x7fffffffu;
        most[j] = a > most[j] ? a : most[j];
    }
    for (size_t j = 0; j < LANES; ++j) {
        const float a = msa_from_bits(most[j] < msa_bits(NO_NUMBER) ? most[j] : msa_bits(NO_NUMBER));
        squares->largest = a > squares->largest ? a : squares->largest;
    }
}

/* The power of two that brings the largest to [2^21, 2^22): its exponent. */
static int32_t exponent_of(float largest)
{
    return 21 - ((int32_t)(msa_bits(largest) >> 23) - 127);
}

static float power_of_two(int32_t exponent)
{
    return msa_from_bits((uint32_t)(exponent + 127) << 23);
}

static int64_t square_of(float x, float scale)
{
    const int32_t whole = (int32_t)((x * scale + MSA_EXP_ROUND) - MSA_EXP_ROUND);
    return (int64_t)whole * whole;
}

/* Elements become whole numbers of 22 bits, whose squares are summed as such: no order matters. */
void msa_squares_add(msa_squares *squares, const float *gradient, size_t count)
{
    if (!(squares->largest >= LEAST && squares->largest < LIMIT)) {
        return;
    }
    const float scale = power_of_two(exponent_of(squares->largest));
    for (size_t from = 0; from < count; from += CHUNK) {
        const float *const x = gradient + from;
        const size_t some = count - from < CHUNK ? count - from : CHUNK;
        int64_t lane[LANES] = {0}, sum = 0;
        size_t at = 0u;
        for (; at + LANES <= some; at += LANES) {
            for (size_t j = 0; j < LANES; ++j) {
                lane[j] += square_of(x[at + j], scale);
            }
        }
        for (size_t j = 0; at + j < some; ++j) {
            lane[j] += square_of(x[at + j], scale);
        }
        for (size_t j = 0; j < LANES; ++j) {
            sum += lane[j];
        }
        squares->low += (uint64_t)sum & 0xffffffffu;
        squares->high += (uint64_t)sum >> 32;
    }
}

/* 0 to 2^53, without the compiler's function for it. */
static double exactly(uint64_t x)
{
    return (double)(uint32_t)(x >> 32) * 4294967296.0 + (double)(uint32_t)x;
}

msa_real msa_squares_norm(const msa_squares *squares)
{
    if (!(squares->largest >= LEAST && squares->largest < LIMIT)) {
        return squares->largest < LEAST ? 0.0f : squares->largest;
    }
    const double sum = exactly(squares->high) * 4294967296.0 + exactly(squares->low);
    return msa_sqrt((float)sum) * power_of_two(-exponent_of(squares->largest));
}

/* x = sqrt(x) of BLOCK elements, correctly rounded. */
static void roots(float x[BLOCK])
{
#if defined(__SSE2__)
    for (size_t j = 0; j < BLOCK; j += 4u) {
        _mm_storeu_ps(x + j, _mm_sqrt_ps(_mm_loadu_ps(x + j)));
    }
#elif defined(__aarch64__)
    for (size_t j = 0; j < BLOCK; j += 4u) {
        vst1q_f32(x + j, vsqrtq_f32(vld1q_f32(x + j)));
    }
#else
    for (size_t j = 0; j < BLOCK; ++j) {
        x[j] = msa_sqrt(x[j]);
    }
#endif
}
#endif

/* beta^(n+1) of beta^n. */
static double next_power(double power, double beta)
{
    const double next = power * beta;
    return next < LEAST_POWER ? 0.0 : next;
}

void msa_steps_at(msa_steps *steps, const msa_optimiser *rule, uint64_t done)
{
    steps->done = done;
    steps->power1 = 1.0;
    steps->power2 = 1.0;
    for (uint64_t i = 0; i < done && (steps->power1 > 0.0 || steps->power2 > 0.0); ++i) {
        steps->power1 = next_power(steps->power1, rule->beta1);
        steps->power2 = next_power(steps->power2, rule->beta2);
    }
}

static bool within(double x, double least, double most)
{
    return x >= least && x <= most;
}

static bool is_rule(const msa_optimiser *rule)
{
    return (rule->kind == MSA_ADAM || rule->kind == MSA_ADAMW) && within(rule->lr, 0.0, 1024.0)
        && within(rule->beta1, 0.0, 1.0 - 0x1p-24) && within(rule->beta2, 0.0, 1.0 - 0x1p-24)
        && within(rule->eps, 1e-30, 1.0) && within(rule->decay, 0.0, 1024.0)
        && (within(rule->clip, 0.0, 0.0) || within(rule->clip, 1e-30, 1e30));
}

msa_status msa_update_begin(const msa_optimiser *rule, msa_steps *steps, double scale, const msa_squares *squares,
                            msa_update *update, msa_real *norm)
{
    if (rule == NULL || steps == NULL || squares == NULL || update == NULL || !is_rule(rule) || !(scale > 0.0)
        || scale > 1.0) {
        return MSA_E_ARGUMENT;
    }
    const msa_real all = msa_squares_norm(squares) * (msa_real)scale;
    if (!(squares->largest < LIMIT)) {
        return MSA_E_NAN;
    }
    steps->power1 = next_power(steps->power1, rule->beta1);
    steps->power2 = next_power(steps->power2, rule->beta2);
    steps->done += 1u;
    update->scale = (msa_real)scale;
    update->shrink = 1;
    if (rule->clip > 0.0) {
        update->shrink = msa_min((msa_real)rule->clip / (all + (msa_real)1e-6), 1);
    }
    update->decay = rule->kind == MSA_ADAM ? (msa_real)rule->decay : 0;
    update->beta1 = (msa_real)rule->beta1;
    update->rest1 = (msa_real)(1.0 - rule->beta1);
    update->beta2 = (msa_real)rule->beta2;
    update->rest2 = (msa_real)(1.0 - rule->beta2);
    update->root2 = msa_sqrt((msa_real)(1.0 - steps->power2));
    update->eps = (msa_real)rule->eps;
    update->step = (msa_real)(rule->lr / (1.0 - steps->power1));
    update->keep = rule->kind == MSA_ADAMW ? (msa_real)(1.0 - rule->lr * rule->decay) : 1;
    if (norm != NULL) {
        *norm = all;
    }
    return MSA_OK;
}

/* At most BLOCK elements. */
static inline void some_elements(const msa_update *u, msa_real *restrict p, const msa_real *restrict g,
                                 msa_real *restrict m, msa_real *restrict v, size_t count)
{
    msa_real root[BLOCK];
    for (size_t j = 0; j < count; ++j) {
        const msa_real gradient = msa_fma(u->decay, p[j], (g[j] * u->scale) * u->shrink);
        const msa_real first = msa_fma(u->beta1, m[j], u->rest1 * gradient);
        const msa_real second = msa_fma(u->beta2, v[j], (u->rest2 * gradient) * gradient);
        m[j] = magnitude(first) < LEAST ? 0 : first;
        v[j] = second < LEAST ? 0 : second;
        root[j] = v[j];
    }
    for (size_t j = count; j < BLOCK; ++j) {
        root[j] = 0;
    }
    roots(root);
    for (size_t j = 0; j < count; ++j) {
        const msa_real ratio = m[j] / (root[j] / u->root2 + u->eps);
        const msa_real value = msa_fma(-u->step, ratio, p[j] * u->keep);
        p[j] = magnitude(value) < LEAST_VALUE ? 0 : value;
    }
}

void msa_update_tensor(const msa_update *update, const msa_trained *tensor)
{
    msa_update own = *update;
    if (!tensor->decays) {
        own.decay = 0;
        own.keep = 1;
    }
    const size_t blocks = tensor->count / BLOCK * BLOCK;
    for (size_t at = 0; at < blocks; at += BLOCK) {
        some_elements(&own, tensor->value + at, tensor->gradient + at, tensor->first + at, tensor->second + at, BLOCK);
    }
    some_elements(&own, tensor->value + blocks, tensor->gradient + blocks, tensor->first + blocks,
                  tensor->second + blocks, tensor->count - blocks);
}

msa_status msa_optimise(const msa_optimiser *rule, msa_steps *steps, const msa_trained *tensors, size_t count,
                        double scale, msa_real *norm)
{
    if (tensors == NULL && count > 0u) {
        return MSA_E_ARGUMENT;
    }
    msa_squares squares = {0, 0u, 0u, 0.0};
    msa_update update;
    for (size_t i = 0; i < count; ++i) {
        msa_squares_largest(&squares, tensors[i].gradient, tensors[i].count);
    }
    for (size_t i = 0; i < count; ++i) {
        msa_squares_add(&squares, tensors[i].gradient, tensors[i].count);
    }
    const msa_status status = msa_update_begin(rule, steps, scale, &squares, &update, norm);
    for (size_t i = 0; status == MSA_OK && i < count; ++i) {
        msa_update_tensor(&update, &tensors[i]);
    }
    return status;
}

#ifndef MSA_TRAIN_FLOAT64
bool msa_optimiser_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}
#endif
