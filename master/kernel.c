/* Kernel settings. In a container /proc/sys is often read-only (EROFS) or belongs to another user
 * namespace (EACCES): then the only one who can help is the administrator of the host, and the
 * sentences here name the command. */
#include "master/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/descriptor.h"
#include "common/text.h"

#define KERNEL_SOMAXCONN  "net/core/somaxconn"
#define KERNEL_PATH_MAX   256
#define KERNEL_NUMBER_MAX 64

static const char *
kernel_path(const char *root, const char *name, char buffer[KERNEL_PATH_MAX])
{
	(void)snprintf(buffer, KERNEL_PATH_MAX, "%s/%s", root, name);
	return buffer;
}

int
kernel_read(const char *root, const char *name, int64_t *value)
{
	char path[KERNEL_PATH_MAX];
	char *text;
	size_t len;
	int status =
		descriptor_read_file(kernel_path(root, name, path), KERNEL_NUMBER_MAX, &text, &len);

	if (status != 0) {
		return status;
	}
	text[strcspn(text, "\n")] = '\0';
	status = text_parse_number(text, value);
	free(text);
	return status;
}

int
kernel_check_writable(const char *root, const char *name)
{
	char path[KERNEL_PATH_MAX];

	return faccessat(AT_FDCWD, kernel_path(root, name, path), W_OK, AT_EACCESS) == 0 ? 0
											 : -errno;
}

int64_t
kernel_largest_backlog(const struct config *config)
{
	int64_t largest = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].backlog > largest) {
			largest = config->listeners[i].backlog;
		}
	}
	return largest;
}

int64_t
kernel_want_somaxconn(const struct config *config, int64_t now)
{
	int64_t largest = kernel_largest_backlog(config);

	switch (config->kernel.somaxconn) {
	case CONFIG_SOMAXCONN_KEEP:
		return now;
	case CONFIG_SOMAXCONN_AUTO:
		return largest > now ? largest : now;
	default:
		return config->kernel.somaxconn;
	}
}

static void
kernel_plan_somaxconn(
	const char *root, const struct config *config, struct kernel_somaxconn *result)
{
	*result = (struct kernel_somaxconn){
		.setting = config->kernel.somaxconn,
		.before = -1,
	};
	result->error = kernel_read(root, KERNEL_SOMAXCONN, &result->before);
	result->now = result->before;
	result->wanted = kernel_want_somaxconn(config, result->before);
}

void
kernel_foresee_somaxconn(
	const char *root, const struct config *config, struct kernel_somaxconn *result)
{
	kernel_plan_somaxconn(root, config, result);
	if (result->error != 0 || result->wanted == result->before) {
		return;
	}
	result->error = kernel_check_writable(root, KERNEL_SOMAXCONN);
	if (result->error == 0) {
		result->now = result->wanted;
	}
}

void
kernel_apply_somaxconn(
	const char *root, const struct config *config, struct kernel_somaxconn *result)
{
	char path[KERNEL_PATH_MAX], number[KERNEL_NUMBER_MAX];
	int64_t now;

	kernel_plan_somaxconn(root, config, result);
	if (result->error != 0 || result->wanted == result->before) {
		return;
	}
	(void)snprintf(number, sizeof(number), "%lld\n", (long long)result->wanted);
	result->error = descriptor_write_file(kernel_path(root, KERNEL_SOMAXCONN, path), number);
	if (kernel_read(root, KERNEL_SOMAXCONN, &now) == 0) {
		result->now = now;
	}
}

/* Who can help depends on what stands in the way. */
static void
kernel_add_remedy(struct text *text, int error, int64_t wanted)
{
	if (error == -EROFS) {
		text_add(text, "/proc/sys is read-only here. On the host");
	} else if (error == -EACCES || error == -EPERM) {
		text_add(text,
			"this process may not write it. As root, or on the host of a container");
	} else {
		text_add(text, "%s. As root", strerror(-error));
	}
	text_add(text,
		", in this network namespace: sysctl -w net.core.somaxconn=%lld (a container takes "
		"--sysctl net.core.somaxconn=%lld when it is started)",
		(long long)wanted, (long long)wanted);
}

const char *
kernel_explain_somaxconn(const struct kernel_somaxconn *result, char *buffer, size_t size)
{
	struct text text;

	text_init(&text, buffer, size);
	if (result->before < 0) {
		text_add(&text,
			"net.core.somaxconn cannot be read (%s), so it is not known what it cuts; "
			"is "
			"/proc mounted?",
			strerror(-result->error));
	} else if (result->error != 0) {
		text_add(&text, "net.core.somaxconn is %lld, wanted %lld: ", (long long)result->now,
			(long long)result->wanted);
		kernel_add_remedy(&text, result->error, result->wanted);
	} else if (result->now != result->before) {
		text_add(&text,
			"net.core.somaxconn changed from %lld to %lld, as kernel.somaxconn says%s",
			(long long)result->before, (long long)result->now,
			result->setting == CONFIG_SOMAXCONN_AUTO
				? " (\"auto\": the largest backlog; \"keep\" would leave it alone)"
				: "");
	}
	return buffer;
}

const char *
kernel_explain_cut(
	const struct kernel_somaxconn *result, int64_t backlog, char *buffer, size_t size)
{
	struct text text;

	text_init(&text, buffer, size);
	text_add(&text, "net.core.somaxconn is %lld", (long long)result->now);
	if (result->error != 0) {
		text_add(&text,
			", wanted %lld, and cannot be changed here (%s). As root, or on the host "
			"of a "
			"container: sysctl -w net.core.somaxconn=%lld",
			(long long)result->wanted, strerror(-result->error), (long long)backlog);
		return buffer;
	}
	if (result->setting == CONFIG_SOMAXCONN_KEEP) {
		text_add(&text, " and kernel.somaxconn = \"keep\" leaves it so");
	} else if (result->setting >= 0) {
		text_add(&text, ", as kernel.somaxconn says");
	}
	text_add(&text,
		". Set kernel.somaxconn = \"auto\", or run: sysctl -w net.core.somaxconn=%lld",
		(long long)backlog);
	return buffer;
}
