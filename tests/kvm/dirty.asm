; Flat protected mode: writes without end to pages from 1 MiB to 5 MiB that a generator of random numbers chooses. Port 0xf4 tells when it
; begins. Starts in real mode at 0x7c00.
	org 0x7c00
	bits 16
start:	cli
	xor ax, ax
	mov ds, ax
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:prot
	bits 32
prot:	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x7000
	mov al, 0
	out 0xf4, al
	mov ebx, 0x9e3779b9
next:	mov eax, ebx			; xorshift
	shl eax, 13
	xor ebx, eax
	mov eax, ebx
	shr eax, 17
	xor ebx, eax
	mov eax, ebx
	shl eax, 5
	xor ebx, eax
	mov edi, ebx
	and edi, 0x3ffffc
	mov [edi + 0x100000], ebx
	test ebx, 7
	jnz next
	mov ecx, 3000			; across pages, by a string instruction
	mov eax, ebx
	and edi, 0x3f0000
	add edi, 0x100000
	rep stosd
	jmp next
align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
gdtr:	dw $-gdt-1
	dd gdt
