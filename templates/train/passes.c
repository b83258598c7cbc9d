@ -- SPDX-License-Identifier: 0BSD
@ if rows.index then
/* Numbers of rows, each below a limit. */
static bool put_rows(float *to, const uint32_t *rows, size_t count, uint32_t limit)
{
    for (size_t i = 0; rows != NULL && i < count; ++i) {
        if (rows[i] >= limit) {
            return false;
        }
        to[i * 16u] = (float)rows[i];
    }
    return rows != NULL;
}

@ end
static msa_status check_pass(const msa_train *s, const msa_image *image, const msa_choice *choice,
                             const float *prediction)
{
    if (choice == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->images >= MSA_TRAIN_BATCH) {
        return MSA_E_BATCH;
    }
    msa_status status = check_image(s, image);
@ if rows.shares then
    if (status == MSA_OK) {
        status = check_image(s, choice->partner);
    }
@ end
    const size_t bytes = (size_t)MSA_PRETRAIN_ROWS * MSA_PRETRAIN_WIDTH * sizeof(float);
    const bool apart = readable(s, choice, sizeof *choice)
        && readable(s, choice->index, MSA_PRETRAIN_INDEX * sizeof *choice->index)
        && readable(s, choice->back, MSA_PRETRAIN_BACK * sizeof *choice->back) && writable(s, prediction, bytes);
    return status != MSA_OK ? status : apart ? MSA_OK : MSA_E_OVERLAP;
}

msa_status msa_pretrain_encode(msa_train *s, const msa_image *image, const msa_choice *choice, float *prediction)
{
    msa_status status = ready(s);
    if (status == MSA_OK) {
        status = check_pass(s, image, choice, prediction);
    }
    if (status != MSA_OK) {
        return status;
    }
    s->state = OPENED; /* the choice is put where the last pass had its own */
@ for _, input in ipairs { "index", "back" } do
@   local name = input:upper()
@   if rows[input] then
    if (status == MSA_OK && !put_rows(floats(s, MSA_AT_$(name)), choice->$(input), MSA_PRETRAIN_$(name),
            MSA_PRETRAIN_$(name)_LIMIT)) {
        status = MSA_E_ARGUMENT;
    }
@   end
@ end
    if (status == MSA_OK) {
        (void)memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
        status = put_patches(s, image, floats(s, MSA_AT_PATCHES));
    }
@ if rows.shares then
    floats(s, MSA_AT_SHARES)[0] = choice->share;
    floats(s, MSA_AT_SHARES)[1] = choice->other;
    if (status == MSA_OK) {
        status = put_patches(s, choice->partner, floats(s, MSA_AT_PARTNER_PATCHES));
    }
@ end
    if (status == MSA_OK) {
        status = worked(s, WORK_ENCODE, DECODED, OPENED);
    }
    for (size_t i = 0; status == MSA_OK && prediction != NULL && i < MSA_PRETRAIN_ROWS; ++i) {
        (void)memcpy(prediction + i * MSA_PRETRAIN_WIDTH, floats(s, MSA_AT_PREDICTION) + i * PREDICTION_STRIDE,
            MSA_PRETRAIN_WIDTH * sizeof(float));
    }
    return status;
}

@ if objective.pairs then
msa_status msa_pretrain_gradient(msa_train *s, const float *gradient)
{
    const msa_status status = ready(s);
    if (status != MSA_OK || gradient == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
    if (!readable(s, gradient, (size_t)MSA_PRETRAIN_ROWS * MSA_PRETRAIN_WIDTH * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    for (size_t i = 0; i < MSA_PRETRAIN_ROWS; ++i) {
        (void)memcpy(floats(s, MSA_AT_DPREDICTION) + i * PREDICTION_STRIDE, gradient + i * MSA_PRETRAIN_WIDTH,
            MSA_PRETRAIN_WIDTH * sizeof(float));
    }
    s->state = ENCODED;
    return MSA_OK;
}
@ else
msa_status msa_pretrain_loss(msa_train *s, const uint8_t *marked, double *value)
{
    msa_status status = ready(s);
    if (status != MSA_OK || marked == NULL || value == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
    if (!readable(s, marked, MSA_PRETRAIN_ROWS) || !writable(s, value, sizeof *value)) {
        return MSA_E_OVERLAP;
    }
@   if objective.loss == "reconstruction" then
    const msa_reconstruction in = {floats(s, MSA_AT_PREDICTION), PREDICTION_STRIDE, floats(s, MSA_AT_PATCHES),
        PATCH_STRIDE, marked, MSA_PRETRAIN_ROWS, PATCH * PATCH};
    status = msa_reconstruction_loss(&in, floats(s, MSA_AT_DPREDICTION), value);
@   else
    status = msa_moved_loss(floats(s, MSA_AT_PREDICTION), PREDICTION_STRIDE, marked,
        MSA_PRETRAIN_ROWS, floats(s, MSA_AT_DPREDICTION), value);
@   end
    if (status == MSA_OK) {
        s->state = ENCODED;
    }
    return status;
}
@ end

