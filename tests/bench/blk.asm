; Firmware that reads N blocks of 4 KiB from a legacy virtio disk, one after the other, at random places of its first 64 MiB, without
; interrupts. The disk is PCI device 4. Port 0xf4 ends the emulator.
	org 0
	bits 16
IO	equ 0xc000			; the registers
HEADER	equ 0x500
STATUS	equ 0x510
DATA	equ 0x20000
QUEUE	equ 0x10000			; descriptors, a page further what is available, another what is used
%macro pci 2
	mov dx, 0xcf8
	mov eax, 0x80002000 + %1
	out dx, eax
	mov dx, 0xcfc
	mov eax, %2
	out dx, eax
%endmacro
%macro descriptor 5			; number, address, length, flags, next
	mov dword [16*%1], %2
	mov dword [16*%1+8], %3
	mov word [16*%1+12], %4
	mov word [16*%1+14], %5
%endmacro
	cli
	xor ax, ax
	mov es, ax
	mov ax, QUEUE >> 4
	mov ds, ax
	pci 0x10, IO
	pci 4, 5
	mov dx, IO+0x12
	mov al, 3
	out dx, al
	mov dx, IO+4			; no features
	xor eax, eax
	out dx, eax
	mov dx, IO+0xe
	out dx, ax
	mov dx, IO+8
	mov eax, QUEUE >> 12
	out dx, eax
	mov dx, IO+0x12
	mov al, 7
	out dx, al
	descriptor 0, HEADER, 16, 1, 1
	descriptor 1, DATA, 4096, 3, 2
	descriptor 2, STATUS, 1, 2, 0
	mov word [0x1000], 1		; no interrupts
	mov ebx, N
	mov esi, 1
	mov dx, IO+0x10
next:	imul esi, esi, 1103515245
	add esi, 12345
	mov eax, esi
	shr eax, 8
	and eax, 0x1fff8
	mov [es:HEADER+8], eax
	inc word [0x1002]
	xor ax, ax
	out dx, ax
wait_:	mov ax, [0x2002]
	cmp ax, [0x1002]
	jne wait_
	dec ebx
	jnz next
	mov al, [es:STATUS]
	out 0xf4, al
	hlt
