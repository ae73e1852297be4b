// SPDX-License-Identifier: MIT
// The network card, Ethernet, ARP, IPv4 and ping. What comes in is checked here and handed up; an
// answer goes to the neighbour that its question came from, so there are no routes and no ARP
// questions. Fragments are not taken.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_PAYLOAD_MAX = 1480 }; // what an IPv4 packet holds besides its header
enum { NET_BROADCAST = 0xffffffffu };

struct net_peer {
	uint8_t mac[6];
	uint32_t address;
};

// Someone to hand payloads of a protocol to; the size is what came in, to be trusted no further.
struct net_protocol {
	uint8_t number;
	void (*receive)(const struct net_peer *from, const uint8_t *payload, unsigned size);
};
enum { NET_ICMP = 1, NET_TCP = 6, NET_UDP = 17 };

extern uint8_t net_mac[6];
extern uint32_t net_address; // this host's; 0 while it has none, and only UDP by broadcast comes in

// Finds the card and starts it; false if there is none.
bool net_init(void);

// Takes the address, says so aloud and to the neighbours. 0 gives it up.
void net_set_address(uint32_t address);

// Handles the next packet that came in; false if there is none.
bool net_receive(const struct net_protocol *protocols, unsigned count);

// Where to write the next payload, then sends it. While the card is busy it waits a little; NULL
// if in vain.
uint8_t *net_begin(void);
void net_send(const struct net_peer *to, uint8_t protocol, unsigned size);

// RFC 1071, in the network's byte order, over data that makes up the sum's rest; 0 if data holds
// its own checksum and that is right.
uint16_t net_checksum(const void *data, unsigned size, uint32_t sum);
// With the pseudo-header of UDP and TCP between this host and the peer.
uint16_t net_checksum_with(
	const struct net_peer *peer, uint8_t protocol, const void *data, unsigned size);

// Appends it to a text in a buffer of this size.
void address_append(char *text, size_t size, uint32_t address);

// Reads "192.168.122.50"; returns where it ends, NULL if that is no address.
const char *parse_address(const char *text, uint32_t *ret_address);
