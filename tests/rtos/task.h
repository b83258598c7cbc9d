/* SPDX-License-Identifier: Apache-2.0 */
/* As FreeRTOS.h beside this file says. */
#ifndef TASK_H
#define TASK_H
typedef struct tskTaskControlBlock *TaskHandle_t;
typedef void (*TaskFunction_t)(void *);
#define taskYIELD() vPortYield()
TaskHandle_t xTaskCreateStatic(TaskFunction_t code, const char *name, uint32_t depth, void *parameters,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory);
void vTaskSuspend(TaskHandle_t task);
void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken);
uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t ticks);
#endif
