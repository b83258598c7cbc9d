/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), streamed. */
#ifndef MSAGEN_SHA256_H
#define MSAGEN_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct msagen_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
    int plain; /* never the CPU's instructions; for tests */
};

void msagen_sha256_init(struct msagen_sha256 *h);
void msagen_sha256_update(struct msagen_sha256 *h, const void *data, size_t bytes);
void msagen_sha256_final(struct msagen_sha256 *h, unsigned char digest[32]);

/* 64 lower-case digits and a NUL. */
void msagen_hex(const unsigned char digest[32], char text[65]);

/* 1 if this CPU's SHA instructions are used. */
int msagen_sha256_accelerated(void);

#endif
