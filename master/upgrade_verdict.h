/* Whether the program of an upgrade may take over, by how its check ended. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct text;

/** The last line of a candidate that has shown that it can. A program that only ends with 0 is
 *  somebody else. */
#define UPGRADE_WORD "acceptd: this program can take over"

struct upgrade_evidence {
	int status;         /* as waitpid(2) gives it */
	const char *unborn; /* why it was never executed; "" : it was */
	int64_t timeout_ms; /* it was killed after so long; 0: it was not */
	char *words;        /* what it said, terminated; the judge takes the word off its end */
};

/** @param sentence  gets why it may not, with what to do
 *  @return true when it may */
bool upgrade_judge(const struct upgrade_evidence *evidence, struct text *sentence);
