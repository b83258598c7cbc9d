/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - the machine of the example: a converter whose lines are linked in, a screen that prints by semihosting;
 * compiled for a workstation the same with its C library. Both print the same text. */
#include "product.h"

extern const unsigned char msa_weights[], msa_weights_end[];

/* frame.npy behind its header of 128 bytes: what DMA would write, a line after the other. The linker script puts what
 * is called _weights where there is room. */
extern const unsigned char converter_frame[];
__asm__(".section .rodata.converter_weights, \"a\"\n.balign 16\n.global converter_frame\nconverter_frame:\n"
        ".incbin \"" FRAME "\", 128\n.text\n");

static volatile uint32_t fed;

void machine_alive(void)
{
    fed += 1u;
}

#if __STDC_HOSTED__
#include <stdio.h>
#include <stdlib.h>

static void say(const char *text)
{
    fputs(text, stdout);
}

static void stop(int status)
{
    exit(status);
}
#else
static void host(int operation, const void *parameters)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void say(const char *text)
{
    host(0x04, text);
}

static void stop(int status)
{
    const uint32_t block[2] = {0x20026, (uint32_t)status};
    for (;;) {
        host(0x20, block);
    }
}
#endif

static void say_number(const char *before, uint32_t n)
{
    char text[12];
    char *at = text + sizeof text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + n % 10u);
        n /= 10u;
    } while (n > 0);
    say(before);
    say(at);
}

static void require(msa_status status, const char *what)
{
    if (status != MSA_OK) {
        say(what);
        say(": ");
        say(msa_status_text(status));
        say("\n");
        stop(1);
    }
}

int main(void)
{
    finding found;
    require(product_start(msa_weights, (size_t)(msa_weights_end - msa_weights)), "start");
    bool whole = false;
    for (uint32_t line = 0; !whole; line += LINES_AT_A_TIME) {
        require(product_take(converter_frame + (size_t)line * MSA_FRONT_LINE_BYTES, &whole, &found), "frame");
    }
    uint32_t sum = 0;
    for (size_t i = 0; i < (size_t)MSA_FRONT_WIDTH * MSA_FRONT_HEIGHT; ++i) {
        sum = sum * 31u + found.picture[i];
    }
    say_number("picture ", sum);
    say_number(", area ", found.area);
    say_number(", outline of ", found.outline.count);
    say_number(" corners, first at ", found.corners[0].x);
    say_number(",", found.corners[0].y);
    say(fed > MSA_MODEL_LAYERS_ENCODE + MSA_MODEL_LAYERS_DECODE ? ", watchdog fed\n" : ", watchdog starved\n");
    stop(0);
    return 0;
}
