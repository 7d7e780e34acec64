/* Reads /proc, /sys/fs/cgroup and /etc/sysctl*. */
#include "common/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/descriptor.h"

#define SMALL_FILE_MAX (1024 * 1024)

static const struct {
	const char *name;
	bool is_namespaced;
} sysctl_rows[SYSCTL_COUNT] = {
#define SYSCTL(id, name, is_namespaced) {name, is_namespaced},
	MACHINE_SYSCTLS(SYSCTL)
#undef SYSCTL
};

const char *
machine_sysctl_name(enum machine_sysctl sysctl)
{
	return sysctl_rows[sysctl].name;
}

bool
machine_sysctl_is_namespaced(enum machine_sysctl sysctl)
{
	return sysctl_rows[sysctl].is_namespaced;
}

struct machine_value
machine_parse_value(const char *text)
{
	struct machine_value value = {0};
	char *end;

	while (value.count < MACHINE_VALUES_MAX) {
		errno = 0;
		value.values[value.count] = strtoll(text, &end, 10);
		if (end == text) {
			break;
		}
		value.count++;
		text = end;
	}
	return value;
}

/* A small file below root as a string the caller frees, or NULL. */
static char *
machine_slurp(const char *root, const char *path)
{
	char full[PATH_MAX];
	char *text = NULL;
	size_t len;

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	if (descriptor_read_file(full, SMALL_FILE_MAX, &text, &len) < 0) {
		return NULL;
	}
	return text;
}

static void
machine_read_sysctl(const char *root, enum machine_sysctl sysctl, struct machine *machine)
{
	char path[128] = "/proc/sys/";
	char *at = path + strlen(path);
	char *text;

	(void)snprintf(at, sizeof(path) - strlen(path), "%s", machine_sysctl_name(sysctl));
	for (; *at != '\0'; at++) {
		if (*at == '.') {
			*at = '/';
		}
	}
	text = machine_slurp(root, path);
	if (text != NULL) {
		machine->sysctls[sysctl] = machine_parse_value(text);
		free(text);
	}
}

/* "max" and anything that is no number mean: no limit. */
static int64_t
machine_read_limit(const char *root, const char *path, int64_t otherwise)
{
	char *text = machine_slurp(root, path);
	struct machine_value value = {0};

	if (text != NULL) {
		value = machine_parse_value(text);
		free(text);
	}
	return value.count > 0 ? value.values[0] : otherwise;
}

/* Directory of this process's cgroup (v2), "" if there is none. */
static void
machine_find_cgroup(const char *root, char *directory, size_t size)
{
	char *text = machine_slurp(root, "/proc/self/cgroup");
	char *line = text == NULL ? NULL : strstr(text, "0::/");

	directory[0] = '\0';
	if (line != NULL) {
		line[strcspn(line, "\n")] = '\0';
		(void)snprintf(directory, size, "/sys/fs/cgroup%s",
			strcmp(line, "0::/") == 0 ? "" : line + strlen("0::"));
	}
	free(text);
}

static void
machine_read_cgroup(const char *root, struct machine *machine)
{
	char directory[PATH_MAX - 64];
	char path[PATH_MAX];

	machine->cgroup_memory_max_bytes = INT64_MAX;
	machine->cgroup_pids_max = INT64_MAX;
	machine_find_cgroup(root, directory, sizeof(directory));
	if (directory[0] == '\0') {
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/memory.max", directory);
	machine->cgroup_memory_max_bytes = machine_read_limit(root, path, INT64_MAX);
	(void)snprintf(path, sizeof(path), "%s/memory.current", directory);
	machine->cgroup_memory_used_bytes = machine_read_limit(root, path, 0);
	(void)snprintf(path, sizeof(path), "%s/pids.max", directory);
	machine->cgroup_pids_max = machine_read_limit(root, path, INT64_MAX);
}

/* Value of a line "Key:   123 kB" of /proc/meminfo in bytes, 0 if absent. */
static int64_t
meminfo_bytes(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	return line == NULL ? 0 : strtoll(line + strlen(key), NULL, 10) * 1024;
}

static void
machine_read_memory(const char *root, struct machine *machine)
{
	char *text = machine_slurp(root, "/proc/meminfo");

	if (text != NULL) {
		machine->memory_total_bytes = meminfo_bytes(text, "MemTotal:");
		machine->memory_available_bytes = meminfo_bytes(text, "MemAvailable:");
		free(text);
	}
}

static void
machine_add_advice(
	struct machine *machine, const char *file, int line, const char *name, const char *value)
{
	struct machine_advice *advice;
	char *at;

	if (machine->advice_count == MACHINE_ADVICE_MAX) {
		return;
	}
	advice = &machine->advice[machine->advice_count++];
	(void)snprintf(advice->file, sizeof(advice->file), "%s", file);
	advice->line = line;
	(void)snprintf(advice->name, sizeof(advice->name), "%s", name);
	(void)snprintf(advice->value, sizeof(advice->value), "%s", value);
	for (at = advice->name; *at != '\0'; at++) { /* sysctl.conf(5) allows both spellings */
		if (*at == '/') {
			*at = '.';
		}
	}
}

void
machine_parse_advice(struct machine *machine, const char *file, const char *text)
{
	char name[64], value[64];
	int line = 1;

	for (; text != NULL && *text != '\0'; line++) {
		text += strspn(text, " \t-");
		if (*text != '#' && *text != ';' &&
			sscanf(text, "%63[^= \t\n] = %63[^\n]", name, value) == 2) {
			machine_add_advice(machine, file, line, name, value);
		}
		text = strchr(text, '\n');
		text = text == NULL ? NULL : text + 1;
	}
}

static void
machine_read_advice(const char *root, struct machine *machine)
{
	static const char *const patterns[] = {"/etc/sysctl.conf", "/etc/sysctl.d/*.conf",
		"/run/sysctl.d/*.conf", "/usr/local/lib/sysctl.d/*.conf"};
	char pattern[PATH_MAX];
	glob_t found;
	char *text;
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(patterns); i++) {
		(void)snprintf(pattern, sizeof(pattern), "%s%s", root, patterns[i]);
		if (glob(pattern, 0, NULL, &found) != 0) {
			continue;
		}
		for (n = 0; n < found.gl_pathc; n++) {
			text = machine_slurp("", found.gl_pathv[n]);
			machine_parse_advice(machine, found.gl_pathv[n] + strlen(root), text);
			free(text);
		}
		globfree(&found);
	}
}

static bool
machine_has(const char *root, const char *path, int mode)
{
	char full[PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	return faccessat(AT_FDCWD, full, mode, AT_EACCESS) == 0;
}

static int64_t
machine_descriptors_hard(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max > INT64_MAX) {
		return INT64_MAX;
	}
	return (int64_t)limit.rlim_max;
}

void
machine_read(const char *root, struct machine *machine)
{
	size_t i;

	*machine = (struct machine){0};
	for (i = 0; i < SYSCTL_COUNT; i++) {
		machine_read_sysctl(root, (enum machine_sysctl)i, machine);
	}
	machine->can_write_sysctls = machine_has(root, "/proc/sys/net/core/somaxconn", W_OK);
	machine->is_container = machine_has(root, "/.dockerenv", F_OK) ||
				machine_has(root, "/run/.containerenv", F_OK);
	machine->descriptors_hard = machine_descriptors_hard();
	machine_read_memory(root, machine);
	machine_read_cgroup(root, machine);
	machine_read_advice(root, machine);
}
