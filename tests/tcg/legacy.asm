; System calls of a 32-bit kernel with flat segments: SYSENTER, SYSEXIT and IRET, also in interrupt shadows, loads of segment registers, POPF.
%include "trap32.inc"
%macro desc 3	; selector, low dword, high dword
	mov dword [GDT+(%1)], %2
	mov dword [GDT+(%1)+4], %3
%endmacro
%define KCODE 0x20	; with the three behind it as SYSENTER and SYSEXIT want them
%define KDATA 0x28
%define UCODE 0x33
%define UDATA 0x3b
%define KBASE 0x40	; kernel data with a base
%define UBASE 0x4b	; user data with a base
%define ULIMIT 0x53	; user data with a limit
%define ROUNDS 400
%macro mix 1
	mov eax, %1
	call mixin
%endmacro
main:	mov al, 0xff	; no interrupts
	out 0x21, al
	out 0xa1, al
	desc KCODE, 0x0000ffff, 0x00cf9b00
	desc KDATA, 0x0000ffff, 0x00cf9300
	desc UCODE & ~3, 0x0000ffff, 0x00cffb00
	desc UDATA & ~3, 0x0000ffff, 0x00cff300
	desc KBASE, 0x0000ffff, 0x00cf9300
	mov eax, base
	mov [GDT+KBASE+2], ax
	desc UBASE & ~3, 0x1000ffff, 0x00cff300
	desc ULIMIT & ~3, 0x00000fff, 0x0040f300
	mov ecx, 0x174
	xor edx, edx
	mov eax, KCODE
	wrmsr
	inc ecx
	mov eax, 0x60000
	wrmsr
	inc ecx
	mov eax, kentry
	wrmsr
	mov dword [resume], done
	mov dword [start], user
	mov [saved], esp
	push dword UDATA
	push dword 0x68000
	push dword 2
	push dword UCODE
	push dword user
	mov ax, UDATA
	mov ds, ax
	mov es, ax
	iret

user:	xor esi, esi
.l:	mov ecx, esp
	mov edx, .ret
	imul eax, esi, 0x1234567
	add eax, 0x7abcdef0	; some flags
	sysenter
.ret:	pushfd
	pop eax
	call mixin
	mix cs
	mix ss
	mix ds
	mix es
	mix fs
	mix gs
	mix esp
	inc esi
	cmp esi, ROUNDS
	jb .l
	hlt		; which is for the kernel
done:	mov eax, [sum]
	call puthex
	call newline
	finish

kentry:	push ecx
	push edx
	push ds
	push es
	push fs
	push gs
	pushfd
	pop edx
	mov ax, KDATA
	mov ds, ax
	mov es, ax
	mov ax, KBASE
	mov fs, ax
	xor eax, eax
	mov gs, ax
	mix edx
	mix [fs:4]
	mix cs
	mix ss
	; POPF of some flags, with and without others of IF, IOPL, AC
	imul eax, esi, 0x10351
	and eax, 0x257ed5	; neither TF nor RF nor VM
	push eax
	popfd
	pushfd
	pop eax
	push dword 2
	popfd
	call mixin
	pushfd
	push cs
	push dword .same
	iret
.same:	pop gs
	pop fs
	pop es
	pop ds
	pop edx
	pop ecx
	mov eax, esi
	and eax, 7
	cmp esi, ROUNDS/2	; defines all flags
	jmp [exits+4*eax]

align 4
exits:	dd .exit, .sti, .iret, .shadow, .shadow_iret, .inner, .limit, .base
.sti:	sti
.exit:	sysexit
.shadow:
	mov ax, KDATA
	mov ss, ax
	sysexit
.shadow_iret:
	call .frame
	mov ax, KDATA
	mov ss, ax
	iret
.base:	mov ax, UBASE
	mov gs, ax
	mov ax, UDATA
	mov es, ax
	jmp .iret
.limit:	mov ax, ULIMIT
	mov es, ax
	jmp .iret
.inner:	mov ax, KBASE
	mov fs, ax
.iret:	call .frame
	iret
.frame:	pop eax
	push dword UDATA
	push ecx
	push dword 0x82
	push dword UCODE
	push edx
	jmp eax

mixin:	push edx
	mov edx, [sum]
	rol edx, 5
	add edx, eax
	mov [sum], edx
	pop edx
	ret
base:	dd 0, 0x13579bdf
sum:	dd 0
