/* SPDX-License-Identifier: Apache-2.0 */
/* How deep the stack really is: measure WEIGHTS SHIFTS. The functions of the interface are called on a stack of our own
 * that was filled with a pattern; one line each:
 * stack NAME BYTES, the most of SHIFTS calls that start at different distances from a cache line. */
#define _GNU_SOURCE
#include "msa_model.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STACK = 1 << 20, PAINT = 64 << 10, SIDE = 200, PATTERN = 0xA5 };

static _Alignas(64) unsigned char stack[STACK], arena[MSA_MODEL_ARENA_BYTES];
static unsigned char image[SIDE * SIDE * 3 * MSA_MODEL_DEPTH];
static float logits[MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE],
    iou[MSA_MODEL_DEPTH * MSA_MODEL_MASKS], row[SIDE], rows[2 * MSA_MODEL_INPUT_SIZE];
static const void *weights;
static msa_session session;
static msa_upsampler upsampler;
static size_t shifts;

static void *stack_pointer(void)
{
    void *at;
#if defined __x86_64__
    __asm__ volatile("mov %%rsp, %0" : "=r"(at));
#else
    __asm__ volatile("mov %0, sp" : "=r"(at));
#endif
    return at;
}

/* With -O2 these end in jumps, and have no frames of their own: but where a fifth argument goes onto the stack, as the
 * two idle ones tell. */
static msa_status idle(msa_session *s, void *a, size_t n, const void *w, size_t m) { return (void)s, (void)a, (void)n,
    (void)w, (void)m, MSA_OK; }
static msa_status idle_of_none(void) { return MSA_OK; }
static msa_status (*volatile five)(msa_session *, void *, size_t, const void *, size_t) = idle;
static msa_status (*volatile none)(void) = idle_of_none;
static msa_status call_idle(void) { return five(&session, arena, sizeof arena, weights, MSA_MODEL_WEIGHTS_BYTES); }
static msa_status call_idle_of_none(void) { return none(); }
static msa_status call_open(void) { return msa_open(&session, arena, sizeof arena, weights, MSA_MODEL_WEIGHTS_BYTES); }
static msa_status call_self_test(void) { return msa_self_test(&session); }
static msa_image scan; /* no part of the stack that is measured */
static msa_status call_encode(void)
{
    return msa_encode(&session, &scan);
}
static msa_status call_segment(void)
{
    static const float points[1][2] = {{99.0f, 99.0f}}, box[1][4] = {{20.0f, 30.0f, 150.0f, 160.0f}};
    static const int8_t labels[1] = {1};
    static const msa_prompt prompt = {.points = points, .labels = labels, .point_count = 1, .box = box, .slices = 1};
    static msa_mask mask = {logits, iou, 0};
    return msa_segment(&session, &prompt, &mask);
}
static void call_upsample_row(void) { msa_upsample_row(&upsampler, 77, row); }

/* What a call used below this function; the return address counts where the processor puts it on the stack. */
static __attribute__((noinline)) size_t used_by(msa_status (*call)(void), void (*other)(void), size_t shift)
{
    volatile unsigned char room[shift + 1];
    room[shift] = 0;
    unsigned char *const top = stack_pointer();
    volatile unsigned char *p = top - PAINT;
    while (p < top)
        *p++ = PATTERN;
    msa_status status = MSA_OK;
    if (other)
        other();
    else
        status = call();
    if (status != MSA_OK) {
        fprintf(stderr, "measure: status %d: %s\n", (int)status, msa_status_text(status));
        return SIZE_MAX;
    }
    p = top - PAINT;
    while (*p == PATTERN)
        ++p;
    return (size_t)(top - p) + room[shift];
}

static void *measure(void *unused)
{
    static const struct { const char *name; msa_status (*call)(void); void (*other)(void); } calls[] = {
        {"open", call_open, NULL}, {"self_test", call_self_test, NULL}, {"encode", call_encode, NULL},
            {"segment", call_segment, NULL}, {"upsample_row", NULL, call_upsample_row},
    };
    static unsigned char failed;
    (void)unused;
    memset(&session, 0, sizeof session);
    scan = msa_rgb(image, SIDE, SIDE);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i) {
        size_t most = 0;
        if (calls[i].other)
            msa_upsample_init(&upsampler, logits, MSA_MODEL_MASK_SIDE, MSA_MODEL_INPUT_SIZE, SIDE, SIDE, rows);
        for (size_t shift = 0; shift < shifts; shift += 16) {
            const size_t used = used_by(calls[i].call, calls[i].other, shift);
            most = used > most ? used : most;
        }
        failed |= most == SIZE_MAX;
        if (calls[i].call == call_open)
            most -= used_by(call_idle, NULL, 0) - used_by(call_idle_of_none, NULL, 0);
        printf("stack %s %zu\n", calls[i].name, most);
    }
    return failed ? &failed : NULL;
}

int main(int argc, char **argv)
{
    const int file = argc == 3 ? open(argv[1], O_RDONLY) : -1;
    weights = file < 0 ? MAP_FAILED : mmap(NULL, MSA_MODEL_WEIGHTS_BYTES, PROT_READ, MAP_PRIVATE, file, 0);
    if (weights == MAP_FAILED) {
        fprintf(stderr, "usage: measure WEIGHTS SHIFTS\n");
        return 2;
    }
    shifts = 16 * (size_t)strtoul(argv[2], NULL, 10);
    for (size_t i = 0; i < sizeof image; ++i)
        image[i] = (unsigned char)(i * 37u >> 3);
    pthread_t thread;
    pthread_attr_t attributes;
    void *failed = image;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, stack, sizeof stack) != 0
        || pthread_create(&thread, &attributes, measure, NULL) != 0 || pthread_join(thread, &failed) != 0)
        return 1;
    return failed != NULL;
}
