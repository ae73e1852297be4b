/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The templates that VMs are made from: files of domain XML in config->templates. Thread-safe: no
 * state.
 */
#include "base/config.h"

/*
 * Reads the template of this name, with or without ".xml", from config->templates and nowhere else.
 * ERR_TEMPLATE_NOT_FOUND; ERR_INVALID_SPEC if it is too large. The caller frees *ret.
 */
int template_read(const struct config *config, const char *name, char **ret, size_t *ret_len,
	struct err *err);

struct template_info {
	char name[64]; /* without ".xml" */
	char title[256];
	char description[1024];
	char error[160]; /* why no VM can be made from it, or "" */
};

/* All templates, sorted by name, at most TEMPLATES_MAX. The caller frees *ret. */
enum { TEMPLATES_MAX = 1000 };
int template_list(const struct config *config, struct template_info **ret, size_t *ret_count,
	struct err *err);
