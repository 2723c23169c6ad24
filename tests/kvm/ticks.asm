; Long mode: halts, woken by the 8254 through the 8259 pair and by the local APIC's timer in turn, and prints a dot for each of the one and
; a comma for each of the other, while registers of every kind keep what they were given; a letter tells which did not.
%include "chips.inc"
	mov dword [0x4000 + 8*0x1f7], 0xfee00083
	lgdt [gdtr]
	mov eax, 0x620			; PAE, SSE
	mov cr4, eax
	mov eax, 0x1000
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	mov eax, cr0
	and eax, 0xfffffff3
	or eax, 0x80000003
	mov cr0, eax
	jmp 8:mode64

	bits 64
%macro gate 2
	mov eax, %2
	mov edi, 0x60000 + 16*%1
	mov [rdi], ax
	mov word [rdi+2], 8
	mov word [rdi+4], 0x8e00
	shr eax, 16
	mov [rdi+6], ax
	mov qword [rdi+8], 0
%endmacro
%macro check 3				; register, value, letter
	mov rax, %2
	cmp %1, rax
	je %%ok
	mov al, %3
	jmp bad
%%ok:
%endmacro
mode64:	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x70000
	gate 0x20, timer
	gate 0x40, local
	lidt [idtr]
	mov ebx, 0xfee00000
	mov dword [rbx+0xf0], 0x1ff
	mov dword [rbx+0x350], 0x700	; the 8259 pair is at the first input
	mov dword [rbx+0x3e0], 3	; divided by 16
	mov dword [rbx+0x320], 0x20040	; periodic
	mov dword [rbx+0x380], 600000	; about 100 times a second
	mov r12, 0x1234567890abcdef
	mov r13, 0xfedcba0987654321
	fxrstor [image]			; what a software KVM can emulate of the vector instructions
	mov ecx, 0xc0000082
	mov eax, 0x11223344
	mov edx, 0xffff8000
	wrmsr
	mov ecx, 0xc0000102
	wrmsr
	mov rax, 0x123456000
	mov cr2, rax
	mov rax, 0x7ff8
	mov dr0, rax
next:	sti
	hlt
	cli
	check r12, 0x1234567890abcdef, 'a'
	check r13, 0xfedcba0987654321, 'b'
	fxsave [saved]
	mov rdx, [saved + 160 + 7*16]
	check rdx, 0x0123456789abcdef, 'c'
	mov ecx, 0xc0000082
	rdmsr
	check rdx, 0xffff8000, 'd'
	mov ecx, 0xc0000102
	rdmsr
	check rdx, 0xffff8000, 'e'
	mov rdx, cr2
	check rdx, 0x123456000, 'f'
	mov rdx, dr0
	check rdx, 0x7ff8, 'g'
	mov rdx, [saved + 32]
	check rdx, 0xc90fdaa22168c235, 'h'
	jmp next
timer:	push rax
	mov al, '.'
	out 0xe9, al
	mov al, 0x20
	out 0x20, al
	pop rax
	iretq
local:	push rax
	mov al, ','
	out 0xe9, al
	mov dword [rbx+0xb0], 0
	pop rax
	iretq
bad:	out 0xe9, al
	cli
	hlt

align 16
image:	dw 0x37f, 0x3800, 0x80, 0	; one register in use, with the ratio of a circle's circumference to its diameter
	dq 0, 0
	dd 0x1f80, 0
	dq 0xc90fdaa22168c235, 0x4000
	times 160+7*16-($-image) db 0
	dq 0x0123456789abcdef, 0xfedcba9876543210
	times 512-($-image) db 0
saved	equ 0x9000
gdt:	dq 0
	dq 0x00af9b000000ffff
	dq 0x00cf93000000ffff
gdtr:	dw $-gdt-1
	dd gdt
idtr:	dw 0x41*16-1
	dq 0x60000
