/* SPDX-License-Identifier: MIT */
#include "vm/selection.h"

#include "base/text.h"
#include "definition/metadata.h"

#include <stdio.h>
#include <string.h>

/* The length of the word at s; *ret_next is the word after the comma, or NULL. */
static size_t next_word(const char *s, const char **ret_next)
{
	size_t n = strcspn(s, ",");
	*ret_next = s[n] ? s + n + 1 : NULL;
	return n;
}

static int read_states(const char *states, unsigned *ret, struct err *err)
{
	unsigned read = 0;
	for (const char *s = states, *next; s; s = next) {
		char word[32];
		int state = 0;
		(void)snprintf(word, sizeof word, "%.*s", (int)next_word(s, &next), s);
		while (state < VM_STATE_COUNT && strcmp(vm_state_name(state), word) != 0)
			state++;
		if (state == VM_STATE_COUNT) {
			(void)err_set(err, ERR_BAD_REQUEST, "state: '%s' is not a VM state", word);
			return err_hint(err, "the states are %s", VM_STATE_NAMES);
		}
		read |= 1U << state;
	}
	*ret = read;
	return 0;
}

static int check_label_list(const char *labels, struct err *err)
{
	for (const char *s = labels, *next; s; s = next) {
		char name[64];
		size_t n = next_word(s, &next);
		size_t name_len = strcspn(s, "=,");
		(void)snprintf(name, sizeof name, "%.*s", (int)name_len, s);
		if (name_len >= sizeof name || !text_is_name(name))
			return err_set(err, ERR_BAD_REQUEST,
				"label: '%.*s' is not NAME or NAME=TEXT", n > 100 ? 100 : (int)n,
				s);
	}
	return 0;
}

int selection_read(const char *states, const char *name, const char *label, struct selection *ret,
	struct err *err)
{
	struct selection selection = { .name = name, .label = label };
	if (read_states(states, &selection.states, err) < 0 || check_label_list(label, err) < 0)
		return -1;
	*ret = selection;
	return 0;
}

static bool has_label(const struct labels *labels, const char *wanted, size_t len)
{
	size_t name_len = strcspn(wanted, "=,");
	for (size_t i = 0; labels && i < labels->count; i++) {
		const struct label *label = &labels->label[i];
		if (strlen(label->name) != name_len || strncmp(label->name, wanted, name_len) != 0)
			continue;
		return name_len == len ||
			(strlen(label->text) == len - name_len - 1 &&
				!strncmp(label->text, wanted + name_len + 1, len - name_len - 1));
	}
	return false;
}

bool selection_has(const struct selection *selection, const struct vm *vm)
{
	if (selection->states && !(selection->states & 1U << vm->state))
		return false;
	if (selection->name && !text_is_glob(selection->name, vm->name))
		return false;
	for (const char *s = selection->label, *next; s; s = next)
		if (!has_label(vm->labels, s, next_word(s, &next)))
			return false;
	return true;
}
