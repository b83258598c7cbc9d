/* SPDX-License-Identifier: Apache-2.0 */
/* msa_zephyr.c - the product as a thread of Zephyr's (3.x): an interrupt gives a semaphore when lines have come, the
 * thread works on them and puts findings into a message queue. Zephyr was not at hand when this was written: it was
 * compiled against the few declarations that it uses. */
#include <zephyr/kernel.h>

#include "product.h"

extern const unsigned char msa_weights[], msa_weights_end[];

static unsigned char halves[2][LINES_AT_A_TIME * MSA_FRONT_LINE_BYTES]; /* filled by DMA */
static volatile uint32_t filled;

K_SEM_DEFINE(msa_lines_there, 0, 2);
K_MSGQ_DEFINE(msa_findings, sizeof(finding), 2, 4);

void machine_alive(void)
{
    k_yield();
}

/* The DMA's interrupt: half `which` is full. */
void converter_full_from_isr(uint32_t which)
{
    filled = which & 1u;
    k_sem_give(&msa_lines_there);
}

static void work(void *a, void *b, void *c)
{
    (void)a;
    (void)b;
    (void)c;
    if (product_start(msa_weights, (size_t)(msa_weights_end - msa_weights)) != MSA_OK) {
        return; /* the product shows that it does not work */
    }
    for (;;) {
        finding found;
        bool whole;
        (void)k_sem_take(&msa_lines_there, K_FOREVER);
        const msa_status status = product_take(halves[filled], &whole, &found);
        if (status == MSA_E_CRC) {
            return;
        }
        if (whole && status == MSA_OK) {
            (void)k_msgq_put(&msa_findings, &found, K_NO_WAIT);
        }
    }
}

K_THREAD_DEFINE(msa_thread, CONFIG_MSA_STACK_SIZE, work, NULL, NULL, NULL, CONFIG_MSA_PRIORITY, K_FP_REGS, 0);
