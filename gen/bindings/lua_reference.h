/* SPDX-License-Identifier: Apache-2.0 */
/* What the functions of msagen.reference are written with. They have their class as an upvalue. */
#ifndef MSAGEN_LUA_REFERENCE_H
#define MSAGEN_LUA_REFERENCE_H

#include "reference.h"

#include <lauxlib.h>
#include <lua.h>

/* The class that a function was made for. */
const struct msagen_reference *msagen_class(lua_State *L);

/* The argument as dense elements of the class, where it lies or in memory that Lua collects; shape[0..1] are its rows
 * and the width of one. */
const void *msagen_matrix(lua_State *L, int arg, size_t shape[2]);

/* Push a new matrix of the class. @return its elements, which are 0 */
void *msagen_matrix_new(lua_State *L, size_t rows, size_t width);

/* The whole number of a field of argument 4, or its default; a refusal of one above `most`. */
size_t msagen_field(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer most);

/* The matrix of a field of argument 4, of `count` numbers, or NULL. It stays on the stack. */
const void *msagen_field_matrix(lua_State *L, const char *name, size_t count);

/* Where the queries and keys of attention stand, as fields side, or height and width, row, place, rel_h, rel_w, k_pad
 * and v_pad of argument 4 say; its matrices stay on the stack. @return grid, or NULL where nothing says so */
const struct msagen_grid *msagen_grid_field(lua_State *L, struct msagen_grid *grid, size_t queries, size_t keys,
    size_t width, size_t heads);

/* Functions of gradients. */
extern const luaL_Reg msagen_gradient_functions[];

#endif
