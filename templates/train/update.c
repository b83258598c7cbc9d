@ -- SPDX-License-Identifier: 0BSD
/* Walks over the gradient. */
#define WALK_LARGEST 0u
#define WALK_SQUARES 1u
#define WALK_STEP 2u

static void walk_row(msa_train *s, uint32_t what, const msa_parameter *p, size_t at, uint32_t core)
{
    const float *const gradient = floats(s, MSA_AT_GRADIENT) + at;
    if (what == WALK_LARGEST) {
        msa_squares_largest(&s->squares[core], gradient, p->width);
    } else if (what == WALK_SQUARES) {
        msa_squares_add(&s->squares[core], gradient, p->width);
    } else {
        const msa_trained tensor = {floats(s, MSA_AT_PARAMETERS) + at, gradient, floats(s, MSA_AT_FIRST) + at,
            floats(s, MSA_AT_SECOND) + at, p->width, !s->matrices_decay || p->dimensions > 1u};
        msa_update_tensor(&s->constants, &tensor);
    }
}

@ if cores > 1 then
/* Rows of tensors, one behind the other, are parted among cores by where they begin. */
@ end
static void walk(msa_train *s, uint32_t what, uint32_t core)
{
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            const size_t at = p->at + row * p->stride;
@ if cores > 1 then
            if ((uint64_t)at * MSA_TRAIN_CORES / $(trained.elements)u == core) {
                walk_row(s, what, p, at, core);
            }
@ else
            walk_row(s, what, p, at, core);
@ end
        }
    }
}

@ if cores > 1 then
/* The largest of all cores', where each has its own. */
static float largest_of(const msa_train *s)
{
    float largest = 0.0f;
    for (uint32_t core = 0; core < MSA_TRAIN_CORES; ++core) {
        largest = s->squares[core].largest > largest ? s->squares[core].largest : largest;
    }
    return largest;
}

/* Constants of the step, from the squares of all cores; nothing where a core's environment is wrong. */
static void begin_step(msa_train *s, float largest)
{
    msa_squares all = {0};
    all.largest = largest;
    s->begun = MSA_OK;
    for (uint32_t core = 0; core < MSA_TRAIN_CORES; ++core) {
        all.high += s->squares[core].high;
        all.low += s->squares[core].low;
        if (core > 0 && s->session.fault[core] != 0) {
            s->begun = MSA_E_ENVIRONMENT;
        }
    }
    if (s->begun == MSA_OK) {
        s->begun = msa_update_begin(s->rule, &s->steps, s->scale, &all, &s->constants, &s->norm);
    }
}

static msa_status part_of_update(msa_train *s, uint32_t core)
{
    walk(s, WALK_LARGEST, core);
    msa_meet(&s->session, core);
    const float largest = largest_of(s);
    msa_meet(&s->session, core); /* all have seen the largest of all */
    s->squares[core].largest = largest;
    walk(s, WALK_SQUARES, core);
    msa_meet(&s->session, core);
    if (MSA_FIRST(core)) {
        begin_step(s, largest);
    }
    msa_meet(&s->session, core);
    if (s->begun == MSA_OK) {
        walk(s, WALK_STEP, core);
    }
    return s->begun;
}
@ else
static msa_status part_of_update(msa_train *s)
{
    walk(s, WALK_LARGEST, 0);
    walk(s, WALK_SQUARES, 0);
    const msa_status status = msa_update_begin(s->rule, &s->steps, s->scale, &s->squares[0], &s->constants, &s->norm);
    if (status == MSA_OK) {
        walk(s, WALK_STEP, 0);
    }
    return status;
}
@ end
