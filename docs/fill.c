/* docs/fill TEMPLATE: writes the template to standard output, with what the rows of the schema say
 * in the place of these lines:
 *
 *   @manual server@   @manual listener@    the options for a manual page
 *   @manual protocols@                     the protocols for a manual page
 *   @manual path@                          the path of the configuration for a manual page
 *   @example server@  @example listener@   the options for a configuration file
 *   the same with upstream and upstream server
 *
 * Runs while acceptd is built, so that manual and example cannot tell another story than the
 * program. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/config_schema.h"
#include "common/config_value.h"
#include "common/text.h"

#define LINE_MAX_LEN 1024
#define WRAP_COLUMN  96

/* What a service is built with; the protocol for tests is none of the operator's business. */
#undef WITH_FAULTS
static const struct {
	const char *name, *help;
} protocols[] = {
#define PROTOCOL(name, help) {#name, help},
#include "common/protocols.def"
#undef PROTOCOL
};

/* An example for each option that has no default. */
static const struct {
	enum option_scope scope;
	const char *path, *value;
} samples[] = {
	{OPTION_LISTENER, "name", "\"echo\""},
	{OPTION_LISTENER, "address", "\"127.0.0.1:7000\""},
	{OPTION_LISTENER, "protocol", "\"echo\""},
	{OPTION_UPSTREAM, "name", "\"java\""},
	{OPTION_UPSTREAM_SERVER, "address", "\"127.0.0.1:8080\""},
};

static const char *const effects[] = {
	[EFFECT_AT_ONCE] = "at once",
	[EFFECT_NEW_CONNECTIONS] = "for new connections",
	[EFFECT_NEW_WORKERS] = "for workers that start later",
	[EFFECT_RESTART] = "after a restart; a reload that changes it is refused",
};

/* The default, or a sample where one must be given. */
static const char *
value_of(const struct option *option, char *buffer, size_t size)
{
	struct text text;

	text_init(&text, buffer, size);
	if (option->fallback != NULL) {
		config_value_add_default(&text, option);
		return buffer;
	}
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		if (samples[i].scope == option->scope &&
			strcmp(samples[i].path, option->path) == 0) {
			text_add(&text, "%s", samples[i].value);
		}
	}
	if (text.len == 0) {
		(void)fprintf(stderr, "docs/fill.c: %s needs a sample\n", option->path);
		exit(EXIT_FAILURE);
	}
	return buffer;
}

static const char *
allowed_for(const struct option *option, char *buffer, size_t size)
{
	struct text text;

	text_init(&text, buffer, size);
	if (strcmp(option->path, "protocol") == 0) {
		for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
			text_add(&text, "%s\"%s\"", i == 0 ? "" : ", ", protocols[i].name);
		}
	} else {
		config_value_add_allowed(&text, option);
	}
	return buffer;
}

/* Text of a manual page: a hyphen is a minus, quotes are straight, a line begins with no dot. */
static void
put_roff(const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '-':
			(void)fputs("\\-", stdout);
			break;
		case '\\':
			(void)fputs("\\e", stdout);
			break;
		case '"':
			(void)fputs("\\(dq", stdout);
			break;
		case '\'':
			(void)fputs("\\(aq", stdout);
			break;
		default:
			(void)putchar(*text);
		}
	}
}

static void
manual_option(const struct option *option)
{
	char value[256], allowed[256];

	(void)fputs(".TP\n\\fB", stdout);
	put_roff(option->path);
	(void)fputs("\\fR = ", stdout);
	put_roff(value_of(option, value, sizeof(value)));
	(void)fputs("\n", stdout);
	put_roff(option->help);
	(void)fputs("\n.br\nType: ", stdout);
	put_roff(config_value_type_name(option));
	if (option->type != OPTION_BOOL) {
		(void)fputs("; allowed: ", stdout);
		put_roff(allowed_for(option, allowed, sizeof(allowed)));
	}
	(void)fputs(".\n", stdout);
	(void)fputs(option->fallback != NULL ? "Default as shown.\n"
					     : "Must be given; shown is an example.\n",
		stdout);
	(void)printf("A change takes effect %s.\n", effects[option->effect]);
}

static void
manual_protocols(void)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		(void)printf(".TP\n\\fB%s\\fR\n", protocols[i].name);
		put_roff(protocols[i].help);
		(void)fputs(".\n", stdout);
	}
}

/* A comment of whole words, in lines that end before the margin. */
static void
put_comment(const char *indent, int indent_width, const char *text)
{
	int column = WRAP_COLUMN;
	const char *before = "";

	while (*text != '\0') {
		int len = (int)strcspn(text, " ");

		if (column + 1 + len > WRAP_COLUMN) {
			(void)printf("%s%s# %.*s", before, indent, len, text);
			column = indent_width + 2 + len;
		} else {
			column += printf(" %.*s", len, text);
		}
		before = "\n";
		text += len;
		text += strspn(text, " ");
	}
	(void)putchar('\n');
}

/* One option with its sentence. What has a default is commented out. */
static void
example_option(const struct option *option, const char *indent, int indent_width)
{
	const char *dot = strchr(option->path, '.');
	char value[256], allowed[256], comment[LINE_MAX_LEN];

	(void)snprintf(comment, sizeof(comment), "%s Allowed: %s.%s%s%s", option->help,
		allowed_for(option, allowed, sizeof(allowed)),
		option->effect == EFFECT_AT_ONCE ? "" : " A change takes effect ",
		option->effect == EFFECT_AT_ONCE ? "" : effects[option->effect],
		option->effect == EFFECT_AT_ONCE ? "" : ".");
	put_comment(indent, indent_width, comment);
	(void)printf("%s%s%s = %s;\n", indent, option->fallback != NULL && dot == NULL ? "#" : "",
		dot != NULL ? dot + 1 : option->path, value_of(option, value, sizeof(value)));
}

/* Length of the name of the group in which an option stands; 0: none. */
static size_t
group_len(const struct option *option)
{
	const char *dot = strchr(option->path, '.');

	return dot == NULL ? 0 : (size_t)(dot - option->path);
}

static bool
is_in_group(const struct option *option, const struct option *before, size_t open)
{
	return open > 0 && group_len(option) == open &&
	       strncmp(option->path, before->path, open) == 0;
}

/* Rows of one group stand together: a whole group is commented out, its members inside. */
static void
example_scope(enum option_scope scope, const char *indent, int indent_width)
{
	char inner[16];
	size_t open = 0; /* length of the name of the group that is open */
	const struct option *last = NULL;
	const char *before = "";

	(void)snprintf(inner, sizeof(inner), "%s#\t", indent);
	for (size_t i = 0; i < config_schema_count; i++) {
		const struct option *option = &config_schema[i];
		size_t len = group_len(option);

		if (option->scope != scope) {
			continue;
		}
		if (open > 0 && !is_in_group(option, last, open)) {
			(void)printf("%s#};\n", indent);
			open = 0;
		}
		if (len > 0 && len != open) {
			(void)printf("%s%s#%.*s = {\n", before, indent, (int)len, option->path);
		}
		if (len > 0) {
			example_option(option, inner, indent_width + 8);
		} else {
			(void)fputs(before, stdout);
			example_option(option, indent, indent_width);
		}
		before = "\n";
		last = option;
		open = len;
	}
	if (open > 0) {
		(void)printf("%s#};\n", indent);
	}
}

static void
manual_scope(enum option_scope scope)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		if (config_schema[i].scope == scope) {
			manual_option(&config_schema[i]);
		}
	}
}

static bool
fill_line(const char *line)
{
	if (strcmp(line, "@manual server@\n") == 0) {
		manual_scope(OPTION_SERVER);
	} else if (strcmp(line, "@manual listener@\n") == 0) {
		manual_scope(OPTION_LISTENER);
	} else if (strcmp(line, "@manual upstream@\n") == 0) {
		manual_scope(OPTION_UPSTREAM);
	} else if (strcmp(line, "@manual upstream server@\n") == 0) {
		manual_scope(OPTION_UPSTREAM_SERVER);
	} else if (strcmp(line, "@manual protocols@\n") == 0) {
		manual_protocols();
	} else if (strcmp(line, "@manual path@\n") == 0) {
		(void)fputs("\\fI", stdout);
		put_roff(SYSCONFDIR "/acceptd/acceptd.conf");
		(void)fputs("\\fR\n", stdout);
	} else if (strcmp(line, "@example server@\n") == 0) {
		example_scope(OPTION_SERVER, "", 0);
	} else if (strcmp(line, "@example listener@\n") == 0) {
		example_scope(OPTION_LISTENER, "\t\t", 16);
	} else if (strcmp(line, "@example upstream@\n") == 0) {
		example_scope(OPTION_UPSTREAM, "\t\t", 16);
	} else if (strcmp(line, "@example upstream server@\n") == 0) {
		example_scope(OPTION_UPSTREAM_SERVER, "\t\t\t\t", 32);
	} else {
		return false;
	}
	return true;
}

int
main(int count, char **arguments)
{
	FILE *template = count == 2 ? fopen(arguments[1], "re") : NULL;
	char line[LINE_MAX_LEN];

	if (template == NULL) {
		(void)fprintf(stderr, "usage: docs/fill TEMPLATE\n");
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), template) != NULL) {
		if (!fill_line(line)) {
			(void)fputs(line, stdout);
		}
	}
	if (fclose(template) != 0 || fflush(stdout) != 0 || ferror(stdout)) {
		perror(arguments[1]);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
