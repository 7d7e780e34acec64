/* Asks once a second for what happened since it asked last, and draws it. Whatever comes from the
 * server is set as text, never as markup. */
"use strict";

const POINTS = 300, EVENTS = 200, PERIOD_MS = 1000, PATIENCE_MS = 5000;
const COLUMNS = ["queue_depth", "queue_limit", "accepted_per_second", "open", "dropped_segments"];
const SVG = "http://www.w3.org/2000/svg";

/* What was told so far: `points` by listener, each column oldest first. */
const past = {last: 0, lastTimeMs: 0, points: new Map(), lastEvent: 0};
let answeredAt = Date.now();

const byId = (id) => document.getElementById(id);

/* --- text --- */

function count(value) {
	return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
}

function rate(value) {
	return value < 10 && value !== Math.round(value) ? value.toFixed(1) : count(value);
}

function bytes(value) {
	const units = ["B", "KiB", "MiB", "GiB", "TiB"];
	let unit = 0;
	while (value >= 1000 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

function span(ms) {
	if (ms < 1000) {
		return ms < 1 ? "< 1 ms" : `${Math.round(ms)} ms`;
	}
	const seconds = ms / 1000;
	if (seconds < 120) {
		return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
	}
	const minutes = Math.floor(seconds / 60);
	if (minutes < 120) {
		return `${minutes} min`;
	}
	const hours = Math.floor(minutes / 60);
	return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/* --- elements --- */

function element(name, classes, ...children) {
	const made = document.createElement(name);
	if (classes) {
		made.className = classes;
	}
	made.append(...children);
	return made;
}

function drawing(name, attributes, ...children) {
	const made = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes)) {
		made.setAttribute(key, value);
	}
	made.append(...children);
	return made;
}

function setText(where, text) {
	if (where.textContent !== text) {
		where.textContent = text;
	}
}

/* A list of terms and values that keeps its elements: update({term: [value, class, title]}). */
class Figures {
	constructor(list) {
		this.list = list;
		this.values = new Map();
	}
	update(figures) {
		for (const [term, [value, classes, title]] of Object.entries(figures)) {
			if (!this.values.has(term)) {
				const made = element("dd", "");
				const pair = element("div", "", element("dt", "", term), made);
				pair.title = title || "";
				this.list.append(pair);
				this.values.set(term, made);
			}
			const where = this.values.get(term);
			setText(where, value);
			where.className = classes || "";
		}
	}
}

/* --- pictures --- */

class Bar {
	constructor() {
		this.fill = drawing("rect", {class: "fill", height: 10, rx: 0});
		this.peak = drawing("rect", {class: "peak", height: 10, width: 0.6});
		this.root = drawing("svg", {class: "bar", viewBox: "0 0 100 10",
			preserveAspectRatio: "none", role: "img"}, this.fill, this.peak);
	}
	update(part, peak, level, label) {
		const clamp = (x) => Math.max(0, Math.min(100, 100 * x || 0));
		this.fill.setAttribute("width", part > 0 ? Math.max(0.8, clamp(part)) : 0);
		this.fill.setAttribute("class", `fill ${level}`);
		this.peak.setAttribute("x", Math.min(99.4, clamp(peak)));
		this.peak.setAttribute("visibility", peak > 0 ? "visible" : "hidden");
		this.root.setAttribute("aria-label", label);
	}
}

class Spark {
	constructor(classes) {
		this.area = drawing("path", {class: "area"});
		this.line = drawing("path", {class: "line"});
		this.limit = drawing("path", {class: "limit"});
		this.dropped = drawing("path", {class: "dropped"});
		this.root = drawing("svg", {class: `spark ${classes}`, viewBox: `0 0 ${POINTS - 1} 100`,
			preserveAspectRatio: "none", role: "img"},
			this.area, this.line, this.limit, this.dropped);
	}
	/* The newest point is at the right; `limit` is drawn where it is within the picture. */
	update(values, limit, dropped, label) {
		const most = Math.max(0, ...values);
		const top = limit > 0 && most > limit / 4 ? Math.max(limit, most) * 1.06 : Math.max(4, most * 1.25);
		const x = (i) => POINTS - values.length + i;
		const y = (value) => (100 - 100 * value / top).toFixed(1);
		let line = "", drops = "", open = false;
		values.forEach((value, i) => {
			if (value === null) {
				open = false;
				return;
			}
			line += `${open ? "L" : "M"}${x(i)} ${y(value)}`;
			open = true;
			if (dropped && dropped[i] > 0) {
				drops += `M${x(i)} 0V8`;
			}
		});
		const first = values.findIndex((value) => value !== null);
		this.line.setAttribute("d", line);
		this.area.setAttribute("d", first < 0 ? "" : `${line}V100H${x(first)}Z`);
		this.limit.setAttribute("d", limit > 0 && limit <= top ? `M0 ${y(limit)}H${POINTS}` : "");
		this.dropped.setAttribute("d", drops);
		this.root.setAttribute("aria-label", label);
	}
}

/* --- listeners --- */

class Card {
	constructor(name) {
		this.depth = element("span", "depth");
		this.depthNow = element("b");
		this.depthRest = element("span");
		this.depth.append(this.depthNow, this.depthRest);
		this.bar = new Bar();
		this.deepest = element("span");
		this.depths = new Spark("");
		this.busiest = element("span");
		this.rates = new Spark("low");
		this.measured = element("span");
		const list = element("dl", "figures three"), waits = element("dl", "figures");
		this.figures = new Figures(list);
		this.waits = new Figures(waits);
		this.root = element("article", "card",
			element("div", "card-head", element("h3", "", name), this.depth),
			this.bar.root,
			element("div", "caption", element("span", "", "waiting for accept"), this.deepest),
			this.depths.root,
			element("div", "caption", element("span", "", "accepted per second"), this.busiest),
			this.rates.root,
			element("div", "caption", element("span", "", "waited for accept, in the last minute"), this.measured),
			waits, list);
	}

	update(listener, waits, points) {
		const depth = listener.queue_depth, limit = listener.queue_limit;
		const level = limit > 0 && depth > limit ? "bad" : limit > 0 && depth > limit / 2 ? "warning" : "";
		const dropped = points.dropped_segments.reduce((sum, value) => sum + value, 0);
		setText(this.depthNow, count(depth));
		setText(this.depthRest, ` of ${limit > 0 ? count(limit) : "unknown"}`);
		this.depth.className = `depth ${level}`;
		this.bar.update(depth / (limit + 1), (listener.queue_peak_minute || 0) / (limit + 1), level,
			`${depth} of ${limit} places of the accept queue are taken`);
		const deepest = Math.max(0, ...points.queue_depth);
		const busiest = Math.max(0, ...points.accepted_per_second);
		setText(this.deepest, `at most ${count(deepest)} in 5 min`);
		setText(this.busiest, `${rate(listener.accepted_per_second)}, at most ${count(busiest)}`);
		this.depths.update(points.queue_depth, limit, points.dropped_segments,
			`depth of the accept queue in the last five minutes, at most ${deepest}`);
		this.rates.update(points.accepted_per_second, 0, null,
			`accepted per second in the last five minutes, at most ${busiest}`);
		const minute = waits ? waits.last_minute : {measured: 0};
		setText(this.measured, minute.measured < minute.accepted ? `${count(minute.measured)} measured` : "");
		const wait = (value) => [minute.measured > 0 ? span(value) : "–", value >= 1000 ? "warning" : ""];
		this.waits.update({
			"p50": wait(minute.p50_ms), "p90": wait(minute.p90_ms),
			"p99": wait(minute.p99_ms), "longest": wait(minute.longest_ms),
		});
		this.figures.update({
			"open": [count(listener.open)],
			"accepted": [count(listener.accepted)],
			"dropped": [dropped > 0 ? `${count(listener.dropped_segments)} (+${count(dropped)})`
				: count(listener.dropped_segments), dropped > 0 ? "bad" : "",
				"segments that the kernel dropped at this listener, and in the last five minutes"],
		});
	}
}

const cards = new Map();

function drawListeners(data) {
	const waits = new Map(data.waits.map((row) => [row.name, row]));
	const names = new Set(data.listeners.map((row) => row.name));
	for (const [name, card] of cards) {
		if (!names.has(name)) {
			card.root.remove();
			cards.delete(name);
		}
	}
	for (const listener of data.listeners) {
		if (!cards.has(listener.name)) {
			const made = new Card(listener.name);
			cards.set(listener.name, made);
			byId("listeners").append(made.root);
		}
		const points = past.points.get(listener.name) ||
			Object.fromEntries(COLUMNS.map((column) => [column, []]));
		cards.get(listener.name).update(listener, waits.get(listener.name), points);
	}
}

/* --- tables --- */

/* Rows that keep their elements, each a list of cells by key. */
class Rows {
	constructor(table, make) {
		this.body = table.tBodies[0];
		this.make = make;
		this.rows = new Map();
	}
	update(items) {
		for (const [key, row] of this.rows) {
			if (!items.has(key)) {
				row.root.remove();
				this.rows.delete(key);
			}
		}
		for (const [key, item] of items) {
			if (!this.rows.has(key)) {
				const made = this.make(key);
				this.rows.set(key, made);
				this.body.append(made.root);
			}
			this.rows.get(key).update(item);
		}
	}
}

function textCells(count_, textual) {
	return Array.from({length: count_}, (_, i) => element("td", textual.includes(i) ? "text" : ""));
}

class WorkerRow {
	constructor(slot) {
		this.bar = new Bar();
		this.open = element("span");
		this.cells = textCells(6, [1, 2]);
		setText(this.cells[0], String(slot));
		this.cells[2].append(element("div", "with-bar", this.open, this.bar.root));
		this.root = element("tr", "", ...this.cells);
	}
	update({worker, most, cpu}) {
		const pause = worker.pause === "" ? "" : `, pauses: ${worker.pause}`;
		setText(this.cells[1], worker.state + pause);
		this.cells[1].className = worker.state !== "serving" || /limit|descriptors|trouble/.test(pause)
			? "text warning-text" : "text";
		this.root.title = `pid ${worker.pid}, configuration ${worker.generation}, started ${worker.starts} times`;
		setText(this.open, count(worker.open));
		this.bar.update(worker.open / most, 0, "", `${worker.open} connections`);
		setText(this.cells[3], cpu === null ? "–" : `${Math.round(cpu)} %`);
		setText(this.cells[4], worker.resident_bytes > 0 ? bytes(worker.resident_bytes) : "–");
		setText(this.cells[5], worker.longest_turn_us > 0 ? span(worker.longest_turn_us / 1000) : "–");
	}
}

class KernelRow {
	constructor(name) {
		this.cells = textCells(3, [0]);
		setText(this.cells[0], name);
		this.root = element("tr", "", ...this.cells);
	}
	update(counter) {
		setText(this.cells[1], count(counter.since_start));
		setText(this.cells[2], rate(counter.per_second));
		this.root.className = counter.per_second > 0 ? "" : "quiet";
	}
}

class StatesRow {
	constructor(name) {
		this.name = name;
		this.root = element("tr");
	}
	update(cells) {
		this.root.replaceChildren(element("td", "text", this.name),
			...cells.map((value) => element("td", "", value)));
	}
}

const workerRows = new Rows(byId("workers"), (key) => new WorkerRow(key));
const kernelRows = new Rows(byId("kernel"), (key) => new KernelRow(key));
const statesRows = new Rows(byId("states"), (key) => new StatesRow(key));
let workersBefore = {at: 0, cpu: new Map()};

function drawWorkers(workers, atMs) {
	const most = Math.max(1, ...workers.map((worker) => worker.open));
	const elapsedUs = 1000 * (atMs - workersBefore.at);
	const cpuOf = (worker) => {
		const before = workersBefore.cpu.get(worker.worker);
		return before === undefined || elapsedUs <= 0 || worker.cpu_us < before ? null
			: 100 * (worker.cpu_us - before) / elapsedUs;
	};
	workerRows.update(new Map(workers.map((worker) =>
		[worker.worker, {worker, most, cpu: cpuOf(worker)}])));
	if (elapsedUs > 0) {
		workersBefore = {at: atMs, cpu: new Map(workers.map((worker) => [worker.worker, worker.cpu_us]))};
	}
}

function drawKernel(kernel) {
	const moved = Object.entries(kernel).filter(([, counter]) =>
		typeof counter === "object" && counter.since_start !== 0);
	byId("kernel-section").hidden = !kernel.is_known || moved.length === 0;
	kernelRows.update(new Map(kernel.is_known ? moved : []));
}

/* Whatever states there are: their names are the keys. Those that nobody is in are left out. */
function drawStates(states) {
	const keys = states.length === 0 ? [] : Object.keys(states[0]).filter((key) =>
		key !== "listener" && key !== "listen" && key !== "oldest_close_wait_ms" &&
		states.some((row) => row[key] > 0));
	byId("states-section").hidden = keys.length === 0;
	byId("states").tHead.replaceChildren(element("tr", "", element("th", "text", "listener"),
		...keys.map((key) => element("th", "", key.toUpperCase()))));
	statesRows.update(new Map(states.map((row) => [row.listener, keys.map((key) => count(row[key]))])));
}

/* --- the rest --- */

function drawFindings(findings) {
	const list = byId("findings");
	const texts = findings.map((finding) => `${finding.level}\n${finding.text}`).join("\n");
	if (list.dataset.texts !== texts) {
		list.dataset.texts = texts;
		list.replaceChildren(...findings.map((finding) =>
			element("li", `finding ${finding.level}`, finding.text)));
	}
}

function drawEvents(events) {
	const list = byId("events");
	for (const event of events) {
		const when = element("time", "", new Date(event.time_ms).toLocaleTimeString("en-GB"));
		when.dateTime = event.time;
		when.title = event.time;
		const level = event.level === "error" ? "bad-text" : event.level === "warning" ? "warning-text" : "";
		list.prepend(element("li", "", when, element("span", level, event.text)));
		past.lastEvent = Math.max(past.lastEvent, event.number);
	}
	while (list.children.length > EVENTS) {
		list.lastElementChild.remove();
	}
}

const totals = new Figures(byId("totals"));

function drawStatus(status) {
	const pill = byId("health");
	setText(pill, status.health);
	pill.className = `pill ${status.health}`;
	document.title = status.health === "well" ? "acceptd" : `acceptd: ${status.health}`;
	totals.update({
		"open": [count(status.open)],
		"accepted per second": [rate(status.accepted_per_second)],
		"workers serving": [count(status.workers_serving), status.workers_serving > 0 ? "" : "bad"],
		"crashes": [count(status.worker_crashes), status.worker_crashes > 0 ? "warning" : ""],
		"configuration": [count(status.generation)],
		"up": [span(1000 * status.uptime_seconds)],
	});
}

/* --- the past --- */

/* Points that do not follow those we have, as after a restart of the monitor, replace them. */
function remember(history) {
	const gapMs = history.last_time_ms - past.lastTimeMs - 1000 * (history.last - past.last);
	if (history.first !== past.last + 1 || Math.abs(gapMs) > 5000) {
		past.points.clear();
	}
	for (const listener of history.listeners) {
		const points = past.points.get(listener.name) || {};
		for (const column of COLUMNS) {
			points[column] = (points[column] || []).concat(listener[column]).slice(-POINTS);
		}
		past.points.set(listener.name, points);
	}
	past.last = history.last;
	past.lastTimeMs = history.last_time_ms;
}

function draw(data) {
	remember(data.history);
	drawStatus(data.status);
	drawFindings(data.status.findings);
	drawListeners(data);
	drawWorkers(data.workers, data.history.last_time_ms);
	drawStates(data.states);
	drawKernel(data.kernel);
	drawEvents(data.events);
	document.body.classList.remove("stale");
	document.body.dataset.updates = String(Number(document.body.dataset.updates || 0) + 1);
}

function drawSilence() {
	const pill = byId("health");
	setText(pill, `no answer for ${span(Date.now() - answeredAt)}`);
	pill.className = "pill lost";
	document.title = "acceptd: no answer";
	document.body.classList.add("stale");
}

async function ask() {
	const answer = await fetch(`api/page?point=${past.last}&event=${past.lastEvent}`,
		{cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
	if (!answer.ok) {
		throw new Error(`${answer.status}`);
	}
	return answer.json();
}

/* A page that nobody sees asks for nothing; what it missed comes with the next answer. */
async function turn() {
	if (!document.hidden) {
		let data = null;
		try {
			data = await ask();
		} catch {
			drawSilence();
		}
		if (data !== null) {
			answeredAt = Date.now();
			draw(data);
		}
	}
	setTimeout(turn, PERIOD_MS);
}

turn();
