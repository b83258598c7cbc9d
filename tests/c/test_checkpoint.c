/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: what torch.save writes becomes tensors, what is unsound is refused in one line that names file and
 * tensor. */
#define _XOPEN_SOURCE 700
#include "checkpoint.h"
#include "explain.h"
#include "forge.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

static char why[MSAGEN_ERROR_BYTES];

/* 24 floats 0, 1, ..; as bytes on a little-endian host. */
static const float ramp[24] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

enum { CONTIGUOUS, VIEW, TRANSPOSED, SCALAR, EMPTY, EXPANDED, TENSORS };

static const struct {
    const char *name;
    struct forge_tensor tensor;
} sound[TENSORS] = {
    [CONTIGUOUS] = {"module.a.weight", {"FloatStorage", "0", 24, 0, 2, 2, {4, 6}, {6, 1}}},
    [VIEW] = {"module.a.view", {"FloatStorage", "0", 24, 8, 2, 2, {2, 3}, {6, 1}}},
    [TRANSPOSED] = {"module.a.transposed", {"FloatStorage", "0", 24, 0, 2, 2, {6, 4}, {1, 6}}},
    [SCALAR] = {"module.a.scalar", {"FloatStorage", "0", 24, 23, 0, 0, {0}, {0}}},
    [EMPTY] = {"module.a.empty", {"FloatStorage", "0", 24, 24, 2, 2, {0, 3}, {3, 1}}},
    [EXPANDED] = {"module.a.expanded", {"FloatStorage", "0", 24, 5, 2, 2, {3, 2}, {0, 1}}},
};

/* The pickle of a dict of `count` tensors. */
static struct forge pickle_of(const struct forge_tensor *tensors, const char *const *names, size_t count)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02}(");
    for (size_t i = 0; i < count; ++i) {
        forge_string(&p, names[i]);
        forge_tensor(&p, &tensors[i]);
    }
    forge_text(&p, "u.");
    return p;
}

static struct forge archive_of(const struct forge *pickle, const struct forge_member *more, size_t count, int flags)
{
    struct forge_member members[8] = {
        {.name = "archive/data.pkl", .data = pickle->data, .bytes = pickle->bytes},
        {.name = "archive/data/0", .data = ramp, .bytes = sizeof ramp},
    };
    for (size_t i = 0; i < count; ++i)
        members[2 + i] = more[i];
    struct forge file = {0};
    forge_zip(&file, members, 2 + count, flags);
    return file;
}

static struct forge sound_file(int flags)
{
    struct forge_tensor tensors[TENSORS];
    const char *names[TENSORS];
    for (size_t i = 0; i < TENSORS; ++i) {
        tensors[i] = sound[i].tensor;
        names[i] = sound[i].name;
    }
    struct forge p = pickle_of(tensors, names, TENSORS);
    const struct forge file = archive_of(&p, NULL, 0, flags);
    free(p.data);
    return file;
}

static struct msagen_checkpoint *open_bytes(const struct forge *file)
{
    why[0] = '\0';
    return msagen_checkpoint_open_memory(file->data, file->bytes, "x.pth", why, sizeof why);
}

static void expect_tensor(struct msagen_checkpoint *c, const char *name, size_t count, const float *values)
{
    size_t index;
    cr_assert(msagen_checkpoint_find(c, name, &index), "%s", name);
    struct msagen_tensor *t = msagen_checkpoint_tensor(c, index, why, sizeof why);
    cr_assert(t, "%s", why);
    cr_assert_str_eq(t->name, name);
    cr_assert_eq(t->dtype, MSAGEN_F32);
    cr_assert_eq(msagen_tensor_numel(t), (int64_t)count);
    float out[24] = {0};
    msagen_tensor_read_f32(t, out);
    cr_assert_eq(memcmp(out, values, count * sizeof *out), 0, "%s", name);
    msagen_tensor_free(t);
}

static void expect_sound(const struct forge *file, const char *container)
{
    struct msagen_checkpoint *c = open_bytes(file);
    cr_assert(c, "%s", why);
    cr_assert_str_eq(msagen_checkpoint_format(c), "pth");
    cr_assert_str_eq(msagen_checkpoint_container(c), container);
    cr_assert_str_eq(msagen_checkpoint_path(c), "x.pth");
    cr_assert_eq(msagen_checkpoint_count(c), TENSORS);
    for (size_t i = 0; i < TENSORS; ++i)
        cr_assert_str_eq(msagen_checkpoint_name(c, i), sound[i].name);
    float transposed[24];
    for (int i = 0; i < 24; ++i)
        transposed[i] = (float)(i % 4 * 6 + i / 4);
    expect_tensor(c, "module.a.weight", 24, ramp);
    expect_tensor(c, "module.a.view", 6, (const float[]){8, 9, 10, 14, 15, 16});
    expect_tensor(c, "module.a.transposed", 24, transposed);
    expect_tensor(c, "module.a.scalar", 1, (const float[]){23});
    expect_tensor(c, "module.a.empty", 0, ramp);
    expect_tensor(c, "module.a.expanded", 6, (const float[]){5, 6, 5, 6, 5, 6});
    size_t index;
    cr_assert_not(msagen_checkpoint_find(c, "a.weight", &index));
    cr_assert(msagen_checkpoint_verify(c, why, sizeof why), "%s", why);
    msagen_checkpoint_close(c);
}

Test(checkpoint, views_of_one_storage)
{
    for (int flags = 0; flags < 8; ++flags) {
        struct forge file = sound_file(flags);
        expect_sound(&file, "state dict");
        free(file.data);
    }
}

/* best_tol may be a tensor, "model" a text: neither is the state dict. */
Test(checkpoint, training_files_are_unwrapped)
{
    static const char *const wrappers[] = {"state_dict", "model", "model_state_dict", "net"};
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; ++i) {
        const bool is_model = strcmp(wrappers[i], "model") == 0;
        struct forge p = {0};
        forge_text(&p, "\x80\x02}(");
        forge_string(&p, "epoch");
        forge_text(&p, "K\x07");
        if (!is_model) {
            forge_string(&p, "model");
            forge_string(&p, "sam");
        }
        forge_string(&p, wrappers[i]);
        forge_text(&p, "}(");
        for (size_t k = 0; k < TENSORS; ++k) {
            forge_string(&p, sound[k].name);
            forge_tensor(&p, &sound[k].tensor);
        }
        forge_text(&p, "u");
        forge_string(&p, "best_tol");
        forge_tensor(&p, &(struct forge_tensor){"FloatStorage", "0", 24, 0, 0, 0, {0}, {0}});
        forge_text(&p, "u.");
        struct forge file = archive_of(&p, NULL, 0, 0);
        char container[128];
        snprintf(container, sizeof container, "training file: epoch, %s%s, best_tol", is_model ? "" : "model, ",
            wrappers[i]);
        expect_sound(&file, container);
        free(p.data);
        free(file.data);
    }
}

static void expect_refused(const struct forge *file, const char *expected)
{
    struct msagen_checkpoint *c = open_bytes(file);
    cr_assert_null(c, "it was accepted; expected: %s", expected);
    cr_assert(strncmp(why, "x.pth: ", 7) == 0 && strstr(why, expected), "%s", why);
    cr_assert_null(strpbrk(why, "\n\r"));
}

/* One tensor "w" in an otherwise sound file. */
static void tensor_refused(const char *name, struct forge_tensor tensor, const char *expected)
{
    struct forge p = pickle_of(&tensor, &name, 1), file = archive_of(&p, NULL, 0, 0);
    expect_refused(&file, expected);
    free(p.data);
    free(file.data);
}

#define F "FloatStorage"

Test(checkpoint, tensors_outside_their_storage_are_refused)
{
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 2, 2, {5, 5}, {5, 1}},
                   "w: shape [5,5] with strides [5,1] from element 0 needs 25 elements; its storage data/0 holds 24");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 1, 2, 2, {4, 6}, {6, 1}},
        "w: shape [4,6] with strides [6,1] from element 1 needs 25");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 25, 1, 1, {0}, {1}}, "w: ");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, -1, 1, 1, {2}, {1}}, "none can be negative");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 23, 1, 1, {2}, {-1}}, "none can be negative");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 1, 1, {-2}, {1}}, "none can be negative");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 2, 2, {3, 3}, {INT64_MAX, INT64_MAX}},
        "leaves its storage data/0");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, INT64_MAX, 1, 1, {1}, {1}}, "leaves its storage data/0");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 1, 1, {INT64_MAX}, {INT64_MAX}},
        "leaves its storage data/0");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 2, 2, {1 << 20, 1 << 20}, {0, 0}},
        "spreads the 24 elements");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 3, 3, {INT64_MAX, INT64_MAX, 2}, {0, 0, 0}},
        "spreads the 24 elements");
    tensor_refused("w", (struct forge_tensor){F, "0", 24, 0, 9, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1},
        {1, 1, 1, 1, 1, 1, 1, 1, 1}},
                   "w: 9 dimensions; expected at most 8");
}

Test(checkpoint, storages_must_be_what_the_pickle_says)
{
    tensor_refused("w", (struct forge_tensor){F, "0", 25, 0, 1, 1, {1}, {1}},
                   "w: its storage data/0 is said to hold 25 elements of 4 bytes; it has 96 bytes");
    tensor_refused("w", (struct forge_tensor){F, "0", INT64_MAX, 0, 1, 1, {1}, {1}}, "it has 96 bytes");
    tensor_refused("w", (struct forge_tensor){"DoubleStorage", "0", 24, 0, 1, 1, {1}, {1}},
        "24 elements of 8 bytes; it has 96 bytes");
    tensor_refused("w", (struct forge_tensor){F, "1", 24, 0, 1, 1, {1}, {1}},
        "w: its storage data/1 is not in the file");
    tensor_refused("w", (struct forge_tensor){F, "../data.pkl", 24, 0, 1, 1, {1}, {1}}, "is not in the file");
    tensor_refused("w", (struct forge_tensor){"ComplexFloatStorage", "0", 12, 0, 1, 1, {1}, {1}},
                   "w: its elements are torch.ComplexFloatStorage");
}

Test(checkpoint, names_must_be_one_line_and_unique)
{
    const struct forge_tensor t = {F, "0", 24, 0, 1, 1, {1}, {1}};
    tensor_refused("a\nmsagen: b", t, "control characters: a?msagen: b");
    tensor_refused("", t, "name is empty");
    tensor_refused("\xff", t, "no UTF-8");
    tensor_refused("\xed\xa0\x80", t, "no UTF-8");
    const struct forge_tensor two[] = {t, t};
    static const char *const names[] = {"w", "w"};
    struct forge p = pickle_of(two, names, 2), file = archive_of(&p, NULL, 0, 0);
    expect_refused(&file, "two tensors are called w");
    free(p.data);
    free(file.data);
}

/* `text` is the whole pickle but its protocol. */
static void pickle_refused(const char *text, const char *expected)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02");
    forge_text(&p, text);
    struct forge file = archive_of(&p, NULL, 0, 0);
    expect_refused(&file, expected);
    free(p.data);
    free(file.data);
}

Test(checkpoint, pickles_that_are_programs_are_refused)
{
    pickle_refused("cposix\nsystem\nU\x02id\x85R.", "pickle: calls posix.system, which no checkpoint needs: refused");
}

Test(checkpoint, other_pickles_are_refused)
{
    pickle_refused("K\x01.", "holds an integer; expected a state dict or a training file");
    pickle_refused("}.", "its keys are none; expected tensors by name");
    pickle_refused("}U\x05" "epochK\x01sU\x01\nK\x01s.", "holds no state dict: its keys are epoch, ?; expected");
    pickle_refused("}q\x01U\x05modelh\x01s.", "its keys are model");
}

/* A dict of the sound tensors, their values in element `offset` and on; the dict itself is left on the stack. */
static void forge_set(struct forge *p, int64_t offset)
{
    forge_text(p, "}(");
    forge_string(p, "a.weight");
    forge_tensor(p, &(struct forge_tensor){F, "0", 24, offset, 1, 1, {2}, {1}});
    forge_string(p, "a.bias");
    forge_tensor(p, &(struct forge_tensor){F, "0", 24, offset + 2, 1, 1, {1}, {1}});
    forge_text(p, "u");
}

static struct msagen_checkpoint *open_set(const struct forge *file, const char *set)
{
    static const char name[] = "sets.pth.tmp";
    FILE *f = fopen(name, "wb");
    cr_assert(f && fwrite(file->data, 1, file->bytes, f) == file->bytes && fclose(f) == 0);
    struct msagen_checkpoint *c = msagen_checkpoint_open_set(name, set, why, sizeof why);
    remove(name);
    return c;
}

/* Which of several sets is meant is never guessed, whatever the second is called; the one that is asked for is read. */
Test(checkpoint, one_of_several_sets_is_asked_for)
{
    static const char *const second[] = {"model_ema", "ema_state_dict", "teacher", "best", "swa_model",
        "averaged_model", "optimal_weights", "q"};
    for (size_t i = 0; i < sizeof second / sizeof *second; ++i) {
        struct forge p = {0};
        forge_text(&p, "\x80\x02}(");
        forge_string(&p, "model");
        forge_set(&p, 0);
        forge_string(&p, "epoch");
        forge_integer(&p, 3);
        forge_string(&p, second[i]);
        forge_set(&p, 10);
        forge_text(&p, "u.");
        struct forge file = archive_of(&p, NULL, 0, 0);
        char expected[160];
        snprintf(expected, sizeof expected,
            "holds 2 sets of weights: model, %s: expected --weights-key to say which one is meant, found none",
            second[i]);
        expect_refused(&file, expected);
        cr_assert_null(open_set(&file, "modle"));
        cr_assert(strstr(why, "found modle"), "%s", why);
        struct msagen_checkpoint *c = open_set(&file, second[i]);
        cr_assert(c, "%s", why);
        cr_assert_str_eq(msagen_checkpoint_set(c), second[i]);
        expect_tensor(c, "a.weight", 2, ramp + 10);
        msagen_checkpoint_close(c);
        c = open_set(&file, "model");
        cr_assert(c, "%s", why);
        expect_tensor(c, "a.weight", 2, ramp);
        msagen_checkpoint_close(c);
        free(p.data);
        free(file.data);
    }
}

/* `middle` is what lies beside a set under "state_dict": the pickle of a key and its value. */
static void forge_beside(struct forge *p, const char *middle)
{
    forge_text(p, "\x80\x02}(");
    forge_string(p, "state_dict");
    forge_set(p, 0);
    for (const char *at = middle; *at; ++at) {
        if (*at == '@')             /* a set of weights */
            forge_set(p, 10);
        else if (*at == '#')        /* one tensor */
            forge_tensor(p, &(struct forge_tensor){F, "0", 24, 0, 1, 1, {4}, {1}});
        else
            forge_bytes(p, at, 1);
    }
    forge_text(p, "u.");
}

static void beside(const char *middle, const char *expected)
{
    struct forge p = {0};
    forge_beside(&p, middle);
    struct forge file = archive_of(&p, NULL, 0, 0);
    if (expected) {
        expect_refused(&file, expected);
    } else {
        struct msagen_checkpoint *c = open_bytes(&file);
        cr_assert(c, "%s: %s", middle, why);
        cr_assert_eq(msagen_checkpoint_count(c), 2);
        cr_assert_str_eq(msagen_checkpoint_set(c), "state_dict");
        msagen_checkpoint_close(c);
    }
    free(p.data);
    free(file.data);
}

Test(checkpoint, sets_are_found_wherever_they_lie)
{
    beside("U\x03" "ema}U\x06module@s", "state_dict, ema.module");
    beside("U\x06models](@@e", "holds 3 sets of weights: state_dict, models.0, models.1");
    beside("U\x04" "best@K\x01\x86", "state_dict, best.0");
    beside("U\x0a" "checkpoint}U\x01" "a}U\x01" "b@ss", "checkpoint.a.b");
    beside("U\x06shadow](########e", "holds 2 sets of weights: state_dict, shadow");
    beside("U\x04headctorch.nn.modules.linear\nLinear\n)\x81}U\x06weight#sb",
        "holds 2 sets of weights: state_dict, head");
    beside("U\x03" "emacema_pytorch\nEMA\n)\x81}U\x05inner}(U\x01" "a#U\x01" "b#U\x01" "c#U\x01" "d#"
           "U\x01" "e#U\x01" "f#U\x01" "g#U\x01" "h#usb", "holds 2 sets of weights: state_dict, ema");
}

Test(checkpoint, what_training_keeps_is_no_set)
{
    beside("U\x09optimizer@", NULL);
    beside("U\x09optimizer}U\x05state}K\x01}(U\x07" "exp_avg#U\x0a" "exp_avg_sq#uss", NULL);
    beside("U\x03opt}U\x05state@s", NULL);
    beside("U\x10optimizer_states](@@e", NULL);
    beside("U\x06losses](###e", NULL);
    beside("U\x07metrics}U\x04" "dice#s", NULL);
    beside("U\x08" "best_tol#", NULL);
    beside("U\x09optimizerctorch.optim.adam\nAdam\n)\x81}U\x05state@sb", NULL);
}

/* What is in no set is accounted for all the same: under the name that leads to it, the importer judges it. */
Test(checkpoint, weights_beside_the_sets_are_listed)
{
    static const struct {
        const char *middle, *name;
    } cases[] = {{"U\x05" "delta#", "delta"}, {"U\x04head}(U\x06weight#U\x04" "bias#u", "head.weight"},
                 {"U\x05pairs](##e", "pairs.1"}, {"U\x01x}U\x01y}U\x01z#ss", "x.y.z"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct forge p = {0};
        size_t index;
        forge_beside(&p, cases[i].middle);
        struct forge file = archive_of(&p, NULL, 0, 0);
        struct msagen_checkpoint *c = open_bytes(&file);
        cr_assert(c, "%s", why);
        cr_assert_str_eq(msagen_checkpoint_set(c), "state_dict");
        cr_assert(msagen_checkpoint_count(c) > 2 && msagen_checkpoint_find(c, cases[i].name, &index), "%s",
            cases[i].name);
        msagen_checkpoint_close(c);
        free(p.data);
        free(file.data);
    }
}

/* Objects of any class are kept unread; nothing of them is executed. */
Test(checkpoint, harmless_objects_pass)
{
    beside("U\x07versionctorch.torch_version\nTorchVersion\nU\x05" "2.1.0\x85\x81", NULL);
    beside("U\x04" "argscargparse\nNamespace\n)\x81}U\x02lrG\x3f\x50\x62\x4d\xd2\xf1\xa9\xfcsb", NULL);
    beside("U\x03" "cfgcomegaconf.dictconfig\nDictConfig\n)\x81}U\x08_contentNsb", NULL);
    beside("U\x03nowcdatetime\ndatetime\nU\x01x\x85R", NULL);
    beside("U\x04mode" "cmy.project\nMode\nK\x01\x85R", NULL);
    beside("U\x04mode" "cmy.project\nmake_mode\nK\x01\x85R",
        "pickle: calls my.project.make_mode, which no checkpoint needs: refused");
    beside("U\x04mode" "csubprocess\nPopen\nU\x02id\x85R",
        "pickle: holds an object of class subprocess.Popen, which no checkpoint needs: refused");
}

Test(checkpoint, arrays_of_numpy_are_called_so)
{
    pickle_refused("}U\x03" "a.bcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x01\x85U\x01" "btRs.",
        "its weights are NumPy arrays, which are not read");
    pickle_refused("}U\x05model}U\x03"
        "a.bcnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x01\x85U\x01" "btRss.",
        "its weights are NumPy arrays");
    static const char array[] = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x01\x85U\x01" "btR";
    char second[1024] = "U\x03" "ema}(";
    for (int i = 0; i < 8; ++i)
        snprintf(second + strlen(second), sizeof second - strlen(second), "U\x01%c%s", 'a' + i, array);
    snprintf(second + strlen(second), sizeof second - strlen(second), "u");
    beside(second, "holds 2 sets of weights: state_dict, ema");
    pickle_refused("}U\x05model" "csegment_anything.modeling.sam\nSam\n)\x81s.",
        "model is an object of class segment_anything.modeling.sam.Sam: expected its state_dict()");
}

/* A list of lists of lists ..., each many times over: the search ends. */
Test(checkpoint, a_search_for_sets_ends, .timeout = 20)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02}U\x01x](K\x01" "eq\x01" "0");
    for (int level = 2; level < 7; ++level) {
        forge_text(&p, "](");
        for (int i = 0; i < 3000; ++i) {
            forge_text(&p, "h");
            forge_number(&p, (uint64_t)(level - 1), 1);
        }
        forge_text(&p, "eq");
        forge_number(&p, (uint64_t)level, 1);
        forge_text(&p, "0");
    }
    forge_text(&p, "h\x06s.");
    struct forge file = archive_of(&p, NULL, 0, 0);
    expect_refused(&file, "values in lists and dicts: too many to look for weights in");
    free(p.data);
    free(file.data);
}

static void archive_refused(const struct forge_member *more, const char *expected)
{
    const struct forge_tensor t = {F, "0", 24, 0, 1, 1, {1}, {1}};
    static const char *const name = "w";
    struct forge p = pickle_of(&t, &name, 1), file = archive_of(&p, more, 1, 0);
    expect_refused(&file, expected);
    free(p.data);
    free(file.data);
}

Test(checkpoint, archives_that_are_no_checkpoint_are_refused)
{
    archive_refused(&(struct forge_member){.name = "archive/byteorder", .data = "big", .bytes = 3},
        "its byteorder is \"big\"; expected little");
    archive_refused(&(struct forge_member){.name = "archive/constants.pkl", .data = ".", .bytes = 1},
        "a TorchScript program");
    archive_refused(&(struct forge_member){.name = "other/data.pkl", .data = ".", .bytes = 1},
        "both archive/data.pkl and other/data.pkl");
    const struct forge_member photo = {.name = "photo.png", .data = "x", .bytes = 1};
    struct forge file = {0};
    forge_zip(&file, &photo, 1, 0);
    expect_refused(&file, "a ZIP without data.pkl: no checkpoint of torch.save (its first entry is photo.png)");
    free(file.data);
}

/* ---- TorchScript programs ---- */

/* The beginning of an object of a program's class, whose parts follow up to "ub". */
static void forge_module(struct forge *p, const char *class)
{
    forge_text(p, "c__torch__.");
    forge_text(p, class);
    forge_text(p, "\n)\x81}(");
}

/* A name in a program, and the tensor of it. */
static void forge_part(struct forge *p, const char *name)
{
    forge_string(p, name);
    forge_tensor(p, &(struct forge_tensor){F, "0", 24, 0, 1, 1, {24}, {1}});
}

static struct msagen_checkpoint *open_program(struct forge *p)
{
    const struct forge_member constants = {.name = "archive/constants.pkl", .data = ".", .bytes = 1};
    struct forge file = archive_of(p, &constants, 1, 0);
    why[0] = '\0';
    struct msagen_checkpoint *c = msagen_checkpoint_open_program_memory(file.data, file.bytes, "x.pt", why, sizeof why);
    free(p->data);
    if (c)
        expect_tensor(c, "text.w", 24, ramp);
    msagen_checkpoint_close(c);
    free(file.data);
    return c;
}

static void program_refused(struct forge *p, const char *expected)
{
    cr_assert_null(open_program(p));
    cr_assert(strncmp(why, "x.pt: ", 6) == 0 && strstr(why, expected), "%s", why);
    cr_assert_null(strpbrk(why, "\n\r\x1b"));
}

/* Objects are named by what holds them; a class of any name is one, and nothing but objects and tensors counts. */
Test(checkpoint, program_has_tensors_by_module)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "a.b\nModel");
    forge_string(&p, "training");
    forge_text(&p, "\x89");
    forge_string(&p, "sizes");
    forge_text(&p, "ctorch.jit._pickle\nbuild_intlist\n](K\x01K\x02" "e\x85R");
    forge_string(&p, "text");
    forge_module(&p, "torch.nn.modules.linear\n_LinearWithBias");
    forge_part(&p, "w");
    forge_text(&p, "ubub.");
    cr_assert(open_program(&p), "%s", why);
}

Test(checkpoint, program_that_is_none_is_refused)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02}.");
    program_refused(&p, "a TorchScript program that is a dict: expected a module");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "\nModel");
    program_refused(&p, "pickle: ");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02" "cposix\nsystem\n)R.");
    program_refused(&p, "calls posix.system");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "a\nModel");
    forge_text(&p, "ub.");
    program_refused(&p, "a TorchScript program without tensors");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "a\nModel");
    forge_part(&p, "w\n");
    forge_text(&p, "ub.");
    program_refused(&p, "holds a part whose name is no text");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "a\nModel");
    forge_part(&p, "w");
    forge_part(&p, "w");
    forge_text(&p, "ub.");
    program_refused(&p, "two tensors are called w");
}

/* An object in itself, and one that holds the next twice, over and over: neither takes long. */
Test(checkpoint, program_without_end_is_refused, .timeout = 20)
{
    struct forge p = {0};
    forge_text(&p, "\x80\x02");
    forge_text(&p, "c__torch__.a\nModel\n)\x81q\x01}(");
    forge_string(&p, "self");
    forge_text(&p, "h\x01ub.");
    program_refused(&p, "modules in more than 40 others");
    p = (struct forge){0};
    forge_text(&p, "\x80\x02");
    forge_module(&p, "a\nModel");
    forge_part(&p, "w");
    forge_text(&p, "ubq\x01""0");
    for (int level = 2; level < 38; ++level) {
        forge_module(&p, "a\nModel");
        for (int i = 0; i < 2; ++i) {
            forge_string(&p, i ? "b" : "a");
            forge_text(&p, "h");
            forge_number(&p, (uint64_t)level - 1, 1);
        }
        forge_text(&p, "ubq");
        forge_number(&p, (uint64_t)level, 1);
        forge_text(&p, level < 37 ? "0" : "");
    }
    forge_text(&p, ".");
    program_refused(&p, "refused");
}

Test(checkpoint, byteorder_little_is_fine)
{
    const struct forge_tensor t = {F, "0", 24, 0, 1, 1, {24}, {1}};
    static const char *const name = "w";
    const struct forge_member more = {.name = "archive/byteorder", .data = "little", .bytes = 6};
    struct forge p = pickle_of(&t, &name, 1), file = archive_of(&p, &more, 1, 0);
    struct msagen_checkpoint *c = open_bytes(&file);
    cr_assert(c, "%s", why);
    expect_tensor(c, "w", 24, ramp);
    msagen_checkpoint_close(c);
    free(p.data);
    free(file.data);
}

Test(checkpoint, other_files_are_refused_by_name)
{
    static const struct {
        const char *bytes, *expected;
        size_t count;
    } files[] = {
        {"", "is empty", 0},
        {"x", "neither a ZIP as torch.save writes it nor safetensors", 1},
        {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.", "before PyTorch 1.6", 21},
        {"\x80\x02}.", "is a bare pickle", 4},
        {"\x40\0\0\0\0\0\0\0{}", "safetensors: its header is said to have 64 bytes; 2 are left", 10},
        {"\x02\0\0\0\0\0\0\0{}", "safetensors: it holds no tensors", 10},
        {"PK\3\4", "ZIP: no directory at its end", 4},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        struct forge file = {0};
        forge_bytes(&file, files[i].bytes, files[i].count);
        expect_refused(&file, files[i].expected);
        free(file.data);
    }
}

/* Storages are not read at opening: the damage shows when the tensor is taken, or in verify. */
Test(checkpoint, damaged_storages_are_noticed)
{
    struct forge file = sound_file(FORGE_PADDED);
    for (size_t i = 0; i + sizeof ramp < file.bytes; ++i)
        if (memcmp(file.data + i, ramp, sizeof ramp) == 0)
            file.data[i + 50] ^= 4;
    struct msagen_checkpoint *c = open_bytes(&file);
    cr_assert(c, "%s", why);
    for (int twice = 0; twice < 2; ++twice) {
        cr_assert_null(msagen_checkpoint_tensor(c, SCALAR, why, sizeof why));
        cr_assert(strstr(why, "x.pth: module.a.scalar: ZIP: archive/data/0 is damaged: CRC-32"), "%s", why);
    }
    cr_assert_not(msagen_checkpoint_verify(c, why, sizeof why));
    cr_assert(strstr(why, "x.pth: ZIP: archive/data/0 is damaged"), "%s", why);
    msagen_checkpoint_close(c);
    free(file.data);
}

/* Whatever bit flips: refused, or the tensors are what they were. */
Test(checkpoint, any_flipped_bit_is_harmless)
{
    struct forge file = sound_file(FORGE_DESCRIPTORS | FORGE_PADDED);
    size_t noticed = 0;
    for (size_t bit = 0; bit < file.bytes * 8; bit += 3) {
        file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        struct msagen_checkpoint *c = open_bytes(&file);
        struct msagen_tensor *t = c ? msagen_checkpoint_tensor(c, CONTIGUOUS, why, sizeof why) : NULL;
        float out[24];
        if (t) {
            msagen_tensor_read_f32(t, out);
            cr_assert_eq(memcmp(out, ramp, sizeof ramp), 0, "bit %zu", bit);
        } else
            ++noticed;
        msagen_tensor_free(t);
        msagen_checkpoint_close(c);
        file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    cr_assert_gt(noticed, file.bytes * 8 / 3 / 2, "only %zu", noticed);
    free(file.data);
}

Test(checkpoint, truncated_anywhere_is_refused)
{
    struct forge file = sound_file(0);
    for (size_t n = 0; n < file.bytes; ++n) {
        unsigned char *part = malloc(n + 1);
        memcpy(part, file.data, n);
        cr_assert_null(msagen_checkpoint_open_memory(part, n, "x.pth", why, sizeof why), "%zu of %zu bytes", n,
            file.bytes);
        free(part);
    }
    free(file.data);
}

static void write_file(char *path, size_t size, const struct forge *file)
{
    const char *folder = getenv("TMPDIR");
    snprintf(path, size, "%s/checkpoint-XXXXXX", folder ? folder : P_tmpdir);
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, file->data, file->bytes), (ssize_t)file->bytes);
    close(fd);
}

/* Tensors outlive the checkpoint they came from. */
Test(checkpoint, files_are_mapped)
{
    char path[4096];
    struct forge file = sound_file(FORGE_PADDED);
    write_file(path, sizeof path, &file);
    struct msagen_checkpoint *c = msagen_checkpoint_open(path, why, sizeof why);
    unlink(path);
    cr_assert(c, "%s", why);
    expect_tensor(c, "module.a.weight", 24, ramp);
    cr_assert(msagen_checkpoint_verify(c, why, sizeof why), "%s", why);
    size_t bytes;
    const unsigned char *data = msagen_checkpoint_bytes(c, &bytes);
    cr_assert_eq(bytes, file.bytes);
    cr_assert_eq(memcmp(data, file.data, bytes), 0);
    msagen_checkpoint_release(c, data, bytes);
    cr_assert_eq(memcmp(data, file.data, bytes), 0, "released pages come back");
    struct msagen_tensor *t = msagen_checkpoint_tensor(c, VIEW, why, sizeof why);
    msagen_checkpoint_close(c);
    cr_assert_eq(msagen_tensor_at(t, (const int64_t[]){1, 2}), 16);
    msagen_tensor_free(t);
    free(file.data);
}

Test(checkpoint, what_is_no_file_is_refused)
{
    cr_assert_null(msagen_checkpoint_open("no-such-file.pth", why, sizeof why));
    cr_assert(strstr(why, "no-such-file.pth: "), "%s", why);
    cr_assert_null(msagen_checkpoint_open(".", why, sizeof why));
    cr_assert_null(msagen_checkpoint_open("/dev/zero", why, sizeof why));
}

Test(checkpoint, safetensors)
{
    struct forge file = {0};
    static const char header[] = "{\"__metadata__\":{\"arch\":\"vit_b\"},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[4,6],\"data_offsets\":[1,97]},"
                                 "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}";
    forge_number(&file, strlen(header), 8);
    forge_text(&file, header);
    forge_number(&file, 9, 1);
    forge_bytes(&file, ramp, sizeof ramp);      /* at an odd place: elements need not be aligned */
    struct msagen_checkpoint *c = open_bytes(&file);
    cr_assert(c, "%s", why);
    cr_assert_str_eq(msagen_checkpoint_format(c), "safetensors");
    cr_assert_str_eq(msagen_checkpoint_name(c, 0), "b");
    expect_tensor(c, "b", 24, ramp);
    const char *key, *value;
    cr_assert(msagen_checkpoint_metadata(c, 0, &key, &value));
    cr_assert_str_eq(key, "arch");
    cr_assert_str_eq(value, "vit_b");
    cr_assert_not(msagen_checkpoint_metadata(c, 1, &key, &value));
    cr_assert(msagen_checkpoint_verify(c, why, sizeof why), "%s", why);
    msagen_checkpoint_close(c);
    free(file.data);
}
