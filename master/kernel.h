/* Kernel settings: read, change, explain. Only net.core.somaxconn is ever changed, and only as the
 * configuration says. Values are those of this network namespace. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/defs.h"

struct config;
struct fault;

#define KERNEL_ROOT          "/proc/sys" /* the root of all settings; tests give another one */
#define KERNEL_SOMAXCONN_MAX 2147483647  /* the kernel refuses more (EINVAL) */

/** Read a setting, given as "net/core/somaxconn". @return 0; -ENOENT, -EACCES, -EINVAL (no number)
 */
int kernel_read(const char *root, const char *name, int64_t *value) MUST_CHECK;
/** Whether a setting could be written, without writing. @return 0; -EROFS, -EACCES, -ENOENT */
int kernel_check_writable(const char *root, const char *name) MUST_CHECK;

/* What became, or would become, of net.core.somaxconn. */
struct kernel_somaxconn {
	int64_t setting; /* kernel.somaxconn: CONFIG_SOMAXCONN_* or a number */
	int64_t before;  /* -1: could not be read */
	int64_t wanted;  /* what the setting makes of it; equal to before: nothing to do */
	int64_t now;     /* in force */
	int error;       /* why it is not what was wanted: 0 or negative errno */
};

/** What `config` wants of a machine whose value is `now`. "auto": the largest backlog, never less
 *  than now, because other programs count on it; a number: that number; "keep": now. Pure. */
int64_t kernel_want_somaxconn(const struct config *config, int64_t now);
/** The largest backlog of all listeners. Pure. */
int64_t kernel_largest_backlog(const struct config *config);

/** Make net.core.somaxconn what `config` wants. To be called before listen(2): a listener keeps the
 *  value of its last listen call. Failure is no error here: `result` tells and listeners work with
 *  less. */
void kernel_apply_somaxconn(
	const char *root, const struct config *config, struct kernel_somaxconn *result);
/** The same without changing anything, for checks. */
void kernel_foresee_somaxconn(
	const char *root, const struct config *config, struct kernel_somaxconn *result);

/** What was changed, or why it was not and which command the administrator must run. Pure.
 *  @return buffer; "" when there is nothing to say */
const char *kernel_explain_somaxconn(
	const struct kernel_somaxconn *result, char *buffer, size_t size);
/** Why a backlog does not get through net.core.somaxconn, and what to do. Pure. @return buffer */
const char *kernel_explain_cut(
	const struct kernel_somaxconn *result, int64_t backlog, char *buffer, size_t size);
