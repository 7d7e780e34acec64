#include "master/options.h"

#include <string.h>

#include "common/fault.h"
#include "tests/unit/run.h"

#define WORDS_MAX 6

static int
parse(const char *const *words, struct options *options, struct fault *why)
{
	char *argv[WORDS_MAX + 2] = {(char *)"acceptd"};
	int argc = 1;

	while (words[argc - 1] != NULL) {
		argv[argc] = (char *)words[argc - 1];
		argc++;
	}
	return options_parse(argc, argv, options, why);
}

static const struct {
	const char *words[WORDS_MAX];
	enum options_action action;
	const char *path; /* NULL: the default */
	bool is_daemon;
} good[] = {
	{{NULL}, OPTIONS_SERVE, NULL, false},
	{{"-f", "a.conf", NULL}, OPTIONS_SERVE, "a.conf", false},
	{{"-fa.conf", NULL}, OPTIONS_SERVE, "a.conf", false},
	{{"-d", NULL}, OPTIONS_SERVE, NULL, true},
	{{"-t", "-f", "a.conf", NULL}, OPTIONS_TEST, "a.conf", false},
	{{"-tf", "a.conf", NULL}, OPTIONS_TEST, "a.conf", false},
	{{"-t", "-t", NULL}, OPTIONS_TEST, NULL, false},
	{{"-t", "--doctor", NULL}, OPTIONS_DOCTOR, NULL, false},
	{{"--doctor", "-tf", "a.conf", NULL}, OPTIONS_DOCTOR, "a.conf", false},
	{{"-T", NULL}, OPTIONS_DUMP, NULL, false},
	{{"-V", NULL}, OPTIONS_VERSION, NULL, false},
	{{"-h", NULL}, OPTIONS_HELP, NULL, false},
	{{"--help", NULL}, OPTIONS_HELP, NULL, false},
	{{"--version", NULL}, OPTIONS_VERSION, NULL, false},
};

START_TEST(a_command_line_is_understood)
{
	struct options options;
	struct fault why;

	ck_assert_int_eq(parse(good[_i].words, &options, &why), 0);
	ck_assert_int_eq(options.action, good[_i].action);
	ck_assert_int_eq(options.is_daemon, good[_i].is_daemon);
	ck_assert_str_eq(options.path,
		good[_i].path != NULL ? good[_i].path : SYSCONFDIR "/acceptd/acceptd.conf");
}
END_TEST

static const struct {
	const char *words[WORDS_MAX];
	const char *says;
} bad[] = {
	{{"-x", NULL}, "unknown option '-x'"},
	{{"-f", NULL}, "-f needs the name of a file"},
	{{"-f", "", NULL}, "-f needs the name of a file"},
	{{"a.conf", NULL}, "unexpected word 'a.conf'"},
	{{"-t", "a.conf", NULL}, "unexpected word 'a.conf'"},
	{{"-t", "-T", NULL}, "-T cannot be combined"},
	{{"-V", "-h", NULL}, "-h cannot be combined"},
	{{"-d", "-t", NULL}, "-d has no meaning"},
	{{"-T", "-d", NULL}, "-d has no meaning"},
	{{"--doctor", NULL}, "--doctor goes with -t"},
	{{"-T", "--doctor", NULL}, "--doctor goes with -t"},
	{{"--surgeon", NULL}, "unknown option '--surgeon'"},
};

START_TEST(a_wrong_command_line_is_explained)
{
	struct options options;
	struct fault why;

	ck_assert_int_lt(parse(bad[_i].words, &options, &why), 0);
	ck_assert_msg(strstr(why.text, bad[_i].says) != NULL, "says: %s", why.text);
}
END_TEST

UNIT_TESTS("options", tcase_add_loop_test(tests, a_command_line_is_understood, 0,
			      sizeof(good) / sizeof(good[0]));
	   tcase_add_loop_test(
		   tests, a_wrong_command_line_is_explained, 0, sizeof(bad) / sizeof(bad[0]));)
