/* The check of an upgrade, in the program that is to take over. */
#pragma once

struct inherit;

/** Read the state of the running acceptd and the file of its configuration as if we were to go on
 * with them; say what is wrong on the standard error, or the word that all is well.
 *  @return the exit status */
int upgrade_check_main(const struct inherit *inherit);
