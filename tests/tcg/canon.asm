; Non-canonical addresses and descriptor bases, moves to machine check registers, bit strings, breakpoints held back by MOV SS: what
; the manuals and the kernel's own tests (kvm-unit-tests) ask for where QEMU 7.2 does something else.
%define SECTORS 24
%include "trap64.inc"
%define BAD 0xaaaaaaaaaaaaaaaa
main:	mov rbx, BAD
	mov rbp, 0x60000
	try "load", mov rax, [rbx]
	try "rsp based", or qword [rsp+rbx], 0
	try "rbp based", or qword [rbp+rbx], 0
	try "rbp index", or qword [rbx+rbp], 0
	try "fs:rbp", mov rax, [fs:rbp+rbx]
	mov r15, rsp
	begin "push"
	mov rsp, rbx
	push rax
	end
	begin "pop"
	mov rsp, rbx
	pop rax
	end
	mov rsp, r15
	try "push memory", push qword [rbx]
	try "push rbp memory", push qword [rbp+rbx]
	mov [rbp], rbx
	try "jmp memory", jmp [rbp]
	try "jmp register", jmp rbx
	try "call memory", call [rbp]
	try "call register", call rbx
	begin "ret"
	push rbx
	ret
	end
	begin "ret n"
	push rbx
	ret 16
	end
	mov [table+2], rbx
	try "lgdt", lgdt [table]
	try "lidt", lidt [table]
	mov rax, 0x0000890500000067
	mov [gdt+SEL_FREE], rax
	mov rax, 0xaaaaaaaa
	mov [gdt+SEL_FREE+8], rax
	mov cx, SEL_FREE
	try "ltr", ltr cx
	mov rax, 0x0000820500000067
	mov [gdt+SEL_FREE], rax
	mov dword [gdt+SEL_FREE+8], 0
	try "ltr ldt", ltr cx
	try "lldt", lldt cx
	; machine check banks
	xor eax, eax
	xor edx, edx
	mov ecx, 0x401
	try "status 0", wrmsr
	inc eax
	try "status 1", wrmsr
	mov ecx, 0x400
	try "control 1", wrmsr
	mov ecx, 0x428
	try "no bank", rdmsr
	; bit strings reach beyond their operand also if the bit number is known
	mov edi, 0x50000
	xor eax, eax
	mov [rdi], rax
	mov [rdi+8], rax
	mov eax, 66
	bts [rdi], eax
	mov eax, -1
	bts [rdi+8], eax
	show "bits ", [rdi]
	show "bits ", [rdi+8]
	; a data breakpoint met by MOV SS waits for the next instruction
	mov word [rbp], 16
	mov dr0, rbp
	mov rax, 0x000f0403
	mov dr7, rax
	mov qword [IDT+16], rax
	mov rax, dbtrap
	mov [IDT+16], ax
	mov word [IDT+18], 8
	mov dword [IDT+20], 0x8e00
	mov ss, [rbp]
	nop
after1:	mov ss, [rbp]
	db 0xf1
after2:	mov ss, [rbp]
	int 1
after3:	xor eax, eax
	mov dr7, rax
	jmp quit
dbtrap:	push rax
	mov rax, [rsp+8]
	sub rax, after1
	say "db at "
	call hex16
	mov rax, dr6
	say " dr6 "
	call hex64
	say 10
	xor eax, eax
	mov dr6, rax
	pop rax
	iretq
table:	dw 0xffff
	dq 0
	finish
