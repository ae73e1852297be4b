// SPDX-License-Identifier: MIT
#include "net.h"

#include "bytes.h"
#include "guest.h"
#include "interrupt.h"
#include "virtio.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806 };
enum { ARP_REQUEST = 1, ARP_REPLY = 2 };
enum { PING_REQUEST = 8, PING_REPLY = 0 };
enum { FRAGMENT_BITS = 0x3fff, TIME_TO_LIVE = 64 };

struct ethernet {
	uint8_t to[6];
	uint8_t from[6];
	uint16_t type;
} __attribute__((packed));

struct arp {
	uint16_t hardware;
	uint16_t protocol;
	uint8_t hardware_size;
	uint8_t protocol_size;
	uint16_t operation;
	uint8_t sender_mac[6];
	uint32_t sender_address;
	uint8_t target_mac[6];
	uint32_t target_address;
} __attribute__((packed));

struct ipv4 {
	uint8_t version_and_size;
	uint8_t service;
	uint16_t size;
	uint16_t id;
	uint16_t fragment;
	uint8_t time_to_live;
	uint8_t protocol;
	uint16_t checksum;
	uint32_t from;
	uint32_t to;
} __attribute__((packed));

// What the card reads and fills. Its own header says how it could help with checksums: not at all.
struct packet {
	uint8_t virtio[10];
	struct ethernet ethernet;
	union {
		struct arp arp;
		struct {
			struct ipv4 ipv4;
			uint8_t payload[NET_PAYLOAD_MAX];
		} __attribute__((packed));
	};
} __attribute__((packed));

enum { MAC = 1 << 5, ANY_LAYOUT = 1 << 27 }; // features: has an address; a packet in one buffer
enum { HEADERS = 10 + sizeof(struct ethernet) };
enum { BUFFERS = 64, SEND_PATIENCE = TICKS_PER_SECOND };

uint8_t net_mac[6];
uint32_t net_address;

static const uint8_t everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static struct virtio card;
static struct virtqueue receiving, sending;
static struct packet received[BUFFERS], sent[BUFFERS];
static uint16_t idle[BUFFERS]; // the descriptors of 'sent' that the card does not hold
static unsigned idle_count;

bool net_init(void)
{
	static virtqueue_memory receiving_memory, sending_memory;

	if (!virtio_open(&card, VIRTIO_NET, MAC | ANY_LAYOUT) ||
		!virtqueue_init(&receiving, &card, 0, BUFFERS, receiving_memory) ||
		!virtqueue_init(&sending, &card, 1, BUFFERS, sending_memory))
		return false;
	for (unsigned i = 0; i < sizeof net_mac; i++)
		net_mac[i] = virtio_config(&card, i);
	virtqueue_interrupts(&sending, false);
	virtio_start(&card);
	for (uint16_t i = 0; i < BUFFERS; i++) {
		virtqueue_set(&receiving, i, &received[i], sizeof *received, VIRTQ_DEVICE_FILLS);
		virtqueue_offer(&receiving, i);
		idle[idle_count++] = i;
	}
	return true;
}

// Sending

static void take_back_sent(void)
{
	uint16_t descriptor;
	uint32_t size;

	while (virtqueue_take(&sending, &descriptor, &size))
		idle[idle_count++] = descriptor;
}

static struct packet *packet_begin(void)
{
	uint32_t start = clock_now();

	take_back_sent();
	while (!idle_count && clock_now() - start < SEND_PATIENCE) {
		virtqueue_interrupts(&sending, true);
		cpu_sleep();
		virtqueue_interrupts(&sending, false);
		take_back_sent();
	}
	return idle_count ? &sent[idle[idle_count - 1]] : NULL;
}

static void packet_send(const uint8_t to[6], uint16_t type, unsigned size)
{
	uint16_t descriptor = idle[--idle_count];
	struct packet *packet = &sent[descriptor];

	memcpy(packet->ethernet.to, to, 6);
	memcpy(packet->ethernet.from, net_mac, 6);
	packet->ethernet.type = be16(type);
	virtqueue_set(&sending, descriptor, packet, HEADERS + size, 0);
	virtqueue_offer(&sending, descriptor);
}

uint8_t *net_begin(void)
{
	struct packet *packet = packet_begin();

	return packet ? packet->payload : NULL;
}

void net_send(const struct net_peer *to, uint8_t protocol, unsigned size)
{
	static uint16_t id;
	struct ipv4 *ip = &sent[idle[idle_count - 1]].ipv4;

	*ip = (struct ipv4){
		.version_and_size = 0x45,
		.size = be16((uint16_t)(sizeof *ip + size)),
		.id = be16(++id),
		.time_to_live = TIME_TO_LIVE,
		.protocol = protocol,
		.from = be32(net_address),
		.to = be32(to->address),
	};
	ip->checksum = net_checksum(ip, sizeof *ip, 0);
	packet_send(to->mac, ETHERTYPE_IPV4, sizeof *ip + size);
}

static void arp_send(const uint8_t to[6], uint16_t operation, uint32_t target)
{
	struct packet *packet = packet_begin();

	if (!packet)
		return;
	packet->arp = (struct arp){
		.hardware = be16(1),
		.protocol = be16(ETHERTYPE_IPV4),
		.hardware_size = 6,
		.protocol_size = 4,
		.operation = be16(operation),
		.sender_address = be32(net_address),
		.target_address = be32(target),
	};
	memcpy(packet->arp.sender_mac, net_mac, 6);
	memcpy(packet->arp.target_mac, to, 6);
	packet_send(to, ETHERTYPE_ARP, sizeof packet->arp);
}

void net_set_address(uint32_t address)
{
	char text[40] = "The address is ";

	if (address == net_address)
		return;
	net_address = address;
	if (!address) {
		put_text("The address is no longer ours.\n");
		return;
	}
	address_append(text, sizeof text, address);
	text_append(text, sizeof text, ".\n");
	put_text(text);
	arp_send(everyone, ARP_REQUEST, address); // RFC 5227, 3: an announcement asks for oneself
}

// Receiving

static void arp_receive(const struct arp *arp, unsigned size)
{
	if (size < sizeof *arp || be16(arp->hardware) != 1 ||
		be16(arp->protocol) != ETHERTYPE_IPV4 || arp->hardware_size != 6 ||
		arp->protocol_size != 4 || be16(arp->operation) != ARP_REQUEST)
		return;
	if (net_address && be32(arp->target_address) == net_address)
		arp_send(arp->sender_mac, ARP_REPLY, be32(arp->sender_address));
}

static void ping_receive(const struct net_peer *from, const uint8_t *payload, unsigned size)
{
	uint8_t *answer;
	uint16_t checksum;

	if (size < 8 || payload[0] != PING_REQUEST || payload[1] != 0 ||
		net_checksum(payload, size, 0) != 0)
		return;
	answer = net_begin();
	if (!answer)
		return;
	memcpy(answer, payload, size);
	memset(answer, 0, 4);
	answer[0] = PING_REPLY;
	checksum = net_checksum(answer, size, 0);
	memcpy(answer + 2, &checksum, sizeof checksum);
	net_send(from, NET_ICMP, size);
}

static void ipv4_receive(const struct packet *packet, unsigned available,
	const struct net_protocol *protocols, unsigned count)
{
	const struct ipv4 *ip = &packet->ipv4;
	unsigned header = ip->version_and_size % 16u * 4, size = be16(ip->size);
	const uint8_t *payload = (const uint8_t *)ip + header;
	struct net_peer from = { .address = be32(ip->from) };
	bool ours = net_address && be32(ip->to) == net_address;

	if (available < sizeof *ip || ip->version_and_size / 16 != 4 || header < sizeof *ip ||
		size < header || size > available || net_checksum(ip, header, 0) != 0)
		return;
	if (be16(ip->fragment) & FRAGMENT_BITS || from.address >= 0xe0000000 ||
		from.address == net_address)
		return;
	if (!ours && !(ip->protocol == NET_UDP && be32(ip->to) == NET_BROADCAST))
		return;
	memcpy(from.mac, packet->ethernet.from, 6);
	if (ip->protocol == NET_ICMP)
		ping_receive(&from, payload, size - header);
	for (unsigned i = 0; i < count; i++)
		if (protocols[i].number == ip->protocol)
			protocols[i].receive(&from, payload, size - header);
}

bool net_receive(const struct net_protocol *protocols, unsigned count)
{
	uint16_t descriptor;
	uint32_t size;

	if (!virtqueue_take(&receiving, &descriptor, &size))
		return false;
	const struct packet *packet = &received[descriptor];
	bool ours = !memcmp(packet->ethernet.to, net_mac, 6) ||
		!memcmp(packet->ethernet.to, everyone, 6);
	// The lowest bit marks the address of a group, which cannot have sent anything.
	if (size >= HEADERS && ours && !(packet->ethernet.from[0] & 1)) {
		if (be16(packet->ethernet.type) == ETHERTYPE_ARP)
			arp_receive(&packet->arp, size - HEADERS);
		if (be16(packet->ethernet.type) == ETHERTYPE_IPV4)
			ipv4_receive(packet, size - HEADERS, protocols, count);
	}
	virtqueue_offer(&receiving, descriptor);
	return true;
}

// Checksums and addresses

uint16_t net_checksum(const void *data, unsigned size, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (; size >= 2; size -= 2, bytes += 2)
		sum += bytes[0] | (uint32_t)bytes[1] << 8;
	if (size)
		sum += *bytes;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint16_t net_checksum_with(
	const struct net_peer *peer, uint8_t protocol, const void *data, unsigned size)
{
	const uint16_t pseudo[] = {
		be16((uint16_t)(peer->address >> 16)),
		be16((uint16_t)peer->address),
		be16((uint16_t)(net_address >> 16)),
		be16((uint16_t)net_address),
		be16(protocol),
		be16((uint16_t)size),
	};

	return net_checksum(data, size, (uint16_t)~net_checksum(pseudo, sizeof pseudo, 0));
}

void address_append(char *text, size_t size, uint32_t address)
{
	for (int shift = 24; shift >= 0; shift -= 8) {
		text_append_number(text, size, address >> shift & 0xff);
		if (shift)
			text_append(text, size, ".");
	}
}

const char *parse_address(const char *text, uint32_t *ret_address)
{
	uint32_t address = 0;

	for (int part = 0; part < 4; part++) {
		uint32_t number = 0;
		const char *first = text;

		for (; *text >= '0' && *text <= '9' && number < 256; text++)
			number = number * 10 + (uint32_t)(*text - '0');
		if (text == first || number > 255 || (part < 3 && *text++ != '.'))
			return NULL;
		address = address << 8 | number;
	}
	*ret_address = address;
	return text;
}
