/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "storage/bootable.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char images[] = "/tmp/virtgate-bootable-XXXXXX";
static struct hypervisor *hypervisor; /* local; never connected to */
static struct config config = { .images = images, .shares = images, .logs = images };

static void write_file(const char *name, const void *data, size_t size)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", images, name);
	AUTO(close) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, data, size), size);
}

/* said: "" if it can boot, else a part of the error. */
static void expect(const char *inside, const char *memory, const char *said)
{
	char text[1024];
	struct err err;
	AUTO(xml_free) struct xml *doc = NULL;
	(void)snprintf(text, sizeof text, "<domain><memory %s</memory>%s</domain>", memory, inside);
	assert_int_equal(xml_parse_trusted(text, &doc, &err), 0);
	int rc = bootable_check(hypervisor, xml_root(doc), &config, &err);
	CHECK(rc == (*said ? -1 : 0), "%s: %s", text, rc ? err.text : "boots");
	if (!rc)
		return;
	assert_int_equal(err.kind, ERR_NOT_BOOTABLE);
	CHECK(strstr(err.text, said), "no '%s' in '%s'", said, err.text);
	CHECK(!strstr(err.text, images), "%s", err.text);
}

static void expect_kernel(const char *name, const char *memory, const char *said)
{
	char inside[256];
	(void)snprintf(inside, sizeof inside, "<os><kernel>%s/%s</kernel></os>", images, name);
	expect(inside, memory, said);
}

static void put32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> 8 * i);
}

static void test_each_kind_of_kernel_is_recognised(void **state)
{
	static unsigned char file[16384];
	(void)state;
	memset(file, 0, sizeof file);
	write_file("zeros", file, sizeof file);
	expect_kernel("zeros", ">8192", "is not a kernel that QEMU can start");
	write_file("empty", file, 0);
	expect_kernel("empty", ">8192", "is not a kernel");
	write_file("text", "#!/bin/sh\n", 10);
	expect_kernel("text", ">8192", "is not a kernel");

	file[0x1fe] = 0x55;
	file[0x1ff] = 0xaa;
	memcpy(file + 0x202, "HdrS", 4);
	write_file("bzimage", file, sizeof file);
	expect_kernel("bzimage", ">8192", "");
	write_file("bzimage-cut", file, 0x204);
	expect_kernel("bzimage-cut", ">8192", "is not a kernel");

	memset(file, 0, sizeof file);
	put32(file + 8188 - 8, 0x1badb002);
	put32(file + 8188 - 4, 3);
	put32(file + 8188, 0u - 0x1badb002 - 3);
	write_file("multiboot", file, sizeof file);
	expect_kernel("multiboot", ">8192", "");
	put32(file + 8188, 1);
	write_file("bad-sum", file, sizeof file);
	expect_kernel("bad-sum", ">8192", "is not a kernel");
}

static void test_an_elf_kernel_needs_multiboot_or_a_pvh_note(void **state)
{
	static unsigned char file[16384];
	Elf64_Ehdr elf = { .e_ident = ELFMAG "\2\1\1",
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2 };
	Elf64_Phdr load = { .p_type = PT_LOAD, .p_paddr = 1 << 20, .p_memsz = 3 << 20 };
	Elf64_Phdr note = { .p_type = PT_NOTE, .p_offset = 4096, .p_filesz = 20 };
	(void)state;
	memset(file, 0, sizeof file);
	memcpy(file, &elf, sizeof elf);
	memcpy(file + 64, &load, sizeof load);
	memcpy(file + 64 + sizeof load, &note, sizeof note);
	write_file("elf64", file, sizeof file);
	expect_kernel("elf64", ">8192", "is not a kernel");
	put32(file + 4096, 4);
	put32(file + 4100, 4);
	put32(file + 4104, 18);
	memcpy(file + 4108, "Xen", 4);
	write_file("pvh", file, sizeof file);
	expect_kernel("pvh", ">4096", "");
	expect_kernel("pvh", ">4095", "needs 4096 KiB, and the VM has 4095");
	expect_kernel("pvh", "unit='MiB'>4", "");
	put32(file + 4104, 19);
	put32(file + 1024, 0x1badb002);
	put32(file + 1032, 0u - 0x1badb002);
	write_file("multiboot64", file, sizeof file);
	expect_kernel("multiboot64", ">8192", "64-bit multiboot");
	put32(file + 1028, 1 << 16);
	put32(file + 1032, 0u - 0x1badb002 - (1 << 16));
	write_file("multiboot64-addresses", file, sizeof file);
	expect_kernel("multiboot64-addresses", ">8192", "");
	/* Damaged: tables and notes outside of the file. */
	elf.e_phoff = UINT64_MAX - 8;
	elf.e_phnum = UINT16_MAX;
	memcpy(file, &elf, sizeof elf);
	put32(file + 1024, 0);
	write_file("damaged", file, sizeof file);
	expect_kernel("damaged", ">8192", "is not a kernel");
}

static void test_a_missing_file_is_named(void **state)
{
	char inside[256];
	(void)state;
	expect_kernel("none", ">8192",
		"/domain/os/kernel: 'none' does not exist beneath VIRTGATE_IMAGES");
	expect_kernel("none/deeper", ">8192", "does not exist");
	expect_kernel("bzimage/deeper", ">8192", "does not exist");
	(void)snprintf(inside, sizeof inside,
		"<os><kernel>%s/bzimage</kernel><initrd>%s/ramfs</initrd></os>", images, images);
	expect(inside, ">8192", "/domain/os/initrd: 'ramfs'");
	(void)snprintf(inside, sizeof inside,
		"<devices><filesystem><source dir='%s/fs0'/></filesystem></devices>", images);
	expect(inside, ">8192", "'fs0' does not exist beneath VIRTGATE_SHARES");
	(void)snprintf(inside, sizeof inside,
		"<devices><disk><driver type='raw'/><source file='%s/d'/></disk></devices>",
		images);
	expect(inside, ">8192", "'d' does not exist");
	(void)snprintf(inside, sizeof inside,
		"<devices><serial><log file='%s/new.log'/></serial></devices>", images);
	expect(inside, ">8192", "");
	expect("<os><kernel>/somewhere/else</kernel></os>", ">8192", "");
}

static void test_a_kernel_needs_more_than_a_mebibyte(void **state)
{
	(void)state;
	expect_kernel("multiboot", ">1024", "at least 2048");
	expect_kernel("multiboot", ">2047", "at least 2048");
	expect_kernel("multiboot", ">2048", "");
	expect("", ">1024", ""); /* a BIOS fits */
}

static void test_kernels_of_other_architectures_are_left_to_qemu(void **state)
{
	char inside[256];
	(void)state;
	(void)snprintf(inside, sizeof inside,
		"<os><type arch='aarch64'>hvm</type><kernel>%s/zeros</kernel></os>", images);
	expect(inside, ">8192", "");
}

static int set_up(void **state)
{
	(void)state;
	xml_init();
	hypervisor = hypervisor_new("local", "test:///default", 1, 1);
	return hypervisor && mkdtemp(images) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];
	(void)state;
	hypervisor_free(hypervisor);
	(void)snprintf(command, sizeof command, "rm -rf '%s'", images);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind_of_kernel_is_recognised),
		cmocka_unit_test(test_an_elf_kernel_needs_multiboot_or_a_pvh_note),
		cmocka_unit_test(test_a_missing_file_is_named),
		cmocka_unit_test(test_a_kernel_needs_more_than_a_mebibyte),
		cmocka_unit_test(test_kernels_of_other_architectures_are_left_to_qemu),
	};
	return cmocka_run_group_tests_name("bootable", tests, set_up, tear_down);
}
