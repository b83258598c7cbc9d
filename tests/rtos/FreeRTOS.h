/* SPDX-License-Identifier: Apache-2.0 */
/* Of FreeRTOS 10 the types and declarations that demo/product/freertos uses, written from its documentation. */
#ifndef FREERTOS_H
#define FREERTOS_H
#include <stddef.h>
#include <stdint.h>
typedef long BaseType_t;
typedef unsigned long UBaseType_t;
typedef uint32_t StackType_t, TickType_t;
typedef struct StaticTask_t { void *words[32]; } StaticTask_t;
typedef struct StaticQueue_t { void *words[16]; } StaticQueue_t;
#define pdFALSE ((BaseType_t)0)
#define pdTRUE ((BaseType_t)1)
#define portMAX_DELAY ((TickType_t)0xffffffffu)
void vPortYield(void);
void vPortYieldFromISR(BaseType_t woken);
#define portYIELD_FROM_ISR(woken) vPortYieldFromISR(woken)
#endif
