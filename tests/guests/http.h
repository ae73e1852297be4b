// SPDX-License-Identifier: MIT
// Answers GET and HEAD of HTTP/1.0 and 1.1: with files of the shared directory if there is one,
// else with the same page each time. A connection has one exchange, and is closed after it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct http_exchange {
	uint32_t file;   // its number in p9.h
	uint32_t client; // its address, for the log
	uint32_t received;
	uint32_t column; // how far the line is that is being received
	uint32_t length; // of the answer
	uint32_t text_length;
	bool ends_in_cr; // the line, so far
	bool has_request;
	bool has_file; // after the text
	char request[256];
	char text[512]; // the answer's head, and its body if that is no file
};

// Looks for the shared directory, and says whether there is one.
void http_init(void);

// The number is the connection's among all that are open at once, from 1 on.
void http_begin(struct http_exchange *ret, uint32_t number, uint32_t client);

// True once there is an answer; what comes after that is nobody's.
bool http_receive(struct http_exchange *exchange, const uint8_t *data, unsigned size);

// A part of the answer, once there is one, from 0 to 'length'; may be asked for again. False if
// its file cannot be read any more.
bool http_read(const struct http_exchange *exchange, uint32_t offset, void *buffer, uint32_t size);

void http_end(struct http_exchange *exchange);
