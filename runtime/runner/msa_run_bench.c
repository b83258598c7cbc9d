/* SPDX-License-Identifier: 0BSD */
/* msa_run_bench.c - the test bench's times of whole calls. */
#include "msa_run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#if ON_POSIX
double msa_run_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}
#elif !BARE
double msa_run_now_ms(void)
{
    return (double)clock() * (1e3 / (double)CLOCKS_PER_SEC);
}
#endif

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double msa_run_median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1u) / 2u] + values[count / 2u]) / 2.0;
}

msa_status msa_run_call(bool decode)
{
    const float click[1][2] = {{(float)msa_run.image.width * 0.5f, (float)msa_run.image.height * 0.5f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {click, label, 1, NULL, NULL, true, 1, false, 0};
    msa_mask result = {msa_run.logits, msa_run.iou, 0};
    return decode ? msa_run_model.segment(&msa_run.session, &prompt, &result) : msa_run_encode();
}

int msa_run_report_times(msa_status status, double *encode_ms, double *decode_ms, uint32_t count)
{
    msa_run_progress_done();
    msa_run.prompts = 0; /* the latest prompt's result is gone */
    msa_run.encoded = status == MSA_OK;
    if (status != MSA_OK) {
        return msa_run_fail("bench: %s", msa_status_text(status));
    }
    fprintf(msa_run.response, "encode_ms %.3f\n", msa_run_median(encode_ms, count));
    fprintf(msa_run.response, "decode_ms %.3f\n", msa_run_median(decode_ms, count));
    return 0;
}

/* The front end's frame again, so many times. */
static msa_status bench_front(double *front_ms, uint32_t count)
{
    msa_status status = MSA_OK;
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        const double start = msa_run_now_ms();
        status = msa_run_model.front->frame(&msa_run.session, msa_run.lines, 0);
        front_ms[i] = msa_run_now_ms() - start;
    }
    if (status == MSA_OK) {
        fprintf(msa_run.response, "front_ms %.3f\n", msa_run_median(front_ms, count));
    }
    return status;
}

int msa_run_bench(const unsigned char *p, size_t bytes)
{
    uint32_t count;
    if (bytes != sizeof count) {
        return msa_run_fail("request: short bench");
    }
    memcpy(&count, p, sizeof count);
    if (count == 0 || count > 1000000 || msa_run_need_image() != 0) {
        return msa_run_fail("request: a bench of %lu", (unsigned long)count);
    }
    double *const encode_ms = msa_run_allocate(sizeof(double) * count);
    double *const decode_ms = msa_run_allocate(sizeof(double) * count);
    if (encode_ms == NULL || decode_ms == NULL) {
        return -1;
    }
    msa_status status = msa_run.from_samples ? bench_front(encode_ms, count) : MSA_OK;
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        const double start = msa_run_now_ms();
        status = msa_run_call(false);
        encode_ms[i] = msa_run_now_ms() - start;
    }
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        const double start = msa_run_now_ms();
        status = msa_run_call(true);
        decode_ms[i] = msa_run_now_ms() - start;
    }
    return msa_run_report_times(status, encode_ms, decode_ms, count);
}
