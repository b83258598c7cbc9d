/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes on another grid, trilinear or nearest. */
#include "regrid.h"

#include "tensor_internal.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 4096 };

/* Where the elements of a box lie in a tensor: of each axis the distance of neighbours, and of its first element. */
struct box {
    int64_t origin, step[3], size[3];
};

static struct box box_of(const struct msagen_tensor *t, const struct msagen_grid *grid)
{
    struct box box = {0, {0}, {0}};
    for (int r = 0; r < 3; ++r) {
        const struct msagen_grid_axis *axis = &grid->box[r];
        const int64_t stride = t->stride[axis->axis];
        box.step[r] = axis->flipped ? -stride : stride;
        box.size[r] = axis->size;
        box.origin += axis->first * stride;
    }
    return box;
}

static void place_of(const struct msagen_grid *grid, const struct box *box, const int64_t index[3], double at[3])
{
    for (int r = 0; r < 3; ++r) {
        const double *p = grid->place[r], last = (double)(box->size[r] - 1);
        const double x = p[0] * (double)index[0] + p[1] * (double)index[1] + p[2] * (double)index[2] + p[3];
        at[r] = x > 0 ? x < last ? x : last : 0;
    }
}

static int is_inside(const struct msagen_grid *grid, const int64_t index[3])
{
    for (int d = 0; d < 3; ++d)
        if (index[d] < grid->inside_first[d] || index[d] - grid->inside_first[d] >= grid->inside_size[d])
            return 0;
    return 1;
}

static void next_index(const int64_t shape[3], int64_t index[3])
{
    for (int d = 2; d >= 0; --d) {
        if (++index[d] < shape[d])
            return;
        index[d] = 0;
    }
}

/* ---- values ---- */

static double between_eight(const struct msagen_volume *volume, const struct msagen_scaling *scaling,
                            const struct box *box, const double at[3])
{
    int64_t low[3];
    double part[3];
    for (int r = 0; r < 3; ++r) {
        low[r] = (int64_t)at[r];
        part[r] = at[r] - (double)low[r];
    }
    double sum = 0;
    for (int corner = 0; corner < 8; ++corner) {
        double weight = 1;
        int64_t place = box->origin;
        for (int r = 0; r < 3; ++r) {
            const int up = corner >> r & 1;
            weight *= up ? part[r] : 1 - part[r];
            place += (low[r] + up) * box->step[r];
        }
        if (weight > 0) /* else the neighbour may not be there */
            sum += weight * msagen_scaled(scaling, msagen_volume_at(volume, place));
    }
    return sum;
}

/* So many elements of the new grid in C order; index is that of the first, and of the next afterwards. */
static void regrid_run(const struct msagen_volume *volume, const struct msagen_scaling *scaling,
                       const struct msagen_grid *grid, int64_t index[3], int64_t count, double *out)
{
    const struct box box = box_of(volume->stored, grid);
    for (int64_t i = 0; i < count; ++i) {
        double at[3];
        place_of(grid, &box, index, at);
        out[i] = is_inside(grid, index) ? between_eight(volume, scaling, &box, at) : 0;
        next_index(grid->shape, index);
    }
}

static struct msagen_tensor *result_of(const struct msagen_volume *volume, const struct msagen_grid *grid,
                                       enum msagen_regrid_result result)
{
    const struct msagen_tensor *t = volume->stored;
    int64_t shape[MSAGEN_MAX_DIMS] = {0};
    int dims = grid ? 3 : t->dims;
    memcpy(shape, grid ? grid->shape : t->shape, (size_t)dims * sizeof *shape);
    if (result == MSAGEN_REGRID_NUMBERS)
        return msagen_tensor_zeros(t->name, MSAGEN_F64, dims, shape);
    shape[dims++] = 3;
    return msagen_tensor_zeros(t->name, MSAGEN_U8, dims, shape);
}

struct msagen_tensor *msagen_regrid(const struct msagen_volume *volume, const struct msagen_scaling *scaling,
                                    const struct msagen_grid *grid, enum msagen_regrid_result result, double times)
{
    struct msagen_tensor *made = result_of(volume, grid, result);
    if (!made)
        return NULL;
    const int64_t numel = msagen_tensor_numel(made) / (result == MSAGEN_REGRID_PICTURE ? 3 : 1);
    double *numbers = msagen_tensor_writable(made);
    unsigned char *bytes = msagen_tensor_writable(made);
    int64_t index[3] = {0, 0, 0};
    double values[CHUNK];
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        if (grid) {
            regrid_run(volume, scaling, grid, index, count, values);
        } else {
            msagen_volume_read(volume, first, count, values);
            for (int64_t i = 0; i < count; ++i)
                values[i] = msagen_scaled(scaling, values[i]);
        }
        if (result == MSAGEN_REGRID_NUMBERS) {
            memcpy(numbers + first, values, (size_t)count * sizeof *values);
            continue;
        }
        for (int64_t i = 0; i < count; ++i)
            memset(bytes + 3 * (first + i), msagen_scaled_byte(values[i], times), 3);
    }
    return made;
}

/* ---- labels ---- */

struct msagen_tensor *msagen_regrid_nearest(const struct msagen_tensor *t, const struct msagen_grid *grid)
{
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, t->dtype, 3, grid->shape);
    if (!made)
        return NULL;
    const struct box box = box_of(t, grid);
    const size_t bytes = msagen_dtype_bytes(t->dtype);
    unsigned char *out = msagen_tensor_writable(made);
    const int64_t numel = msagen_tensor_numel(made);
    int64_t index[3] = {0, 0, 0};
    for (int64_t i = 0; i < numel; ++i, next_index(grid->shape, index)) {
        double at[3];
        if (!is_inside(grid, index))
            continue;
        place_of(grid, &box, index, at);
        int64_t place = box.origin;
        for (int r = 0; r < 3; ++r)
            place += (int64_t)nearbyint(at[r]) * box.step[r];
        memcpy(out + (size_t)i * bytes, msagen_tensor_element(t, place), bytes);
    }
    return made;
}
