#include "common/config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

/* The smallest configuration that is complete. */
#define SMALL                                                                                      \
	"listeners = ( { name = \"a\"; address = \"127.0.0.1:7000\"; protocol = \"echo\"; } );\n"

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

UNIT_TESTS("config", tcase_add_test(tests, what_is_not_given_has_its_default);
	   tcase_add_test(tests, what_is_given_is_taken_with_its_place);
	   tcase_add_test(tests, a_dump_loads_as_the_same_configuration);)
