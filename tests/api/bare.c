/* SPDX-License-Identifier: Apache-2.0 */
/* A product without an operating system and without a C library, its weights linked and read where they are; compiled
 * for the workstation it says what the results' CRC is. bare.c for a board: -DEXPECTED=CRC, linked with start-up code,
 * model and weights alone. It ends by semihosting, and prints how deep the stack became below each function of the
 * interface, and how many ticks of the processor's timer passed, which an emulator may let go by instructions. It
 * starts twice, the second time with data that is not as the start-up code leaves it, and takes an interrupt. */
#include "msa_model.h"
#include "msa_runtime.h"

#define WIDTH 150
#define HEIGHT 100

extern const unsigned char msa_weights[], msa_weights_end[];

static unsigned char arena[MSA_MODEL_ARENA_BYTES] __attribute__((aligned(MSA_ALIGNMENT)));
static float logits[MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE],
    iou[MSA_MODEL_DEPTH * MSA_MODEL_MASKS];
static uint8_t pixels[3 * WIDTH * HEIGHT];
static float rows[2 * MSA_MODEL_INPUT_SIZE], row[WIDTH];

#if __STDC_HOSTED__
#define CALL(name, call) (call)
#else
enum { PAINT = 0xa5 };
extern unsigned char msa_stack[];
static void tell(const char *what, const char *name, size_t used);
static void timer_start(void);
static uint32_t timer_ticks(void);

/* Everything below here is painted. In the caller itself: calls begin where its stack pointer is. */
static inline __attribute__((always_inline)) unsigned char *painted(void)
{
    unsigned char *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    for (volatile unsigned char *p = msa_stack; p < top; ++p) {
        *p = PAINT;
    }
    return top;
}

static size_t used_below(const unsigned char *top)
{
    const unsigned char *deepest = msa_stack;
    while (deepest < top && *(const volatile unsigned char *)deepest == PAINT) {
        ++deepest;
    }
    return (size_t)(top - deepest);
}

#define CALL(name, call)                                                                                  \
    (top = painted(), timer_start(), status = (call), tell("ticks ", name, timer_ticks()),                    \
        tell("stack ", name, used_below(top)), status)
#endif

/* The results' CRC, or what failed. */
static __attribute__((noinline)) msa_status perform(uint32_t *crc)
{
    msa_session s;
    uint32_t noise = 7;
    for (size_t i = 0; i < sizeof pixels; ++i) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(i / 3 % WIDTH + (noise >> 26));
    }
    const msa_image image = msa_rgb(pixels, WIDTH, HEIGHT);
    float clicks[MSA_MODEL_MAX_POINTS][2];
    int8_t labels[MSA_MODEL_MAX_POINTS];
    for (int i = 0; i < MSA_MODEL_MAX_POINTS; ++i) {
        clicks[i][0] = 70.0f + 3.0f * (float)i;
        clicks[i][1] = 40.0f;
        labels[i] = (int8_t)(i % 3 != 2);
    }
    const float box[1][4] = {{10.0f, 20.0f, 120.0f, 90.0f}};
    const msa_prompt prompt = {.points = clicks, .labels = labels, .point_count = MSA_MODEL_MAX_POINTS, .box = box,
        .slices = 1, .multimask = true};
    msa_mask mask = {logits, iou, 0};
    msa_upsampler enlarge;
    msa_status status;
#if !__STDC_HOSTED__
    const unsigned char *top;
#endif
    *crc = 0;
    status = CALL("open", msa_open(&s, arena, sizeof arena, msa_weights, (size_t)(msa_weights_end - msa_weights)));
    if (status == MSA_OK) {
        status = CALL("self_test", msa_self_test(&s));
    }
    if (status == MSA_OK) {
        status = CALL("encode", msa_encode(&s, &image));
    }
    if (status == MSA_OK) {
        status = CALL("segment", msa_segment(&s, &prompt, &mask));
    }
    if (status != MSA_OK) {
        return status;
    }
    *crc = msa_crc32c(*crc, logits, sizeof(float) * mask.masks * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE);
    *crc = msa_crc32c(*crc, iou, sizeof(float) * mask.masks);
    msa_upsample_init(&enlarge, logits, MSA_MODEL_MASK_SIDE, MSA_MODEL_RESIZE_LONGEST ? MSA_MODEL_INPUT_SIZE : 0, WIDTH,
        HEIGHT, rows);
    status = CALL("upsample_row", (msa_upsample_row(&enlarge, 0, row), MSA_OK));
    for (uint32_t y = 0; y < HEIGHT; ++y) {
        msa_upsample_row(&enlarge, y, row);
        *crc = msa_crc32c(*crc, row, sizeof row);
    }
    return status;
}

#if __STDC_HOSTED__
#include <stdio.h>

int main(void)
{
    uint32_t crc;
    const msa_status status = perform(&crc);
    printf("0x%08lxu\n", (unsigned long)crc);
    return (int)status;
}
#else
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define NVIC_ISER REGISTER(0xe000e100u) /* interrupts that are let through */
#define NVIC_ISPR REGISTER(0xe000e200u) /* interrupts that are pending */
#define SYSTICK_CONTROL REGISTER(0xe000e010u)
#define SYSTICK_RELOAD REGISTER(0xe000e014u)
#define SYSTICK_VALUE REGISTER(0xe000e018u) /* counts down */
#define SYSTICK_MOST 0xffffffu
#define INITIAL 0x600df00du
#define BEGUN 0xbe90be90u
#define TURNS 1000000u

extern unsigned char msa_data[], msa_bss_end[], msa_heap[];
void msa_reset(void);
void msa_fault(void);
void tick(void);

static volatile uint32_t copied = INITIAL, zeroed, ticks;
static float rest = 1.0f;

static void host(int operation, const void *parameters)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void finish(uint32_t status)
{
    const uint32_t block[2] = {0x20026, status};
    for (;;) {
        host(0x20, block);
    }
}

static uint32_t passed, last;

static void timer_start(void)
{
    SYSTICK_RELOAD = SYSTICK_MOST;
    SYSTICK_CONTROL = 5u; /* on, by the processor's clock */
    passed = 0;
    last = SYSTICK_VALUE;
}

static uint32_t timer_ticks(void)
{
    const uint32_t now = SYSTICK_VALUE;
    passed += (last - now) & SYSTICK_MOST;
    last = now;
    return passed;
}

/* Each layer ends before the timer is round. */
int msa_progress(const msa_session *s, msa_phase phase, uint32_t layer)
{
    (void)s, (void)phase, (void)layer;
    (void)timer_ticks();
    return 0;
}

/* Two instructions a round. */
static __attribute__((noinline)) void turn(uint32_t rounds)
{
    __asm__ volatile("1: subs %0, %0, #1\n\tbne 1b" : "+r"(rounds) : : "cc");
}

static void tell(const char *what, const char *name, size_t used)
{
    char text[] = " 0000000000\n";
    for (char *digit = text + 10; digit >= text + 1; --digit, used /= 10u) {
        *digit = (char)('0' + used % 10u);
    }
    host(0x04, what);
    host(0x04, name);
    host(0x04, text);
}

void msa_fault(void)
{
    finish(99);
}

void tick(void)
{
    rest = rest / 3.0f;
    ++ticks;
}

/* Linked first, and yet behind the start-up code's own. */
__attribute__((section(".vectors.interrupts"), used)) static void (*const interrupts[1])(void) = {tick};

int main(void)
{
    volatile uint32_t *const begun = (volatile uint32_t *)(void *)msa_heap; /* where no start-up code writes */
    if (*begun != BEGUN) {
        *begun = BEGUN;
        for (volatile unsigned char *p = msa_data; p < msa_bss_end; ++p) {
            *p = PAINT;
        }
        msa_reset();
    }
    if (copied != INITIAL || zeroed != 0u) {
        finish(97);
    }
    NVIC_ISER = 1u;
    NVIC_ISPR = 1u;
    __asm__ volatile("dsb\n\tisb" : : : "memory");
    if (ticks != 1u) {
        finish(96);
    }
#if __ARM_ARCH >= 8
    const unsigned char *limit;
    __asm__ volatile("mrs %0, msplim" : "=r"(limit));
    if (limit != msa_stack) {
        finish(95);
    }
#endif
    uint32_t crc;
    timer_start();
    turn(TURNS);
    tell("ticks ", "turns", timer_ticks());
    const msa_status status = perform(&crc);
    finish(status != MSA_OK ? (uint32_t)status : crc != EXPECTED ? 98u : 0u);
    return 0;
}
#endif
