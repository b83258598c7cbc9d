/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by nettle, and its 64 lower-case digits. */
#ifndef MSAGEN_SHA256_H
#define MSAGEN_SHA256_H

#include <nettle/base16.h>
#include <nettle/sha2.h>

/* 64 lower-case digits and a NUL. */
static inline void msagen_hex(const unsigned char digest[SHA256_DIGEST_SIZE], char text[65])
{
    base16_encode_update(text, SHA256_DIGEST_SIZE, digest);
    text[BASE16_ENCODE_LENGTH(SHA256_DIGEST_SIZE)] = '\0';
}

#endif
