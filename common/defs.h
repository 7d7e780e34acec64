/* Small things of the language that every file may use. */
#pragma once

#include <stddef.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/** The object in which `member` is embedded. */
#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define MUST_CHECK            __attribute__((warn_unused_result))
#define PRINTF_LIKE(at, args) __attribute__((format(printf, at, args)))
#define NORETURN              __attribute__((noreturn))
#define UNUSED                __attribute__((unused))
