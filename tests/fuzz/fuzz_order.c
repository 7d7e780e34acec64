/* What operators order: to a back end's server, and which connection is meant. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/board.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/fault.h"
#include "master/backend_rows.h"
#include "master/backends.h"
#include "tests/fuzz/fuzz.h"

static const char configuration[] =
	"listeners = ( { name = \"l\"; address = \"127.0.0.1:7000\"; protocol = \"proxy\"; "
	"upstream = \"u\"; } );"
	"upstreams = ( { name = \"u\"; servers = ( { name = \"a\"; address = \"127.0.0.1:1\"; } ); "
	"}, { name = \"v\"; servers = ( { name = \"a\"; address = \"127.0.0.1:2\"; }, { address = "
	"\"127.0.0.1:3\"; } ); } );";

static struct board board;

static void
open_board(void)
{
	struct findings *findings = calloc(1, sizeof(*findings));
	struct config *config;
	struct fault why;
	int memory;

	PROMISE(findings != NULL);
	PROMISE(board_create(&board, &memory, &why) == 0);
	(void)close(memory);
	PROMISE(config_load_text(configuration, "f.conf", &config, findings) == 0);
	PROMISE(backend_rows_check(&board, config, UINT64_MAX, &why) == 0);
	backends_use(&board, config, UINT64_MAX);
	config_free(&config);
	free(findings);
}

/* What was obeyed is what was said: no word of it was cut or left out. */
static void
promise_obeyed(const char *order)
{
	static const char *const verbs[] = {"drain", "ready", "weight", "max"};
	char *copy = strdup(order), *rest = copy, *word;
	int count = 0;
	bool is_verb = false;

	PROMISE(copy != NULL);
	while ((word = strsep(&rest, " ")) != NULL) {
		if (word[0] == '\0') {
			continue;
		}
		count++;
		for (size_t i = 0; count == 2 && i < ARRAY_LEN(verbs); i++) {
			is_verb = is_verb || strcmp(word, verbs[i]) == 0;
		}
	}
	PROMISE(is_verb && (count == 2 || count == 3));
	free(copy);
}

static void
check_id(const char *word)
{
	char again[32];
	uint32_t serial;
	int slot;

	if (channel_parse_connection(word, &slot, &serial)) {
		PROMISE(slot >= 0 && slot < BOARD_SLOTS);
		snprintf(again, sizeof(again), "%d-%" PRIu32, slot, serial);
		PROMISE(strcmp(again, word) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *order = malloc(size + 1);
	char text[512] = "";
	int result;

	if (board.master == NULL) {
		open_board();
	}
	PROMISE(order != NULL);
	if (size > 0) {
		memcpy(order, data, size);
	}
	order[size] = '\0';
	result = backends_order(&board, order, text, sizeof(text));
	PROMISE(result == 0 || result == -EINVAL || result == -ENOENT);
	PROMISE(text[0] != '\0');
	if (result == 0) {
		promise_obeyed(order);
	}
	check_id(order);
	free(order);
	return 0;
}
