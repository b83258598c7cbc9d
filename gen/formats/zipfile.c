/* SPDX-License-Identifier: Apache-2.0 */
/* zipfile.c - a ZIP archive in memory, its stored entries as views of that memory. */
#include "zipfile.h"

#include "explain.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>
#include <zlib.h>

enum { PART_BYTES = 4 << 20 };

/* libzip reads the archive through this. It tells no offset of an entry's data, but reads them from there: `watching`
 * notes where the next read begins. */
struct source {
    const unsigned char *data;
    zip_uint64_t bytes, at;
    zip_uint64_t read_from;
    bool watching, seen;
    zip_error_t error;
};

struct entry {
    struct msagen_zip_entry shown;
    zip_uint64_t packed_bytes;
    zip_uint16_t method, encryption;
    bool located, verified;
    const unsigned char *data;
};

struct msagen_zip {
    struct source source;
    zip_t *archive;
    struct entry *entries;
    size_t count;
    size_t *by_name;    /* indices, in order of name */
};

static zip_int64_t read_source(void *user, void *data, zip_uint64_t length, zip_source_cmd_t command)
{
    struct source *s = user;
    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return zip_source_make_command_bitmap(ZIP_SOURCE_SUPPORTS, ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                              ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK,
                                              ZIP_SOURCE_TELL, -1);
    case ZIP_SOURCE_OPEN:
        s->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        if (s->watching) {
            s->read_from = s->at;
            s->watching = false;
            s->seen = true;
        }
        if (length > s->bytes - s->at)
            length = s->bytes - s->at;
        if (length > 0)
            memcpy(data, s->data + s->at, (size_t)length);
        s->at += length;
        return (zip_int64_t)length;
    case ZIP_SOURCE_SEEK: {
        const zip_int64_t to = zip_source_seek_compute_offset(s->at, s->bytes, data, length, &s->error);
        if (to < 0)
            return -1;
        s->at = (zip_uint64_t)to;
        return 0;
    }
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)s->at;
    case ZIP_SOURCE_STAT: {
        zip_stat_t *stat = data;
        zip_stat_init(stat);
        stat->size = s->bytes;
        stat->valid |= ZIP_STAT_SIZE;
        return sizeof *stat;
    }
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&s->error, data, length);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        zip_error_set(&s->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

static const struct msagen_zip *sorting;    /* qsort takes no context; the program has one thread */

static int by_name(const void *a, const void *b)
{
    return strcmp(sorting->entries[*(const size_t *)a].shown.name, sorting->entries[*(const size_t *)b].shown.name);
}

/* Why libzip failed; what msagen itself says where it has no memory. */
static const char *reason(zip_error_t *why)
{
    return zip_error_code_zip(why) == ZIP_ER_MEMORY ? "out of memory" : zip_error_strerror(why);
}

static bool read_directory(struct msagen_zip *zip, char *error, size_t error_size)
{
    const zip_int64_t count = zip_get_num_entries(zip->archive, ZIP_FL_UNCHANGED);
    if (count <= 0)
        return msagen_explain(error, error_size, "ZIP: it is empty");
    zip->count = (size_t)count;
    zip->entries = calloc(zip->count, sizeof *zip->entries);
    zip->by_name = calloc(zip->count, sizeof *zip->by_name);
    if (!zip->entries || !zip->by_name)
        return msagen_explain(error, error_size, "ZIP: out of memory");
    for (size_t i = 0; i < zip->count; ++i) {
        struct entry *entry = &zip->entries[i];
        zip_stat_t stat;
        const zip_uint64_t need = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_CRC;
        const char *name = zip_get_name(zip->archive, i, ZIP_FL_UNCHANGED | ZIP_FL_ENC_RAW);
        if (!name || zip_stat_index(zip->archive, i, ZIP_FL_UNCHANGED | ZIP_FL_ENC_RAW, &stat) != 0 ||
            (stat.valid & need) != need)
            return msagen_explain(error, error_size, "ZIP: entry %zu of its directory cannot be read: %s", i,
                                  reason(zip_get_error(zip->archive)));
        if (stat.size > SIZE_MAX)
            return msagen_explain(error, error_size, "ZIP: %.160s is too large for this machine", name);
        entry->shown.name = name;
        entry->shown.bytes = (size_t)stat.size;
        entry->shown.crc = stat.crc;
        entry->packed_bytes = stat.comp_size;
        entry->method = stat.comp_method;
        entry->encryption = stat.valid & ZIP_STAT_ENCRYPTION_METHOD ? stat.encryption_method : ZIP_EM_NONE;
        zip->by_name[i] = i;
    }
    sorting = zip;
    qsort(zip->by_name, zip->count, sizeof *zip->by_name, by_name);
    for (size_t i = 1; i < zip->count; ++i)
        if (by_name(&zip->by_name[i - 1], &zip->by_name[i]) == 0)
            return msagen_explain(error, error_size, "ZIP: two entries are called %.160s",
                                  zip->entries[zip->by_name[i]].shown.name);
    return true;
}

struct msagen_zip *msagen_zip_open(const void *data, size_t bytes, char *error, size_t error_size)
{
    struct msagen_zip *zip = calloc(1, sizeof *zip);
    if (!zip) {
        msagen_explain(error, error_size, "ZIP: out of memory");
        return NULL;
    }
    zip->source.data = data;
    zip->source.bytes = bytes;
    zip_error_init(&zip->source.error);
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_function_create(read_source, &zip->source, &why);
    if (source)
        zip->archive = zip_open_from_source(source, ZIP_RDONLY, &why);
    if (!zip->archive) {
        if (source)
            zip_source_free(source);
        if (zip_error_code_zip(&why) == ZIP_ER_NOZIP)
            msagen_explain(error, error_size, "ZIP: no directory at its end: the file is truncated, or no ZIP");
        else
            msagen_explain(error, error_size, "ZIP: its directory cannot be read: %s", reason(&why));
    }
    zip_error_fini(&why);
    if (!zip->archive || !read_directory(zip, error, error_size)) {
        msagen_zip_close(zip);
        return NULL;
    }
    return zip;
}

void msagen_zip_close(struct msagen_zip *zip)
{
    if (!zip)
        return;
    if (zip->archive)
        zip_discard(zip->archive);
    zip_error_fini(&zip->source.error);
    free(zip->entries);
    free(zip->by_name);
    free(zip);
}

size_t msagen_zip_count(const struct msagen_zip *zip)
{
    return zip->count;
}

const struct msagen_zip_entry *msagen_zip_entry(const struct msagen_zip *zip, size_t index)
{
    return &zip->entries[index].shown;
}

bool msagen_zip_find(const struct msagen_zip *zip, const char *name, size_t length, size_t *index)
{
    size_t low = 0, high = zip->count;
    if (memchr(name, '\0', length))
        return false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2, candidate = zip->by_name[middle];
        const char *other = zip->entries[candidate].shown.name;
        int order = strncmp(other, name, length);
        if (order == 0 && other[length] != '\0')
            order = 1;
        if (order == 0) {
            *index = candidate;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool misplaced(const struct entry *entry, zip_error_t *why, char *error, size_t error_size)
{
    if (zip_error_code_zip(why) == ZIP_ER_MEMORY)
        return msagen_explain(error, error_size, "ZIP: out of memory");
    return msagen_explain(error, error_size,
                          "ZIP: the %zu bytes of %.160s do not lie where the directory says: damaged file",
                          entry->shown.bytes, entry->shown.name);
}

/* Where libzip would read the entry's first byte. */
static bool locate(struct msagen_zip *zip, size_t index, char *error, size_t error_size)
{
    struct source *s = &zip->source;
    const struct entry *entry = &zip->entries[index];
    zip_file_t *file = zip_fopen_index(zip->archive, index, ZIP_FL_COMPRESSED | ZIP_FL_UNCHANGED);
    if (!file)
        return misplaced(entry, zip_get_error(zip->archive), error, error_size);
    unsigned char first;
    s->seen = false;
    s->watching = true;
    const zip_int64_t got = zip_fread(file, &first, 1);
    s->watching = false;
    const bool found = (got == 1 && s->seen && s->read_from <= s->bytes &&
                        s->bytes - s->read_from >= entry->shown.bytes && s->data[s->read_from] == first) ||
                       misplaced(entry, zip_file_get_error(file), error, error_size);
    zip_fclose(file);
    return found;
}

const unsigned char *msagen_zip_data(struct msagen_zip *zip, size_t index, char *error, size_t error_size)
{
    struct entry *entry = &zip->entries[index];
    const char *name = entry->shown.name;
    if (entry->located)
        return entry->data;
    if (entry->encryption != ZIP_EM_NONE) {
        msagen_explain(error, error_size, "ZIP: %.160s is encrypted; torch.save writes plain data: refused", name);
        return NULL;
    }
    if (entry->method != ZIP_CM_STORE) {
        msagen_explain(error, error_size,
            "ZIP: %.160s is compressed (method %u); torch.save stores uncompressed: refused",
                       name, (unsigned)entry->method);
        return NULL;
    }
    if (entry->packed_bytes != entry->shown.bytes) {
        msagen_explain(error, error_size,
            "ZIP: %.160s is stored, yet its sizes differ: %zu bytes, and %llu in the file",
                       name, entry->shown.bytes, (unsigned long long)entry->packed_bytes);
        return NULL;
    }
    if (entry->shown.bytes > 0 && !locate(zip, index, error, error_size))
        return NULL;
    entry->data = zip->source.data + (entry->shown.bytes > 0 ? zip->source.read_from : 0);
    entry->located = true;
    return entry->data;
}

/* Whether bytes that are, or were, those of an entry have its CRC-32. */
static bool sound(const struct entry *entry, const unsigned char *data, msagen_zip_release *release, char *error,
    size_t error_size)
{
    uLong crc = crc32_z(0, NULL, 0);
    for (size_t at = 0; at < entry->shown.bytes;) {
        const size_t left = entry->shown.bytes - at, part = left < PART_BYTES ? left : PART_BYTES;
        crc = crc32_z(crc, data + at, part);
        if (release)
            release(data + at, part);
        at += part;
    }
    return crc == entry->shown.crc || msagen_explain(error, error_size,
        "ZIP: %.160s is damaged: CRC-32 %08lx, expected %08lx", entry->shown.name,
                                                     (unsigned long)crc, (unsigned long)entry->shown.crc);
}

const unsigned char *msagen_zip_verified(struct msagen_zip *zip, size_t index, msagen_zip_release *release,
                                         char *error, size_t error_size)
{
    struct entry *entry = &zip->entries[index];
    const unsigned char *data = msagen_zip_data(zip, index, error, error_size);
    if (!data || entry->verified)
        return data;
    entry->verified = sound(entry, data, release, error, error_size);
    return entry->verified ? data : NULL;
}

unsigned char *msagen_zip_copy(struct msagen_zip *zip, size_t index, char *error, size_t error_size)
{
    const struct entry *entry = &zip->entries[index];
    const unsigned char *data = msagen_zip_data(zip, index, error, error_size);
    unsigned char *copy = data ? malloc(entry->shown.bytes + 1) : NULL;
    if (data && !copy)
        msagen_explain(error, error_size, "ZIP: out of memory for %.160s", entry->shown.name);
    if (!copy)
        return NULL;
    memcpy(copy, data, entry->shown.bytes);
    if (sound(entry, copy, NULL, error, error_size))
        return copy;
    free(copy);
    return NULL;
}
