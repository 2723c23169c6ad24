; Real mode: makes calls over the port of VMware's hypervisor, and prints the registers after each.
	org 0x7c00
	bits 16
start:	cli
	cld
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	jmp 0:main
main:	mov bp, calls
.next:	mov ecx, [bp]
	mov ebx, [bp+4]
	mov eax, [bp+8]
	mov esi, 0x11111111
	mov edi, 0x22222222
	mov edx, 0x33335658
	jmp [bp+12]
in4:	in eax, dx
	jmp show
in2:	in ax, dx
	jmp show
in1:	in al, dx
	jmp show
out4:	out dx, eax
	jmp show
out1:	out dx, al
show:	push edi
	push esi
	push edx
	push ecx
	push ebx
	push eax
	mov di, 6
.l:	pop eax
	call hex
	dec di
	jnz .l
	mov al, 10
	out 0xe9, al
	add bp, 14
	cmp bp, calls.end
	jb main.next
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

MAGIC	equ 0x564d5868
%macro call_ 3-4 MAGIC			; ECX, EBX, how, EAX
	dd %1, %2, %4
	dw %3
%endmacro
calls:
	call_ 10, 5, in4
	call_ 10, 5, out4
	call_ 10, 5, in1
	call_ 10, 5, in2
	call_ 10, 5, out1
	call_ 10, 5, in4, 0x12345678
	call_ 20, 7, in4
	call_ 19, 7, in4
	call_ 68, 7, in4
	call_ 11, 7, in4
	call_ 255, 7, in4
	call_ 0x1000a, 7, in4
	call_ 0x1000a, 7, out4
	call_ 40, 0, in4
	call_ 41, 0x45414552, in4	; the mouse begins
	call_ 41, 0x45414552, in4
	call_ 40, 0, in4
	call_ 39, 1, in4
	call_ 39, 1, out4
	call_ 41, 0x53424152, in4	; positions
	call_ 40, 0, in4
	call_ 0x128, 0, in4		; a command of 16 bits that is none
	call_ 39, 1, in4		; more than there is: it ends
	call_ 40, 0, in4
	call_ 41, 0x4c455252, in4
	call_ 41, 0xf5, in4
	call_ 40, 0, in4
%ifdef HZ
	call_ 45, 7, in4
%endif
.end:
