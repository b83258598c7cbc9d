/* SPDX-License-Identifier: Apache-2.0 */
/* Pickles: plain data is read, names and opcodes outside the fixed set are refused, nothing malformed does harm. */
#include "explain.h"
#include "forge.h"
#include "pickle.h"
#include "tensor.h"

#include <criterion/criterion.h>

static char why[MSAGEN_ERROR_BYTES];

static struct msagen_pickle *read_bytes(const void *data, size_t bytes)
{
    why[0] = '\0';
    return msagen_pickle_read(data, bytes, why, sizeof why);
}

#define READ(literal) read_bytes(literal, sizeof(literal) - 1)

static void expect_error(const void *data, size_t bytes, const char *expected)
{
    struct msagen_pickle *p = read_bytes(data, bytes);
    cr_assert_null(p, "it was accepted; expected: %s", expected);
    cr_assert(strncmp(why, "pickle: ", 8) == 0 && strstr(why, expected), "%s", why);
    cr_assert_null(strpbrk(why, "\n\r\x1b"));
}

#define REFUSED(literal, expected) expect_error(literal, sizeof(literal) - 1, expected)

static void expect_integer(const void *data, size_t bytes, int64_t expected)
{
    struct msagen_pickle *p = read_bytes(data, bytes);
    cr_assert(p, "%s", why);
    cr_assert_eq(msagen_pickle_root(p)->kind, MSAGEN_PICKLE_INT);
    cr_assert_eq(msagen_pickle_root(p)->u.integer, expected);
    msagen_pickle_free(p);
}

#define INTEGER(literal, expected) expect_integer(literal, sizeof(literal) - 1, expected)

Test(pickle, integers)
{
    INTEGER("\x80\x02K\xff.", 255);
    INTEGER("\x80\x02M\xff\xff.", 65535);
    INTEGER("\x80\x02J\xff\xff\xff\xff.", -1);
    INTEGER("\x80\x02\x8a\x00.", 0);
    INTEGER("\x80\x02\x8a\x01\x80.", -128);
    INTEGER("\x80\x02\x8a\x02\x80\x00.", 128);
    INTEGER("\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", INT64_MIN);
    INTEGER("\x80\x02\x8b\x05\x00\x00\x00\x00\x00\x00\x00\x01.", (int64_t)1 << 32);
}

Test(pickle, integers_beyond_64_bits_do_not_matter)
{
    struct msagen_pickle *p = READ("\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.");
    cr_assert(p, "%s", why);
    cr_assert_eq(msagen_pickle_root(p)->kind, MSAGEN_PICKLE_OPAQUE);
    msagen_pickle_free(p);
}

Test(pickle, numbers_texts_and_bytes)
{
    struct msagen_pickle *p = READ("\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00"
                                   "(G\x3f\xf8\x00\x00\x00\x00\x00\x00\x8c\x02"
                                   "ab"
                                   "C\x03"
                                   "c\x00"
                                   "dN\x88t.");
    cr_assert(p, "%s", why);
    const struct msagen_value *root = msagen_pickle_root(p);
    cr_assert_eq(root->kind, MSAGEN_PICKLE_TUPLE);
    cr_assert_eq(root->u.list.count, 5);
    cr_assert_eq(root->u.list.items[0]->u.real, 1.5);
    cr_assert(msagen_value_is(root->u.list.items[1], "ab"));
    cr_assert_not(msagen_value_is(root->u.list.items[1], "a"));
    cr_assert_eq(root->u.list.items[2]->kind, MSAGEN_PICKLE_BYTES);
    cr_assert_eq(root->u.list.items[2]->u.text.bytes, 3);
    cr_assert_eq(root->u.list.items[3]->kind, MSAGEN_PICKLE_NONE);
    cr_assert_eq(root->u.list.items[4]->kind, MSAGEN_PICKLE_BOOL);
    msagen_pickle_free(p);
}

Test(pickle, dicts_keep_their_order_and_share_by_memo)
{
    /* {"b": l, "a": l, 1: {}} with l = [1, 2] */
    struct msagen_pickle *p = READ("\x80\x02}q\x00(X\x01\x00\x00\x00"
                                   "b]q\x01(K\x01K\x02"
                                   "eX\x01\x00\x00\x00"
                                   "ah\x01K\x01}u.");
    cr_assert(p, "%s", why);
    const struct msagen_value *root = msagen_pickle_root(p);
    cr_assert_eq(root->kind, MSAGEN_PICKLE_DICT);
    cr_assert_eq(root->u.list.count, 6);
    cr_assert(msagen_value_is(root->u.list.items[0], "b"));
    cr_assert(msagen_value_is(root->u.list.items[2], "a"));
    cr_assert_eq(root->u.list.items[1], root->u.list.items[3]);
    cr_assert_eq(root->u.list.items[1]->u.list.count, 2);
    msagen_pickle_free(p);
}

static void append_tensor_dict(struct forge *p, const struct forge_tensor *t)
{
    forge_text(p, "\x80\x02}");
    forge_string(p, "w");
    forge_tensor(p, t);
    forge_text(p, "s.");
}

Test(pickle, tensors)
{
    const struct forge_tensor t = {"HalfStorage", "7", 100, 4, 2, 2, {3, 5}, {10, 2}};
    struct forge bytes = {0};
    append_tensor_dict(&bytes, &t);
    struct msagen_pickle *p = read_bytes(bytes.data, bytes.bytes);
    cr_assert(p, "%s", why);
    const struct msagen_value *tensor = msagen_pickle_root(p)->u.list.items[1];
    const char *name;
    cr_assert_eq(tensor->kind, MSAGEN_PICKLE_TENSOR);
    cr_assert_eq(msagen_pickle_dtype(tensor, &name), MSAGEN_F16);
    cr_assert_str_eq(name, "torch.HalfStorage");
    cr_assert_eq(msagen_pickle_storage_unit(tensor->u.tensor.storage), 2);
    cr_assert_eq(tensor->u.tensor.offset, 4);
    cr_assert_eq(tensor->u.tensor.shape->u.list.items[1]->u.integer, 5);
    cr_assert_eq(tensor->u.tensor.stride->u.list.items[0]->u.integer, 10);
    cr_assert_eq(tensor->u.tensor.storage->u.storage.elements, 100);
    cr_assert(msagen_value_is(tensor->u.tensor.storage->u.storage.key, "7"));
    msagen_pickle_free(p);
    free(bytes.data);
}

Test(pickle, a_parameter_is_its_tensor)
{
    const struct forge_tensor t = {"FloatStorage", "0", 1, 0, 0, 0, {0}, {0}};
    struct forge bytes = {0};
    forge_text(&bytes, "\x80\x02" "ctorch._utils\n_rebuild_parameter\n");
    forge_tensor(&bytes, &t);
    forge_text(&bytes, "\x88" "ccollections\nOrderedDict\n)R\x87R.");
    struct msagen_pickle *p = read_bytes(bytes.data, bytes.bytes);
    cr_assert(p, "%s", why);
    cr_assert_eq(msagen_pickle_root(p)->kind, MSAGEN_PICKLE_TENSOR);
    cr_assert_eq(msagen_pickle_root(p)->u.tensor.shape->u.list.count, 0);
    msagen_pickle_free(p);
    free(bytes.data);
}

/* Pickle text with names and strings: "@TEXT@" stands for BINUNICODE of TEXT. */
static void append(struct forge *p, const char *text)
{
    for (const char *c = text; *c; ++c) {
        if (*c != '@') {
            forge_bytes(p, c, 1);
            continue;
        }
        char string[64];
        size_t length = 0;
        while (*++c != '@')
            string[length++] = *c;
        string[length] = '\0';
        forge_string(p, string);
    }
}

static void expect_read(const char *text, enum msagen_pickle_kind kind)
{
    struct forge bytes = {0};
    forge_text(&bytes, "\x80\x04");
    append(&bytes, text);
    struct msagen_pickle *p = read_bytes(bytes.data, bytes.bytes);
    cr_assert(p, "%s: %s", text, why);
    cr_assert_eq(msagen_pickle_root(p)->kind, kind, "%s", text);
    msagen_pickle_free(p);
    free(bytes.data);
}

/* Optimizers, metrics, options, an OrderedDict's _metadata: well-formed, and read over. */
Test(pickle, what_training_files_hold_besides)
{
    expect_read("ccollections\nOrderedDict\n)R}@_metadata@ccollections\nOrderedDict\n)Rsb.", MSAGEN_PICKLE_DICT);
    expect_read("cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n@f8@\x89\x88\x87R"
                "(K\x03@<@NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x01tb"
                "c_codecs\nencode\n@abcdefgh@@latin1@\x86R\x86R.", MSAGEN_PICKLE_OPAQUE);
    expect_read("cargparse\nNamespace\n)\x81}@lr@K\x01sb.", MSAGEN_PICKLE_OPAQUE);
    expect_read("cpathlib\nPosixPath\n@a@\x85R.", MSAGEN_PICKLE_OPAQUE);
    expect_read("c__builtin__\nset\n](K\x01K\x02" "e\x85R.", MSAGEN_PICKLE_OPAQUE);
    expect_read("\x8f(K\x01\x90.", MSAGEN_PICKLE_OPAQUE);
    expect_read("(K\x01\x91.", MSAGEN_PICKLE_OPAQUE);
    expect_read("ctorch\nSize\n(K\x01K\x02t\x85R.", MSAGEN_PICKLE_TUPLE);
    expect_read("ctorch\ndevice\n@cuda@K\x01\x86R.", MSAGEN_PICKLE_OPAQUE);
    expect_read("ctorch\nfloat16\n.", MSAGEN_PICKLE_GLOBAL);
    expect_read("ccollections\ndefaultdict\nc__builtin__\nint\n\x85R@a@K\x01s.", MSAGEN_PICKLE_DICT);
    expect_read("@collections@\x94@OrderedDict@\x94\x93)R\x94" "0h\x02.", MSAGEN_PICKLE_DICT);
}

Test(pickle, python_2_wrote_ordered_dicts_as_pairs)
{
    struct forge bytes = {0};
    append(&bytes, "\x80\x02" "ccollections\nOrderedDict\n](](@a@K\x01" "e](@b@K\x02" "ee\x85R.");
    struct msagen_pickle *p = read_bytes(bytes.data, bytes.bytes);
    cr_assert(p, "%s", why);
    const struct msagen_value *root = msagen_pickle_root(p);
    cr_assert_eq(root->u.list.count, 4);
    cr_assert(msagen_value_is(root->u.list.items[2], "b"));
    msagen_pickle_free(p);
    free(bytes.data);
}

Test(pickle, containers_may_hold_themselves)
{
    struct msagen_pickle *p = READ("\x80\x02]q\x00h\x00" "a.");
    cr_assert(p, "%s", why);
    cr_assert_eq(msagen_pickle_root(p)->u.list.items[0], msagen_pickle_root(p));
    msagen_pickle_free(p);
}

Test(pickle, calls_are_refused_by_name)
{
    REFUSED("\x80\x02" "cos\nsystem\nX\x02\x00\x00\x00id\x85R.", "calls os.system, which no checkpoint needs: refused");
    REFUSED("\x80\x02" "cposix\nsystem\n", "calls posix.system,");
    REFUSED("\x80\x04X\x05\x00\x00\x00posixX\x06\x00\x00\x00system\x93.", "calls posix.system,");
    REFUSED("\x80\x02(X\x02\x00\x00\x00idios\nsystem\n.", "calls os.system,");
    REFUSED("\x80\x02" "c__builtin__\neval\n.", "calls __builtin__.eval,");
    REFUSED("\x80\x02" "cbuiltins\ngetattr\n.", "calls builtins.getattr,");
    REFUSED("\x80\x02" "ctorch.storage\n_load_from_bytes\n.", "calls torch.storage._load_from_bytes,");
    REFUSED("\x80\x02" "ctorch.nn.modules.linear\nLinear\n.",
        "holds an object of class torch.nn.modules.linear.Linear,");
    REFUSED("\x80\x02" "ctorch.nn.modules.linear\nLinear\n)\x81.",
        "holds an object of class torch.nn.modules.linear.Linear,");
    REFUSED("\x80\x02" "csubprocess\nPopen\n.", "holds an object of class subprocess.Popen,");
    REFUSED("\x80\x02" "cbuiltins\nEllipsis\n.", "holds an object of class builtins.Ellipsis,");
    REFUSED("\x80\x02" "cimportlib.machinery\nSourceFileLoader\n.", "SourceFileLoader");
    REFUSED("\x80\x02" "cmy\nA\x1b[2J\n.", "holds an object of class my.A?[2J,");
    REFUSED("\x80\x02" "ccollections\nOrderedDict.x\n.", "OrderedDict.x");
    REFUSED("\x80\x02" "ca\x1b[2J\x07\nb\n.", "calls a?[2J?.b,");
}

/* A known name in the wrong place is no better. */
Test(pickle, known_names_are_not_called_at_will)
{
    REFUSED("\x80\x02" "ctorch\nTensor\n)R.", "calls torch.Tensor: refused");
    REFUSED("\x80\x02" "ctorch\nFloatStorage\n)R.", "calls torch.FloatStorage: refused");
    REFUSED("\x80\x02" "ctorch._tensor\n_rebuild_from_type_v2\n(c_codecs\nencode\nN)tR.",
        "a tensor rebuilt by _codecs.encode");
    REFUSED("\x80\x02" "ctorch._tensor\n_rebuild_from_type_v2\n(ctorch._tensor\n_rebuild_from_type_v2\nN)tR.",
        "a tensor rebuilt by");
    REFUSED("\x80\x02K\x01)R.", "calls an integer");
    REFUSED("\x80\x02" "ctorch\nSize\nNR.", "calls a class with None");
}

Test(pickle, opcodes_outside_the_set_are_refused)
{
    REFUSED("\x80\x02I1\n.", "opcode INT (0x49)");
    REFUSED("\x80\x02(lp0\n.", "opcode PUT (0x70)");
    REFUSED("\x80\x02\x82\x01.", "opcode EXT1 (0x82)");
    REFUSED("\x80\x05\x97.", "opcode NEXT_BUFFER (0x97)");
    REFUSED("\x80\x02icollections\nOrderedDict\n.", "opcode INST (0x69)");
    REFUSED("\x80\x02\xff.", "byte 2: unknown opcode 0xff");
    for (int code = 0; code < 256; ++code) {
        const unsigned char one[2] = {(unsigned char)code, '.'};
        struct msagen_pickle *p = read_bytes(one, 2);
        cr_assert((p != NULL) == (strchr(")]}N\x88\x89\x8f", code) && code), "opcode 0x%02x alone: %s", (unsigned)code,
            why);
        msagen_pickle_free(p);
    }
}

Test(pickle, other_protocols_are_refused)
{
    REFUSED("\x80\x01N.", "protocol 1; expected 2 to 5");
    REFUSED("\x80\x06N.", "protocol 6; expected 2 to 5");
}

Test(pickle, malformed_streams_are_refused)
{
    REFUSED("", "truncated");
    REFUSED("\x80\x02", "ends without a STOP");
    REFUSED("\x80\x02.", "too few values");
    REFUSED("\x80\x02(.", "too few values");
    REFUSED("\x80\x02K", "ends within an opcode");
    REFUSED("\x80\x02X\xff\xff\xff\xffx.", "a text of 4294967295 bytes");
    REFUSED("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", "a text of 18446744073709551615 bytes");
    REFUSED("\x80\x02\x8b\xff\xff\xff\xff.", "ends within an opcode");
    REFUSED("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", "a frame of");
    REFUSED("\x80\x02" "cos", "ends within a name");
    REFUSED("\x80\x02Nt.", "no mark");
    REFUSED("\x80\x02u.", "no mark");
    REFUSED("\x80\x02N\x86.", "too few values");
    REFUSED("\x80\x02N(\x85.", "too few values");
    REFUSED("\x80\x02}(Nu.", "a key without a value");
    REFUSED("\x80\x02(Nd.", "a key without a value");
    REFUSED("\x80\x02NNNs.", "sets items of None");
    REFUSED("\x80\x02NNa.", "appends to None");
    REFUSED("\x80\x02N(N\x90.", "adds to None");
    REFUSED("\x80\x02NNb.", "gives a state to None");
    REFUSED("\x80\x02h\x00.", "memo 0 was never set");
    REFUSED("\x80\x02j\xff\xff\xff\xff.", "memo 4294967295 was never set");
    REFUSED("\x80\x02Nr\xff\xff\xff\xff.", "memo index 4294967295");
    REFUSED("\x80\x02q\x00.", "too few values");
    REFUSED("\x80\x02NN\x93.", "a class name that is no text");
    REFUSED("\x80\x02NQ.", "a persistent id that is no storage");
    REFUSED("\x80\x02N.N", "1 bytes follow its end");
    REFUSED("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n)R.", "malformed tensor");
    REFUSED("\x80\x02" "ctorch._utils\n_rebuild_parameter\n)R.", "malformed parameter");
}

Test(pickle, malformed_storages_and_tensors_are_refused)
{
    struct forge bytes = {0};
    append(&bytes, "\x80\x02(@storage@ctorch\nSize\n@0@@cpu@K\x01tQ.");
    expect_error(bytes.data, bytes.bytes, "malformed storage");
    bytes.bytes = 0;
    append(&bytes, "\x80\x02(@storage@ctorch\nFloatStorage\n@0@@cpu@J\xff\xff\xff\xfftQ.");
    expect_error(bytes.data, bytes.bytes, "malformed storage");
    bytes.bytes = 0;
    append_tensor_dict(&bytes, &(struct forge_tensor){"FloatStorage", "0", 4, 0, 2, 1, {2, 2}, {2}});
    expect_error(bytes.data, bytes.bytes, "malformed tensor");
    free(bytes.data);
}

/* Deep nesting costs no stack, memos no more memory than the limit. */
Test(pickle, depth_and_counts_are_limited)
{
    const size_t many = MSAGEN_PICKLE_MAX_OBJECTS + 2;
    unsigned char *bytes = malloc(many);
    memset(bytes, ']', many);
    expect_error(bytes, many, "more than 4194304 objects");
    memset(bytes, '(', many);
    expect_error(bytes, many, "exceeds 4194304");
    bytes[0] = 'N';
    memset(bytes + 1, '2', many - 1);
    expect_error(bytes, many, "exceeds 4194304");

    const size_t deep = 1000000;
    memset(bytes, ']', deep);
    memset(bytes + deep, 'a', deep - 1);
    bytes[2 * deep - 1] = '.';
    struct msagen_pickle *p = read_bytes(bytes, 2 * deep);
    cr_assert(p, "%s", why);
    cr_assert_eq(msagen_pickle_root(p)->u.list.count, 1);
    msagen_pickle_free(p);
    free(bytes);
}

/* One list, copied by many calls: the memory limit ends it. */
Test(pickle, copies_are_limited)
{
    struct forge bytes = {0};
    append(&bytes, "\x80\x02]q\x01(");
    for (int i = 0; i < 100000; ++i)
        forge_text(&bytes, "N");
    append(&bytes, "e(");
    for (int i = 0; i < 1000; ++i)
        append(&bytes, "ccollections\ndeque\nh\x01\x85R");
    append(&bytes, "t.");
    expect_error(bytes.data, bytes.bytes, "more than 256 MiB");
    free(bytes.data);
}

Test(pickle, truncated_anywhere_is_refused)
{
    struct forge bytes = {0};
    append_tensor_dict(&bytes, &(struct forge_tensor){"FloatStorage", "0", 4, 0, 2, 2, {2, 2}, {2, 1}});
    for (size_t n = 0; n < bytes.bytes; ++n) {
        unsigned char *part = malloc(n + 1);
        memcpy(part, bytes.data, n);
        struct msagen_pickle *p = read_bytes(part, n);
        cr_assert_null(p, "%zu of %zu bytes", n, bytes.bytes);
        free(part);
    }
    free(bytes.data);
}
