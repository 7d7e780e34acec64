/*
 * The bytes that the load client sends and expects back. Each session has a stream of its own: the
 * same long pseudo-random sequence begun at another place, so that bytes that are lost, doubled,
 * reordered or given to the wrong client do not compare equal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills the sequence; call it once, before the processes are forked. */
void load_stream_init(void);

/* The place in the sequence where session number `number` begins. */
uint64_t load_stream_begin(uint64_t number);

/* The bytes at `position`; *len is cut to what is there in one piece (at least one byte). */
const char *load_stream_at(uint64_t position, size_t *len);

bool load_stream_matches(uint64_t position, const char *bytes, size_t len);
