// SPDX-License-Identifier: MIT
#include "tcp.h"

#include "bytes.h"
#include "http.h"
#include "interrupt.h"

enum { PORT = 80, CONNECTIONS = 64 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_SIZE = 2 };
enum {
	WINDOW = 16384, // taken in at once, so it is always this
	SIZE_DEFAULT = 536,
	SIZE_MIN = 64,
	FIRST_BURST = 10,                  // segments; RFC 6928
	FIRST_WAIT = TICKS_PER_SECOND / 4, // for an acknowledgement; it doubles with each
	TRIES = 7,                         // which makes a minute
	PATIENCE = 10 * TICKS_PER_SECOND,  // for a request, and for the peer to close
};

struct header {
	uint16_t from_port;
	uint16_t to_port;
	uint32_t sequence;
	uint32_t acknowledged;
	uint8_t size; // in its upper half, in words of four bytes
	uint8_t flags;
	uint16_t window;
	uint16_t checksum;
	uint16_t urgent;
} __attribute__((packed));

struct flow {
	struct net_peer peer;
	uint16_t peer_port;
	uint16_t port; // ours
};

// What came in, checked.
struct segment {
	struct flow flow;
	uint32_t sequence;
	uint32_t acknowledged;
	uint32_t window;
	uint8_t flags;
	uint32_t largest; // segment that the peer takes
	const uint8_t *data;
	uint32_t size;
};

// What is sent is counted from 'first', which is the SYN; the answer follows from 1 on, then FIN.
struct connection {
	bool is_used;
	bool has_answer;
	bool peer_is_done; // its FIN has come
	struct flow flow;
	uint32_t begun;
	uint32_t expected; // sequence number of what comes in next
	uint32_t first;
	uint32_t acknowledged; // by the peer; 0 until it has seen the SYN
	uint32_t next;         // to send
	uint32_t sent;         // at most; 'next' may be going over it again
	uint32_t window;       // how much may be on its way, as the peer says
	uint32_t congestion;   // and as experience says
	uint32_t largest;
	uint32_t deadline;
	uint32_t tries;
	struct http_exchange exchange;
};

static struct connection connections[CONNECTIONS];

static uint32_t end_of(const struct connection *c)
{
	return c->has_answer ? 1 + c->exchange.length + 1 : 1;
}

// Sending

// Sends what has been written behind the header, with options of 'words' times four bytes first.
static void segment_send(
	const struct flow *flow, struct header *header, unsigned words, unsigned data_size)
{
	unsigned size = sizeof *header + 4 * words + data_size;

	header->from_port = be16(flow->port);
	header->to_port = be16(flow->peer_port);
	header->size = (uint8_t)((sizeof *header / 4 + words) << 4);
	header->window = be16(WINDOW);
	header->checksum = 0;
	header->urgent = 0;
	header->checksum = net_checksum_with(&flow->peer, NET_TCP, header, size);
	net_send(&flow->peer, NET_TCP, size);
}

static void control_send(
	const struct flow *flow, uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	struct header *header = (struct header *)net_begin();

	if (!header)
		return;
	header->flags = flags;
	header->sequence = be32(sequence);
	header->acknowledged = be32(acknowledged);
	segment_send(flow, header, 0, 0);
}

static void acknowledge(const struct connection *c)
{
	control_send(&c->flow, ACK, c->first + c->sent, c->expected);
}

static void connection_end(struct connection *c)
{
	http_end(&c->exchange);
	c->is_used = false;
}

static void connection_abort(struct connection *c)
{
	control_send(&c->flow, RST | ACK, c->first + c->sent, c->expected);
	connection_end(c);
}

// Sends what is next, of the answer at most 'room'; false if that was not possible.
static bool next_send(struct connection *c, uint32_t room)
{
	struct header *header = (struct header *)net_begin();
	uint8_t *behind = (uint8_t *)(header + 1);
	uint32_t left = end_of(c) - 1 - c->next, data_size = 0;
	unsigned words = 0;

	if (!header)
		return false;
	header->flags = ACK;
	header->sequence = be32(c->first + c->next);
	header->acknowledged = be32(c->expected);
	if (c->next == 0) {
		const uint16_t largest = be16(NET_PAYLOAD_MAX - sizeof *header);
		behind[0] = OPTION_SIZE;
		behind[1] = 4;
		memcpy(behind + 2, &largest, sizeof largest);
		words = 1;
		header->flags |= SYN;
		c->next = 1;
	} else {
		data_size = min(left, min(room, c->largest));
		if (!http_read(&c->exchange, c->next - 1, behind, data_size)) {
			connection_abort(c);
			return false;
		}
		c->next += data_size;
		if (data_size == left) {
			header->flags |= FIN | PSH;
			c->next++;
		}
	}
	if (c->next > c->sent)
		c->sent = c->next;
	segment_send(&c->flow, header, words, data_size);
	return true;
}

static void deadline_set(struct connection *c)
{
	bool waits = c->acknowledged < end_of(c);

	c->deadline = clock_now() + (waits ? FIRST_WAIT << c->tries : PATIENCE);
}

// Sends as much as the peer and experience allow; false if that was nothing. A short segment is not
// worth sending while others are on their way (RFC 9293, 3.8.6.2.1).
static bool connection_send(struct connection *c)
{
	bool any = false;

	while (c->is_used && c->next < end_of(c)) {
		uint32_t on_its_way = c->next - c->acknowledged, left = end_of(c) - c->next;
		uint32_t allowed = min(c->window, c->congestion);
		uint32_t room = allowed > on_its_way ? allowed - on_its_way : 0;
		if (room == 0 || (on_its_way && room < min(left, c->largest)))
			break;
		if (!next_send(c, room))
			break;
		any = true;
	}
	return any;
}

// Nothing has come for too long: goes over what was not acknowledged from its beginning, with one
// segment. That is also how a closed window is probed.
static void connection_retry(struct connection *c)
{
	c->tries++;
	c->next = c->acknowledged;
	c->congestion = c->largest;
	next_send(c, c->window ? c->window : 1);
	if (c->is_used)
		deadline_set(c);
}

void tcp_tick(void)
{
	for (struct connection *c = connections; c < connections + CONNECTIONS; c++) {
		if (!c->is_used || (int32_t)(clock_now() - c->deadline) < 0)
			continue;
		if (c->acknowledged < end_of(c) && c->tries < TRIES)
			connection_retry(c);
		else
			connection_abort(c);
	}
}

// Receiving

// Of the options only the size of segments counts, and only that of a SYN.
static uint32_t options_parse(const uint8_t *options, unsigned size)
{
	uint32_t largest = SIZE_DEFAULT;

	for (unsigned i = 0; i < size && options[i] != OPTION_END;) {
		if (options[i] == OPTION_NOP) {
			i++;
			continue;
		}
		if (size - i < 2 || options[i + 1] < 2 || options[i + 1] > size - i)
			break;
		if (options[i] == OPTION_SIZE && options[i + 1] == 4)
			largest = (uint32_t)options[i + 2] << 8 | options[i + 3];
		i += options[i + 1];
	}
	return largest < SIZE_MIN ? SIZE_MIN
				  : min(largest, NET_PAYLOAD_MAX - sizeof(struct header));
}

static bool segment_parse(
	const struct net_peer *from, const uint8_t *payload, unsigned size, struct segment *ret)
{
	const struct header *header = (const struct header *)payload;
	unsigned header_size;

	if (size < sizeof *header || net_checksum_with(from, NET_TCP, payload, size) != 0)
		return false;
	header_size = header->size / 16u * 4;
	if (header_size < sizeof *header || header_size > size)
		return false;
	*ret = (struct segment){
		.flow = { *from, be16(header->from_port), be16(header->to_port) },
		.sequence = be32(header->sequence),
		.acknowledged = be32(header->acknowledged),
		.window = be16(header->window),
		.flags = header->flags,
		.largest = options_parse(payload + sizeof *header, header_size - sizeof *header),
		.data = payload + header_size,
		.size = size - header_size,
	};
	return true;
}

static struct connection *connection_find(const struct flow *flow)
{
	for (struct connection *c = connections; c < connections + CONNECTIONS; c++)
		if (c->is_used && c->flow.peer.address == flow->peer.address &&
			c->flow.peer_port == flow->peer_port && c->flow.port == flow->port)
			return c;
	return NULL;
}

// An unused place; if there is none, that of the oldest whose peer has not even answered the SYN.
static struct connection *connection_place(void)
{
	struct connection *oldest = NULL;

	for (struct connection *c = connections; c < connections + CONNECTIONS; c++) {
		if (!c->is_used)
			return c;
		if (c->acknowledged == 0 && (!oldest || (int32_t)(c->begun - oldest->begun) < 0))
			oldest = c;
	}
	return oldest;
}

static void connection_open(const struct segment *s)
{
	struct connection *c = connection_place();

	if (!c)
		return; // the peer will ask again
	*c = (struct connection){
		.is_used = true,
		.flow = s->flow,
		.begun = clock_now(),
		.expected = s->sequence + 1,
		.first = (uint32_t)(__builtin_ia32_rdtsc() >> 13), // no number twice within hours
		.window = s->window,
		.congestion = FIRST_BURST * s->largest,
		.largest = s->largest,
	};
	http_begin(&c->exchange, (uint32_t)(c - connections) + 1, s->flow.peer.address);
	next_send(c, 0);
	deadline_set(c);
}

static void connection_refuse(const struct segment *s)
{
	uint32_t end = s->sequence + s->size + !!(s->flags & SYN) + !!(s->flags & FIN);

	if (s->flags & RST)
		return;
	if (s->flags & ACK)
		control_send(&s->flow, RST, s->acknowledged, 0);
	else
		control_send(&s->flow, RST | ACK, 0, end);
}

// RFC 5961: who only guesses at our numbers can neither end a connection nor start it anew, but the
// true peer, who lost track of it, learns where it is and can.
static void connection_disturbed(struct connection *c, const struct segment *s)
{
	if (s->flags & RST && s->sequence == c->expected) {
		connection_end(c);
	} else if (s->flags & SYN && c->acknowledged == 0 && s->sequence + 1 == c->expected) {
		c->next = 0;
		next_send(c, 0);
	} else if (!(s->flags & RST) || s->sequence - c->expected < WINDOW) {
		acknowledge(c);
	}
}

// Takes note of what the peer has received. Returns whether that is more than before.
static bool acknowledged_more(struct connection *c, const struct segment *s)
{
	uint32_t acknowledged = s->acknowledged - c->first;

	if (acknowledged < c->acknowledged)
		return false;
	c->window = s->window;
	if (acknowledged == c->acknowledged)
		return false;
	c->congestion = min(c->congestion + acknowledged - c->acknowledged, 0xffff);
	c->acknowledged = acknowledged;
	if (c->next < acknowledged)
		c->next = acknowledged;
	c->tries = 0;
	return true;
}

// Takes in what is new. Returns whether the peer should be told how far that is.
static bool data_receive(struct connection *c, const struct segment *s)
{
	uint32_t known = c->expected - s->sequence; // a large number if something is missing
	uint32_t fin = s->flags & FIN ? 1 : 0;

	if (s->size + fin == 0)
		return known != 0; // is the peer still there? (RFC 9293, 3.8.4)
	if (known >= s->size + fin || c->peer_is_done)
		return true;
	if (!c->has_answer && known < s->size)
		c->has_answer = http_receive(&c->exchange, s->data + known, s->size - known);
	c->expected += s->size + fin - known;
	if (fin) {
		c->peer_is_done = true;
		c->has_answer = true; // an empty one if the request is incomplete
	}
	return true;
}

static void connection_receive(struct connection *c, const struct segment *s)
{
	bool progress, had_answer = c->has_answer, is_asked;

	if (s->flags & (RST | SYN)) {
		connection_disturbed(c, s);
		return;
	}
	if (!(s->flags & ACK))
		return;
	if (s->acknowledged - c->first > c->sent) {
		if (c->acknowledged == 0)
			connection_refuse(s);
		else
			acknowledge(c);
		return;
	}
	progress = acknowledged_more(c, s);
	if (c->acknowledged == 0)
		return; // of a connection before this one
	is_asked = data_receive(c, s);
	if (!connection_send(c) && is_asked && c->is_used)
		acknowledge(c);
	if (!c->is_used)
		return;
	if (progress || c->has_answer != had_answer)
		deadline_set(c);
	if (c->has_answer && c->acknowledged == end_of(c)) {
		http_end(&c->exchange);
		c->is_used = !c->peer_is_done;
	}
}

void tcp_receive(const struct net_peer *from, const uint8_t *payload, unsigned size)
{
	struct segment segment;
	struct connection *c;

	if (!segment_parse(from, payload, size, &segment))
		return;
	c = connection_find(&segment.flow);
	if (c)
		connection_receive(c, &segment);
	else if (segment.flow.port == PORT && (segment.flags & (SYN | ACK | RST | FIN)) == SYN)
		connection_open(&segment);
	else
		connection_refuse(&segment);
}
