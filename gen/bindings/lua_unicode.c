/* SPDX-License-Identifier: Apache-2.0 */
/* msagen.unicode: what libunistring knows of texts in UTF-8, for Lua.
 *
 *   lower(text), upper(text)   by the whole rules of Unicode, of no language: a letter may become two
 *   nfc(text), nfkc(text)      normal forms
 *   is_letter(code), is_number(code)          whether a code point's category is one of L, of N
 *   is_cased(code), is_case_ignorable(code)   properties of that name */
#include "host.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

static const uint8_t *check_text(lua_State *L, size_t *bytes)
{
    const uint8_t *text = (const uint8_t *)luaL_checklstring(L, 1, bytes);
    luaL_argcheck(L, !u8_check(text, *bytes), 1, "UTF-8 expected");
    return text;
}

/* Push a result of libunistring and free it. */
static int push(lua_State *L, uint8_t *text, size_t bytes)
{
    if (!text)
        return msagen_fail(L, "out of memory");
    lua_pushlstring(L, (const char *)text, bytes);
    free(text);
    return 1;
}

static int lower(lua_State *L)
{
    size_t bytes, length = 0;
    const uint8_t *text = check_text(L, &bytes);
    uint8_t *lowered = u8_tolower(text, bytes, NULL, NULL, NULL, &length);
    return push(L, lowered, length);
}

static int upper(lua_State *L)
{
    size_t bytes, length = 0;
    const uint8_t *text = check_text(L, &bytes);
    uint8_t *raised = u8_toupper(text, bytes, NULL, NULL, NULL, &length);
    return push(L, raised, length);
}

static int normal(lua_State *L, uninorm_t form)
{
    size_t bytes, length = 0;
    const uint8_t *text = check_text(L, &bytes);
    uint8_t *normalised = u8_normalize(form, text, bytes, NULL, &length);
    return push(L, normalised, length);
}

static int nfc(lua_State *L) { return normal(L, UNINORM_NFC); }
static int nfkc(lua_State *L) { return normal(L, UNINORM_NFKC); }

static ucs4_t check_code(lua_State *L)
{
    const lua_Integer code = luaL_checkinteger(L, 1);
    luaL_argcheck(L, code >= 0 && code <= 0x10ffff, 1, "a code point expected");
    return (ucs4_t)code;
}

static int say(lua_State *L, bool value)
{
    lua_pushboolean(L, value);
    return 1;
}

static int is_letter(lua_State *L) { return say(L, uc_is_general_category(check_code(L), UC_CATEGORY_L)); }
static int is_number(lua_State *L) { return say(L, uc_is_general_category(check_code(L), UC_CATEGORY_N)); }
static int is_cased(lua_State *L) { return say(L, uc_is_property_cased(check_code(L))); }
static int is_case_ignorable(lua_State *L) { return say(L, uc_is_property_case_ignorable(check_code(L))); }

int luaopen_msagen_unicode(lua_State *L)
{
    static const luaL_Reg functions[] = {{"lower", lower}, {"upper", upper}, {"nfc", nfc}, {"nfkc", nfkc},
        {"is_letter", is_letter}, {"is_number", is_number}, {"is_cased", is_cased},
        {"is_case_ignorable", is_case_ignorable}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
