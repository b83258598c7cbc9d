/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file in order, decompressed on the way where it is one of gzip. */
#ifndef MSAGEN_UNPACK_H
#define MSAGEN_UNPACK_H

#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct msagen_unpack {
    const unsigned char *data; /* the file's, which are not trusted */
    size_t bytes, at;
    int packed, ended;
    z_stream z;
    const char *wrong; /* what a failure was: "the file ends early", ... */
};

/* 0, or -1: out of memory. */
int msagen_unpack_open(struct msagen_unpack *u, const unsigned char *data, size_t bytes);

/* No more than so many bytes can be left: gzip makes at most 1032 of one. */
uint64_t msagen_unpack_most(const struct msagen_unpack *u);

/* The next n bytes. 0; or -1, and u->wrong says why. */
int msagen_unpack_read(struct msagen_unpack *u, void *out, size_t n);
int msagen_unpack_skip(struct msagen_unpack *u, uint64_t n);

/* Whatever is left must be undamaged: gzip's checksum is behind its last byte. 0 or -1 as above. */
int msagen_unpack_finish(struct msagen_unpack *u);

void msagen_unpack_close(struct msagen_unpack *u);

#endif
