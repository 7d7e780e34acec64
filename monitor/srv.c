#include "monitor/srv.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <limits.h>
#include <resolv.h>
#include <string.h>
#include <strings.h>

#define FIXED_LEN 6 /* priority, weight and port before the target */

/* @return negative, 0 or positive as of strcmp(3) */
static int
compare(const struct srv_record *a, const struct srv_record *b)
{
	int order = (int)a->priority - (int)b->priority;

	if (order == 0) {
		order = strcasecmp(a->target, b->target);
	}
	return order != 0 ? order : (int)a->port - (int)b->port;
}

/* Into the sorted list; the last one falls out when it is full. @return how many there are now */
static size_t
insert(struct srv_record *records, size_t count, size_t max, const struct srv_record *record)
{
	size_t at = count;

	while (at > 0 && compare(&records[at - 1], record) > 0) {
		at--;
	}
	if (at == max) {
		return count;
	}
	count += count < max ? 1 : 0;
	memmove(&records[at + 1], &records[at], (count - at - 1) * sizeof(*records));
	records[at] = *record;
	return count;
}

/* @return 0; -ENOENT it is another record, or says that there is none; -EBADMSG */
static int
read_record(const ns_msg *message, const ns_rr *rr, struct srv_record *record)
{
	const unsigned char *data = ns_rr_rdata(*rr);

	if (ns_rr_type(*rr) != ns_t_srv || ns_rr_class(*rr) != ns_c_in) {
		return -ENOENT;
	}
	if (ns_rr_rdlen(*rr) <= FIXED_LEN ||
		ns_name_uncompress(ns_msg_base(*message), ns_msg_end(*message), data + FIXED_LEN,
			record->target, sizeof(record->target)) < 0) {
		return -EBADMSG;
	}
	record->priority = (uint16_t)ns_get16(data);
	record->weight = (uint16_t)ns_get16(data + 2);
	record->port = (uint16_t)ns_get16(data + 4);
	return record->target[0] == '\0' || strcmp(record->target, ".") == 0 ? -ENOENT : 0;
}

int
srv_parse(const unsigned char *message, size_t len, struct srv_record *records, size_t max,
	size_t *found, uint32_t *ttl_s)
{
	size_t count = 0, all = 0;
	uint32_t ttl = UINT32_MAX;
	struct srv_record record;
	ns_msg parsed;
	ns_rr rr;

	if (len > INT_MAX || ns_initparse(message, (int)len, &parsed) != 0) {
		return -EBADMSG;
	}
	for (int i = 0; i < ns_msg_count(parsed, ns_s_an); i++) {
		int status = ns_parserr(&parsed, ns_s_an, i, &rr) != 0
				     ? -EBADMSG
				     : read_record(&parsed, &rr, &record);

		if (status == -EBADMSG) {
			return status;
		}
		ttl = ns_rr_ttl(rr) < ttl ? (uint32_t)ns_rr_ttl(rr) : ttl;
		if (status == 0) {
			count = insert(records, count, max, &record);
			all++;
		}
	}
	*found = all;
	if (all > 0) {
		*ttl_s = ttl;
	}
	return 0;
}
