; Real mode: prints what CPUID says of the hypervisor: EAX of the first leaf, EAX and EDX of the second, and EDX of leaf 0x80000007.
	org 0x7c00
	bits 16
start:	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	jmp 0:main
main:	mov eax, 0x40000000
	cpuid
	call hex
	mov eax, 0x40000001
	cpuid
	push edx
	call hex
	pop eax
	call hex
	mov eax, 0x80000007
	cpuid
	mov eax, edx
	call hex
	mov al, 0
	out 0xf4, al
	hlt
hex:	mov cx, 8
.l:	rol eax, 4
	mov si, ax
	and si, 15
	push ax
	mov al, [digits + si]
	out 0xe9, al
	pop ax
	loop .l
	mov al, ' '
	out 0xe9, al
	ret
digits:	db "0123456789ABCDEF"
