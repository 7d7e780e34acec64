/* Files of /proc, /sys/fs/cgroup and /etc/sysctl.d: the same text is read as each of them; a form
 * feed parts /proc/self/cgroup from /proc/self/mountinfo. */
#include <errno.h>
#include <string.h>

#include "common/machine.h"
#include "master/cgroup.h"
#include "master/proc.h"
#include "master/watchdog.h"
#include "tests/fuzz/fuzz.h"

static struct machine machine;

static void
check_place(const char *cgroups, const char *mounts, const char *controller)
{
	struct cgroup_place place;
	int climbs = 0;
	int result = cgroup_locate(cgroups, mounts, controller, &place);

	PROMISE(result == 0 || result == -ENOENT || result == -ENAMETOOLONG);
	PROMISE((result == 0) == (place.directory[0] != '\0'));
	if (result != 0) {
		return;
	}
	PROMISE(strlen(place.directory) >= place.mount_len);
	PROMISE(strstr(mounts, "cgroup") != NULL);
	while (cgroup_climb(&place)) {
		PROMISE(strlen(place.directory) >= place.mount_len);
		PROMISE(++climbs < CGROUP_PATH_MAX);
	}
}

static void
check_cgroups(const char *text)
{
	const char *mounts = strchr(text, '\f');
	char *cgroups = strndup(text, strcspn(text, "\f"));
	uint64_t value;

	PROMISE(cgroups != NULL);
	check_place(cgroups, mounts != NULL ? mounts + 1 : "", "cpu");
	check_place(cgroups, mounts != NULL ? mounts + 1 : "", "memory");
	free(cgroups);
	PROMISE(cgroup_parse_quota(text) >= 0);
	PROMISE(cgroup_parse_key(text, "oom_kill", &value) == 0 ||
		strncmp(text, "oom_kill ", strlen("oom_kill ")) != 0);
}

static void
check_machine(const char *text)
{
	struct machine_value value = machine_parse_value(text);

	PROMISE(value.count <= MACHINE_VALUES_MAX);
	machine.advice_count = 0;
	machine_parse_advice(&machine, "/etc/sysctl.conf", text);
	PROMISE(machine.advice_count <= MACHINE_ADVICE_MAX);
	for (size_t i = 0; i < machine.advice_count; i++) {
		const struct machine_advice *advice = &machine.advice[i];

		PROMISE(advice->name[0] != '\0' && strchr(advice->name, '/') == NULL);
		PROMISE(strstr(text, advice->value) != NULL);
		PROMISE(advice->line >= 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct watchdog_sample sample;
	char *text = malloc(size + 1);

	PROMISE(text != NULL);
	if (size > 0) {
		memcpy(text, data, size);
	}
	text[size] = '\0';
	check_cgroups(text);
	check_machine(text);
	if (proc_parse_stat(text, 100, &sample) == 0) {
		PROMISE(strchr(text, ')') != NULL && sample.cpu_ms >= 0);
	}
	free(text);
	return 0;
}
