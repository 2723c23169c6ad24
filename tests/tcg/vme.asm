; What happens below privilege level 0 and QEMU's translator does not have: virtual-8086 mode extensions, protected-mode virtual interrupts,
; alignment checks. A user program ends with INT3, whose gate it may not use: error code 001a.
%define SECTORS 28
%include "trap32.inc"
%define TSS2 0x23000
%define SEL_TSS2 SEL_FREE
%define SEL_UCODE SEL_FREE+8+3
%define SEL_UDATA SEL_FREE+16+3
%define VM 1<<17
%define AC 1<<18
%define VIF 1<<19
%define VIP 1<<20
%define OUT 0x600
%macro vm86 3	; name, flags, code
	mov dword [OUT], 0
	mov dword [OUT+4], 0
	mov dword [OUT+8], 0
	mov dword [OUT+12], 0
	begin %1
	push dword 0
	push dword 0
	push dword 0
	push dword 0
	push dword 0
	push dword 0x5000
	push dword 2 | VM | %2
	push dword 0
	push dword %3
	mov dword [start], %3
	iret
	end
%assign %%i 0
%rep 4
	mov eax, [OUT+%%i]
	call puthex
%assign %%i %%i+4
%endrep
	call newline
%endmacro
%macro user 3+	; name, flags, instruction
	begin %1
	push dword SEL_UDATA
	push dword 0x60000
	push dword 2 | %2
	push dword SEL_UCODE
	push dword %$u
	mov dword [start], %$u
	mov eax, SEL_UDATA
	mov ds, ax
	mov es, ax
	iret
%$u:	%3
	int3
	end
%endmacro
main:	mov dword [GDT+SEL_FREE], TSS2 << 16 | 0x1ff
	mov dword [GDT+SEL_FREE+4], 0x8900 | TSS2 >> 16
	mov dword [GDT+SEL_FREE+8], 0xffff
	mov dword [GDT+SEL_FREE+12], 0x00cffa00
	mov dword [GDT+SEL_FREE+16], 0xffff
	mov dword [GDT+SEL_FREE+20], 0x00cff200
	mov edi, TSS2
	xor eax, eax
	mov ecx, 0x80
	rep stosd
	mov dword [TSS2+4], 0x78000
	mov dword [TSS2+8], SEL_DATA
	mov word [TSS2+0x66], 0x88
	mov dword [TSS2+0x68+4], 4	; INT 22h goes to the monitor
	mov ax, SEL_TSS2
	ltr ax
	mov dword [0x21*4], handler
	vm86 "no vme", 0, vmflags
	vm86 "iopl 3", 3<<12, vmflags
	mov eax, cr4
	or eax, 1
	mov cr4, eax
	vm86 "vme", 0, vmflags
	vm86 "vme, iopl 3", 3<<12, vmflags
	vm86 "vif", VIF, vmflags
	vm86 "vip sti", VIP, vmsti
	vm86 "vip popf", VIP, vmpopf
	vm86 "tf popf", 0, vmtf
	vm86 "iret", 0, vmiret
	vm86 "pushfd", 0, vmpushfd
	vm86 "popfd", 0, vmpopfd
	vm86 "iretd", 0, vmiretd
	vm86 "int 22", 0, vmint
	user "user sti", 0, sti
	mov eax, cr4
	or eax, 2
	mov cr4, eax
	user "pvi sti", 0, sti
	user "pvi sti vip", VIP, sti
	user "pvi cli", VIF, cli
	mov ebx, 0x50000
	user "misaligned", AC, mov eax, [ebx+1]
	mov eax, cr0
	or eax, 1<<18
	mov cr0, eax
	user "am without ac", 0, mov eax, [ebx+1]
	user "load", AC, mov eax, [ebx+1]
	user "load 2", AC, mov ax, [ebx+2]
	user "load odd", AC, mov ax, [ebx+3]
	user "byte", AC, mov al, [ebx+3]
	user "store", AC, mov [ebx+2], eax
	user "rmw", AC, add dword [ebx+2], 5
	user "locked", AC, lock add dword [ebx+2], 5
	user "cmpxchg8b", AC, cmpxchg8b [ebx+4]
	user "push", AC, push word 5
	user "fld", AC, fld qword [ebx+4]
	user "aligned", AC, fld qword [ebx+8]
	mov esi, 0x50002
	mov edi, 0x50010
	mov ecx, 2
	user "movsd", AC, movsd
	user "rep movsd", AC, rep movsd
	user "rep movsw", AC, rep movsw
	finish
	bits 16
vmflags:
	pushf
	pop word [OUT]
	sti
	pushf
	pop word [OUT+2]
	cli
	pushf
	pop word [OUT+4]
	push word 0x0246
	popf
	pushf
	pop word [OUT+6]
	int 0x21
	pushf
	pop word [OUT+12]
	int 0x22
handler: push bp
	mov bp, sp
	push ax
	mov ax, [bp+6]
	mov [OUT+8], ax
	pushf
	pop word [OUT+10]
	pop ax
	pop bp
	iret
vmsti:	cli
	sti
	int 0x22
vmpopf:	push word 0x202
	popf
	int 0x22
vmtf:	push word 0x102
	popf
	int 0x22
vmiret:	push word 0x202
	push word 0
	push word .n
	iret
.n:	pushf
	pop word [OUT]
	int 0x22
vmpushfd: pushfd
	int 0x22
vmpopfd: push dword 2
	popfd
	int 0x22
vmiretd: push dword 2
	push dword 0
	push dword vmint
	iretd
vmint:	int 0x22
