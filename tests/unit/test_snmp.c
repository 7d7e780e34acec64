#include "common/snmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/descriptor.h"
#include "tests/unit/run.h"

static char seen[1024];

static void
note(const char *group, const char *name, uint64_t value, void *context)
{
	(void)context;
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s.%s=%lu ", group, name,
		(unsigned long)value);
}

static const struct {
	const char *text;
	int error;
	const char *want;
} texts[] = {
	{"Tcp: A B\nTcp: 1 2\n", 0, "Tcp.A=1 Tcp.B=2 "},
	{"Tcp: A\nTcp: 1\nTcpExt: C\nTcpExt: 18446744073709551615\n", 0,
		"Tcp.A=1 TcpExt.C=18446744073709551615 "},
	{"Tcp: MaxConn B\nTcp: -1 2\n", 0, "Tcp.B=2 "},
	{"", 0, ""},
	{"Tcp: A B\nTcp: 1\n", -EINVAL, "Tcp.A=1 "},
	{"Tcp: A\nUdp: 1\n", -EINVAL, ""},
	{"Tcp: A", -EINVAL, ""},
};

START_TEST(names_and_values_go_in_step)
{
	seen[0] = '\0';
	ck_assert_int_eq(snmp_parse(texts[_i].text, note, NULL), texts[_i].error);
	ck_assert_str_eq(seen, texts[_i].want);
}
END_TEST

static void
look_for(const char *group, const char *name, uint64_t value, void *context)
{
	(void)value;
	if (strcmp(group, "TcpExt") == 0 && strcmp(name, "ListenOverflows") == 0) {
		*(int *)context = 1;
	}
}

START_TEST(this_kernel_counts_listen_overflows)
{
	char *text;
	size_t len;
	int is_found = 0;

	ck_assert_int_eq(descriptor_read_file("/proc/self/net/netstat", 1 << 20, &text, &len), 0);
	ck_assert_int_eq(snmp_parse(text, look_for, &is_found), 0);
	ck_assert_int_eq(is_found, 1);
	free(text);
}
END_TEST

UNIT_TESTS(
	"snmp", tcase_add_loop_test(tests, names_and_values_go_in_step, 0, (int)ARRAY_LEN(texts));
	tcase_add_test(tests, this_kernel_counts_listen_overflows);)
