// SPDX-License-Identifier: MIT
// The multiboot header that makes this ELF file a kernel for QEMU, and the first instructions.

#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl _start
_start:
	// Multiboot promises flat segments but not that their table is still in memory, and an
	// interrupt loads its code segment from there: bring our own.
	lgdt gdt_pointer
	ljmp $8, $1f
1:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $stack_top, %esp
	movl %ebx, boot_information
	cld
	call guest_main
2:	cli
	hlt
	jmp 2b

	.section .rodata
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9a000000ffff	// 8: code, 0 to 4 GiB
	.quad 0x00cf92000000ffff	// 16: data, 0 to 4 GiB
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.bss
	.balign 16
	.skip 4096
stack_top:

	.globl boot_information
	.balign 4
boot_information:
	.skip 4

	.section .note.GNU-stack, "", @progbits
