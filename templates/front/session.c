@ -- SPDX-License-Identifier: 0BSD
@ -- The front end's part of msa_model.c: lines taken, pictures handed out.
static msa_status check_samples(const msa_session *s, const msa_samples *samples, uint32_t count)
{
    if (samples == NULL || samples->lines == NULL) {
        return MSA_E_ARGUMENT;
    }
@ if front.align > 1 then
    if ((uintptr_t)samples->lines % MSA_FRONT_ALIGNMENT != 0 || samples->stride % MSA_FRONT_ALIGNMENT != 0) {
        return MSA_E_ALIGNMENT;
    }
@ end
    if (count > 1 && (samples->stride < MSA_FRONT_LINE_BYTES
                      || samples->stride > (SIZE_MAX - MSA_FRONT_LINE_BYTES) / (count - 1u))) {
        return MSA_E_IMAGE_STRIDE;
    }
    const size_t bytes = count == 0 ? 0 : (count - 1u) * samples->stride + MSA_FRONT_LINE_BYTES;
    return readable(s, samples, sizeof *samples) && readable(s, samples->lines, bytes) ? check_environment()
        : MSA_E_OVERLAP;
}

/* What the session knows of the frame; it lasts. */
static void note(msa_session *s, uint32_t lines, bool pictured)
{
    s->lines = lines;
    s->pictured = pictured ? 1u : 0u;
    settle(s, BUSY);
}

/* The whole frame. A session that a hook changed is left as it is, for `ended` to find. */
static msa_status complete(msa_session *s)
{
@ if front.per_frame then
    msa_picture shown = {0, 0, 0, 0};
    note(s, s->lines, false);
    const msa_status status = msa_front_complete(s, &shown);
    if (status == MSA_OK && unchanged(s)) {
        s->frames = 1u;
        s->picture = shown;
        note(s, s->lines, true);
    }
    return status;
@ else
@   local size = front.picture or { width = 0, height = 0 }
    const msa_picture shown = {$(size.width), $(size.height), 0, 0};
    s->frames = 1u;
    s->picture = shown;
    note(s, s->lines, true);
    return MSA_OK;
@ end
}

static msa_status take(msa_session *s, const msa_samples *samples, uint32_t count)
{
    uint32_t lines;
    for (uint32_t taken = 0; taken < count; taken += lines) {
        const unsigned char *const from = (const unsigned char *)samples->lines + taken * samples->stride;
@ if front.lanes > 1 then
        lines = count - taken < MSA_FRONT_LANES ? count - taken : MSA_FRONT_LANES;
@ else
        lines = 1;
@ end
        const msa_status status = msa_front_batch(s, from, samples->stride, s->lines, lines);
        if (status != MSA_OK || !unchanged(s)) {
            return status;
        }
        note(s, s->lines + lines, s->pictured != 0);
    }
    return s->lines < MSA_FRONT_LINES ? MSA_OK : complete(s);
}

/* @param anew whether a frame that is begun is forgotten */
static msa_status lines_of(msa_session *s, const msa_samples *samples, uint32_t count, bool anew)
{
    const uint32_t before = anew || s->lines == MSA_FRONT_LINES ? 0 : s->lines, state = s->state;
    msa_status status = count > MSA_FRONT_LINES - before ? MSA_E_LINES : check_samples(s, samples, count);
    if (status != MSA_OK || count == 0) {
        return status;
    }
    s->spoiled = 0;
    note(s, before, s->pictured != 0 && before + count < MSA_FRONT_LINES);
    status = take(s, samples, count);
    const msa_status at_end = ended(s, status, state);
    if (at_end != MSA_OK) {
        s->lines = 0;
        s->pictured = status == MSA_OK ? 0u : s->pictured; /* made by a float unit that is not as it must be */
        settle(s, s->state);
    }
    return at_end;
}

msa_status msa_lines_push(msa_session *s, const msa_samples *samples, uint32_t count)
{
    const msa_status status = check_session(s);
    return status != MSA_OK ? status : lines_of(s, samples, count, false);
}

msa_status msa_frame(msa_session *s, const msa_samples *samples)
{
    const msa_status status = check_session(s);
    return status != MSA_OK ? status : lines_of(s, samples, MSA_FRONT_LINES, true);
}

/* Whether there is a whole frame, and `out` may be written. */
static msa_status check_out(const msa_session *s, const void *out, size_t bytes)
{
    const msa_status status = check_session(s);
    if (status != MSA_OK) {
        return status;
    }
    if (out == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->pictured == 0) {
        return MSA_E_ORDER;
    }
    return writable(s, out, bytes) ? MSA_OK : MSA_E_OVERLAP;
}

@ if front.grey then
msa_status msa_grey(const msa_session *s, float *out)
{
    const msa_status status = check_out(s, out, (size_t)MSA_FRONT_LINES * MSA_FRONT_DEPTH * sizeof(float));
    if (status != MSA_OK || s->lines < MSA_FRONT_LINES) {
        return status != MSA_OK ? status : MSA_E_ORDER;
    }
    const float *const frame = arena_floats(s, MSA_FRONT_SHOWN_OFFSET);
    for (size_t line = 0; line < MSA_FRONT_LINES; ++line) {
        for (size_t i = 0; i < MSA_FRONT_DEPTH; ++i) {
            out[line * MSA_FRONT_DEPTH + i] = frame[i * MSA_FRONT_FRAME_STRIDE + line];
        }
    }
    return MSA_OK;
}

@ end
@ if front.picture then
@ if network then
/* Where the caller's image need not be checked: the picture is the front end's own. */
msa_status msa_encode_samples(msa_session *s, const msa_samples *samples)
{
    msa_status status = samples == NULL ? check_session(s) : msa_frame(s, samples);
    if (status == MSA_OK && s->pictured == 0) {
        status = MSA_E_ORDER;
    }
    if (status == MSA_OK) {
        status = check_environment();
    }
    if (status != MSA_OK) {
        return status;
    }
    msa_image image = msa_rgb(s->arena + MSA_FRONT_PICTURE_OFFSET, s->picture.width, s->picture.height);
@   if front.picture.channels == 1 then
    image.format = MSA_PIXELS_GREY;
    image.stride = s->picture.width;
    image.work = s->arena + MSA_FRONT_ROW_OFFSET;
@   end
    return encode_checked(s, &image);
}

@ end
msa_status msa_picture_get(const msa_session *s, msa_picture *picture)
{
    const msa_status status = check_out(s, picture, sizeof *picture);
    if (status == MSA_OK) {
        *picture = s->picture;
    }
    return status;
}

msa_status msa_bmode(const msa_session *s, uint8_t *out)
{
    const size_t pixels = s == NULL ? 0 : (size_t)s->picture.width * s->picture.height;
    const msa_status status = check_out(s, out, pixels * MSA_FRONT_CHANNELS);
    if (status == MSA_OK) {
        (void)memcpy(out, s->arena + MSA_FRONT_PICTURE_OFFSET, pixels * MSA_FRONT_CHANNELS);
    }
    return status;
}

@ end
