#include "common/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"

static char root[] = "/tmp/acceptd-machine-XXXXXX";

static void
put(const char *path, const char *content)
{
	char full[256];
	char *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
}

START_TEST(a_machine_is_read_from_its_files)
{
	struct machine machine;
	char command[64];

	ck_assert_ptr_nonnull(mkdtemp(root));
	put("/proc/sys/net/core/somaxconn", "128\n");
	put("/proc/sys/net/ipv4/tcp_mem", "1\t2\t3\n");
	put("/proc/meminfo", "MemTotal:  2048 kB\nMemFree: 9 kB\nMemAvailable:   1024 kB\n");
	put("/proc/self/cgroup", "0::/box\n");
	put("/sys/fs/cgroup/box/memory.max", "max\n");
	put("/sys/fs/cgroup/box/memory.current", "4096\n");
	put("/sys/fs/cgroup/box/pids.max", "77\n");
	put("/etc/sysctl.d/10-a.conf", "net.core.somaxconn = 128\n");
	put("/.dockerenv", "");
	machine_read(root, &machine);
	ck_assert_uint_eq(machine.sysctls[SYSCTL_SOMAXCONN].count, 1);
	ck_assert_int_eq(machine.sysctls[SYSCTL_SOMAXCONN].values[0], 128);
	/* tcp_mem is the machine's: a container's network namespace does not have it */
	ck_assert_uint_eq(machine.sysctls[SYSCTL_TCP_MEM].count,
		access("/proc/sys/net/ipv4/tcp_mem", R_OK) == 0 ? 3 : 0);
	ck_assert_int_eq(machine.sysctls[SYSCTL_TCP_MEM].values[2], 3);
	ck_assert_uint_eq(machine.sysctls[SYSCTL_CONNTRACK_MAX].count, 0);
	ck_assert_int_eq(machine.memory_total_bytes, 2048 * 1024);
	ck_assert_int_eq(machine.memory_available_bytes, 1024 * 1024);
	ck_assert_int_eq(machine.cgroup_memory_max_bytes, INT64_MAX);
	ck_assert_int_eq(machine.cgroup_memory_used_bytes, 4096);
	ck_assert_int_eq(machine.cgroup_pids_max, 77);
	ck_assert(machine.is_container);
	ck_assert_uint_eq(machine.advice_count, 1);
	ck_assert_str_eq(machine.advice[0].file, "/etc/sysctl.d/10-a.conf");
	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(the_real_machine_has_the_values_that_matter)
{
	struct machine machine;

	machine_read("", &machine);
	ck_assert_uint_eq(machine.sysctls[SYSCTL_SOMAXCONN].count, 1);
	/* tcp_mem is the machine's: a container's network namespace does not have it */
	ck_assert_uint_eq(machine.sysctls[SYSCTL_TCP_MEM].count,
		access("/proc/sys/net/ipv4/tcp_mem", R_OK) == 0 ? 3 : 0);
	ck_assert_int_gt(machine.memory_total_bytes, 0);
	ck_assert_int_gt(machine.descriptors_hard, 0);
}
END_TEST

START_TEST(more_advice_than_fits_is_left_out)
{
	struct machine machine = {0};
	int i;

	for (i = 0; i < 100; i++) {
		machine_parse_advice(&machine, "f", "a.b = 1\n");
	}
	ck_assert_uint_eq(machine.advice_count, MACHINE_ADVICE_MAX);
	machine_parse_advice(&machine, "f", NULL);
}
END_TEST

UNIT_TESTS("machine", tcase_add_test(tests, a_machine_is_read_from_its_files);
	   tcase_add_test(tests, the_real_machine_has_the_values_that_matter);
	   tcase_add_test(tests, more_advice_than_fits_is_left_out);)
