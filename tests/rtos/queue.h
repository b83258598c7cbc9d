/* SPDX-License-Identifier: Apache-2.0 */
/* As FreeRTOS.h beside this file says. */
#ifndef QUEUE_H
#define QUEUE_H
typedef struct QueueDefinition *QueueHandle_t;
QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t size, uint8_t *storage, StaticQueue_t *memory);
BaseType_t xQueueSend(QueueHandle_t queue, const void *item, TickType_t ticks);
#endif
