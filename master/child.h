/* Acts: the birth of one process. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/defs.h"
#include "common/inherit.h"
#include "common/privilege.h"

/* The child's only descriptor besides the standard ones. */
#define CHILD_CHANNEL_FD 3
/* Exit status of a child that did not get as far as its own program. */
#define CHILD_NOT_BORN 125

enum child_stage {
	CHILD_BORN, /* nothing went wrong before exec */
	CHILD_PRIVILEGES,
	CHILD_PARENT,
	CHILD_DESCRIPTORS,
	CHILD_EXEC,
};

/* How far a birth got, in memory shared with the child until its exec. */
struct child_report {
	_Atomic int32_t stage; /* enum child_stage: where it failed */
	_Atomic int32_t error; /* errno */
};

struct child_birth {
	enum inherit_role role;
	int slot;
	int channel; /* the child's end; borrowed */
	int binary;  /* what to execute; borrowed */
	bool drops_privileges;
	struct privilege_identity identity;
	struct child_report *report;
};

/** Reports for `count` children, in memory that survives fork. @return NULL for want of memory */
struct child_report *child_reports_new(size_t count);
void child_reports_free(struct child_report **reports, size_t count);

/** Fork and execute anew. The child is a session of its own, so that signals of a terminal reach
 *  the master alone. Allocates nothing; the child makes only async-signal-safe calls.
 *  @return 0 and *pid; or the negative errno of fork. Whatever fails later ends the child with
 *          CHILD_NOT_BORN and a report */
int child_start(const struct child_birth *birth, pid_t *pid) MUST_CHECK;
/** What a child makes of itself between fork and exec: every signal as the kernel has it; or its
 *  end, noted in the report. Async-signal-safe. */
void child_reset_signals(void);
NORETURN void child_fail(struct child_report *report, enum child_stage stage, int error);
/** Why a child ended before its program ran: "cannot execute its program: …"; "" if it was born.
 *  @return buffer */
const char *child_explain(const struct child_report *report, char *buffer, size_t size);
