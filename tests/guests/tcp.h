// SPDX-License-Identifier: MIT
// TCP (RFC 9293) for the server of http.h, on its port. What was sent is kept nowhere: to send it
// again it is read again. Segments that come out of order are not kept either, the peer sends
// them again. A peer that makes no progress is given up after a while, so connections end.
#pragma once

#include "net.h"

void tcp_tick(void); // whenever the clock has moved on
void tcp_receive(const struct net_peer *from, const uint8_t *payload, unsigned size);
