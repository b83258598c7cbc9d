/* SPDX-License-Identifier: Apache-2.0 */
/* Of Zephyr 3 the declarations that demo/product/zephyr uses, written from its documentation. */
#ifndef KERNEL_H
#define KERNEL_H
#include <stddef.h>
#include <stdint.h>
struct k_sem { void *words[8]; };
struct k_msgq { void *words[16]; };
typedef struct k_timeout_t { int64_t ticks; } k_timeout_t;
#define K_FOREVER ((k_timeout_t){-1})
#define K_NO_WAIT ((k_timeout_t){0})
#define K_FP_REGS 2u
#define K_SEM_DEFINE(name, initial, limit) struct k_sem name = {{0}}
#define K_MSGQ_DEFINE(name, size, count, align) static char name##_memory[(size) * (count)]; \
    struct k_msgq name = {{name##_memory}}
typedef void (*k_thread_entry_t)(void *, void *, void *);
struct k_thread_made { k_thread_entry_t entry; void *p[3]; int priority; unsigned options; int delay; size_t stack; };
#define K_THREAD_DEFINE(name, stack_size, entry, p1, p2, p3, priority, options, delay) \
    const struct k_thread_made name = {entry, {p1, p2, p3}, priority, options, delay, stack_size}
int k_sem_take(struct k_sem *sem, k_timeout_t timeout);
void k_sem_give(struct k_sem *sem);
int k_msgq_put(struct k_msgq *queue, const void *data, k_timeout_t timeout);
void k_yield(void);
#endif
