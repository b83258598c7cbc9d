/* SPDX-License-Identifier: 0BSD */
/* msa_run_npy.c - the test bench's results as NPY files, those of a volume's subvolumes one behind the other. */
#include "msa_run.h"

#include <errno.h>
#include <string.h>

/* To where the subvolume's slices of so many bytes begin. */
static int go_to_slice(FILE *file, uint64_t bytes)
{
    const long most = 1L << 30;
    int failed = fseek(file, 128, SEEK_SET);
    for (uint64_t left = bytes * msa_run.first_slice; left > 0 && failed == 0;) {
        const long step = left < (uint64_t)most ? (long)left : most;
        failed = fseek(file, step, SEEK_CUR);
        left -= (uint64_t)step;
    }
    return failed;
}

/* The file of all slices, begun by the first subvolume that is run. */
static FILE *npy_open(const char *path, const char *type, int dimensions, const uint32_t *shape)
{
    uint64_t bytes = type[2] == '4' ? 4u : 1u; /* of a slice */
    for (int i = 1; i < dimensions; ++i) {
        bytes *= shape[i];
    }
    char header[192];
    int n = snprintf(header + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < dimensions; ++i) {
        n += snprintf(header + 10 + n, 16, i == 0 ? "%lu" : ", %lu", (unsigned long)shape[i]);
    }
    n += snprintf(header + 10 + n, 8, "), }");
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    memset(header + 10 + n, ' ', (size_t)(118 - n));
    header[127] = '\n';
    const bool begun = msa_run.subvolumes > 1;
    FILE *const file = fopen(path, begun ? "r+b" : "wb");
    if (file == NULL) {
        msa_run_fail("%s: cannot be written: %s", path, strerror(errno));
        return NULL;
    }
    if (!begun) {
        fwrite(header, 1, 128, file); /* npy_close asks */
    }
    if (go_to_slice(file, bytes) != 0) {
        msa_run_fail("%s: cannot be written: %s", path, strerror(errno));
        fclose(file);
        return NULL;
    }
    return file;
}

static int npy_close(FILE *file, const char *path)
{
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        return msa_run_fail("%s: cannot be written: %s", path, strerror(errno));
    }
    return 0;
}

/* Of `values` [D,...] the slices that are kept. */
static int npy_write(const char *path, int dimensions, const uint32_t *shape, const float *values)
{
    size_t count = msa_run.kept;
    for (int i = 1; i < dimensions; ++i) {
        count *= shape[i];
    }
    FILE *const file = npy_open(path, "<f4", dimensions, shape);
    if (file == NULL) {
        return -1;
    }
    fwrite(values, sizeof *values, count, file);
    return npy_close(file, path);
}

int msa_run_embedding(const char *path)
{
    const uint32_t shape[4] = {msa_run.slices, msa_run_model.out, msa_run_model.grid, msa_run_model.grid};
    if (msa_run_need_embedding() != 0) {
        return -1;
    }
    float *const embedding = msa_run_allocate(sizeof(float) * D * shape[1] * shape[2] * shape[3]);
    if (embedding == NULL) {
        return -1;
    }
    const msa_status status = msa_run_model.get_embedding(&msa_run.session, embedding);
    if (status != MSA_OK) {
        return msa_run_fail("embedding: %s", msa_status_text(status));
    }
    return npy_write(path, 4, shape, embedding);
}

int msa_run_put_logits(const char *path)
{
    const uint32_t shape[4] = {msa_run.slices, msa_run.mask.masks, SIDE, SIDE};
    return npy_write(path, 4, shape, msa_run.logits);
}

int msa_run_logits(const char *path)
{
    return msa_run_need_result() != 0 ? -1 : msa_run_put_logits(path);
}

int msa_run_iou(const char *path)
{
    const uint32_t shape[2] = {msa_run.slices, msa_run.mask.masks};
    return msa_run_need_result() != 0 ? -1 : npy_write(path, 2, shape, msa_run.iou);
}

/* At the image's size: the best masks as bytes, or all logits. */
static int put_enlarged(const char *path, bool bytes)
{
    const uint32_t mask_shape[3] = {msa_run.slices, msa_run.image.height, msa_run.image.width};
    const uint32_t logits_shape[4] = {msa_run.slices, msa_run.mask.masks, msa_run.image.height, msa_run.image.width};
    float *const rows = msa_run_allocate(sizeof(float) * ENLARGER_FLOATS);
    float *const row = msa_run_allocate(sizeof(float) * msa_run.image.width);
    uint8_t *const row_bytes = msa_run_allocate(msa_run.image.width);
    FILE *file = NULL;
    if (rows != NULL && row != NULL && row_bytes != NULL) {
        file = bytes ? npy_open(path, "|u1", 3, mask_shape) : npy_open(path, "<f4", 4, logits_shape);
    }
    if (file == NULL) {
        return -1;
    }
    for (uint32_t slice = 0; slice < msa_run.kept; ++slice) {
        const uint32_t first = bytes ? msa_run_best_mask(slice) : 0u;
        const uint32_t end = bytes ? first + 1u : msa_run.mask.masks;
        for (uint32_t m = first; m < end; ++m) {
            msa_upsampler enlarge;
            msa_run_enlarge(&enlarge, slice, m, rows);
            for (uint32_t y = 0; y < msa_run.image.height && ferror(file) == 0; ++y) {
                msa_upsample_row(&enlarge, y, row);
                if (!bytes) {
                    fwrite(row, sizeof *row, msa_run.image.width, file);
                    continue;
                }
                for (uint32_t x = 0; x < msa_run.image.width; ++x) {
                    row_bytes[x] = IN_MASK(row[x]) ? 255u : 0u;
                }
                fwrite(row_bytes, 1, msa_run.image.width, file);
            }
        }
    }
    return npy_close(file, path);
}

int msa_run_put_masks(const char *path)
{
    return put_enlarged(path, true);
}

int msa_run_enlarged(const char *path, bool bytes)
{
    return msa_run_need_result() != 0 ? -1 : put_enlarged(path, bytes);
}

int msa_run_resized(const char *path)
{
    const uint32_t shape[4] = {msa_run.slices, S, S, 3};
    uint32_t width, height;
    if (msa_run_need_image() != 0) {
        return -1;
    }
    const msa_status checked = msa_image_check(&msa_run.image, D);
    if (checked != MSA_OK) {
        return msa_run_fail("image: %s", msa_status_text(checked));
    }
    void *const work = msa_run_allocate(msa_run_model.resize_bytes + 1u);
    uint8_t *const row = msa_run_allocate((size_t)3 * S);
    FILE *const file = work != NULL && row != NULL ? npy_open(path, "|u1", 4, shape) : NULL;
    if (file == NULL) {
        return -1;
    }
    msa_resized_size(msa_run.image.width, msa_run.image.height, S, msa_run_model.resize_longest, &width, &height);
    msa_status status = MSA_OK;
    for (uint32_t slice = 0; slice < msa_run.kept && status == MSA_OK; ++slice) {
        status = msa_run_model.resize_begin(&msa_run.image, slice, width, height, work);
        memset(row, 0, (size_t)3 * S);
        for (uint32_t y = 0; y < S && status == MSA_OK; ++y) {
            if (y < height) {
                msa_run_model.resize_row(row);
            } else if (y == height) {
                memset(row, 0, (size_t)3 * S);
            }
            fwrite(row, 3, S, file);
        }
    }
    const int written = npy_close(file, path);
    return status != MSA_OK ? msa_run_fail("image: %s", msa_status_text(status)) : written;
}
