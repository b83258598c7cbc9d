@ -- SPDX-License-Identifier: 0BSD
/* Asks for p's line in the second-level cache. It may lie behind all that there is: nothing is read. */
static void $(name)(const void *p)
{
#ifdef __GNUC__
    __builtin_prefetch(p, 0, 2);
#else
    (void)p;
#endif
}

