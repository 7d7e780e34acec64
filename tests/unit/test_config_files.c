/* Configurations as files: every bad one of tests/bad-config with its messages, every odd one of
 * tests/odd-config with its warnings, what @include does, and which files are refused unread. */
#include <errno.h>
#include <glob.h>
#include <string.h>

#include "common/config.h"
#include "common/config_source.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

#define EXPECT "# expect: "
#define SMALL                                                                                      \
	"listeners = ( { name = \"main\"; address = \"127.0.0.1:1\"; protocol = \"echo\"; } );\n"

static struct findings findings;
static struct config *config;
static glob_t bad, odd;

static int
find_cases(const char *folder, glob_t *found)
{
	char pattern[PATH_MAX];

	(void)snprintf(pattern, sizeof(pattern), "%s/tests/%s/*.conf", scratch_source(), folder);
	return glob(pattern, 0, NULL, found) == 0 ? (int)found->gl_pathc : 0;
}

static int
load(const char *path)
{
	memset(&findings, 0, sizeof(findings));
	config = NULL;
	return config_load(path, &config, &findings);
}

/* What an operator would read. */
static const char *
printed(void)
{
	static char text[(FINDINGS_MAX + 1) * sizeof(findings.items[0].text)];
	FILE *stream = fmemopen(text, sizeof(text), "w");

	ck_assert_ptr_nonnull(stream);
	findings_print(&findings, stream);
	ck_assert_int_eq(fclose(stream), 0);
	return text;
}

static void
ck_assert_said(const char *sentence)
{
	ck_assert_msg(
		strstr(printed(), sentence) != NULL, "wanted: %s\ngot: %s", sentence, printed());
}

/* Each line "# expect: …" at the beginning of a file is part of what is said about it. */
static void
check_expectations(const char *path)
{
	FILE *stream = fopen(path, "re");
	char line[1024];
	int count = 0;

	ck_assert_ptr_nonnull(stream);
	while (fgets(line, sizeof(line), stream) != NULL &&
		strncmp(line, EXPECT, strlen(EXPECT)) == 0) {
		line[strcspn(line, "\n")] = '\0';
		ck_assert_said(line + strlen(EXPECT));
		count++;
	}
	ck_assert_int_eq(fclose(stream), 0);
	ck_assert_msg(count > 0, "%s expects nothing", path);
}

/* The checkout may belong to somebody we do not trust: work on copies. */
static const char *
copy_case(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	scratch_run("cp %s %s/ && cp -r %s/tests/bad-config/parts %s/ && chmod -R u+w,go-w %s",
		path, scratch_directory, scratch_source(), scratch_directory, scratch_directory);
	return scratch_path(name);
}

START_TEST(a_bad_configuration_is_refused_and_every_mistake_told)
{
	const char *path = copy_case(bad.gl_pathv[_i]);

	ck_assert_int_eq(load(path), -EINVAL);
	ck_assert_ptr_null(config);
	ck_assert_uint_gt(findings.errors, 0);
	check_expectations(path);
}
END_TEST

START_TEST(an_odd_configuration_is_taken_with_a_warning)
{
	const char *path = copy_case(odd.gl_pathv[_i]);

	ck_assert_msg(load(path) == 0, "%s", printed());
	ck_assert_uint_gt(findings.warnings, 0);
	check_expectations(path);
	config_free(&config);
}
END_TEST

/* A value that the dump writes out is not taken for somebody's wish. */
START_TEST(a_dump_warns_of_what_its_source_warned_of)
{
	const char *path = copy_case(odd.gl_pathv[_i]);
	struct config *again;
	size_t warnings, len;
	char *text;

	ck_assert_int_eq(load(path), 0);
	warnings = findings.warnings;
	ck_assert_int_eq(config_dump_text(config, &text, &len), 0);
	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(config_load_text(text, "dump", &again, &findings), 0);
	ck_assert_msg(findings.warnings == warnings, "%s", printed());
	free(text);
	config_free(&config);
	config_free(&again);
}
END_TEST

START_TEST(a_pattern_includes_in_the_order_of_the_names)
{
	const char *path = scratch_write("a.conf", "@include \"conf.d/*.conf\"\n" SMALL);

	scratch_run("mkdir -m 755 %s/conf.d", scratch_directory);
	(void)scratch_write("conf.d/20.conf", "listeners = ( { name = \"b\"; address = "
					      "\"127.0.0.1:3\"; protocol = \"echo\"; } );");
	(void)scratch_write("conf.d/10.conf", "listeners = ( { name = \"a\"; address = "
					      "\"127.0.0.1:2\"; protocol = \"echo\"; } );");
	(void)scratch_write("conf.d/15-Z.conf", "workers = 7;");
	(void)scratch_write("conf.d/15-a.conf", "strict = true;");
	(void)scratch_write("conf.d/30.conf~", "nonsense");
	(void)scratch_write("conf.d/.40.conf", "nonsense");

	ck_assert_msg(load(path) == 0, "%s", printed());
	ck_assert_uint_eq(config->listener_count, 3);
	ck_assert_str_eq(config->listeners[0].name, "main");
	ck_assert_str_eq(config->listeners[1].name, "a");
	ck_assert_str_eq(config->listeners[2].name, "b");
	ck_assert_int_eq(config->workers, 7);
	ck_assert(config->strict);
	ck_assert_str_eq(
		config_origin_of(config, -1, "workers").file, scratch_path("conf.d/15-Z.conf"));
	ck_assert_int_eq(config_origin_of(config, -1, "workers").line, 1);
	ck_assert_str_eq(config->listeners[2].origin.file, scratch_path("conf.d/20.conf"));
	config_free(&config);
}
END_TEST

START_TEST(an_empty_folder_includes_nothing)
{
	scratch_run("mkdir -m 755 %s/conf.d", scratch_directory);
	ck_assert_int_eq(load(scratch_write("a.conf", "@include \"conf.d/*.conf\"\n" SMALL)), 0);
	config_free(&config);
}
END_TEST

START_TEST(includes_are_relative_to_the_file_in_which_they_stand)
{
	const char *path = scratch_write("a.conf", "@include \"one/b.conf\"\n" SMALL);

	scratch_run("mkdir -m 755 %s/one %s/one/two", scratch_directory, scratch_directory);
	(void)scratch_write("one/b.conf", "@include \"two/[c]*.conf\"\n");
	(void)scratch_write("one/two/c.conf", "@include \"../d.conf\"\n");
	(void)scratch_write("one/d.conf", "# d\nworkers = 9;\n");
	ck_assert_msg(load(path) == 0, "%s", printed());
	ck_assert_int_eq(config->workers, 9);
	ck_assert_int_eq(config_origin_of(config, -1, "workers").line, 2);
	config_free(&config);
}
END_TEST

/* The folder's own name is no pattern. */
START_TEST(a_folder_may_have_any_name)
{
	scratch_run("mkdir -m 755 '%s/[x]*' '%s/[x]*/d'", scratch_directory, scratch_directory);
	(void)scratch_write("[x]*/d/b.conf", "workers = 9;");
	(void)scratch_write("[x]*/c.conf", "strict = true;");
	ck_assert_msg(load(scratch_write("[x]*/a.conf",
			      "@include \"d/*.conf\"\n@include \"c.conf\"\n" SMALL)) == 0,
		"%s", printed());
	ck_assert_int_eq(config->workers, 9);
	ck_assert(config->strict);
	config_free(&config);
}
END_TEST

/* So that listeners can share what they have in common. */
START_TEST(an_include_inside_a_group_stands_for_its_settings)
{
	(void)scratch_write("common.inc", "idle_timeout = \"7s\";\n"
					  "keepalive = { probes = 9; };\n");
	(void)scratch_write("addresses.inc", "\"127.0.0.1:1\",\n\"127.0.0.1:2\"\n");
	ck_assert_msg(load(scratch_write("a.conf",
			      "listeners = (\n"
			      "  { name = \"a\"; protocol = \"echo\";\n"
			      "@include \"common.inc\"\n"
			      "    address = [\n"
			      "@include \"addresses.inc\"\n"
			      "    ]; },\n"
			      "  { name = \"b\"; address = \"127.0.0.1:3\"; protocol = \"echo\";\n"
			      "    @include \"common.inc\"\n"
			      "    backlog = 5; } );\n")) == 0,
		"%s", printed());
	ck_assert_uint_eq(config->listener_count, 2);
	ck_assert_int_eq(config->listeners[0].idle_timeout_ms, 7000);
	ck_assert_uint_eq(config->listeners[0].addresses.count, 2);
	ck_assert_int_eq(config->listeners[1].keepalive.probes, 9);
	ck_assert_int_eq(config->listeners[1].backlog, 5);
	ck_assert_str_eq(
		config_origin_of(config, 1, "keepalive.probes").file, scratch_path("common.inc"));
	ck_assert_int_eq(config_origin_of(config, 1, "keepalive.probes").line, 2);
	ck_assert_int_eq(config_origin_of(config, 1, "backlog").line, 9);
	config_free(&config);
}
END_TEST

START_TEST(a_mistake_in_an_include_is_told_with_its_own_place)
{
	(void)scratch_write("b.inc", "\n\n    idle_timeout = 5;\n");
	ck_assert_int_eq(
		load(scratch_write("a.conf",
			"listeners = (\n"
			"  { name = \"a\"; address = \"127.0.0.1:1\"; protocol = \"echo\";\n"
			"    @include \"b.inc\"\n"
			"    backlog = 0; } );\n")),
		-EINVAL);
	ck_assert_uint_eq(findings.errors, 2);
	ck_assert_said("/b.inc:3: error: listeners[a].idle_timeout: a bare number");
	ck_assert_said("/a.conf:4: error: listeners[a].backlog: out of range");
}
END_TEST

START_TEST(an_open_bracket_is_one_mistake_whatever_other_files_hold)
{
	(void)scratch_write("b.conf", SMALL);
	ck_assert_int_eq(
		load(scratch_write("a.conf", "@include \"b.conf\"\nlisteners = (\n")), -EINVAL);
	ck_assert_uint_eq(findings.errors, 1);
	ck_assert_said("/a.conf:3: error: end of file inside the '(' opened at line 2");
}
END_TEST

START_TEST(an_include_that_others_may_change_is_refused)
{
	const char *path = scratch_write("a.conf", "@include \"b.conf\"\n" SMALL);

	ck_assert_int_eq(chmod(scratch_write("b.conf", "workers = 2;"), 0666), 0);
	ck_assert_int_eq(load(path), -EINVAL);
	ck_assert_said("/a.conf:1: error: @include: ");
	ck_assert_said("/b.conf is writable by others (mode 0666); hint: chmod go-w");
	ck_assert_uint_eq(findings.errors, 1);
}
END_TEST

START_TEST(a_file_that_others_may_change_is_refused)
{
	const char *path = scratch_write("a.conf", SMALL);

	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_int_eq(load(path), -EINVAL);
	ck_assert_said("/a.conf is writable by its group (mode 0664); hint: chmod go-w");
	ck_assert_uint_eq(findings.errors, 1);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	ck_assert_int_eq(load(scratch_path("nosuch.conf")), -EINVAL);
	ck_assert_said("/nosuch.conf: No such file or directory");
	ck_assert_uint_eq(findings.errors, 1);

	ck_assert_int_eq(load(scratch_directory), -EINVAL);
	ck_assert_said("is a directory, not a file");
	ck_assert_uint_eq(findings.errors, 1);

	ck_assert_int_eq(mkfifo(scratch_path("pipe"), 0600), 0);
	ck_assert_int_eq(load(scratch_path("pipe")), -EINVAL);
	ck_assert_said("is not a regular file");
}
END_TEST

START_TEST(a_file_has_a_largest_size)
{
	static char content[SOURCE_FILE_MAX + 2];
	size_t used = strlen(SMALL);

	memset(content, '\n', sizeof(content) - 1);
	memcpy(content, SMALL, used);
	ck_assert_int_eq(load(scratch_write("a.conf", content)), -EINVAL);
	ck_assert_said("is larger than 1048576 bytes");

	content[SOURCE_FILE_MAX] = '\0';
	ck_assert_msg(load(scratch_write("a.conf", content)) == 0, "%s", printed());
	config_free(&config);
}
END_TEST

/* Ten files that each include the next one three times would be read 59049 times. */
START_TEST(includes_that_multiply_come_to_an_end)
{
	for (int i = 0; i < 10; i++) {
		char name[24];
		char content[128];

		(void)snprintf(name, sizeof(name), "%d.conf", i);
		(void)snprintf(content, sizeof(content),
			"@include \"%d.conf\"\n@include \"%d.conf\"\n@include \"%d.conf\"\n", i + 1,
			i + 1, i + 1);
		(void)scratch_write(name, content);
	}
	(void)scratch_write("10.conf", "# nothing\n");
	ck_assert_int_eq(load(scratch_path("0.conf")), -EINVAL);
	ck_assert_said("@include: more than 1000 files");
}
END_TEST

START_TEST(the_shipped_files_load)
{
	static const char *const names[] = {"front-door.conf", "quickstart.conf"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		scratch_run("cp %s/etc/%s %s/ && chmod 644 %s/%s", scratch_source(), names[i],
			scratch_directory, scratch_directory, names[i]);
		ck_assert_msg(load(scratch_path(names[i])) == 0, "%s", printed());
		ck_assert_uint_eq(findings.warnings, 0);
		config_free(&config);
	}
}
END_TEST

UNIT_TESTS(
	"config_files", int bad_count = find_cases("bad-config", &bad);
	int odd_count = find_cases("odd-config", &odd); if (bad_count < 100 || odd_count < 5) {
		(void)fprintf(stderr, "cannot find tests/bad-config and tests/odd-config\n");
		return EXIT_FAILURE;
	} tcase_add_checked_fixture(tests, scratch_make, scratch_remove);
	tcase_add_loop_test(
		tests, a_bad_configuration_is_refused_and_every_mistake_told, 0, bad_count);
	tcase_add_loop_test(tests, an_odd_configuration_is_taken_with_a_warning, 0, odd_count);
	tcase_add_loop_test(tests, a_dump_warns_of_what_its_source_warned_of, 0, odd_count);
	tcase_add_test(tests, a_pattern_includes_in_the_order_of_the_names);
	tcase_add_test(tests, an_empty_folder_includes_nothing);
	tcase_add_test(tests, includes_are_relative_to_the_file_in_which_they_stand);
	tcase_add_test(tests, a_folder_may_have_any_name);
	tcase_add_test(tests, an_include_inside_a_group_stands_for_its_settings);
	tcase_add_test(tests, a_mistake_in_an_include_is_told_with_its_own_place);
	tcase_add_test(tests, an_open_bracket_is_one_mistake_whatever_other_files_hold);
	tcase_add_test(tests, an_include_that_others_may_change_is_refused);
	tcase_add_test(tests, a_file_that_others_may_change_is_refused);
	tcase_add_test(tests, what_is_no_file_is_refused);
	tcase_add_test(tests, a_file_has_a_largest_size);
	tcase_add_test(tests, includes_that_multiply_come_to_an_end);
	tcase_add_test(tests, the_shipped_files_load);)
