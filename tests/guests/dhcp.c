// SPDX-License-Identifier: MIT
#include "dhcp.h"

#include "bytes.h"
#include "interrupt.h"

enum { CLIENT_PORT = 68, SERVER_PORT = 67, QUESTION = 1, ANSWER = 2, BROADCAST = 0x8000 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 };
enum {
	OPTION_PAD = 0,
	OPTION_ADDRESS = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_END = 255,
};
enum {
	FIRST_WAIT = TICKS_PER_SECOND / 2, // for an answer; it doubles with each
	DOUBLINGS = 4,
	REQUESTS = 4, // until another server is looked for
	LEASE_MIN = 10,
	LEASE_MAX = 1 << 26, // seconds; about two years, which is still a positive number of ticks
};

struct message {
	uint16_t from_port;
	uint16_t to_port;
	uint16_t size;
	uint16_t checksum;
	uint8_t direction;
	uint8_t hardware;
	uint8_t hardware_size;
	uint8_t hops;
	uint32_t id;
	uint16_t seconds;
	uint16_t flags;
	uint32_t client;
	uint32_t yours;
	uint32_t next_server;
	uint32_t relay;
	uint8_t mac[6];
	uint8_t unused[10 + 64 + 128]; // rest of the hardware address, server's name, file to boot
	uint8_t magic[4];
	uint8_t options[64];
} __attribute__((packed));

static const uint8_t magic[4] = { 99, 130, 83, 99 };

static enum { OFF, DISCOVERING, REQUESTING, BOUND, RENEWING } state;
static uint32_t id, deadline, expiry, offered, server;
static unsigned tries;

static void enter(int next)
{
	if (next == DISCOVERING || next == RENEWING)
		id++;
	state = next;
	tries = 0;
	deadline = clock_now();
}

void dhcp_start(void)
{
	memcpy(&id, net_mac + 2, sizeof id);
	enter(DISCOVERING);
}

static uint8_t *option_put(uint8_t *at, uint8_t code, uint32_t value)
{
	*at++ = code;
	*at++ = sizeof value;
	value = be32(value);
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static void ask(uint8_t type)
{
	static const struct net_peer everyone = { { 255, 255, 255, 255, 255, 255 }, NET_BROADCAST };
	struct message *m = (struct message *)net_begin();
	uint8_t *option;

	if (!m)
		return;
	memset(m, 0, sizeof *m);
	m->from_port = be16(CLIENT_PORT);
	m->to_port = be16(SERVER_PORT);
	m->size = be16(sizeof *m);
	m->direction = QUESTION;
	m->hardware = 1;
	m->hardware_size = 6;
	m->id = id;
	m->flags = be16(BROADCAST);
	m->client = be32(net_address);
	memcpy(m->mac, net_mac, 6);
	memcpy(m->magic, magic, sizeof magic);
	option = m->options;
	*option++ = OPTION_TYPE;
	*option++ = 1;
	*option++ = type;
	if (state == REQUESTING) {
		option = option_put(option, OPTION_ADDRESS, offered);
		option = option_put(option, OPTION_SERVER, server);
	}
	*option = OPTION_END;
	m->checksum = net_checksum_with(&everyone, NET_UDP, m, sizeof *m);
	net_send(&everyone, NET_UDP, sizeof *m);
}

void dhcp_tick(void)
{
	uint32_t now = clock_now();

	if (state == OFF || (int32_t)(now - deadline) < 0)
		return;
	if (state == BOUND)
		enter(RENEWING);
	if (state == RENEWING && (int32_t)(now - expiry) >= 0) {
		net_set_address(0);
		enter(DISCOVERING);
	}
	if (state == REQUESTING && tries == REQUESTS)
		enter(DISCOVERING);
	ask(state == DISCOVERING ? DISCOVER : REQUEST);
	deadline = now + (FIRST_WAIT << min(tries++, DOUBLINGS));
	if (state == RENEWING && (int32_t)(deadline - expiry) > 0)
		deadline = expiry;
}

// Finds an option's value; NULL if it is not there or does not have this size.
static const uint8_t *option_find(const uint8_t *at, unsigned left, uint8_t code, unsigned size)
{
	while (left && *at != OPTION_END) {
		if (*at == OPTION_PAD) {
			at++, left--;
			continue;
		}
		if (left < 2 || left - 2 < at[1])
			return NULL;
		if (*at == code)
			return at[1] == size ? at + 2 : NULL;
		left -= 2u + at[1];
		at += 2 + at[1];
	}
	return NULL;
}

static uint32_t option_number(const struct message *m, unsigned left, uint8_t code)
{
	const uint8_t *value = option_find(m->options, left, code, 4);
	uint32_t number = 0;

	if (value)
		memcpy(&number, value, sizeof number);
	return be32(number);
}

static void bind(uint32_t address, uint32_t lease)
{
	lease = lease < LEASE_MIN ? LEASE_MIN : min(lease, LEASE_MAX);
	enter(BOUND);
	expiry = deadline + lease * TICKS_PER_SECOND;
	deadline += lease * TICKS_PER_SECOND / 2;
	net_set_address(address);
}

void dhcp_receive(const struct net_peer *from, const uint8_t *payload, unsigned size)
{
	const struct message *m = (const struct message *)payload;
	unsigned left = size - sizeof *m + sizeof m->options;
	const uint8_t *type;
	uint32_t address;

	if (size < sizeof *m - sizeof m->options || be16(m->to_port) != CLIENT_PORT ||
		m->direction != ANSWER || m->id != id || memcmp(m->mac, net_mac, 6) ||
		memcmp(m->magic, magic, sizeof magic))
		return;
	type = option_find(m->options, left, OPTION_TYPE, 1);
	address = be32(m->yours);
	if (!type)
		return;
	if (state == DISCOVERING && *type == OFFER && address) {
		offered = address;
		server = option_number(m, left, OPTION_SERVER);
		if (!server)
			server = from->address;
		enter(REQUESTING);
		dhcp_tick();
	} else if ((state == REQUESTING || state == RENEWING) && *type == ACK && address) {
		bind(address, option_number(m, left, OPTION_LEASE));
	} else if ((state == REQUESTING || state == RENEWING) && *type == NAK) {
		net_set_address(0);
		enter(DISCOVERING);
	}
}
