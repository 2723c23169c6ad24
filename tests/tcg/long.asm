; Long mode: page rights (NX, SMEP, SMAP, WP, protection keys), canonical addresses, SYSCALL/SYSRET, IST, compatibility mode,
; self-modifying code.
%define SECTORS 32
%include "boot.inc"
	bits 16
main16:
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:main32
%define SEL_CODE32 8
%define SEL_DATA 0x10
%define SEL_CODE 0x18
%define SEL_UC32 0x23
%define SEL_UDATA 0x2b
%define SEL_UCODE 0x33
%define SEL_TSS 0x38
%define stub_size 16
%define PT 0x40000
%define STACK 0x70000
align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
	dq 0x00af9b000000ffff
	dq 0x00cffb000000ffff
	dq 0x00cff3000000ffff
	dq 0x00affb000000ffff
	dw 103, tss, 0x8900, 0
	dq 0
gdt_end:
gdtr:	dw gdt_end-gdt-1
	dq gdt
idtr:	dw 0xfff
	dq idt
	bits 32
main32:	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, STACK
	; PT: PML4, +1000 PDPT, +2000 PD, +3000 PT of the first 2 MiB, +4000 PT of the second
	mov edi, PT
	xor eax, eax
	mov ecx, 0x5000/4
	rep stosd
	mov dword [PT], PT+0x1007
	mov dword [PT+0xff8], PT+0x1007	; the top of memory shows the same
	mov dword [PT+0x1000], PT+0x2007
	mov dword [PT+0x1ff0], PT+0x2007
	mov dword [PT+0x2000], PT+0x3007
	mov dword [PT+0x2008], PT+0x4007
	mov dword [PT+0x2010], 0x00400087	; 2 MiB page
	mov edi, PT+0x3000
	mov eax, 3
	mov ecx, 512
.a:	mov [edi], eax
	mov dword [edi+4], 0
	add eax, 0x1000
	add edi, 8
	loop .a
	mov ecx, 512
.b:	mov [edi], eax
	mov dword [edi+4], 0
	add eax, 0x1000
	add edi, 8
	loop .b
	; second 2 MiB: 200 user, 201 NX, 202 read-only, 203 user NX, 204 absent, 205 user read-only, 206 key 1 user, 207 key 2 user
	or dword [PT+0x4000], 4
	mov dword [PT+0x400c], 0x80000000
	and dword [PT+0x4010], ~2
	or dword [PT+0x4018], 4
	mov dword [PT+0x401c], 0x80000000
	mov dword [PT+0x4020], 0
	mov dword [PT+0x4028], 0x205005
	or dword [PT+0x4030], 4
	mov dword [PT+0x4034], 0x08000000
	or dword [PT+0x4038], 4
	mov dword [PT+0x403c], 0x10000000
	mov eax, cr4
	or eax, 0x220
	mov cr4, eax
	mov eax, PT
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x901
	wrmsr
	mov eax, cr0
	or eax, 0x80010000
	mov cr0, eax
	jmp SEL_CODE:main64

	bits 64
hex64:	push rax
	shr rax, 32
	call hex
	pop rax
hex:	push rax
	push rcx
	push rdx
	mov ecx, 8
.l:	rol eax, 4
	mov edx, eax
	and dl, 15
	add dl, '0'
	cmp dl, '9'
	jbe .p
	add dl, 7
.p:	xchg eax, edx
	out 0xe9, al
	xchg eax, edx
	loop .l
	mov al, ' '
	out 0xe9, al
	pop rdx
	pop rcx
	pop rax
	ret
text:	push rax
.l:	lodsb
	test al, al
	jz .e
	out 0xe9, al
	jmp .l
.e:	pop rax
	ret
nl:	push rax
	mov al, 10
	out 0xe9, al
	pop rax
	ret
%unmacro say 1
%macro say 1
	push rsi
	mov rsi, %%s
	call text
	pop rsi
	jmp %%o
%%s:	db %1, 0
%%o:
%endmacro
%macro begin 1
	%push try
	mov qword [resume], %$r
	mov [resume_sp], rsp
	say %1
%endmacro
%macro end 0
	say " no fault"
%$r:	call nl
	%pop
%endmacro
%macro try 2
	begin %1
	%2
	end
%endmacro

main64:	mov ax, SEL_DATA
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov rdi, idt
	mov rdx, stubs
	mov ecx, 256
.g:	mov rax, rdx
	and eax, 0xffff
	or eax, SEL_CODE << 16
	mov [rdi], eax
	mov eax, edx
	and eax, 0xffff0000
	or eax, 0x8e00
	mov [rdi+4], eax
	mov qword [rdi+8], 0
	add rdx, stub_size
	add rdi, 16
	loop .g
	lidt [idtr]
	mov byte [idt+3*16+5], 0xee
	mov byte [idt+6*16+4], 1	; #UD on IST 1
	mov ax, SEL_TSS
	ltr ax
	try "ud ist", {ud2}
	mov rbx, 0x800000000000
	try "noncanonical read", {mov rax, [rbx]}
	try "noncanonical write", {mov [rbx], rax}
	try "noncanonical jmp", {jmp rbx}
	mov rax, [0xffffffff80000000 + gdt]
	try "top", {call hex64}
	mov byte [0x400000], 0xc3
	try "exec large", {call 0x400000}
	try "np", {mov eax, [0x204000]}
	try "ro write", {mov [0x202000], eax}
	try "cross write", {mov [0x201ffe], rax}
	mov byte [0x201000], 0xc3
	mov byte [0x200000], 0xc3
	try "exec nx", {call 0x201000}
	try "exec user page", {call 0x200000}
	mov rax, cr4
	or eax, 0x100000
	mov cr4, rax
	try "smep", {call 0x200000}
	mov rax, cr4
	or eax, 0x200000
	mov cr4, rax
	try "smap read", {mov eax, [0x200000]}
	try "smap write", {mov [0x200000], eax}
	stac
	try "stac read", {mov eax, [0x200000]}
	clac
	try "clac read", {mov eax, [0x203000]}
	mov rax, cr4
	and eax, ~0x300000
	mov cr4, rax
	; protection keys
	mov rax, cr4
	or eax, 0x400000
	mov cr4, rax
	xor ecx, ecx
	xor edx, edx
	mov eax, 0x24		; key 1: no write, key 2: no write; then key 1 no access
	wrpkru
	xor eax, eax
	try "pk write 1", {mov [0x206000], eax}
	try "pk read 1", {mov eax, [0x206000]}
	mov eax, 4
	xor edx, edx
	wrpkru
	try "pk noaccess", {mov eax, [0x206000]}
	rdpkru
	call hex
	call nl
	mov rax, cr0
	and eax, 0xfffeffff
	mov cr0, rax
	try "no wp", {mov [0x202000], eax}
	mov rax, cr0
	or eax, 0x10000
	mov cr0, rax
	mov rax, [PT+0x4010]
	call hex64
	mov rax, [PT+0x4018]
	call hex64
	mov rax, [PT+0x2010]
	call hex64
	call nl
	; system registers
	mov ecx, 0xc0000101
	mov eax, 0x12345678
	mov edx, 0x00008000
	mov edx, 0xffff8000
	wrmsr
	swapgs
	rdmsr
	call hex
	mov ecx, 0xc0000102
	rdmsr
	call hex
	mov eax, edx
	call hex
	call nl
	lea rsi, [pair]
	mov rax, 1
	mov rdx, 2
	mov rbx, 3
	mov rcx, 4
	lock cmpxchg16b [rsi]
	mov rax, [rsi]
	call hex64
	mov rax, [rsi+8]
	call hex64
	lock cmpxchg16b [rsi]
	call hex64
	mov rax, rdx
	call hex64
	call nl
	try "cmpxchg16b misaligned", {cmpxchg16b [pair+8]}
	try "movaps misaligned", {movaps xmm0, [pair+8]}
	; self-modifying code: an instruction overwrites the next one, and itself by a string
	mov byte [.patch+1], 0x77
.patch:	mov al, 0x11
	movzx eax, al
	call hex
	mov ecx, 3
.again:	mov byte [.imm+1], cl
.imm:	mov al, 0
	movzx eax, al
	call hex
	loop .again
	call nl
	; compatibility mode
	push qword SEL_CODE32
	push qword .c32
	o64 retf
	bits 32
.c32:	mov eax, cs
	mov ecx, 0xffffffff
	inc ecx
	jmp SEL_CODE:.c64
	bits 64
.c64:	call hex
	mov eax, ecx
	call hex
	call nl
	; user code and stack pages of the first 2 MiB
	mov edi, PT+0x3000
	mov ecx, 16
.u:	or dword [rdi], 4
	add edi, 8
	loop .u
	or dword [PT+0x3000+0x60*8], 4
	or dword [PT+0x3000+0x5f*8], 4
	mov rax, cr3
	mov cr3, rax
	; SYSCALL and SYSRET
	mov ecx, 0xc0000081
	xor eax, eax
	mov edx, (SEL_UC32 << 16) | SEL_CODE
	wrmsr
	mov ecx, 0xc0000082
	mov eax, entry
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000084
	mov eax, 0x700
	wrmsr
	mov qword [tss+4], STACK-0x2000
	mov rcx, user
	mov r11, 0x2
	mov rbx, 5
	o64 sysret
entry:	mov [usp], rsp
	mov rsp, STACK-0x1000
	say "syscall "
	mov rax, rcx
	sub rax, user
	call hex64
	mov rax, r11
	call hex64
	mov eax, cs
	call hex
	mov eax, ss
	call hex
	pushfq
	pop rax
	call hex
	call nl
	mov rsp, [usp]
	o64 sysret
user:	mov rsp, 0x60000
	syscall
	mov qword [uresume], .u1
	mov eax, [0x208000]	; supervisor page
.u1:	mov qword [uresume], .u2
	mov [0x205000], eax	; read-only user page
.u2:	mov qword [uresume], .u3
	mov eax, [0x204000]
.u3:	mov qword [uresume], .u4
	jmp 0x203000		; NX
.u4:	mov qword [uresume], .u5
	mov eax, [0x206000]	; key
.u5:	mov qword [uresume], .u6
	hlt
.u6:	mov qword [uresume], .u7
.u7:	mov qword [uresume], .u8
	mov rax, cr0
.u8:	mov qword [uresume], .u9
	mov eax, 0x10
	mov ds, ax
.u9:	mov qword [uresume], .u10
	sgdt [0x200000]
	mov rax, 0x1234
	push rax
	popfq
	pushfq
	pop rax
	int3
.u10:	ud2

align 16
stubs:
%assign i 0
%rep 256
	%if i=8 || (i>=10 && i<=14) || i=17
	push i
	%else
	push 0
	push i
	%endif
	jmp near trap
	align 16
	%assign i i+1
%endrep
trap:	push rax
	say " v="
	mov rax, [rsp+8]
	call hex
	say "e="
	mov rax, [rsp+16]
	call hex
	say "cs="
	mov rax, [rsp+32]
	call hex
	say "fl="
	mov rax, [rsp+40]
	and eax, 0x27700 ; without RF, which QEMU does not set in the image that a fault saves
	call hex
	mov rax, rsp
	and eax, 0xfff000
	call hex
	cmp qword [rsp+8], 14
	jne .nopf
	say "cr2="
	mov rax, cr2
	call hex64
.nopf:	test byte [rsp+32], 3
	jnz .user
	mov rsp, [resume_sp]
	jmp [resume]
.user:	call nl
	cmp qword [rsp+8], 3
	je .done
	mov rax, [uresume]
	mov [rsp+24], rax
	pop rax
	add rsp, 16
	iretq
.done:	pop rax
	call hex
	mov al, 0
	out 0xf4, al
	hlt

align 16
pair:	dq 1, 2
	dq 0
resume:	dq 0
resume_sp: dq 0
uresume: dq 0
usp:	dq 0
align 16
tss:	dd 0
	dq STACK-0x2000, 0, 0, 0
	dq STACK-0x4000		; IST 1
	times 7 dq 0
	dw 0, 104
idt	equ 0x18000
