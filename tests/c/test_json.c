/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what is refused and where, numbers that read back, and Lua's side of it. */
#include "explain.h"
#include "host.h"
#include "json.h"

#include <criterion/criterion.h>
#include <float.h>
#include <lualib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char why[MSAGEN_ERROR_BYTES];

static void expect_refused(const char *text, const char *expected)
{
    json_t *value = msagen_json_parse(text, strlen(text), why, sizeof why);
    cr_assert_null(value, "%s was accepted", text);
    cr_assert(strstr(why, expected), "%s: %s", text, why);
    cr_assert_null(strpbrk(why, "\n\r"));
}

Test(json, errors_say_where)
{
    expect_refused("", "line 1, column 0: ");
    expect_refused("{\n \"a\": 1,\n \"a\": 2}", "line 3, column 4: duplicate object key");
    expect_refused("[1,\n2,]", "line 2, column 3: ");
    expect_refused("[1] 2", "line 1, column 5: end of file expected");
    expect_refused("[9223372036854775808]", "too big integer");
    expect_refused("[1e999]", "real number overflow");
    expect_refused("[\"\\u0000\"]", "\\u0000 is not allowed");
    expect_refused("[\"\xff\"]", "unable to decode byte 0xff");
    expect_refused("[NaN]", "invalid token");
    expect_refused("{\"a\" 1}", "':' expected");
}

Test(json, nesting_is_limited)
{
    enum { DEPTH = 100000 };
    char *deep = malloc(DEPTH);
    memset(deep, '[', DEPTH);
    cr_assert_null(msagen_json_parse(deep, DEPTH, why, sizeof why));
    cr_assert(strstr(why, "maximum parsing depth"), "%s", why);
    free(deep);
}

Test(json, size_is_limited)
{
    char *large = malloc(MSAGEN_JSON_MAX_BYTES + 1);
    memset(large, ' ', MSAGEN_JSON_MAX_BYTES + 1);
    cr_assert_null(msagen_json_parse(large, MSAGEN_JSON_MAX_BYTES + 1, why, sizeof why));
    cr_assert(strstr(why, "expected at most 16777216"), "%s", why);
    free(large);
}

Test(json, any_value_stands_alone)
{
    json_t *value = msagen_json_parse(" -12 ", 5, why, sizeof why);
    cr_assert(json_is_integer(value), "%s", why);
    cr_assert_eq(json_integer_value(value), -12);
    json_decref(value);
}

/* Runs a script with `json`; returns what it returned as text, or the error's. */
static const char *lua(const char *script)
{
    static char result[4096];
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "msagen.json", luaopen_msagen_json, 0);
    lua_setglobal(L, "json");
    if (luaL_dostring(L, script) != LUA_OK && lua_istable(L, -1))
        lua_getfield(L, -1, "msagen");
    const char *text = luaL_tolstring(L, -1, NULL);
    strncpy(result, text, sizeof result - 1);
    lua_close(L);
    return result;
}

Test(json, lua_encodes_sorted)
{
    cr_assert_str_eq(lua("return json.encode { b = { 1, 2, 3 }, a = { y = 1.0, x = json.null }, c = {},\n"
                         "  d = json.array {}, e = true }"),
                     "{\"a\":{\"x\":null,\"y\":1.0},\"b\":[1,2,3],\"c\":{},\"d\":[],\"e\":true}");
    cr_assert_str_eq(lua("return json.encode({ shape = { x = 4 }, rows = { { 1 }, json.array {} } }, { indent = 1 })"),
                     "{\n \"rows\": [\n  [\n   1\n  ],\n  []\n ],\n \"shape\": {\n  \"x\": 4\n }\n}");
    cr_assert_str_eq(lua("return json.encode 'q\"\\\\\\n\\1\\xff\\xc3\\xa9'"),
                     "\"q\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\"");
}

Test(json, reals_read_back)
{
    static const char *const known[][2] = {
        {"0.1", "0.1"}, {"1.0", "1.0"}, {"-0.0", "-0.0"}, {"1e15", "1e15"}, {"0.5", "0.5"}, {"1e300", "1e300"},
        {"5e-324", "5e-324"}, {"123456789.125", "123456789.125"}, {"{ 3e9, 15.53 }", "[3e9,15.53]"},
        {"{ 0.1, 1 / 3 }", "[0.1,0.3333333333333333]"},
    };
    char script[200];
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        snprintf(script, sizeof script, "return json.encode(%s)", known[i][0]);
        cr_assert_str_eq(lua(script), known[i][1]);
    }
    const double hard[] = {DBL_MAX, -DBL_MAX, DBL_MIN, nextafter(1, 2), nextafter(0.3, 1), 1.0 / 3, 9007199254740993.0};
    for (size_t i = 0; i < sizeof hard / sizeof *hard; ++i) {
        snprintf(script, sizeof script,
                 "local x = %a return tostring(json.decode(json.encode { 0.1, x })[2] == x)", hard[i]);
        cr_assert_str_eq(lua(script), "true", "%a", hard[i]);
    }
}

Test(json, lua_reads_back_what_it_wrote)
{
    cr_assert_str_eq(lua("local text = '{\"a\":[],\"b\":{},\"c\":[1,2.5,9223372036854775807,\"x\",null,false]}'\n"
                         "return tostring(json.encode(json.decode(text)) == text)"), "true");
    cr_assert_str_eq(lua("local t = json.decode '[1, 1.0]' return math.type(t[1]) .. math.type(t[2])"), "integerfloat");
    cr_assert_str_eq(lua("local t = json.decode '{\"a\":null}' return tostring(t.a == json.null)"), "true");
    cr_assert_str_eq(lua("local function marked(text) return tostring(json.is_array(json.decode(text))) end\n"
                         "return marked '[]' .. marked '{}'"), "truefalse");
}

Test(json, lua_errors_name_the_source)
{
    cr_assert_str_eq(lua("return json.decode('[1,', 'prompts.json')"),
                     "prompts.json: not JSON: line 1, column 3: ']' expected near end of file");
    cr_assert(strstr(lua("return json.encode { 1, x = 2 }"), "neither an array nor an object"));
    cr_assert(strstr(lua("return json.encode { [2] = 1 }"), "neither"));
    cr_assert(strstr(lua("return json.encode(0/0)"), "no NaN"));
    cr_assert(strstr(lua("local t = {} t.t = t return json.encode(t)"), "nested deeper"));
    cr_assert(strstr(lua("return json.encode(print)"), "type function"));
    cr_assert(strstr(lua("return json.encode { ['a\\0'] = 1 }"), "a key holds a NUL"));
    cr_assert(strstr(lua("return json.encode { ['\\xff'] = 1, ['\\xfe'] = 2 }"), "two keys are alike"));
}
