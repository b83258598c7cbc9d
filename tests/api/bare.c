/* SPDX-License-Identifier: Apache-2.0 */
/* A product without an operating system and without a C library, its weights linked and read where they are; compiled for the workstation it says what
 * the results' CRC is. bare.c for a board: -DEXPECTED=CRC, linked with start-up code, model and weights alone. It ends by semihosting, and prints how
 * deep the stack became. */
#include "msa_model.h"
#include "msa_runtime.h"

#define WIDTH 150
#define HEIGHT 100

extern const unsigned char msa_weights[], msa_weights_end[];

static unsigned char arena[MSA_MODEL_ARENA_BYTES] __attribute__((aligned(MSA_ALIGNMENT)));
static float logits[MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE], iou[MSA_MODEL_DEPTH * MSA_MODEL_MASKS];
static uint8_t pixels[3 * WIDTH * HEIGHT];
static float rows[2 * MSA_MODEL_INPUT_SIZE], row[WIDTH];

/* The results' CRC, or what failed. */
static msa_status perform(uint32_t *crc)
{
    msa_session s;
    uint32_t noise = 7;
    for (size_t i = 0; i < sizeof pixels; ++i) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(i / 3 % WIDTH + (noise >> 26));
    }
    const msa_image image = {pixels, WIDTH, HEIGHT, 3 * WIDTH, 0};
    const float click[1][2] = {{70.0f, 40.0f}}, box[1][4] = {{10.0f, 20.0f, 120.0f, 90.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {.points = click, .labels = label, .point_count = 1, .box = box, .slices = 1, .multimask = true};
    msa_mask mask = {logits, iou, 0};
    msa_upsampler enlarge;
    *crc = 0;
    msa_status status = msa_open(&s, arena, sizeof arena, msa_weights, (size_t)(msa_weights_end - msa_weights));
    if (status == MSA_OK) {
        status = msa_self_test(&s);
    }
    if (status == MSA_OK) {
        status = msa_encode(&s, &image);
    }
    if (status == MSA_OK) {
        status = msa_segment(&s, &prompt, &mask);
    }
    if (status != MSA_OK) {
        return status;
    }
    *crc = msa_crc32c(*crc, logits, sizeof(float) * mask.masks * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE);
    *crc = msa_crc32c(*crc, iou, sizeof(float) * mask.masks);
    msa_upsample_init(&enlarge, logits, MSA_MODEL_MASK_SIDE, MSA_MODEL_RESIZE_LONGEST ? MSA_MODEL_INPUT_SIZE : 0, WIDTH, HEIGHT, rows);
    for (uint32_t y = 0; y < HEIGHT; ++y) {
        msa_upsample_row(&enlarge, y, row);
        *crc = msa_crc32c(*crc, row, sizeof row);
    }
    return MSA_OK;
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
extern unsigned char msa_stack[];

static void host(int operation, const void *parameters)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void finish(uint32_t status)
{
    const uint32_t block[2] = {0x20026, status};
    host(0x20, block);
}

void msa_fault(void);
void msa_fault(void)
{
    finish(99);
}

/* The stack below here is painted, and looked at afterwards. */
int main(void)
{
    enum { PAINT = 0xa5 };
    unsigned char *const here = (unsigned char *)__builtin_frame_address(0) - 64;
    for (volatile unsigned char *p = msa_stack; p < here; ++p) {
        *p = PAINT;
    }
    uint32_t crc;
    const msa_status status = perform(&crc);
    const unsigned char *deepest = msa_stack;
    while (deepest < here && *deepest == PAINT) {
        ++deepest;
    }
    char text[] = "stack 000000\n";
    size_t used = (size_t)(here - deepest);
    for (char *digit = text + 11; digit >= text + 6; --digit, used /= 10u) {
        *digit = (char)('0' + used % 10u);
    }
    host(0x04, text);
    finish(status != MSA_OK ? (uint32_t)status : crc != EXPECTED ? 98u : 0u);
    return 0;
}
#endif
