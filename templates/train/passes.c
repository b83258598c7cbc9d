@ -- SPDX-License-Identifier: 0BSD
msa_status msa_pretrain_encode(msa_train *s, const msa_image *image, const msa_choice *choice, float *prediction)
{
    if (!opened(s) || choice == NULL) {
        return MSA_E_ARGUMENT;
    }
    msa_status status = msa_image_check(image, MSA_TRAIN_DEPTH);
@ if rows.shares then
    if (status == MSA_OK) {
        status = msa_image_check(choice->partner, MSA_TRAIN_DEPTH);
    }
@ end
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
        s->state = OPENED;
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
        memcpy(prediction + i * MSA_PRETRAIN_WIDTH, floats(s, MSA_AT_PREDICTION) + i * PREDICTION_STRIDE,
            MSA_PRETRAIN_WIDTH * sizeof(float));
    }
    return status;
}

@ if objective.pairs then
msa_status msa_pretrain_gradient(msa_train *s, const float *gradient)
{
    if (!opened(s) || gradient == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
    for (size_t i = 0; i < MSA_PRETRAIN_ROWS; ++i) {
        memcpy(floats(s, MSA_AT_DPREDICTION) + i * PREDICTION_STRIDE, gradient + i * MSA_PRETRAIN_WIDTH,
            MSA_PRETRAIN_WIDTH * sizeof(float));
    }
    s->state = ENCODED;
    return MSA_OK;
}
@ else
msa_status msa_pretrain_loss(msa_train *s, const uint8_t *marked, double *value)
{
    if (!opened(s) || marked == NULL || value == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
@   if objective.loss == "reconstruction" then
    const msa_reconstruction in = {floats(s, MSA_AT_PREDICTION), PREDICTION_STRIDE, floats(s, MSA_AT_PATCHES),
        PATCH_STRIDE, marked, MSA_PRETRAIN_ROWS, PATCH * PATCH};
    const msa_status status = msa_reconstruction_loss(&in, floats(s, MSA_AT_DPREDICTION), value);
@   else
    const msa_status status = msa_moved_loss(floats(s, MSA_AT_PREDICTION), PREDICTION_STRIDE, marked,
        MSA_PRETRAIN_ROWS, floats(s, MSA_AT_DPREDICTION), value);
@   end
    if (status == MSA_OK) {
        s->state = ENCODED;
    }
    return status;
}
@ end

