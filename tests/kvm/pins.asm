; Long mode: interrupts on every way through the controllers, COUNT on each: the 8254 through the 8259 pair, the 8254 through the I/O APIC
; (edge), the HPET through the I/O APIC (level: without the end of interrupt there would be only one). A letter tells that a way is done. For a q35, whose HPET reaches pin 20.
COUNT	equ 5
HPETPIN	equ 20
%include "chips.inc"
	mov dword [0x4000 + 8*0x1f6], 0xfec00083
	mov dword [0x4000 + 8*0x1f7], 0xfee00083
	lgdt [gdtr]
	mov eax, 0x20			; PAE
	mov cr4, eax
	mov eax, 0x1000
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	mov eax, cr0
	or eax, 0x80000001
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
%macro await 1				; COUNT interrupts, then the letter
	xor r12d, r12d
%%next:	sti
	hlt
	cli
	cmp r12d, COUNT
	jb %%next
	mov al, %1
	out 0xe9, al
%endmacro
%macro entry 2				; I/O APIC pin, low half of its entry; to processor 0
	mov dword [rsi], 0x11+2*%1
	mov dword [rsi+0x10], 0
	mov dword [rsi], 0x10+2*%1
	mov dword [rsi+0x10], %2
%endmacro
mode64:	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x70000
	gate 0x20, pair
	gate 0x41, edge
	gate 0x42, level
	lidt [idtr]
	mov ebx, 0xfee00000
	mov esi, 0xfec00000
	mov ebp, 0xfed00000
	mov dword [rbx+0xf0], 0x1ff
	mov dword [rbx+0x350], 0x700	; the 8259 pair is at the first input
	await 'p'
	mov al, 0xff
	out 0x21, al
	mov dword [rbx+0x350], 0x10700
	entry 2, 0x41
	await 'e'
	entry 2, 0x10041
	mov dword [rbp+0x10], 0
	mov dword [rbp+0xf0], 0
	mov dword [rbp+0xf4], 0
	mov dword [rbp+0x100], 0x4e + HPETPIN*512 ; may be set, periodic, enabled, level
	mov dword [rbp+0x108], 1000000	; 10 ms
	mov dword [rbp+0x10c], 0
	mov dword [rbp+0x108], 1000000
	entry HPETPIN, 0x8042
	mov dword [rbp+0x10], 1
	await 'l'
	mov al, 10
	out 0xe9, al
	mov al, 0
	out 0xf4, al
	cli
	hlt
pair:	push rax
	inc r12d
	mov al, 0x20
	out 0x20, al
	pop rax
	iretq
edge:	inc r12d
	mov dword [rbx+0xb0], 0
	iretq
level:	inc r12d
	mov dword [rbp+0x20], 1
	mov dword [rbx+0xb0], 0
	iretq

align 8
gdt:	dq 0
	dq 0x00af9b000000ffff
	dq 0x00cf93000000ffff
gdtr:	dw $-gdt-1
	dd gdt
idtr:	dw 0x43*16-1
	dq 0x60000
