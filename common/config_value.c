/* The types of options. Everything that depends on a type is in this file. */
#include "common/config_value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/address.h"
#include "common/config.h"
#include "common/endpoint.h"
#include "common/fault.h"
#include "common/network.h"
#include "common/text.h"

static const char *const type_names[] = {
	[OPTION_BOOL] = "true or false",
	[OPTION_COUNT] = "a number",
	[OPTION_DURATION_MS] = "a duration",
	[OPTION_SIZE] = "a size",
	[OPTION_TEXT] = "text",
	[OPTION_CHOICE] = "a word",
	[OPTION_MODE] = "permissions",
	[OPTION_ADDRESSES] = "an address or an array of them",
	[OPTION_ENDPOINT] = "an address",
	[OPTION_NETWORKS] = "a network or an array of them",
};

const char *
config_value_type_name(const struct option *option)
{
	return type_names[option->type];
}

static const struct option_word *
word_by_name(const struct option *option, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(option->words); i++) {
		if (option->words[i].word != NULL && strcmp(option->words[i].word, name) == 0) {
			return &option->words[i];
		}
	}
	return NULL;
}

static const struct option_word *
word_by_value(const struct option *option, int64_t value)
{
	for (size_t i = 0; i < ARRAY_LEN(option->words); i++) {
		if (option->words[i].word != NULL && option->words[i].value == value) {
			return &option->words[i];
		}
	}
	return NULL;
}

/* A number of the option's unit, as it is written, without quotes. */
static void
add_number(struct text *text, const struct option *option, int64_t number)
{
	switch (option->type) {
	case OPTION_DURATION_MS:
		text_add_duration_ms(text, number);
		break;
	case OPTION_SIZE:
		text_add_size(text, number);
		break;
	case OPTION_MODE:
		text_add(text, "%04" PRIo64, number);
		break;
	default:
		text_add(text, "%" PRId64, number);
	}
}

static void
add_range(struct text *text, const struct option *option)
{
	const char *quote = option->type == OPTION_COUNT ? "" : "\"";

	text_add(text, "%s", quote);
	add_number(text, option, option->min);
	text_add(text, "%s..%s", quote, quote);
	add_number(text, option, option->max);
	text_add(text, "%s", quote);
}

static void
add_choices(struct text *text, const struct option *option)
{
	for (const char *const *choice = option->choices; *choice != NULL; choice++) {
		text_add(text, "%s\"%s\"", choice == option->choices ? "" : ", ", *choice);
	}
}

void
config_value_add_allowed(struct text *text, const struct option *option)
{
	if (option->allowed != NULL) {
		text_add(text, "%s", option->allowed);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(option->words) && option->words[i].word != NULL; i++) {
		text_add(text, "\"%s\" or ", option->words[i].word);
	}
	switch (option->type) {
	case OPTION_BOOL:
		text_add(text, "true or false");
		break;
	case OPTION_TEXT:
		text_add(
			text, "text of %" PRId64 " to %" PRId64 " bytes", option->min, option->max);
		break;
	case OPTION_CHOICE:
		add_choices(text, option);
		break;
	case OPTION_ADDRESSES:
		text_add(text,
			"%s1 to %d addresses as \"127.0.0.1:80\", \"[::1]:80\", \"*:80\", "
			"\"unix:/path\"",
			option->fallback != NULL ? "\"\" or " : "", CONFIG_ADDRESSES_MAX);
		break;
	case OPTION_ENDPOINT:
		text_add(text, "one address as \"127.0.0.1:80\", \"[::1]:80\", \"unix:/path\", or "
			       "a name as "
			       "\"java.internal:80\", \"srv:_http._tcp.internal\"");
		break;
	case OPTION_NETWORKS:
		text_add(text,
			"\"\" or up to %d networks or addresses as \"10.0.0.0/8\", "
			"\"2001:db8::/32\", \"10.0.0.7\"",
			CONFIG_NETWORKS_MAX);
		break;
	default:
		add_range(text, option);
	}
}

/* What a refusal shows of the value it got. */
#define GOT_MAX 100

/* "what; allowed: …; got …; hint: …". @param hint  may be NULL */
static int
refuse(const struct option *option, const char *what, const char *got, const char *hint,
	struct fault *why)
{
	char allowed[256];
	struct text text;

	text_init(&text, allowed, sizeof(allowed));
	config_value_add_allowed(&text, option);
	return fault_say(why, EINVAL, "%s; allowed: %s; got %s%s%s", what, allowed, got,
		hint == NULL ? "" : "; hint: ", hint == NULL ? "" : hint);
}

/* The same for a value that was text. */
static int
refuse_text(const struct option *option, const char *what, const char *got, const char *hint,
	struct fault *why)
{
	char shown[4 * GOT_MAX + 3];
	struct text text;

	text_init(&text, shown, sizeof(shown));
	text_add(&text, "\"");
	text_add_escaped(&text, got, strnlen(got, GOT_MAX));
	text_add(&text, "\"");
	return refuse(option, what, shown, hint, why);
}

static int
refuse_number(const struct option *option, const char *what, int64_t got, const char *hint,
	struct fault *why)
{
	char shown[64];
	struct text text;

	text_init(&text, shown, sizeof(shown));
	if (hint == NULL) {
		add_number(&text, option, got);
	} else { /* it has no unit */
		text_add(&text, "%" PRId64, got);
	}
	return refuse(option, what, shown, hint, why);
}

static int
set_checked(const struct option *option, int64_t *field, int64_t number, struct fault *why)
{
	if (number < 0 && option->min >= 0) {
		return refuse_number(option, "negative value", number, NULL, why);
	}
	if (number < option->min || number > option->max) {
		return refuse_number(option, "out of range", number, NULL, why);
	}
	*field = number;
	return 0;
}

static int
parse_mode(const char *string, int64_t *mode)
{
	size_t len = strlen(string);

	if (len < 3 || len > 4 || strspn(string, "01234567") != len) {
		return -EINVAL;
	}
	*mode = strtol(string, NULL, 8);
	return 0;
}

static int
parse_quantity(const struct option *option, const char *string, int64_t *number, struct text *what)
{
	switch (option->type) {
	case OPTION_DURATION_MS:
		text_add_duration_error(what, string);
		return text_parse_duration_ms(string, number);
	case OPTION_SIZE:
		text_add_size_error(what, string);
		return text_parse_size(string, number);
	default:
		text_add(what, "not permissions; allowed: three or four octal digits");
		return parse_mode(string, number);
	}
}

static int
set_quantity(const struct option *option, int64_t *field, const char *string, struct fault *why)
{
	char sentence[256];
	struct text what;
	int64_t number;
	int result;

	text_init(&what, sentence, sizeof(sentence));
	result = parse_quantity(option, string, &number, &what);
	if (result == -ERANGE) {
		return refuse_text(option, "out of range", string, NULL, why);
	}
	if (result < 0 && string[0] == '-') {
		return refuse_text(option, "negative value", string, NULL, why);
	}
	if (result < 0) {
		return fault_say(why, EINVAL, "%s; got \"%.*s\"", sentence, GOT_MAX, string);
	}
	return set_checked(option, field, number, why);
}

/* A number in quotes is one character away from right. */
static int
refuse_word(const struct option *option, const char *string, struct fault *why)
{
	int64_t number;
	bool is_quoted_number =
		option->type == OPTION_COUNT && text_parse_number(string, &number) == 0;
	const char *hint = is_quoted_number              ? "a number stands without quotes"
			   : option->type == OPTION_BOOL ? "true and false stand without quotes"
							 : NULL;

	return refuse_text(option, "not a valid word", string, hint, why);
}

static int
set_string(const struct option *option, char **field, const char *string, struct fault *why)
{
	size_t len = strlen(string);
	char *copy;

	if (len < (size_t)option->min) {
		return refuse_text(option, "empty", string, NULL, why);
	}
	if (len > (size_t)option->max) {
		return refuse_text(option, "too long", string, NULL, why);
	}
	copy = strdup(string);
	if (copy == NULL) {
		return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static int
set_choice(const struct option *option, int *field, const char *string, struct fault *why)
{
	const char *meant;
	char hint[128];
	struct text text;
	int count = 0;

	for (; option->choices[count] != NULL; count++) {
		if (strcmp(option->choices[count], string) == 0) {
			*field = count;
			return 0;
		}
	}
	meant = text_closest(string, option->choices, (size_t)count);
	text_init(&text, hint, sizeof(hint));
	text_add(&text, "did you mean \"%s\"?", meant != NULL ? meant : "");
	return refuse_text(option, "unknown word", string, meant != NULL ? hint : NULL, why);
}

static int
add_address(struct address_list *list, const char *string, struct fault *why)
{
	struct address address;
	struct address *items;
	int result;

	if (list->count == CONFIG_ADDRESSES_MAX) {
		return fault_say(
			why, EINVAL, "too many addresses; allowed: 1 to %d", CONFIG_ADDRESSES_MAX);
	}
	result = address_parse(string, &address, why);
	if (result < 0) {
		return result;
	}
	items = realloc(list->items, (list->count + 1) * sizeof(*items));
	if (items == NULL) {
		return -ENOMEM;
	}
	items[list->count++] = address;
	list->items = items;
	return 0;
}

static int
add_network(struct network_list *list, const char *string, struct fault *why)
{
	struct network network;
	struct network *items;
	int result;

	if (string[0] == '\0') {
		return 0;
	}
	if (list->count == CONFIG_NETWORKS_MAX) {
		return fault_say(
			why, EINVAL, "too many networks; allowed: up to %d", CONFIG_NETWORKS_MAX);
	}
	result = network_parse(string, &network, why);
	if (result < 0) {
		return result;
	}
	items = realloc(list->items, (list->count + 1) * sizeof(*items));
	if (items == NULL) {
		return -ENOMEM;
	}
	items[list->count++] = network;
	list->items = items;
	return 0;
}

int
config_value_set_text(const struct option *option, void *field, const char *text, struct fault *why)
{
	const struct option_word *word = word_by_name(option, text);

	if (word != NULL) {
		*(int64_t *)field = word->value;
		return 0;
	}
	switch (option->type) {
	case OPTION_TEXT:
		return set_string(option, field, text, why);
	case OPTION_CHOICE:
		return set_choice(option, field, text, why);
	case OPTION_ADDRESSES:
		return option->fallback != NULL && text[0] == '\0' ? 0
								   : add_address(field, text, why);
	case OPTION_ENDPOINT:
		return endpoint_parse(text, field, why);
	case OPTION_NETWORKS:
		return add_network(field, text, why);
	case OPTION_DURATION_MS:
	case OPTION_SIZE:
	case OPTION_MODE:
		return set_quantity(option, field, text, why);
	default:
		return refuse_word(option, text, why);
	}
}

int
config_value_set_number(const struct option *option, void *field, int64_t number, struct fault *why)
{
	static const char *const hints[] = {
		[OPTION_BOOL] = NULL,
		[OPTION_COUNT] = NULL,
		[OPTION_DURATION_MS] = "a duration stands in quotes with its unit, as \"30s\"",
		[OPTION_SIZE] = "a size stands in quotes, as \"64K\"",
		[OPTION_TEXT] = "text stands in quotes",
		[OPTION_CHOICE] = NULL,
		[OPTION_MODE] = "permissions stand in quotes, as \"0660\"",
		[OPTION_ADDRESSES] = "an address stands in quotes",
		[OPTION_ENDPOINT] = "an address stands in quotes",
		[OPTION_NETWORKS] = "a network stands in quotes",
	};

	if (option->type == OPTION_COUNT) {
		return set_checked(option, field, number, why);
	}
	return refuse_number(option, number < 0 ? "negative value" : "a bare number", number,
		hints[option->type], why);
}

int
config_value_set_default(const struct option *option, void *field)
{
	int64_t number;
	int result;

	if (option->fallback == NULL) {
		return 0;
	}
	if (option->type == OPTION_BOOL) {
		*(bool *)field = strcmp(option->fallback, "true") == 0;
		return 0;
	}
	if (option->type == OPTION_COUNT && text_parse_number(option->fallback, &number) == 0) {
		return config_value_set_number(option, field, number, NULL);
	}
	result = config_value_set_text(option, field, option->fallback, NULL);
	assert(result != -EINVAL);
	return result;
}

static void
add_quoted(struct text *text, const char *string)
{
	text_add(text, "\"");
	text_add_escaped(text, string, strlen(string));
	text_add(text, "\"");
}

static void
add_quantity(struct text *text, const struct option *option, int64_t number)
{
	const struct option_word *word = word_by_value(option, number);

	if (word != NULL) {
		text_add(text, "\"%s\"", word->word);
	} else if (option->type == OPTION_COUNT) {
		add_number(text, option, number);
	} else {
		text_add(text, "\"");
		add_number(text, option, number);
		text_add(text, "\"");
	}
}

static void
add_item(struct text *text, size_t index, const char *string)
{
	text_add(text, index == 0 ? "[ " : ", ");
	add_quoted(text, string);
}

/* An empty array is a mistake in a file, an empty text is not. */
static void
end_list(struct text *text, size_t count)
{
	text_add(text, count == 0 ? "\"\"" : " ]");
}

static void
add_addresses(struct text *text, const struct address_list *list)
{
	char address[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < list->count; i++) {
		add_item(text, i, address_format(&list->items[i], address));
	}
	end_list(text, list->count);
}

static void
add_networks(struct text *text, const struct network_list *list)
{
	char network[NETWORK_TEXT_MAX];

	for (size_t i = 0; i < list->count; i++) {
		add_item(text, i, network_format(&list->items[i], network));
	}
	end_list(text, list->count);
}

void
config_value_add(struct text *text, const struct option *option, const void *field)
{
	char endpoint[ENDPOINT_TEXT_MAX];

	switch (option->type) {
	case OPTION_BOOL:
		text_add(text, *(const bool *)field ? "true" : "false");
		break;
	case OPTION_TEXT:
		add_quoted(text, *(char *const *)field != NULL ? *(char *const *)field : "");
		break;
	case OPTION_CHOICE:
		add_quoted(text, option->choices[*(const int *)field]);
		break;
	case OPTION_ADDRESSES:
		add_addresses(text, field);
		break;
	case OPTION_ENDPOINT:
		add_quoted(text, endpoint_format(field, endpoint));
		break;
	case OPTION_NETWORKS:
		add_networks(text, field);
		break;
	default:
		add_quantity(text, option, *(const int64_t *)field);
	}
}

void
config_value_add_default(struct text *text, const struct option *option)
{
	int64_t number;
	bool is_bare =
		option->type == OPTION_BOOL ||
		(option->type == OPTION_COUNT && text_parse_number(option->fallback, &number) == 0);

	if (is_bare) {
		text_add(text, "%s", option->fallback);
	} else {
		add_quoted(text, option->fallback);
	}
}

static bool
equal_addresses(const struct address_list *a, const struct address_list *b)
{
	if (a->count != b->count) {
		return false;
	}
	for (size_t i = 0; i < a->count; i++) {
		if (!address_equal(&a->items[i], &b->items[i])) {
			return false;
		}
	}
	return true;
}

static bool
equal_networks(const struct network_list *a, const struct network_list *b)
{
	bool is_equal = a->count == b->count;

	for (size_t i = 0; is_equal && i < a->count; i++) {
		is_equal = a->items[i].bits == b->items[i].bits &&
			   memcmp(&a->items[i].prefix, &b->items[i].prefix,
				   sizeof(a->items[i].prefix)) == 0;
	}
	return is_equal;
}

bool
config_value_equal(const struct option *option, const void *a, const void *b)
{
	switch (option->type) {
	case OPTION_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case OPTION_TEXT:
		return strcmp(*(char *const *)a, *(char *const *)b) == 0;
	case OPTION_CHOICE:
		return *(const int *)a == *(const int *)b;
	case OPTION_ADDRESSES:
		return equal_addresses(a, b);
	case OPTION_ENDPOINT:
		return endpoint_equal(a, b);
	case OPTION_NETWORKS:
		return equal_networks(a, b);
	default:
		return *(const int64_t *)a == *(const int64_t *)b;
	}
}

void
config_value_clear(const struct option *option, void *field)
{
	if (option->type == OPTION_TEXT) {
		free(*(char **)field);
		*(char **)field = NULL;
	} else if (option->type == OPTION_ADDRESSES) {
		struct address_list *list = field;

		free(list->items);
		*list = (struct address_list){0};
	} else if (option->type == OPTION_NETWORKS) {
		struct network_list *list = field;

		free(list->items);
		*list = (struct network_list){0};
	}
}
