/* SPDX-License-Identifier: Apache-2.0 */
/* zipfile.h - a ZIP archive in memory, its stored entries as views of that memory.
 * Not zip.h, which would hide the header of libzip. */
#ifndef MSAGEN_ZIPFILE_H
#define MSAGEN_ZIPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msagen_zip;

struct msagen_zip_entry {
    const char *name;   /* as in the directory, undecoded */
    size_t bytes;       /* stored size */
    uint32_t crc;       /* CRC-32 of the data, as the directory says */
};

/* Open an archive; data must outlive it. NULL and a text in error when it is no ZIP (or a truncated one), holds two
 * entries of one name, or memory is short. ZIP64 is read. */
struct msagen_zip *msagen_zip_open(const void *data, size_t bytes, char *error, size_t error_size);
void msagen_zip_close(struct msagen_zip *zip);

size_t msagen_zip_count(const struct msagen_zip *zip);
const struct msagen_zip_entry *msagen_zip_entry(const struct msagen_zip *zip, size_t index);

/* The entry of a name of `length` bytes; false: there is none. */
bool msagen_zip_find(const struct msagen_zip *zip, const char *name, size_t length, size_t *index);

/* The entry's bytes, inside the archive's memory and not yet checked against their CRC. NULL and a text in error when
 * it is compressed or encrypted (torch.save does neither) or its bytes lie outside the archive. */
const unsigned char *msagen_zip_data(struct msagen_zip *zip, size_t index, char *error, size_t error_size);

/* The same, CRC checked; at the first call for an entry only. `release`, or NULL, is called with each part of the
 * data once it has been summed, so that a map's pages can be given back. */
typedef void msagen_zip_release(const unsigned char *data, size_t bytes);
const unsigned char *msagen_zip_verified(struct msagen_zip *zip, size_t index, msagen_zip_release *release,
                                         char *error, size_t error_size);

/* An entry's data, copied and then checked; free() it. NULL and a text as above. */
unsigned char *msagen_zip_copy(struct msagen_zip *zip, size_t index, char *error, size_t error_size);

#endif
