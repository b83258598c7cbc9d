/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers of a counter: number i of a key depends on nothing but key and i, and has the same bits everywhere. */
#ifndef MSAGEN_RANDOM_H
#define MSAGEN_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits. */
uint64_t msagen_random_mix(uint64_t z);

/* 64 bits: number i, from 0, of the SplitMix64 stream whose seed is the key. */
uint64_t msagen_random_bits(uint64_t key, uint64_t i);

/* The key of a part: number `part` of the key. Chained, it gives the key of (seed, step, image, use, ...). */
static inline uint64_t msagen_random_key(uint64_t key, uint64_t part)
{
    return msagen_random_bits(key, part);
}

/* A whole number below n, n > 0, all equally likely: the bits modulo n, where bits beyond the largest multiple of n
 * are replaced by number 0 of the stream that has them as its key, until they lie below. */
uint64_t msagen_random_below(uint64_t key, uint64_t i, uint64_t n);

/* From [0, 1): the upper 53 bits times 2^-53. */
double msagen_random_unit(uint64_t key, uint64_t i);

/* Mean 0, variance 1: the inverse of the normal distribution (Wichura 1988, AS 241) at (the upper 52 bits + 1/2) times
 * 2^-52; within 8.3. Made of + - * / and square roots in double. */
double msagen_random_normal(uint64_t key, uint64_t i);

/* The first `count` of the numbers 0 to n - 1 in the order of the bits that the key has for them, of equal ones the
 * smaller number first: a permutation, or a choice in random order. 0, or -1: out of memory. */
int msagen_random_order(uint64_t key, size_t n, size_t count, int64_t *out);

/* Numbers of a key, one after the other. */
struct msagen_draws {
    uint64_t key, next;
};

static inline uint64_t msagen_draw_below(struct msagen_draws *draws, uint64_t n)
{
    return msagen_random_below(draws->key, draws->next++, n);
}

#endif
