#include "monitor/admin_commands.h"

#include <string.h>
#include <sys/socket.h>

#include "tests/unit/run.h"

#define ROOT     0
#define MASTER   500
#define WORKER   600
#define STRANGER 700

static const struct {
	uid_t uid, master;
	bool reads, operates, administers;
} who[] = {
	{ROOT, ROOT, true, true, true},
	{WORKER, ROOT, true, true, false},
	{STRANGER, ROOT, true, false, false},
	{MASTER, MASTER, true, true, true},
	{ROOT, MASTER, true, true, true},
	{WORKER, MASTER, true, true, false},
	{STRANGER, MASTER, true, false, false},
};

START_TEST(rights_follow_from_who_it_is)
{
	const struct ucred peer = {
		.pid = 1, .uid = who[_i].uid, .gid = 0}; /* groups do not count */

	ck_assert_int_eq(admin_may(RIGHT_READ, &peer, WORKER, who[_i].master), who[_i].reads);
	ck_assert_int_eq(admin_may(RIGHT_OPERATE, &peer, WORKER, who[_i].master), who[_i].operates);
	ck_assert_int_eq(
		admin_may(RIGHT_ADMINISTER, &peer, WORKER, who[_i].master), who[_i].administers);
}
END_TEST

START_TEST(every_row_is_whole_and_its_word_its_own)
{
	for (size_t i = 0; i < admin_command_count; i++) {
		const struct admin_command *command = &admin_commands[i];

		ck_assert_ptr_nonnull(command->run);
		ck_assert_uint_ge(strlen(command->help), 10);
		ck_assert_int_eq(command->help[strlen(command->help) - 1], '.');
		ck_assert_int_eq(command->most > 0, command->arguments[0] != '\0');
		ck_assert_uint_gt(strlen(admin_right_name(command->right)), 3);
		for (size_t k = 0; k < i; k++) {
			ck_assert_str_ne(command->word, admin_commands[k].word);
		}
	}
}
END_TEST

/* Nothing that changes something is for everybody. */
START_TEST(what_changes_something_needs_a_right)
{
	static const char *const changing[] = {
		"kill", "drain", "resume", "server", "reload", "upgrade", "stop"};

	for (size_t i = 0; i < admin_command_count; i++) {
		bool changes = false;

		for (size_t k = 0; k < ARRAY_LEN(changing); k++) {
			changes = changes || strcmp(admin_commands[i].word, changing[k]) == 0;
		}
		if (changes) {
			ck_assert_int_ne(admin_commands[i].right, RIGHT_READ);
		}
	}
}
END_TEST

UNIT_TESTS("admin_commands",
	   tcase_add_loop_test(tests, rights_follow_from_who_it_is, 0, ARRAY_LEN(who));
	   tcase_add_test(tests, every_row_is_whole_and_its_word_its_own);
	   tcase_add_test(tests, what_changes_something_needs_a_right);)
