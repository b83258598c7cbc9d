/* SPDX-License-Identifier: Apache-2.0 */
/* TIFF files read from memory by libtiff, whose messages and allocations are kept in bounds. */
#include "tiff.h"

#include "explain.h"
#include "infile.h"
#include "picture.h"
#include "tiff_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 256, PAGES_MOST = 65535, ALLOCATION_MOST = 1 << 30 };
static const uint64_t VALUES_MOST = UINT64_C(1) << 31;

struct job {
    const unsigned char *data;
    uint64_t bytes, at;
    const char *name;
    char *error;
    size_t error_bytes;
    char said[TEXT]; /* by libtiff, the first time */
    int damaged;     /* it warned of what no reader should take */
    TIFF *tiff;
};

static int refuse(const struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const struct job *job, const char *format, ...)
{
    char text[2 * TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    msagen_explain(job->error, job->error_bytes, "%s: TIFF: %s", job->name, text);
    return -1;
}

static int refuse_damaged(const struct job *job)
{
    return refuse(job, "damaged%s%s", *job->said ? ": " : "", job->said);
}

/* ---- what libtiff calls ---- */

static int failed(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    struct job *job = user;
    (void)tiff;
    (void)module;
    if (!*job->said)
        vsnprintf(job->said, sizeof job->said, format, args);
    return 1;
}

/* libtiff warns of tags that it does not know; libjpeg through it of pixels that are not there. */
static int warned(TIFF *tiff, void *user, const char *module, const char *format, va_list args)
{
    struct job *job = user;
    if (module && strncmp(module, "JPEG", 4) == 0) {
        job->damaged = 1;
        return failed(tiff, user, module, format, args);
    }
    return 1;
}

static tmsize_t read_bytes(thandle_t handle, void *out, tmsize_t n)
{
    struct job *job = handle;
    if (n <= 0 || job->at >= job->bytes)
        return 0;
    const uint64_t left = job->bytes - job->at, count = (uint64_t)n < left ? (uint64_t)n : left;
    memcpy(out, job->data + job->at, (size_t)count);
    job->at += count;
    return (tmsize_t)count;
}

static tmsize_t write_bytes(thandle_t handle, void *data, tmsize_t n)
{
    (void)handle;
    (void)data;
    (void)n;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t at, int whence)
{
    struct job *job = handle;
    job->at = whence == SEEK_SET ? at : whence == SEEK_CUR ? job->at + at : job->bytes + at;
    return job->at;
}

static int close_nothing(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle)
{
    const struct job *job = handle;
    return job->bytes;
}

static TIFF *open_bytes(struct job *job)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (!options)
        return NULL;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, ALLOCATION_MOST);
    TIFFOpenOptionsSetErrorHandlerExtR(options, failed, job);
    TIFFOpenOptionsSetWarningHandlerExtR(options, warned, job);
    TIFF *tiff = TIFFClientOpenExt("image", "rm", job, read_bytes, write_bytes, seek, close_nothing, size_of, NULL,
                                   NULL, options);
    TIFFOpenOptionsFree(options);
    return tiff;
}

/* ---- pages ---- */

/* Small copies of other pages and masks are no slices. */
static int is_slice(TIFF *tiff)
{
    uint32_t kind = 0;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SUBFILETYPE, &kind);
    return (kind & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) == 0;
}

/* Goes through all pages: how many slices there are, and what those that are wanted are like, which must be alike. */
static int survey(struct job *job, int64_t wanted, struct msagen_tiff_page *first, int64_t *pages)
{
    char text[TEXT];
    int64_t directories = 0;
    *pages = 0;
    do {
        if (++directories > PAGES_MOST)
            return refuse(job, "expected at most %d pages, found more", PAGES_MOST);
        if (!is_slice(job->tiff))
            continue;
        struct msagen_tiff_page page;
        if (wanted < 0 || wanted == *pages) {
            const char *problem = msagen_tiff_describe(job->tiff, &page, text, sizeof text);
            if (problem)
                return refuse(job, "page %lld: %s", (long long)*pages, problem);
            if (wanted < 0 && *pages > 0 && !msagen_tiff_alike(first, &page))
                return refuse(job, "expected pages of one size and type, found %ux%u and, page %lld, %ux%u or another "
                              "type: --frame N chooses one", first->width, first->height, (long long)*pages,
                              page.width, page.height);
            if (wanted >= 0 || *pages == 0)
                *first = page;
        }
        ++*pages;
    } while (TIFFReadDirectory(job->tiff));
    if (*job->said)
        return refuse_damaged(job);
    if (*pages == 0)
        return refuse(job, "expected an image, found none");
    if (wanted >= *pages)
        return refuse(job, "--frame: expected 0 to %lld, as the file has %lld page%s, found %lld",
                      (long long)*pages - 1, (long long)*pages, *pages == 1 ? "" : "s", (long long)wanted);
    return 0;
}

/* A page as it is meant to be seen: turned. */
static void turn(const struct msagen_tiff_page *page, const unsigned char *from, unsigned char *to)
{
    const struct msagen_picture stored = {.width = page->width, .height = page->height,
                                          .orientation = page->orientation};
    const struct msagen_view view = msagen_picture_view(&stored);
    const size_t step = msagen_dtype_bytes(page->dtype) * page->channels;
    for (ptrdiff_t y = 0; y < (ptrdiff_t)view.height; ++y)
        for (ptrdiff_t x = 0; x < (ptrdiff_t)view.width; ++x, to += step)
            memcpy(to, from + (size_t)(view.first + x * view.right + y * view.down) * step, step);
}

static int read_page(struct job *job, const struct msagen_tiff_page *page, size_t bytes, unsigned char *out)
{
    unsigned char *stored = out;
    if (page->orientation > 1 && !(stored = malloc(bytes)))
        return refuse(job, "out of memory");
    const int status = msagen_tiff_pixels(job->tiff, page, stored);
    if (status == 0 && stored != out)
        turn(page, stored, out);
    if (stored != out)
        free(stored);
    if (status == -2)
        return refuse(job, "out of memory");
    return status != 0 || job->damaged ? refuse_damaged(job) : 0;
}

/* The wanted pages, from the first directory on; each is like `first`, of so many bytes. */
static int read_pages(struct job *job, int64_t wanted, const struct msagen_tiff_page *first, size_t bytes,
    struct msagen_tiff *out)
{
    unsigned char *to = (unsigned char *)(uintptr_t)out->values->storage->data;
    const int64_t end = wanted < 0 ? out->pages : wanted + 1;
    char text[TEXT];
    int64_t at = 0;
    if (!TIFFSetDirectory(job->tiff, 0))
        return refuse_damaged(job);
    do {
        if (!is_slice(job->tiff))
            continue;
        if (wanted < 0 || wanted == at) {
            struct msagen_tiff_page page;
            const char *problem = msagen_tiff_describe(job->tiff, &page, text, sizeof text);
            if (problem)
                return refuse(job, "%s", problem);
            if (!msagen_tiff_alike(first, &page))
                return refuse_damaged(job);
            if (read_page(job, &page, bytes, to) != 0)
                return -1;
            to += bytes;
            out->inverted = out->inverted || page.inverted;
            out->clear = out->clear || page.clear;
        }
        ++at;
    } while (at < end && TIFFReadDirectory(job->tiff));
    return at < end ? refuse_damaged(job) : 0;
}

static int read_all(struct job *job, int64_t wanted, struct msagen_tiff *out)
{
    struct msagen_tiff_page first;
    if (survey(job, wanted, &first, &out->pages) != 0)
        return -1;
    const int64_t count = wanted < 0 ? out->pages : 1;
    const int across = first.orientation > 4;
    const int64_t shape[4] = {count, across ? first.width : first.height, across ? first.height : first.width, 3};
    const uint64_t bytes = (uint64_t)first.width * first.height * msagen_dtype_bytes(first.dtype) * first.channels;
    if (bytes * (uint64_t)count > VALUES_MOST)
        return refuse(job, "expected at most %llu MiB of pixels, found %lld pages of %ux%u",
                      (unsigned long long)(VALUES_MOST >> 20), (long long)count, first.width, first.height);
    out->colour = first.channels == 3;
    out->reduced = out->colour && first.taking == MSAGEN_TIFF_COLOURS && first.bits > 8;
    out->orientation = first.orientation;
    out->spacing[0] = first.spacing[across];
    out->spacing[1] = first.spacing[!across];
    out->values = msagen_tensor_zeros(job->name, first.dtype, out->colour ? 4 : 3, shape);
    if (!out->values)
        return refuse(job, "out of memory");
    if (read_pages(job, wanted, &first, (size_t)bytes, out) == 0)
        return 0;
    msagen_tensor_free(out->values);
    out->values = NULL;
    return -1;
}

int msagen_tiff_parse(const unsigned char *data, size_t bytes, const char *name, int64_t page, struct msagen_tiff *out,
                      char *error, size_t error_bytes)
{
    struct job job = {.data = data, .bytes = bytes, .name = name, .error = error, .error_bytes = error_bytes};
    memset(out, 0, sizeof *out);
    job.tiff = open_bytes(&job);
    if (!job.tiff)
        return refuse_damaged(&job);
    const int status = read_all(&job, page, out);
    TIFFClose(job.tiff);
    return status;
}

int msagen_tiff_read(const char *path, int64_t page, struct msagen_tiff *out, char *error, size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes);
    if (!file)
        return -1;
    const int status = msagen_tiff_parse(file->data, file->bytes, path, page, out, error, error_bytes);
    msagen_buffer_unref(file);
    return status;
}
