/* The entry of every fuzzer: one input, one call. It aborts when a promise is broken; what is read
 * or written out of bounds is found by the sanitizers. tests/fuzz/run searches with libFuzzer;
 * `make check` calls it with each file of the corpus. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** @return 0, as libFuzzer demands (https://llvm.org/docs/LibFuzzer.html) */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A promise, whatever the input. */
#define PROMISE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__,         \
				#condition);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
