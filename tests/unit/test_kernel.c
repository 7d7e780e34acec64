#include "master/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.h"
#include "tests/unit/run.h"

#define NAME "net/core/somaxconn"

static char root[32]; /* in place of /proc/sys */
static struct listener_config listeners[2];
static struct config config;

static void
setup(void)
{
	char path[64];

	(void)snprintf(root, sizeof(root), "/tmp/acceptd-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	(void)snprintf(path, sizeof(path), "%s/net", root);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/net/core", root);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	listeners[0].backlog = 100;
	listeners[1].backlog = 65535;
	config.listeners = listeners;
	config.listener_count = 2;
	config.kernel.somaxconn = CONFIG_SOMAXCONN_AUTO;
}

static void
teardown(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void
have(const char *value)
{
	char path[64];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/" NAME, root);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(value, file), 0);
	fclose(file);
}

static int64_t
now(void)
{
	int64_t value;

	ck_assert_int_eq(kernel_read(root, NAME, &value), 0);
	return value;
}

static const struct {
	int64_t setting, now, wanted;
} wants[] = {
	{CONFIG_SOMAXCONN_AUTO, 4096, 65535},
	{CONFIG_SOMAXCONN_AUTO, 65535, 65535},
	{CONFIG_SOMAXCONN_AUTO, 100000, 100000}, /* other programs may count on it */
	{CONFIG_SOMAXCONN_KEEP, 4096, 4096},
	{512, 4096, 512},
	{70000, 4096, 70000},
};

START_TEST(the_setting_decides_what_is_wanted)
{
	config.kernel.somaxconn = wants[_i].setting;
	ck_assert_int_eq(kernel_want_somaxconn(&config, wants[_i].now), wants[_i].wanted);
}
END_TEST

START_TEST(auto_raises_to_the_largest_backlog_and_says_so)
{
	struct kernel_somaxconn result;
	char words[512];

	have("4096\n");
	kernel_apply_somaxconn(root, &config, &result);
	ck_assert_int_eq(now(), 65535);
	ck_assert_int_eq(result.error, 0);
	kernel_explain_somaxconn(&result, words, sizeof(words));
	ck_assert_msg(strstr(words, "from 4096 to 65535") != NULL, "says: %s", words);
}
END_TEST

START_TEST(nothing_is_written_or_said_when_nothing_is_to_do)
{
	struct kernel_somaxconn result;
	char words[512];

	have("65535\n");
	kernel_apply_somaxconn(root, &config, &result);
	ck_assert_str_eq(kernel_explain_somaxconn(&result, words, sizeof(words)), "");
	have("128\n");
	config.kernel.somaxconn = CONFIG_SOMAXCONN_KEEP;
	kernel_apply_somaxconn(root, &config, &result);
	ck_assert_int_eq(now(), 128);
	ck_assert_str_eq(kernel_explain_somaxconn(&result, words, sizeof(words)), "");
}
END_TEST

START_TEST(foreseeing_changes_nothing)
{
	struct kernel_somaxconn result;

	have("4096\n");
	kernel_foresee_somaxconn(root, &config, &result);
	ck_assert_int_eq(result.now, 65535);
	ck_assert_int_eq(now(), 4096);
}
END_TEST

START_TEST(what_cannot_be_read_is_said)
{
	struct kernel_somaxconn result;
	char words[512];

	kernel_apply_somaxconn(root, &config, &result);
	ck_assert_int_eq(result.before, -1);
	ck_assert_int_eq(result.error, -ENOENT);
	kernel_explain_somaxconn(&result, words, sizeof(words));
	ck_assert_ptr_nonnull(strstr(words, "cannot be read"));
	have("many\n");
	kernel_apply_somaxconn(root, &config, &result);
	ck_assert_int_eq(result.error, -EINVAL);
}
END_TEST

static const struct {
	int error;
	const char *says[4];
} refusals[] = {
	{-EROFS, {"is 128, wanted 65535", "read-only", "host",
			 "sysctl -w net.core.somaxconn=65535"}},
	{-EACCES, {"is 128, wanted 65535", "may not write", "root",
			  "sysctl -w net.core.somaxconn=65535"}},
	{-EINVAL, {"is 128, wanted 65535", "Invalid argument", "root", "sysctl -w"}},
};

START_TEST(a_refusal_names_values_reason_and_command)
{
	struct kernel_somaxconn result = {.setting = CONFIG_SOMAXCONN_AUTO,
		.before = 128,
		.now = 128,
		.wanted = 65535,
		.error = refusals[_i].error};
	char words[512];

	kernel_explain_somaxconn(&result, words, sizeof(words));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_msg(strstr(words, refusals[_i].says[i]) != NULL, "says: %s", words);
	}
	ck_assert_str_eq(kernel_explain_cut(&result, 65535, words, sizeof(words)), words);
	ck_assert_ptr_nonnull(strstr(words, "wanted 65535"));
}
END_TEST

static const struct {
	int64_t setting;
	const char *says;
} cuts[] = {
	{CONFIG_SOMAXCONN_KEEP, "\"keep\" leaves it so"},
	{128, "as kernel.somaxconn says"},
};

START_TEST(a_cut_backlog_is_explained)
{
	struct kernel_somaxconn result = {
		.setting = cuts[_i].setting, .before = 128, .now = 128, .wanted = 128};
	char words[512];

	kernel_explain_cut(&result, 4096, words, sizeof(words));
	ck_assert_msg(strstr(words, cuts[_i].says) != NULL, "says: %s", words);
	ck_assert_ptr_nonnull(strstr(words, "sysctl -w net.core.somaxconn=4096"));
}
END_TEST

UNIT_TESTS(
	"kernel", tcase_add_checked_fixture(tests, setup, teardown); tcase_add_loop_test(
		tests, the_setting_decides_what_is_wanted, 0, sizeof(wants) / sizeof(wants[0]));
	tcase_add_test(tests, auto_raises_to_the_largest_backlog_and_says_so);
	tcase_add_test(tests, nothing_is_written_or_said_when_nothing_is_to_do);
	tcase_add_test(tests, foreseeing_changes_nothing);
	tcase_add_test(tests, what_cannot_be_read_is_said);
	tcase_add_loop_test(tests, a_refusal_names_values_reason_and_command, 0,
		sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_loop_test(tests, a_cut_backlog_is_explained, 0, sizeof(cuts) / sizeof(cuts[0]));)
