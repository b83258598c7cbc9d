/* SPDX-License-Identifier: Apache-2.0 */
/* msa_freertos.c - the product under FreeRTOS: an interrupt notifies a task that lines have come, the task works on
 * them and hands out findings by a queue. For FreeRTOS 10 or later with configUSE_TASK_NOTIFICATIONS and a port that
 * saves the float unit's registers of this task (portTASK_USES_FLOATING_POINT, or a port that always does).
 * FreeRTOS was not at hand when this was written: it was compiled against the few declarations that it uses. */
#include "FreeRTOS.h"
#include "task.h"
#include "queue.h"

#include "product.h"

/* As msagen sizes says of msa_encode_samples, and a third more; in words. */
#define STACK_WORDS (8u * 1024u / sizeof(StackType_t))

extern const unsigned char msa_weights[], msa_weights_end[];

/* The converter's two halves, and which frame they are of; filled by DMA. */
static unsigned char halves[2][LINES_AT_A_TIME * MSA_FRONT_LINE_BYTES];
static volatile uint32_t filled;

static StackType_t stack[STACK_WORDS];
static StaticTask_t task_memory;
static StaticQueue_t queue_memory;
static uint8_t queue_storage[2 * sizeof(finding)];
static TaskHandle_t task;
static QueueHandle_t findings;

void machine_alive(void)
{
    taskYIELD(); /* tasks of the same priority; the watchdog's own task has a higher one */
}

/* The DMA's interrupt: half `which` is full. */
void converter_full_from_isr(uint32_t which)
{
    BaseType_t woken = pdFALSE;
    filled = which & 1u;
    vTaskNotifyGiveFromISR(task, &woken);
    portYIELD_FROM_ISR(woken);
}

static void work(void *nothing)
{
    (void)nothing;
    if (product_start(msa_weights, (size_t)(msa_weights_end - msa_weights)) != MSA_OK) {
        vTaskSuspend(NULL); /* the product shows that it does not work */
    }
    for (;;) {
        finding found;
        bool whole;
        (void)ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        const msa_status status = product_take(halves[filled], &whole, &found);
        if (status == MSA_E_CRC) {
            vTaskSuspend(NULL);
        } else if (whole && status == MSA_OK) {
            (void)xQueueSend(findings, &found, 0);
        }
    }
}

/* Before the scheduler starts. @return where findings come out */
QueueHandle_t msa_freertos_start(UBaseType_t priority)
{
    findings = xQueueCreateStatic(2, sizeof(finding), queue_storage, &queue_memory);
    task = xTaskCreateStatic(work, "msa", STACK_WORDS, NULL, priority, stack, &task_memory);
    return findings;
}
