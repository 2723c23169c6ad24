; Protection keys for supervisor pages.
%define SECTORS 24
%include "trap64.inc"
main:	mov rax, 0x1000000000200083	; the second 2 MiB have key 2
	mov [0x3008], rax
	mov rax, cr3
	mov cr3, rax
	mov rax, cr4
	or eax, 1 << 24
	mov cr4, rax
	mov ebx, 0x200000
	mov ecx, 0x6e1
	xor edx, edx
%macro rights 2	; name, PKRS
	mov eax, %2
	wrmsr
	rdmsr
	show %1, rax
	try "read", mov rsi, [rbx]
	try "write", mov [rbx], rsi
	try "write again", mov [rbx+8], rsi
	try "other page", mov [0x50000], rsi
%endmacro
	rights "all ", 0
	rights "no access ", 0x10
	rights "no write ", 0x20
	mov rax, cr0
	or eax, 1 << 16
	mov cr0, rax
	rights "wp ", 0x20
	rights "both ", 0x30
	rights "others ", 0xffffffcc
	mov edx, 1
	try "high half", wrmsr
	jmp quit
	finish
