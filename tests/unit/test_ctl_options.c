#include "ctl/ctl_options.h"

#include <string.h>

#include "common/fault.h"
#include "tests/unit/run.h"

#define WORDS_MAX 8

static int
parse(const char *const *words, struct ctl_options *options, struct fault *why)
{
	char *argv[WORDS_MAX + 2] = {(char *)"acceptctl"};
	int argc = 1;

	while (argc <= WORDS_MAX && words[argc - 1] != NULL) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	return ctl_options_parse(argc, argv, options, why);
}

static const struct {
	const char *words[WORDS_MAX];
	const char *request;
	const char *socket, *config;
} good[] = {
	{{"status"}, "status\n", NULL, NULL},
	{{"-s", "/s", "status"}, "status\n", "/s", NULL},
	{{"status", "-s", "/s"}, "status\n", "/s", NULL},
	{{"-f", "/c", "status", "--json"}, "status --json\n", NULL, "/c"},
	{{"--json", "status"}, "status --json\n", NULL, NULL},
	{{"events", "-f"}, "events --after 0-0\n", NULL, NULL},
	{{"-f", "/c", "events", "-f"}, "events --after 0-0\n", NULL, "/c"},
	{{"queue", "--once"}, "queue\n", NULL, NULL},
	{{"connections", "--older", "1h", "--state", "CLOSE_WAIT"},
		"connections --older 1h --state CLOSE_WAIT\n", NULL, NULL},
	{{"--listener", "l", "connections"}, "connections --listener l\n", NULL, NULL},
	{{"doctor", "--write", "/f"}, "doctor --sysctl\n", NULL, NULL},
	{{"stop", "now"}, "stop now\n", NULL, NULL},
};

START_TEST(a_command_line_becomes_one_request)
{
	struct ctl_options options;
	struct fault why;
	char line[256];

	ck_assert_int_eq(parse(good[_i].words, &options, &why), 0);
	ck_assert_int_eq(
		ctl_options_write_request(&options, false, 0, line, sizeof(line), &why), 0);
	ck_assert_str_eq(line, good[_i].request);
	ck_assert_pstr_eq(options.socket, good[_i].socket);
	ck_assert_pstr_eq(options.config, good[_i].config);
}
END_TEST

static const struct {
	const char *words[WORDS_MAX];
	const char *says;
} bad[] = {
	{{NULL}, "which command"},
	{{"--json"}, "which command"},
	{{"-s"}, "-s needs a value"},
	{{"-s", ""}, "-s needs a value"},
	{{"status", "-f"}, "-f after a command belongs to events"},
	{{"connections", "--older"}, "--older needs a value"},
	{{"status", "--bogus"}, "unknown option '--bogus'"},
	{{"status", "--write", "/f"}, "--write belongs to doctor"},
	{{"status", "--once"}, "--once belongs to queue"},
	{{"drain", "a\nstop"}, "has a blank in it"},
	{{"drain", "a stop"}, "has a blank in it"},
	{{"drain", ""}, "is empty"},
};

START_TEST(a_wrong_command_line_is_explained)
{
	struct ctl_options options;
	struct fault why;
	char line[256];
	int status = parse(bad[_i].words, &options, &why);

	if (status == 0) {
		status = ctl_options_write_request(&options, false, 0, line, sizeof(line), &why);
	}
	ck_assert_int_lt(status, 0);
	ck_assert_msg(strstr(why.text, bad[_i].says) != NULL, "says: %s", why.text);
}
END_TEST

START_TEST(colour_and_width_are_for_a_terminal)
{
	static const char *const words[] = {"status", NULL};
	struct ctl_options options;
	struct fault why;
	char line[256];

	ck_assert_int_eq(parse(words, &options, &why), 0);
	ck_assert_int_eq(
		ctl_options_write_request(&options, true, 120, line, sizeof(line), &why), 0);
	ck_assert_str_eq(line, "status --colour --width=120\n");
	ck_assert_int_lt(ctl_options_write_request(&options, true, 120, line, 10, &why), 0);
}
END_TEST

UNIT_TESTS("ctl_options",
	   tcase_add_loop_test(tests, a_command_line_becomes_one_request, 0, ARRAY_LEN(good));
	   tcase_add_loop_test(tests, a_wrong_command_line_is_explained, 0, ARRAY_LEN(bad));
	   tcase_add_test(tests, colour_and_width_are_for_a_terminal);)
