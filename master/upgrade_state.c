/* The rows say what a state consists of; writing, reading and judging follow them. Both sides run
 * on the same machine, so numbers are in its own order of bytes. */
#include "master/upgrade_state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "master/slots.h"

#define FIRST_DESCRIPTOR 3 /* those below are the standard streams */

static const uint8_t magic[8] = {'a', 'c', 'c', 'e', 'p', 't', 'd', '\n'};

struct prologue {
	uint8_t magic[sizeof(magic)];
	uint32_t version;
	uint32_t reserved;
};
struct record_prologue {
	uint32_t kind;
	uint32_t len;
};
struct field_prologue {
	uint16_t number;
	uint16_t reserved;
	uint32_t len;
};

enum field_type { FIELD_NUMBER, FIELD_DESCRIPTOR, FIELD_TEXT, FIELD_BYTES };

struct field {
	uint16_t number; /* never reused within a version */
	enum field_type type;
	const char *name;
	size_t offset, size;
	int64_t min, max; /* of a number */
};

#define FIELDS_MAX 32 /* of one record; `seen` has a bit for each */

#define NUMBER(n, record, name, least, most)                                                       \
	{                                                                                          \
		n, FIELD_NUMBER, #name, offsetof(struct record, name), sizeof(int64_t), least,     \
			most                                                                       \
	}
#define FLAG(n, record, name)     NUMBER(n, record, name, 0, 1)
#define COUNT(n, record, name)    NUMBER(n, record, name, 0, INT32_MAX)
#define TIME(n, record, name)     NUMBER(n, record, name, 0, INT64_MAX / 4)
#define ANYTHING(n, record, name) NUMBER(n, record, name, INT64_MIN, INT64_MAX)
#define DESCRIPTOR(n, record, name)                                                                \
	{                                                                                          \
		n, FIELD_DESCRIPTOR, #name, offsetof(struct record, name), sizeof(int64_t), -1,    \
			INT32_MAX                                                                  \
	}
#define SIZE_OF(record, name) sizeof(((struct record *)NULL)->name)
#define TEXT(n, record, name)                                                                      \
	{                                                                                          \
		n, FIELD_TEXT, #name, offsetof(struct record, name), SIZE_OF(record, name), 0, 0   \
	}
#define BYTES(n, record, name)                                                                     \
	{                                                                                          \
		n, FIELD_BYTES, #name, offsetof(struct record, name), SIZE_OF(record, name), 0, 0  \
	}

static const struct field head_fields[] = {
	TEXT(1, upgrade_head, version),
	ANYTHING(2, upgrade_head, channel),
	TIME(3, upgrade_head, began_us),
	TEXT(4, upgrade_head, program),
	TEXT(5, upgrade_head, config_path),
	DESCRIPTOR(6, upgrade_head, board),
	DESCRIPTOR(7, upgrade_head, config),
	FLAG(8, upgrade_head, is_daemon),
	FLAG(9, upgrade_head, drops_privileges),
	NUMBER(10, upgrade_head, uid, 0, UINT32_MAX),
	NUMBER(11, upgrade_head, gid, 0, UINT32_MAX),
	NUMBER(12, upgrade_head, generation, 1, INT64_MAX / 4),
	NUMBER(13, upgrade_head, wanted, 1, BOARD_SLOTS),
	NUMBER(14, upgrade_head, configured_workers, 1, BOARD_SLOTS),
	FLAG(15, upgrade_head, was_refused),
	FLAG(16, upgrade_head, wants_reload),
	NUMBER(17, upgrade_head, last_socket, 0, UINT32_MAX),
	DESCRIPTOR(18, upgrade_head, log),
	DESCRIPTOR(19, upgrade_head, session_log),
	TEXT(20, upgrade_head, pid_path),
	DESCRIPTOR(21, upgrade_head, pid_file),
	FLAG(22, upgrade_head, pid_was_created),
	DESCRIPTOR(23, upgrade_head, notify),
	NUMBER(24, upgrade_head, notify_len, 0, SIZE_OF(upgrade_head, notify_address)),
	TIME(25, upgrade_head, watchdog_ms),
	BYTES(26, upgrade_head, notify_address),
	TEXT(27, upgrade_head, notify_unsent),
	COUNT(28, upgrade_head, monitor_pid),
	DESCRIPTOR(29, upgrade_head, monitor_channel),
	TIME(30, upgrade_head, monitor_born_ms),
	FLAG(31, upgrade_head, monitor_is_leaving),
	DESCRIPTOR(32, upgrade_head, binary),
};
static const struct field door_fields[] = {
	NUMBER(1, upgrade_door, kind, 0, 1),
	DESCRIPTOR(2, upgrade_door, fd),
	TEXT(3, upgrade_door, address),
	ANYTHING(4, upgrade_door, path_device),
	ANYTHING(5, upgrade_door, path_inode),
};
static const struct field socket_fields[] = {
	NUMBER(1, upgrade_socket, number, 1, UINT32_MAX),
	DESCRIPTOR(2, upgrade_socket, fd),
	TEXT(3, upgrade_socket, address),
	NUMBER(4, upgrade_socket, listener, -1, INT16_MAX),
	NUMBER(5, upgrade_socket, board_listener, 0, BOARD_LISTENERS - 1),
	TIME(6, upgrade_socket, asked_backlog),
	NUMBER(7, upgrade_socket, effective_backlog, 0, UINT32_MAX),
	NUMBER(8, upgrade_socket, dropped_before, 0, UINT32_MAX),
	FLAG(9, upgrade_socket, is_retiring),
	FLAG(10, upgrade_socket, is_shut),
	FLAG(11, upgrade_socket, is_released),
	FLAG(12, upgrade_socket, is_lost),
	FLAG(13, upgrade_socket, is_drained),
	FLAG(14, upgrade_socket, was_inherited),
	TIME(15, upgrade_socket, quiet_since_ms),
	ANYTHING(16, upgrade_socket, path_device),
	ANYTHING(17, upgrade_socket, path_inode),
};
static const struct field passed_fields[] = {
	DESCRIPTOR(1, upgrade_passed, fd),
	TEXT(2, upgrade_passed, address),
};
static const struct field worker_fields[] = {
	NUMBER(1, upgrade_worker, slot, 0, BOARD_SLOTS - 1),
	NUMBER(2, upgrade_worker, state, SLOT_EMPTY, SLOT_STATE_COUNT - 1),
	COUNT(3, upgrade_worker, pid),
	TIME(4, upgrade_worker, generation),
	TIME(5, upgrade_worker, born_ms),
	TIME(6, upgrade_worker, ready_ms),
	NUMBER(7, upgrade_worker, left_ms, -1, INT64_MAX / 4),
	COUNT(8, upgrade_worker, failures),
	TIME(9, upgrade_worker, wait_ms),
	DESCRIPTOR(10, upgrade_worker, channel),
	DESCRIPTOR(11, upgrade_worker, waker),
	TIME(12, upgrade_worker, sent_generation),
	COUNT(13, upgrade_worker, sent_workers),
	COUNT(14, upgrade_worker, commits_due),
	COUNT(15, upgrade_worker, releases_due),
	FLAG(16, upgrade_worker, has_refused),
	FLAG(17, upgrade_worker, is_leaving),
	TEXT(18, upgrade_worker, ending),
	TEXT(19, upgrade_worker, complaint),
};
static const struct field holding_fields[] = {
	NUMBER(1, upgrade_holding, number, 1, UINT32_MAX),
	FLAG(2, upgrade_holding, is_recalled),
	BYTES(3, upgrade_holding, has),
	BYTES(4, upgrade_holding, leaves),
};
static const struct field asker_fields[] = {
	NUMBER(1, upgrade_asker, id, 0, UINT32_MAX),
};

/* The kinds of records; number 0 is the head, the others are 1 + enum upgrade_list. */
struct kind {
	const char *name;
	const struct field *fields;
	size_t field_count;
	size_t size;                      /* of the struct */
	size_t list_offset, count_offset; /* in struct upgrade_state */
};
#define LIST(name, fields, record, list, count)                                                    \
	{                                                                                          \
		name, fields, ARRAY_LEN(fields), sizeof(struct record),                            \
			offsetof(struct upgrade_state, list),                                      \
			offsetof(struct upgrade_state, count)                                      \
	}
static const struct kind kinds[] = {
	{"master", head_fields, ARRAY_LEN(head_fields), sizeof(struct upgrade_head),
		offsetof(struct upgrade_state, head), 0},
	LIST("door", door_fields, upgrade_door, doors, door_count),
	LIST("socket", socket_fields, upgrade_socket, sockets, socket_count),
	LIST("passed socket", passed_fields, upgrade_passed, passed, passed_count),
	LIST("worker", worker_fields, upgrade_worker, workers, worker_count),
	LIST("holding", holding_fields, upgrade_holding, holdings, holding_count),
	LIST("asker", asker_fields, upgrade_asker, askers, asker_count),
};
#define HEAD 0
_Static_assert(ARRAY_LEN(kinds) == 1 + UPGRADE_LIST_COUNT, "a kind for each list");
_Static_assert(ARRAY_LEN(head_fields) <= FIELDS_MAX, "a bit for each field");

/* --- the lists --- */

static void **
list_of(const struct kind *kind, struct upgrade_state *state)
{
	return (void **)((char *)state + kind->list_offset);
}

static size_t *
count_of(const struct kind *kind, struct upgrade_state *state)
{
	return (size_t *)((char *)state + kind->count_offset);
}

static size_t
element_count(const struct kind *kind, const struct upgrade_state *state)
{
	return kind == &kinds[HEAD] ? 1
				    : *(const size_t *)((const char *)state + kind->count_offset);
}

static const char *
element_at(const struct kind *kind, const struct upgrade_state *state, size_t index)
{
	const char *place = (const char *)state + kind->list_offset;

	return kind == &kinds[HEAD] ? place : *(char *const *)place + index * kind->size;
}

static void
element_clear(const struct kind *kind, void *element)
{
	memset(element, 0, kind->size);
	for (size_t i = 0; i < kind->field_count; i++) {
		if (kind->fields[i].type == FIELD_DESCRIPTOR) {
			*(int64_t *)((char *)element + kind->fields[i].offset) = -1;
		}
	}
}

/* Room is there for a power of two, from 1 on. */
void *
upgrade_state_add(struct upgrade_state *state, enum upgrade_list list)
{
	const struct kind *kind = &kinds[1 + list];
	size_t *count = count_of(kind, state);
	void **elements = list_of(kind, state);
	void *grown = *elements;

	if ((*count & (*count - 1)) == 0) {
		grown = realloc(grown, (*count == 0 ? 1 : 2 * *count) * kind->size);
	}
	if (grown == NULL) {
		return NULL;
	}
	*elements = grown;
	grown = (char *)grown + (*count)++ * kind->size;
	element_clear(kind, grown);
	return grown;
}

void
upgrade_state_free(struct upgrade_state *state)
{
	for (size_t i = 1; i < ARRAY_LEN(kinds); i++) {
		free(*list_of(&kinds[i], state));
	}
	memset(state, 0, sizeof(*state));
}

int
upgrade_state_visit(const struct upgrade_state *state,
	int (*visit)(int fd, const char *what, void *arg), void *arg)
{
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t count = element_count(&kinds[i], state);

		for (size_t k = 0; k < count * kinds[i].field_count && status == 0; k++) {
			const struct field *field = &kinds[i].fields[k % kinds[i].field_count];
			const char *element =
				element_at(&kinds[i], state, k / kinds[i].field_count);
			int64_t value = field->type == FIELD_DESCRIPTOR
						? *(const int64_t *)(element + field->offset)
						: -1;

			if (value >= 0) {
				status = visit((int)value, field->name, arg);
			}
		}
	}
	return status;
}

/* --- writing --- */

static size_t
field_len(const struct field *field, const char *element)
{
	return field->type == FIELD_TEXT ? strnlen(element + field->offset, field->size - 1) + 1
					 : field->size;
}

static size_t
record_len(const struct kind *kind, const char *element)
{
	size_t len = 0;

	for (size_t i = 0; i < kind->field_count; i++) {
		len += sizeof(struct field_prologue) + field_len(&kind->fields[i], element);
	}
	return len;
}

static uint8_t *
put(uint8_t *at, const void *bytes, size_t len)
{
	memcpy(at, bytes, len);
	return at + len;
}

static uint8_t *
record_put(uint8_t *at, const struct kind *kind, const char *element)
{
	struct record_prologue record = {
		(uint32_t)(kind - kinds), (uint32_t)record_len(kind, element)};

	at = put(at, &record, sizeof(record));
	for (size_t i = 0; i < kind->field_count; i++) {
		const struct field *field = &kind->fields[i];
		struct field_prologue prologue = {
			field->number, 0, (uint32_t)field_len(field, element)};

		at = put(at, &prologue, sizeof(prologue));
		at = put(at, element + field->offset, prologue.len);
	}
	return at;
}

int
upgrade_state_write(const struct upgrade_state *state, uint8_t **bytes, size_t *len)
{
	struct prologue prologue = {.version = UPGRADE_STATE_VERSION};
	size_t size = sizeof(prologue);
	uint8_t *at;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t k = 0; k < element_count(&kinds[i], state); k++) {
			size += sizeof(struct record_prologue) +
				record_len(&kinds[i], element_at(&kinds[i], state, k));
		}
	}
	*bytes = malloc(size);
	if (*bytes == NULL) {
		return -ENOMEM;
	}
	memcpy(prologue.magic, magic, sizeof(magic));
	at = put(*bytes, &prologue, sizeof(prologue));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t k = 0; k < element_count(&kinds[i], state); k++) {
			at = record_put(at, &kinds[i], element_at(&kinds[i], state, k));
		}
	}
	*len = size;
	return 0;
}

/* --- reading --- */

struct reader {
	const uint8_t *at;
	size_t left;
};

static bool
take(struct reader *reader, void *into, size_t len)
{
	if (reader->left < len) {
		return false;
	}
	memcpy(into, reader->at, len);
	reader->at += len;
	reader->left -= len;
	return true;
}

/* The part of so many bytes; they are gone from the reader. */
static bool
take_part(struct reader *reader, size_t len, struct reader *part)
{
	if (reader->left < len) {
		return false;
	}
	*part = (struct reader){reader->at, len};
	reader->at += len;
	reader->left -= len;
	return true;
}

static bool
is_within(const struct field *field, int64_t value)
{
	bool is_standard =
		field->type == FIELD_DESCRIPTOR && value >= 0 && value < FIRST_DESCRIPTOR;

	return value >= field->min && value <= field->max && !is_standard;
}

static bool
is_sound(const struct field *field, const struct reader *value)
{
	int64_t number;

	switch (field->type) {
	case FIELD_NUMBER:
	case FIELD_DESCRIPTOR:
		if (value->left != sizeof(number)) {
			return false;
		}
		memcpy(&number, value->at, sizeof(number));
		return is_within(field, number);
	case FIELD_TEXT:
		return value->left > 0 && value->left <= field->size &&
		       strnlen((const char *)value->at, value->left) == value->left - 1;
	case FIELD_BYTES:
		return value->left == field->size;
	}
	return false;
}

static int
read_field(const struct kind *kind, struct reader *record, char *element, uint32_t *seen,
	struct fault *why)
{
	struct field_prologue prologue;
	struct reader value;

	if (!take(record, &prologue, sizeof(prologue)) ||
		!take_part(record, prologue.len, &value)) {
		return fault_say(why, EBADMSG, "the record of a %s is cut", kind->name);
	}
	for (size_t i = 0; i < kind->field_count; i++) {
		const struct field *field = &kind->fields[i];

		if (field->number != prologue.number) {
			continue;
		}
		if (!is_sound(field, &value) || (*seen >> i & 1) != 0) {
			return fault_say(why, EBADMSG,
				"the record of a %s has a %s that makes no sense", kind->name,
				field->name);
		}
		memcpy(element + field->offset, value.at, value.left);
		*seen |= UINT32_C(1) << i;
		break;
	}
	return 0;
}

static int
read_record(const struct kind *kind, struct reader *record, char *element, struct fault *why)
{
	uint32_t seen = 0;

	while (record->left > 0) {
		int status = read_field(kind, record, element, &seen, why);

		if (status != 0) {
			return status;
		}
	}
	for (size_t i = 0; i < kind->field_count; i++) {
		if ((seen >> i & 1) == 0) {
			return fault_say(why, EBADMSG, "the record of a %s lacks its %s",
				kind->name, kind->fields[i].name);
		}
	}
	return 0;
}

static int
read_next(struct reader *reader, struct upgrade_state *state, bool *has_head, struct fault *why)
{
	struct record_prologue prologue;
	struct reader record;
	void *element;

	if (!take(reader, &prologue, sizeof(prologue)) ||
		!take_part(reader, prologue.len, &record)) {
		return fault_say(why, EBADMSG, "it is cut");
	}
	if (prologue.kind >= ARRAY_LEN(kinds)) {
		return 0;
	}
	if (prologue.kind == HEAD) {
		if (*has_head) {
			return fault_say(why, EBADMSG, "there are two records of the master");
		}
		*has_head = true;
		element = &state->head;
		element_clear(&kinds[HEAD], element);
	} else {
		element = upgrade_state_add(state, (enum upgrade_list)(prologue.kind - 1));
	}
	if (element == NULL) {
		return fault_set(why, ENOMEM, "cannot read it");
	}
	return read_record(&kinds[prologue.kind], &record, element, why);
}

/* --- what must hold between records --- */

static int
compare_numbers(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return left < right ? -1 : left > right;
}

struct collection {
	int64_t *numbers;
	size_t count;
};

static int
collect(int fd, const char *what, void *arg)
{
	struct collection *all = arg;

	(void)what;
	if (all->numbers != NULL) {
		all->numbers[all->count] = fd;
	}
	all->count++;
	return 0;
}

static bool
has_doubles(struct collection *all)
{
	qsort(all->numbers, all->count, sizeof(*all->numbers), compare_numbers);
	for (size_t i = 1; i < all->count; i++) {
		if (all->numbers[i] == all->numbers[i - 1]) {
			return true;
		}
	}
	return false;
}

/* A descriptor that two own would be closed by both. */
static int
check_descriptors(const struct upgrade_state *state, struct fault *why)
{
	struct collection all = {0};
	bool is_doubled;

	(void)upgrade_state_visit(state, collect, &all);
	all.numbers = calloc(all.count + 1, sizeof(*all.numbers));
	if (all.numbers == NULL) {
		return fault_set(why, ENOMEM, "cannot read it");
	}
	all.count = 0;
	(void)upgrade_state_visit(state, collect, &all);
	is_doubled = has_doubles(&all);
	free(all.numbers);
	return is_doubled ? fault_say(why, EBADMSG, "a descriptor is given twice") : 0;
}

static int
check_workers(const struct upgrade_state *state, struct fault *why)
{
	static const uint8_t none[BOARD_SLOTS];
	uint8_t used[BOARD_SLOTS];

	memcpy(used, none, sizeof(used));
	for (size_t i = 0; i < state->worker_count; i++) {
		const struct upgrade_worker *worker = &state->workers[i];
		bool is_empty = worker->state == SLOT_EMPTY;

		if (used[worker->slot]++ != 0) {
			return fault_say(why, EBADMSG, "two workers have the same slot");
		}
		if (is_empty ? worker->pid != 0 || worker->channel >= 0 : worker->pid <= 1) {
			return fault_say(why, EBADMSG,
				"the record of a worker has a pid that makes no sense");
		}
	}
	return 0;
}

static int
check(const struct upgrade_state *state, struct fault *why)
{
	int status = check_workers(state, why);

	if (status == 0 && (state->head.board < 0 || state->head.config < 0)) {
		status = fault_say(
			why, EBADMSG, "the board or the configuration in force is missing");
	}
	return status == 0 ? check_descriptors(state, why) : status;
}

static int
read_prologue(struct reader *reader, struct fault *why)
{
	struct prologue prologue;

	if (!take(reader, &prologue, sizeof(prologue)) ||
		memcmp(prologue.magic, magic, sizeof(magic)) != 0) {
		return fault_say(why, EBADMSG, "it is not the state of an acceptd");
	}
	if (prologue.version != UPGRADE_STATE_VERSION) {
		return fault_say(why, EPROTO,
			"the running acceptd hands over state version %" PRIu32
			", this program understands version %d",
			prologue.version, UPGRADE_STATE_VERSION);
	}
	return 0;
}

int
upgrade_state_read(const uint8_t *bytes, size_t len, struct upgrade_state *state, struct fault *why)
{
	struct reader reader = {bytes, len};
	bool has_head = false;
	int status = read_prologue(&reader, why);

	while (status == 0 && reader.left > 0) {
		status = read_next(&reader, state, &has_head, why);
	}
	if (status == 0 && !has_head) {
		status = fault_say(why, EBADMSG, "the record of the master is missing");
	}
	return status == 0 ? check(state, why) : status;
}
