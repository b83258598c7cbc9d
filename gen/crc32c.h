/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, reflected, as iSCSI and the weights blob use it). */
#ifndef MSAGEN_CRC32C_H
#define MSAGEN_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what `crc` was the CRC of, followed by these bytes; start from 0. With the CPU's instruction where there is one. */
uint32_t msagen_crc32c(uint32_t crc, const void *data, size_t bytes);

/* The same from a table: for the other CPUs, and to test the instruction against. */
uint32_t msagen_crc32c_plain(uint32_t crc, const void *data, size_t bytes);

#endif
