/* Causes are tried in the order in which they shadow each other: a stuck worker explains a full
 * queue whatever its limit; a limit that was cut is the cause only when the workers do their best.
 */
#include "master/diagnosis.h"

#include <inttypes.h>
#include <stddef.h>

#include "common/text.h"

static const int64_t syn_retries_ms[] = {
	1000, 2000, 3100, 4100, 5100, 7100, 11200, 19400, 36000, 69000};

uint64_t
diagnosis_clients(uint64_t segments, uint64_t busiest_second, int64_t duration_ms)
{
	uint64_t sends_most = 1;
	uint64_t clients;

	for (size_t i = 0; i < ARRAY_LEN(syn_retries_ms); i++) {
		sends_most += syn_retries_ms[i] <= duration_ms;
	}
	clients = (segments + sends_most - 1) / sends_most;
	return busiest_second > clients ? busiest_second : clients;
}

static void
say_what(const struct overflow_evidence *evidence, struct text *sentence)
{
	uint64_t clients = diagnosis_clients(
		evidence->dropped_segments, evidence->busiest_second, evidence->duration_ms);

	text_add(sentence, "listener %s: accept queue full %s ", evidence->listener,
		evidence->is_over ? "for" : "since");
	text_add_span_ms(sentence, evidence->duration_ms);
	text_add(sentence, " (limit %" PRIu64, evidence->limit);
	if (evidence->limit < evidence->asked) {
		text_add(sentence, "%s, %" PRIu64 " asked for",
			evidence->limit == evidence->somaxconn ? " = net.core.somaxconn" : "",
			evidence->asked);
	}
	text_add(sentence, "): %" PRIu64 " segments dropped", evidence->dropped_segments);
	if (clients > 0) {
		text_add(
			sentence, ", at least %" PRIu64 " clients delayed by 1 s or more", clients);
	}
}

static bool
say_workers_stopped(const struct overflow_evidence *evidence, struct text *sentence)
{
	if (evidence->serving == 0) {
		text_add(sentence, "; no worker serves: see the crash lines before this");
		return true;
	}
	if (evidence->stuck_worker >= 0) {
		text_add(sentence, "; worker %d (pid %d) has made no progress for ",
			evidence->stuck_worker, evidence->stuck_pid);
		text_add_span_ms(sentence, evidence->stuck_ms);
		text_add(sentence, ": it is replaced when it hangs longer than hang_timeout");
		return true;
	}
	return false;
}

static bool
say_workers_paused(const struct overflow_evidence *evidence, struct text *sentence)
{
	if (evidence->paused_descriptors > 0) {
		text_add(sentence,
			"; %u of %u workers are out of descriptors; raise the limit of open files "
			"(systemd: LimitNOFILE) or the number of workers",
			evidence->paused_descriptors, evidence->serving);
		return true;
	}
	if (evidence->paused_trouble > 0) {
		text_add(sentence, "; accept fails in %u of %u workers: see the log for the error",
			evidence->paused_trouble, evidence->serving);
		return true;
	}
	if (evidence->paused_limit > 0) {
		text_add(sentence,
			"; %u of %u workers wait at a connection limit (max_connections = %" PRIu64
			", or the listener's own); raise it, or set on_limit = \"refuse\" to tell "
			"clients at once",
			evidence->paused_limit, evidence->serving, evidence->max_connections);
		return true;
	}
	return false;
}

static void
say_queue_too_short(const struct overflow_evidence *evidence, struct text *sentence)
{
	if (evidence->limit < evidence->asked) {
		text_add(sentence,
			"; run: sysctl -w net.core.somaxconn=%" PRIu64 ", then acceptctl reload",
			evidence->asked);
		return;
	}
	if (evidence->slow_worker >= 0) {
		text_add(sentence, "; worker %d was busy for ", evidence->slow_worker);
		text_add_span_ms(sentence, (int64_t)(evidence->slow_us / 1000));
		text_add(
			sentence, " in one turn of its loop: look at what its protocol does there");
		return;
	}
	if (evidence->accepted == 0) {
		text_add(sentence,
			"; more clients came at once than the queue holds: raise the listener's "
			"backlog above %" PRIu64 ", or add workers or machines",
			evidence->asked);
		return;
	}
	text_add(sentence,
		"; %u workers accepted %" PRIu64
		" meanwhile and did not keep up: raise the listener's backlog above %" PRIu64
		", or add workers or machines",
		evidence->serving, evidence->accepted, evidence->asked);
}

void
diagnosis_of_overflow(const struct overflow_evidence *evidence, struct text *sentence)
{
	say_what(evidence, sentence);
	if (!say_workers_stopped(evidence, sentence) && !say_workers_paused(evidence, sentence)) {
		say_queue_too_short(evidence, sentence);
	}
}
