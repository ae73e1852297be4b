/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The templates: domain XML in files of config->templates, for VMs to be made from. Thread-safe: no
 * state.
 */
#include "base/config.h"

/*
 * Reads a template by its name, with or without ".xml", from config->templates and from nowhere
 * else. ERR_TEMPLATE_NOT_FOUND, ERR_INVALID_SPEC. The caller frees *ret.
 */
int template_read(const struct config *config, const char *name, char **ret, size_t *ret_len,
	struct err *err);

struct template_info {
	char name[64]; /* without ".xml" */
	char title[256];
	char description[1024];
	char error[160]; /* why it cannot be used, or "" */
};

/* All templates, by name; at most TEMPLATES_MAX. The caller frees *ret. */
enum { TEMPLATES_MAX = 1000 };
int template_list(const struct config *config, struct template_info **ret, size_t *ret_count,
	struct err *err);
