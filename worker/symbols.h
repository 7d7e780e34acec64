/* Names of our own functions, static ones too, for a stack in a crash report: dladdr(3) knows only
 * exported ones. Reads the symbol table of the program's own file, which is mapped and costs no
 * memory until it is looked at. Looking is async-signal-safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Map the program's file, for the life of the process. Without it, or in a stripped one, nothing
 * is ever found. */
void symbols_open(void);
/** The function in which a byte of the program lies.
 *  @param offset  from where the program is loaded
 *  @param begin   where the function begins
 *  @return its name, or NULL */
const char *symbols_find(uintptr_t offset, uintptr_t *begin);
