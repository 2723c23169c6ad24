; Protected mode: exceptions with their error codes, privilege changes, gates, task switches, virtual-8086 mode, 32-bit paging.
%include "boot.inc"
	bits 16
main16:
	lgdt [gdtr]
	lidt [idtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:main32

	bits 32
%define stub_size 16
%define SEL_CODE 8
%define SEL_DATA 0x10
%define SEL_UCODE 0x1b
%define SEL_UDATA 0x23
%define SEL_TSS 0x28
%define SEL_TSS2 0x30
%define SEL_NP 0x38
%define SEL_GATE 0x43
%define SEL_RO 0x48
%define SEL_TGATE 0x50
%define SEL_XONLY 0x58
%define SEL_CONF 0x60
%define SEL_SMALL 0x68
align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf92000000ffff
	dq 0x00cffa000000ffff
	dq 0x00cff2000000ffff
	dw 103, tss1, 0x8900, 0
	dw 103, tss2, 0x8900, 0
	dq 0x00cf12000000ffff		; not present
	dw gate_entry, SEL_CODE, 0xec01, 0	; call gate, DPL 3, one parameter
	dq 0x00cf90000000ffff		; read-only
	dw 0, SEL_TSS2, 0x8500, 0	; task gate
	dq 0x00cf98000000ffff		; execute-only
	dq 0x00cf9f000000ffff		; conforming
	dq 0x0040920000000fff		; 4 KiB, byte granular
gdt_end:
gdtr:	dw gdt_end-gdt-1
	dd gdt
idtr:	dw 0x7ff
	dd idt

main32:	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov esp, 0x70000
	; IDT: 256 gates to stubs
	mov edi, idt
	mov edx, stubs
	mov ecx, 256
.g:	mov eax, edx
	and eax, 0xffff
	or eax, SEL_CODE << 16
	mov [edi], eax
	mov eax, edx
	and eax, 0xffff0000
	or eax, 0x8e00
	mov [edi+4], eax
	add edx, stub_size
	add edi, 8
	loop .g
	mov byte [idt+0x80*8+5], 0xee	; int 0x80 from user mode
	mov byte [idt+3*8+5], 0xee
	mov byte [idt+4*8+5], 0xef
	mov ax, SEL_TSS
	ltr ax

%macro begin 1	; name
	%push try
	mov dword [resume], %$r
	mov dword [resume_esp], esp
	say %1
%endmacro
%macro end 0
	say " no fault"
%$r:	call newline
	%pop
%endmacro
%macro try 2	; name, instruction
	begin %1
	%2
	end
%endmacro
	xor edx, edx
	xor ecx, ecx
	mov eax, 5
	try "div", {div ecx}
	try "ud2", {ud2}
	try "int3", {int3}
	try "int 80", {int 0x80}
	mov eax, 0x7fffffff
	add eax, 1
	try "into", {into}
	try "bound", {bound eax, [bounds]}
	mov ax, SEL_NP
	try "np ds", {mov ds, ax}
	try "np ss", {mov ss, ax}
	mov ax, SEL_CODE
	try "ss code", {mov ss, ax}
	mov ax, SEL_RO
	try "ss ro", {mov ss, ax}
	mov ax, SEL_XONLY
	try "ds xonly", {mov ds, ax}
	mov ax, 0x7f8
	try "ds beyond", {mov ds, ax}
	mov ax, 0x14
	xor eax, eax
	lldt ax
	mov ax, 0x14
	try "ds ldt", {mov ds, ax}
	xor eax, eax
	try "ss null", {mov ss, ax}
	try "far jmp null", {jmp 0:0}
	try "far jmp data", {jmp SEL_DATA:0}
	try "far jmp np", {jmp SEL_NP:0}
	begin "ltr data"
	mov ax, SEL_DATA
	ltr ax
	end
	begin "ltr busy"
	mov ax, SEL_TSS
	ltr ax
	end
	begin "lldt tss"
	mov ax, SEL_TSS2
	lldt ax
	end
	try "conforming", {call SEL_CONF:conf_entry}
	; LAR, LSL, VERR, VERW
%macro look 1
	mov ebx, %1
	xor eax, eax
	lar eax, ebx
	call flagsout
	xor eax, eax
	lsl eax, ebx
	call flagsout
	verr bx
	call zfout
	verw bx
	call zfout
	call newline
%endmacro
	say "lar lsl verr verw:"
	call newline
	look SEL_CODE
	look SEL_DATA
	look SEL_UDATA
	look SEL_TSS
	look SEL_TGATE
	look SEL_GATE
	look SEL_RO
	look SEL_XONLY
	look SEL_CONF
	look SEL_SMALL
	look 0x7f8
	look 0
	; ARPL
	mov ax, 0x20
	mov bx, 3
	arpl ax, bx
	call zfout
	movzx eax, ax
	call puthex
	arpl ax, bx
	call zfout
	call newline
	; single step
	say "step:"
	mov dword [resume], .stepped
	mov dword [resume_esp], esp
	pushfd
	or dword [esp], 0x100
	popfd
	nop
.stepped: call newline
	mov eax, dr6
	call puthex
	xor eax, eax
	mov dr6, eax
	call newline
	; single step of a repeated instruction: a trap after each element
	say "repstep:"
	mov dword [resume], .repstepped
	mov dword [resume_esp], esp
	mov esi, scratch
	mov edi, esi
	mov ecx, 3
	pushfd
	or dword [esp], 0x100
	popfd
	rep movsb
.repstepped: mov eax, ecx
	call puthex
	xor eax, eax
	mov dr6, eax
	call newline
	; data breakpoint
	mov eax, scratch
	mov dr0, eax
	mov eax, 0x000d0001
	mov dr7, eax
	begin "watch"
	mov dword [scratch], 1
	nop
	end
	mov eax, dr6
	call puthex
	xor eax, eax
	mov dr6, eax
	; instruction breakpoint
	mov eax, .brk
	mov dr0, eax
	mov eax, 1
	mov dr7, eax
	mov dword [resume], .brkdone
	mov dword [resume_esp], esp
	say "brk"
.brk:	nop
	say " missed"
.brkdone: call newline
	mov eax, dr6
	call puthex
	xor eax, eax
	mov dr7, eax
	mov dr6, eax
	call newline
	; task switch by CALL and back by IRET
	say "task call:"
	call SEL_TSS2:0
	say " back"
	call newline
	call SEL_TGATE:0
	say " back again"
	call newline
	str ax
	movzx eax, ax
	call puthex
	mov eax, cr0
	and eax, 8
	call puthex
	clts
	mov eax, [gdt+SEL_TSS2+4]
	call puthex
	mov eax, [gdt+SEL_TSS+4]
	call puthex
	pushfd
	pop eax
	and eax, 0x4000
	call puthex
	call newline
	; ring 3
	mov dword [tss1+4], 0x6f000
	mov dword [tss1+8], SEL_DATA
	mov [kesp], esp
	push dword SEL_UDATA
	push dword 0x68000
	push dword 2
	push dword SEL_UCODE
	push dword user
	iret

user:	mov ax, SEL_UDATA
	mov ds, ax
	mov es, ax
	pushfd
	popfd
	mov eax, cs
	mov dword [resume], .u1
	int 0x80
.u1:	mov dword [resume], .u2
	cli
.u2:	mov dword [resume], .u3
	hlt
.u3:	mov dword [resume], .u4
	mov eax, cr0
.u4:	mov dword [resume], .u5
	int 0x21
.u5:	mov dword [resume], .u6
	in al, 0x80
.u6:	push dword 0x1234abcd
	call SEL_GATE:0
	mov dword [resume], .u7
	mov ax, SEL_DATA
	mov ds, ax
.u7:	mov dword [resume], .u8
	jmp SEL_CODE:0
.u8:	int3

; the call gate's target: prints its parameter and where it came from
gate_entry:
	push ds
	push dword SEL_DATA
	pop ds
	say "gate "
	mov eax, [esp+12]
	call puthex
	mov eax, [esp+8]
	call puthex
	mov eax, cs
	call puthex
	mov eax, [esp+20]
	call puthex
	call newline
	pop ds
	retf 4

conf_entry:
	mov eax, cs
	call puthex
	retf

; second task
task2:	say " in task"
	str ax
	movzx eax, ax
	call puthex
	movzx eax, word [tss2]
	call puthex
	pushfd
	pop eax
	and eax, 0x4000
	call puthex
	iret
	jmp task2

; virtual-8086 mode
start_vm:
	mov esp, [kesp]
	say "vm86"
	call newline
	mov dword [tss1+4], 0x6f000
	push dword 0	; gs
	push dword 0	; fs
	push dword 0x1234	; ds
	push dword 0	; es
	push dword 0	; ss
	push dword 0x6800
	push dword 0x20002
	push dword 0
	push dword vm_code
	iret
	bits 16
vm_code:
	mov ax, ds
	mov bx, 0x40
	push ax
	pop cx
	int 0x33
	hlt
	bits 32

flagsout: pushfd
	call puthex
	popfd
zfout:	pushfd
	push eax
	mov eax, [esp+4]
	shr eax, 6
	and al, 1
	add al, '0'
	out 0xe9, al
	mov al, ' '
	out 0xe9, al
	pop eax
	popfd
	ret

; paging
start_paging:
	mov esp, [kesp]
	say "paging"
	call newline
	mov edi, 0x20000
	xor eax, eax
	mov ecx, 2048
	rep stosd
	mov dword [0x20000], 0x21007
	mov dword [0x20004], 0x00400087	; 4 MiB page
	mov edi, 0x21000
	mov eax, 7
.p:	stosd
	add eax, 0x1000
	cmp eax, 0x400007
	jb .p
	mov dword [0x21000+0x300*4], 0		; 0x300000 not present
	mov dword [0x21000+0x301*4], 0x301005	; read-only, user
	mov dword [0x21000+0x302*4], 0x302003	; supervisor
	mov eax, cr4
	or eax, 0x10
	mov cr4, eax
	mov eax, 0x20000
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80010000
	mov cr0, eax
	try "read np", {mov eax, [0x300010]}
	try "write np", {mov [0x300010], eax}
	try "write ro", {mov [0x301010], eax}
	try "read ro", {mov eax, [0x301010]}
	try "rmw ro", {inc dword [0x301ffe]}
	try "cross", {mov eax, [0x2ffffe]}
	try "exec np", {call 0x300000}
	try "beyond", {mov eax, [0x800000]}
	try "large", {mov [0x500000], eax}
	mov esi, 0x2ffff0
	mov edi, 0x2fffe0
	mov ecx, 32
	try "movs", {rep movsb}
	mov eax, ecx
	call puthex
	mov eax, esi
	call puthex
	mov eax, edi
	call puthex
	call newline
	mov eax, [0x21000+0x301*4]
	call puthex
	mov eax, [0x21000+0x303*4]
	call puthex
	mov [0x303000], eax
	mov eax, [0x21000+0x303*4]
	call puthex
	mov eax, [0x20004]
	call puthex
	call newline
	mov eax, cr0
	and eax, 0xfffeffff
	mov cr0, eax
	try "ro without wp", {mov [0x301010], eax}
	; user mode page faults
	mov dword [resume], ufault
	push dword SEL_UDATA
	push dword 0x68000
	push dword 2
	push dword SEL_UCODE
	push dword ucode
	mov ax, SEL_UDATA
	mov ds, ax
	iret
ucode:	mov eax, [0x302000]
ufault:	finish

; Exceptions print vector, error code and the rest of the frame that does not depend on addresses, then resume.
%assign i 0
align 16
stubs:
%rep 256
	%if i=8 || (i>=10 && i<=14) || i=17
	push dword i
	%else
	push dword 0
	push dword i
	%endif
	jmp near trap
	align 16
	%assign i i+1
%endrep
trap:	pushad
	mov ax, ds
	push eax
	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	say " v="
	mov eax, [esp+36]
	call puthex
	say "e="
	mov eax, [esp+40]
	call puthex
	say "cs="
	mov eax, [esp+48]
	call puthex
	say "fl="
	mov eax, [esp+52]
	and eax, 0x27700 ; without RF, which QEMU does not set in the image that a fault saves
	call puthex
	cmp dword [esp+36], 14
	jne .nopf
	say "cr2="
	mov eax, cr2
	call puthex
.nopf:	test dword [esp+52], 0x20000
	jnz from_vm
	mov eax, [esp+48]
	test al, 3
	jnz from_user
	mov esp, [resume_esp]
	and dword [esp-4], 0
	mov ax, SEL_DATA
	mov ss, ax
	jmp dword [resume]
from_user:
	call newline
	mov eax, [esp+36]
	mov ebx, [esp+44]
	cmp eax, 3
	je start_vm
	cmp dword [resume], ufault
	je ufault
	mov eax, [resume]
	mov [esp+44], eax
	pop eax
	mov ds, ax
	mov es, ax
	popad
	add esp, 8
	iret
from_vm:
	say "vm ip="
	mov eax, [esp+44]
	sub eax, vm_code
	call puthex
	say "ss="
	mov eax, [esp+60]
	call puthex
	say "ds="
	mov eax, [esp+68]
	call puthex
	mov eax, [esp+24]	; ecx
	movzx eax, ax
	call puthex
	call newline
	cmp dword [esp+36], 13
	jne start_paging
	mov eax, [esp+44]
	sub eax, vm_code
	cmp eax, vm_hlt
	je start_paging
	add dword [esp+44], 2	; skip INT
	pop eax
	popad
	add esp, 8
	iret
vm_hlt	equ 9

align 4
resume:	dd 0
resume_esp: dd 0
kesp:	dd 0
scratch: dd 0
bounds:	dd 0, 10
align 16
tss1:	dd 0, 0x6f000, SEL_DATA
	times 26-3 dd 0
	dd 0
tss2:	dd 0, 0, 0, 0, 0, 0, 0, 0
	dd task2, 2
	dd 0, 0, 0, 0, 0x64000, 0, 0, 0
	dd SEL_DATA, SEL_CODE, SEL_DATA, SEL_DATA, SEL_DATA, SEL_DATA
	dd 0, 0x680000
idt	equ 0x18000
