/* Places in one line of text, for tables: "7 8! -9 ." are 10.0.0.7 and 10.0.0.8, a backup, both
 * held, 10.0.0.9 leaving, and an empty place. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/board.h"

static inline struct board_place
help_place(unsigned last_byte)
{
	struct board_place place = {.port = 80, .state = BOARD_PLACE_HELD};

	place.host.s6_addr[10] = place.host.s6_addr[11] = 0xff;
	place.host.s6_addr[12] = 10;
	place.host.s6_addr[15] = (unsigned char)last_byte;
	return place;
}

static inline size_t
help_places(const char *text, struct board_place *places)
{
	size_t count = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, " ");
		int number = atoi(text);

		memset(&places[count], 0, sizeof(places[count]));
		if (*text != '.') {
			places[count] = help_place((unsigned)abs(number));
			places[count].state = number < 0 ? BOARD_PLACE_LEAVING : BOARD_PLACE_HELD;
			places[count].is_backup = text[len - 1] == '!';
		}
		count++;
		text += len;
		text += *text == ' ';
	}
	return count;
}

static inline const char *
help_show(const struct board_place *places, size_t count, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const char *blank = i > 0 ? " " : "";

		if (places[i].state == BOARD_PLACE_EMPTY) {
			used += (size_t)snprintf(buffer + used, size - used, "%s.", blank);
		} else {
			used += (size_t)snprintf(buffer + used, size - used, "%s%s%d%s", blank,
				places[i].state == BOARD_PLACE_LEAVING ? "-" : "",
				places[i].host.s6_addr[15], places[i].is_backup ? "!" : "");
		}
	}
	return buffer;
}
