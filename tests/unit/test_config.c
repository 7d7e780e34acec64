#include "common/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_schema.h"
#include "tests/unit/run.h"

/* The smallest configuration that is complete. */
#define SMALL                                                                                      \
	"listeners = ( { name = \"a\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; } );\n"

#define UPSTREAM                                                                                   \
	"upstreams = ( { name = \"u\"; servers = ( { address = \"127.0.0.1:8000\"; } ); } );\n"

static struct findings findings;

/* Load text that must be good. */
static struct config *
load(const char *text)
{
	struct config *config = NULL;
	int result;

	memset(&findings, 0, sizeof(findings));
	result = config_load_text(text, "t.conf", &config, &findings);
	ck_assert_msg(result == 0, "%s", findings.items[0].text);
	return config;
}

START_TEST(what_is_not_given_has_its_default)
{
	struct config *config = load(SMALL);
	const struct listener_config *listener = &config->listeners[0];

	ck_assert_int_eq(config->workers, CONFIG_WORKERS_AUTO);
	ck_assert(!config->cpu_pinning);
	ck_assert_str_eq(config->user, "acceptd");
	ck_assert_str_eq(config->group, "");
	ck_assert_str_eq(config->pid_file, RUNSTATEDIR "/acceptd/acceptd.pid");
	ck_assert_str_eq(config->log, "stderr");
	ck_assert_int_eq(config->log_level, CONFIG_LOG_NOTICE);
	ck_assert_int_eq(config->drain_timeout_ms, 30000);
	ck_assert_int_eq(config->hang_timeout_ms, 5000);
	ck_assert_int_eq(config->upgrade_timeout_ms, 60000);
	ck_assert_int_eq(config->upgrade_drain_timeout_ms, CONFIG_NONE);
	ck_assert_int_eq(config->max_connections, 100000);
	ck_assert(!config->strict);
	ck_assert_int_eq(config->kernel.somaxconn, CONFIG_SOMAXCONN_AUTO);

	ck_assert_uint_eq(config->listener_count, 1);
	ck_assert_int_eq(listener->backlog, 4096);
	ck_assert_int_eq(listener->max_connections, CONFIG_NONE);
	ck_assert_int_eq(listener->on_limit, ON_LIMIT_WAIT);
	ck_assert_int_eq(listener->idle_timeout_ms, 600000);
	ck_assert_int_eq(listener->write_timeout_ms, 60000);
	ck_assert_int_eq(listener->lifetime_ms, CONFIG_NONE);
	ck_assert_int_eq(listener->max_pending_bytes, 65536);
	ck_assert(listener->no_delay);
	ck_assert_int_eq(listener->user_timeout_ms, CONFIG_NONE);
	ck_assert_int_eq(listener->unix_mode, 0660);
	ck_assert_int_eq(listener->keepalive.idle_ms, 60000);
	ck_assert_int_eq(listener->keepalive.interval_ms, 10000);
	ck_assert_int_eq(listener->keepalive.probes, 6);
	config_free(&config);
	ck_assert_ptr_null(config);
}
END_TEST

START_TEST(what_is_given_is_taken_with_its_place)
{
	struct config *config = load("workers = 3;\n"
				     "kernel = {\n"
				     "  somaxconn = \"keep\";\n"
				     "};\n"
				     "listeners = (\n"
				     "  { name = \"a\"; protocol = \"echo\";\n"
				     "    address = [ \"127.0.0.1:7000\",\n"
				     "                \"[::1]:7000\" ];\n"
				     "    keepalive = { idle = \"none\";\n"
				     "                  probes = 9; }; }\n"
				     ");\n");

	ck_assert_int_eq(config->workers, 3);
	ck_assert_int_eq(config->kernel.somaxconn, CONFIG_SOMAXCONN_KEEP);
	ck_assert_uint_eq(config->listeners[0].addresses.count, 2);
	ck_assert_uint_eq(address_port(&config->listeners[0].addresses.items[1]), 7000);
	ck_assert_int_eq(config->listeners[0].keepalive.idle_ms, CONFIG_NONE);
	ck_assert_int_eq(config->listeners[0].keepalive.probes, 9);

	ck_assert_str_eq(config_origin_of(config, -1, "kernel.somaxconn").file, "t.conf");
	ck_assert_int_eq(config_origin_of(config, -1, "kernel.somaxconn").line, 3);
	ck_assert_int_eq(config_origin_of(config, 0, "keepalive.probes").line, 10);
	ck_assert_ptr_null(config_origin_of(config, 0, "backlog").file);
	ck_assert_int_eq(config->listeners[0].origin.line, 6);
	ck_assert_ptr_eq(config_listener(config, "a"), &config->listeners[0]);
	ck_assert_ptr_null(config_listener(config, "b"));
	config_free(&config);
}
END_TEST

START_TEST(a_dump_loads_as_the_same_configuration)
{
	struct config *config =
		load("log = \"/var/log/a \\\"b\\\"\\\\\\n\\x7f.log\"; workers = 5;\n" SMALL);
	char *first, *second;
	size_t first_len, second_len;

	ck_assert_int_eq(config_dump_text(config, &first, &first_len), 0);
	config_free(&config);
	config = load(first);
	ck_assert_str_eq(config->log, "/var/log/a \"b\"\\\n\x7f.log");
	ck_assert_int_eq(config_dump_text(config, &second, &second_len), 0);
	ck_assert_str_eq(first, second);
	ck_assert_uint_eq(strlen(second), second_len);
	config_free(&config);
	free(first);
	free(second);
}
END_TEST

START_TEST(a_dump_tells_where_each_value_comes_from)
{
	struct config *config = load("workers = 5;\nkernel = {\n  somaxconn = 9000; };\n" SMALL);
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(stream);
	ck_assert_int_eq(config_dump(config, stream, true), 0);
	ck_assert_int_eq(fclose(stream), 0);
	ck_assert_ptr_nonnull(strstr(text, "workers = 5;  # t.conf:1\n"));
	ck_assert_ptr_nonnull(strstr(text, "kernel = {\n  somaxconn = 9000;  # t.conf:3\n};\n"));
	ck_assert_ptr_nonnull(strstr(text, "strict = false;  # default\n"));
	ck_assert_ptr_nonnull(strstr(text, "    name = \"a\";  # t.conf:4\n"));
	ck_assert_ptr_nonnull(strstr(text, "    keepalive = {\n      idle = \"1m\";  # default\n"));
	config_free(&config);

	config = load(text); /* comments and all */
	ck_assert_int_eq(config->kernel.somaxconn, 9000);
	config_free(&config);
	free(text);
}
END_TEST

START_TEST(every_option_is_in_the_dump)
{
	struct config *config = load(SMALL UPSTREAM);
	struct config *again;
	char *text;
	size_t len;

	ck_assert_int_eq(config_dump_text(config, &text, &len), 0);
	again = load(text);
	for (size_t i = 0; i < config_schema_count; i++) {
		int element = (int)config_schema[i].scope - 1; /* there is one of each */

		ck_assert_msg(config_origin_of(again, element, config_schema[i].path).file != NULL,
			"%s", config_schema[i].path);
	}
	config_free(&config);
	config_free(&again);
	free(text);
}
END_TEST

START_TEST(an_upstream_has_servers_of_its_own)
{
	struct config *config =
		load("upstreams = ( { name = \"a\"; sources = [ \"10.0.0.1\" ]; servers = ( "
		     "{ name = \"x\"; address = \"10.0.0.7:80\"; backlog = 50; }, "
		     "{ address = \"10.0.0.8:80\"; backup = true; } ); }, "
		     "{ name = \"b\"; servers = ( { address = \"[::1]:80\"; } ); } );\n" SMALL);
	const struct upstream_config *a = config_upstream(config, "a");
	const struct upstream_config *b = config_upstream(config, "b");
	char name[ENDPOINT_TEXT_MAX];

	ck_assert_uint_eq(a->server_count, 2);
	ck_assert_uint_eq(b->server_count, 1);
	ck_assert_int_eq(a->servers[0].backlog, 50);
	ck_assert_int_eq(a->servers[0].max_connections, CONFIG_NONE);
	ck_assert(a->servers[1].backup);
	ck_assert_uint_eq(a->sources.count, 1);
	ck_assert_int_eq(b->connect_timeout_ms, 3000);
	ck_assert_str_eq(config_server_name(&a->servers[0], name), "x");
	ck_assert_str_eq(config_server_name(&b->servers[0], name), "[::1]:80");
	ck_assert_ptr_null(config_upstream(config, "c"));
	config_free(&config);
}
END_TEST

START_TEST(a_file_name_cannot_end_the_comment_that_bears_it)
{
	struct config *config = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *stream = open_memstream(&text, &len);

	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(config_load_text(SMALL, "/a\nworkers = 9; #", &config, &findings), 0);
	ck_assert_int_eq(config_dump(config, stream, true), 0);
	ck_assert_int_eq(fclose(stream), 0);
	config_free(&config);
	config = load(text);
	ck_assert_int_eq(config->workers, CONFIG_WORKERS_AUTO);
	config_free(&config);
	free(text);
}
END_TEST

START_TEST(text_includes_nothing)
{
	struct config *config = NULL;

	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(
		config_load_text("@include \"/etc/passwd\"\n" SMALL, "t.conf", &config, &findings),
		-EINVAL);
	ck_assert_ptr_nonnull(strstr(findings.items[0].text,
		"t.conf:1: error: @include: only a file can include others"));
	ck_assert_ptr_null(config);
}
END_TEST

#define LISTENER(name, more)                                                                       \
	"{ name = \"" name "\"; address = \"unix:/" name "\"; protocol = \"echo\"; " more " }"

static const struct {
	const char *was, *is;
	int effect;
	const char *names;
	size_t count;
} changes[] = {
	{"", "", EFFECT_AT_ONCE, "", 0},
	{"workers = 3;", "workers = 4;", EFFECT_AT_ONCE, "workers", 1},
	{"workers = 3;", "workers = 4;", EFFECT_RESTART, "", 0},
	{"drain_timeout = \"60s\";", "drain_timeout = \"1m\";", EFFECT_AT_ONCE, "", 0},
	{"", "user = \"x\"; pid_file = \"\";", EFFECT_RESTART, "user, pid_file", 2},
	{"", "cpu_pinning = true;", EFFECT_NEW_WORKERS, "cpu_pinning", 1},
	{"kernel = { somaxconn = 5; };", "", EFFECT_AT_ONCE, "kernel.somaxconn", 1},
	{"listeners = (" LISTENER("a", "") ");", "listeners = (" LISTENER("a", "backlog = 5;") ");",
		EFFECT_AT_ONCE, "listeners[a].backlog", 1},
	{"listeners = (" LISTENER("a", "") "," LISTENER("b", "idle_timeout = \"1s\";") ");",
		"listeners = (" LISTENER("b", "") "," LISTENER("a", "no_delay = false;") ");",
		EFFECT_NEW_CONNECTIONS, "listeners[b].idle_timeout, listeners[a].no_delay", 2},
	/* a listener that was not there before is no change of an option */
	{"listeners = (" LISTENER("a", "") ");", "listeners = (" LISTENER("b", "backlog = 5;") ");",
		EFFECT_AT_ONCE, "", 0},
	{"listeners = ({ name = \"a\"; address = \"*:1\"; protocol = \"echo\"; });",
		"listeners = ({ name = \"a\"; address = \"0.0.0.0:1\"; protocol = \"echo\"; });",
		EFFECT_AT_ONCE, "listeners[a].address", 1},
};

static struct config *
load_with_listener(const char *text)
{
	char whole[1024];

	(void)snprintf(
		whole, sizeof(whole), "%s%s", text, strstr(text, "listeners") == NULL ? SMALL : "");
	return load(whole);
}

START_TEST(what_changed_is_named_by_its_effect)
{
	struct config *was = load_with_listener(changes[_i].was);
	struct config *is = load_with_listener(changes[_i].is);
	char names[256];

	ck_assert_uint_eq(config_changed(was, is, changes[_i].effect, names, sizeof(names)),
		changes[_i].count);
	ck_assert_str_eq(names, changes[_i].names);
	config_free(&was);
	config_free(&is);
}
END_TEST

START_TEST(names_that_do_not_fit_are_still_counted)
{
	struct config *was = load("user = \"a\"; group = \"b\"; pid_file = \"\";" SMALL);
	struct config *is = load(SMALL);
	char names[8];

	ck_assert_uint_eq(config_changed(was, is, EFFECT_RESTART, names, sizeof(names)), 3);
	ck_assert_uint_lt(strlen(names), sizeof(names));
	config_free(&was);
	config_free(&is);
}
END_TEST

START_TEST(the_path_is_made_absolute)
{
	struct config *config = NULL;
	char *cwd = getcwd(NULL, 0);

	memset(&findings, 0, sizeof(findings));
	ck_assert_int_eq(config_load_text(SMALL, "a/t.conf", &config, &findings), 0);
	ck_assert_int_eq(strncmp(config->path, cwd, strlen(cwd)), 0);
	ck_assert_str_eq(config->path + strlen(cwd), "/a/t.conf");
	config_free(&config);
	ck_assert_int_eq(config_load_text(SMALL, "/a/t.conf", &config, &findings), 0);
	ck_assert_str_eq(config->path, "/a/t.conf");
	config_free(&config);
	free(cwd);
}
END_TEST

UNIT_TESTS("config", tcase_add_test(tests, an_upstream_has_servers_of_its_own);
	   tcase_add_test(tests, what_is_not_given_has_its_default);
	   tcase_add_test(tests, what_is_given_is_taken_with_its_place);
	   tcase_add_test(tests, a_dump_loads_as_the_same_configuration);
	   tcase_add_test(tests, a_dump_tells_where_each_value_comes_from);
	   tcase_add_test(tests, every_option_is_in_the_dump);
	   tcase_add_test(tests, a_file_name_cannot_end_the_comment_that_bears_it);
	   tcase_add_test(tests, text_includes_nothing);
	   tcase_add_loop_test(tests, what_changed_is_named_by_its_effect, 0, ARRAY_LEN(changes));
	   tcase_add_test(tests, names_that_do_not_fit_are_still_counted);
	   tcase_add_test(tests, the_path_is_made_absolute);)
