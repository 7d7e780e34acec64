/* Writes a configuration as a file that loads as the same configuration. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/config_private.h"
#include "common/config_value.h"
#include "common/text.h"

#define DUMP_VALUE_MAX (20 * 1024) /* the longest text, every byte of it escaped */

struct dump {
	const struct config *config;
	FILE *stream;
	bool with_origins;
	int element;
	int depth;
	char group[32]; /* the one that is open; "" none */
};

static void
dump_indent(const struct dump *dump)
{
	for (int i = 0; i < dump->depth; i++) {
		(void)fputs("  ", dump->stream);
	}
}

/* A file name may hold anything; in a comment it must not end the line. */
static void
dump_origin(const struct dump *dump, const struct option *option)
{
	const struct config_origin *origin =
		config_origin_place(dump->config, dump->element, option);
	char shown[4096];
	struct text text;

	text_init(&text, shown, sizeof(shown));
	if (origin->file == NULL) {
		text_add(&text, "default");
	} else {
		text_add_printable(&text, origin->file, strlen(origin->file));
		text_add(&text, ":%d", origin->line);
	}
	(void)fprintf(dump->stream, "  # %s", shown);
}

static void
dump_close_group(struct dump *dump)
{
	if (dump->group[0] != '\0') {
		dump->group[0] = '\0';
		dump->depth--;
		dump_indent(dump);
		(void)fputs("};\n", dump->stream);
	}
}

/* Rows of one group stand together in the schema: open it before the first, close it after the
 * last. */
static void
dump_enter_group(struct dump *dump, const char *path)
{
	const char *dot = strchr(path, '.');
	size_t len = dot == NULL ? 0 : (size_t)(dot - path);

	if (strlen(dump->group) == len && strncmp(dump->group, path, len) == 0) {
		return;
	}
	dump_close_group(dump);
	if (len > 0) {
		dump_indent(dump);
		(void)fprintf(dump->stream, "%.*s = {\n", (int)len, path);
		(void)snprintf(dump->group, sizeof(dump->group), "%.*s", (int)len, path);
		dump->depth++;
	}
}

static void
dump_option(struct dump *dump, const struct option *option)
{
	const char *dot = strchr(option->path, '.');
	char value[DUMP_VALUE_MAX];
	struct text text;

	dump_enter_group(dump, option->path);
	text_init(&text, value, sizeof(value));
	config_value_add(
		&text, option, config_field(option, config_base(dump->config, dump->element)));
	dump_indent(dump);
	(void)fprintf(dump->stream, "%s = %s;", dot == NULL ? option->path : dot + 1, value);
	if (dump->with_origins) {
		dump_origin(dump, option);
	}
	(void)fputc('\n', dump->stream);
}

static void
dump_scope(struct dump *dump, enum option_scope scope)
{
	for (size_t i = 0; i < config_schema_count; i++) {
		if (config_schema[i].scope == scope) {
			dump_option(dump, &config_schema[i]);
		}
	}
	dump_close_group(dump);
}

/* Begin an element of a list, with all its options. */
static void
dump_element(struct dump *dump, int element, int depth)
{
	dump->element = element;
	dump->depth = depth;
	dump_indent(dump);
	(void)fputs("{\n", dump->stream);
	dump->depth++;
	dump_scope(dump, config_scope_of(dump->config, element));
}

static void
dump_end(struct dump *dump, int depth, bool is_last)
{
	dump->depth = depth;
	dump_indent(dump);
	(void)fprintf(dump->stream, "}%s\n", is_last ? "" : ",");
}

static void
dump_listeners(struct dump *dump)
{
	size_t count = dump->config->listener_count;

	(void)fputs("listeners = (\n", dump->stream);
	for (size_t i = 0; i < count; i++) {
		dump_element(dump, (int)i, 1);
		dump_end(dump, 1, i + 1 == count);
	}
	(void)fputs(");\n", dump->stream);
}

static void
dump_servers(struct dump *dump, const struct upstream_config *upstream)
{
	size_t first = (size_t)(upstream->servers - dump->config->servers);

	(void)fputs("    servers = (\n", dump->stream);
	for (size_t i = 0; i < upstream->server_count; i++) {
		dump_element(dump, config_server_element(dump->config, first + i), 3);
		dump_end(dump, 3, i + 1 == upstream->server_count);
	}
	(void)fputs("    );\n", dump->stream);
}

static void
dump_upstreams(struct dump *dump)
{
	size_t count = dump->config->upstream_count;

	if (count == 0) {
		return;
	}
	(void)fputs("upstreams = (\n", dump->stream);
	for (size_t i = 0; i < count; i++) {
		dump_element(dump, config_upstream_element(dump->config, i), 1);
		dump_servers(dump, &dump->config->upstreams[i]);
		dump_end(dump, 1, i + 1 == count);
	}
	(void)fputs(");\n", dump->stream);
}

int
config_dump(const struct config *config, FILE *stream, bool with_origins)
{
	struct dump dump = {.config = config,
		.stream = stream,
		.with_origins = with_origins,
		.element = CONFIG_TOP};

	dump_scope(&dump, OPTION_SERVER);
	dump_listeners(&dump);
	dump_upstreams(&dump);
	return fflush(stream) != 0 || ferror(stream) ? -EIO : 0;
}

int
config_dump_text(const struct config *config, char **text, size_t *len)
{
	char *written = NULL;
	size_t written_len = 0;
	FILE *stream = open_memstream(&written, &written_len);
	int result;

	if (stream == NULL) {
		return -ENOMEM;
	}
	result = config_dump(config, stream, false);
	if (fclose(stream) != 0 || result < 0) {
		free(written);
		return -ENOMEM;
	}
	*text = written;
	*len = written_len;
	return 0;
}
