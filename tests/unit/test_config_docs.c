/* What is filled in from the rows: the manual page and the example configuration that make has
 * built say of every option what the program does. */
#include <string.h>

#include "common/config.h"
#include "common/config_schema.h"
#include "common/config_value.h"
#include "common/descriptor.h"
#include "common/text.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

#define MANUAL  "docs/acceptd.conf.5"
#define EXAMPLE "etc/acceptd.conf"

static char *page;

/* From where make built it, or from a tarball. */
static void
read_page(const char *name)
{
	char path[PATH_MAX];
	size_t len;

	if (descriptor_read_file(name, 1 << 20, &page, &len) < 0) {
		(void)snprintf(path, sizeof(path), "%s/%s", scratch_source(), name);
		ck_assert_int_eq(descriptor_read_file(path, 1 << 20, &page, &len), 0);
	}
}

/* The page without what roff needs: a hyphen is a hyphen again. */
static void
unroff(void)
{
	static const struct {
		const char *code;
		char plain;
	} codes[] = {{"\\(dq", '"'}, {"\\(aq", '\''}, {"\\-", '-'}, {"\\e", '\\'}};
	char *to = page;

	for (const char *from = page; *from != '\0';) {
		size_t i = 0;

		while (i < ARRAY_LEN(codes) &&
			strncmp(from, codes[i].code, strlen(codes[i].code)) != 0) {
			i++;
		}
		*to++ = i < ARRAY_LEN(codes) ? codes[i].plain : *from;
		from += i < ARRAY_LEN(codes) ? strlen(codes[i].code) : 1;
	}
	*to = '\0';
}

START_TEST(the_manual_tells_every_option)
{
	const struct option *option = &config_schema[_i];
	char wanted[1024];
	struct text text;

	read_page(MANUAL);
	unroff();
	text_init(&text, wanted, sizeof(wanted));
	text_add(&text, "\\fB%s\\fR = ", option->path);
	if (option->fallback != NULL) {
		config_value_add_default(&text, option);
		text_add(&text, "\n%s\n", option->help);
	}
	ck_assert_msg(strstr(page, wanted) != NULL, "%s", wanted);
	ck_assert_ptr_nonnull(strstr(page, option->help));
	free(page);
}
END_TEST

static void
load_page(struct config **config)
{
	static struct findings findings;

	memset(&findings, 0, sizeof(findings));
	ck_assert_msg(config_load_text(page, "example", config, &findings) == 0, "%s",
		findings.items[0].text);
	ck_assert_uint_eq(findings.warnings, 0);
}

/* "#name = value;" becomes "name = value;"; "# words" stays. Includes are left out. */
static void
uncomment(void)
{
	for (char *line = page; line != NULL; line = strchr(line, '\n')) {
		char *at = line + strspn(line, "\n\t");

		if (at[0] == '#' && at[1] != ' ' && at[1] != '@') {
			at[0] = ' ';
		}
		line = at;
	}
}

START_TEST(the_example_shows_every_option_with_its_default)
{
	struct config *plain, *uncommented;
	char *plain_dump, *uncommented_dump;
	size_t len;

	read_page(EXAMPLE);
	load_page(&plain);
	uncomment();
	load_page(&uncommented);
	ck_assert_int_eq(config_dump_text(plain, &plain_dump, &len), 0);
	ck_assert_int_eq(config_dump_text(uncommented, &uncommented_dump, &len), 0);
	ck_assert_str_eq(plain_dump, uncommented_dump);
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];
		int element = (int)option->scope - 1; /* there is one of each */

		ck_assert_msg(config_origin_of(uncommented, element, option->path).file != NULL,
			"%s is not in " EXAMPLE, option->path);
		ck_assert_msg((config_origin_of(plain, element, option->path).file == NULL) ==
				      (option->fallback != NULL),
			"%s", option->path);
	}
	free(plain_dump);
	free(uncommented_dump);
	config_free(&plain);
	config_free(&uncommented);
	free(page);
}
END_TEST

UNIT_TESTS("config_docs",
	   tcase_add_loop_test(tests, the_manual_tells_every_option, 0, (int)config_schema_count);
	   tcase_add_test(tests, the_example_shows_every_option_with_its_default);)
