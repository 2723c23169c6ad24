; Secure virtual machine mode: nested guests, one for each kind of end. They run in the host's 64-bit mode and page tables, or with nested
; paging, and the host prints exit code, exit_info_1 and 2, the event on its way and how far RIP is from the guest's start.
%define SECTORS 40
%include "trap64.inc"
%define VMCB 0x40000
%define HSAVE 0x41000
%define IOPM 0x44000	; three pages
%define MSRPM 0x48000	; two pages
%define NPML4 0x50000	; nested tables: 4 KiB pages of the first 2 MiB, and 2 MiB pages of 512 MiB
%define NPDPT 0x51000
%define NPD 0x52000
%define NPT 0x53000
%define CTL(n) [VMCB+n]
%define SAVE(n) [VMCB+0x400+n]
%define EXC 0x08
%define INTERCEPT 0x0c	; exit codes from 0x60 on
%macro on 1		; intercept an exit code from 0x60 on
	bts qword CTL(INTERCEPT), %1-0x60
%endmacro
%macro guest 1+		; name, then the guest's code up to run
	%push
	say %1
	mov qword [gstart], %$g
	jmp near %$e
%$g:
%endmacro
%macro run 0
	vmmcall
	hlt
%$e:	call enter
	%pop
%endmacro
%macro put64 2	; name, value: on the same line
	push rax
	mov rax, %2
	say %1
	call hex64
	pop rax
%endmacro
main:	try "vmrun without EFER.SVME", vmrun
	try "stgi without EFER.SVME", stgi
	mov ecx, 0xc0000080
	rdmsr
	bts eax, 12
	wrmsr
	mov ecx, 0xc0010117
	mov eax, HSAVE
	xor edx, edx
	wrmsr
	mov eax, 0x40001
	try "vmrun of an odd address", vmrun
	try "vmmcall of a host", vmmcall
	try "skinit", skinit

	; Nested page tables.
	mov qword [NPML4], NPDPT + 7
	mov qword [NPDPT], NPD + 7
	mov edi, NPD
	mov eax, 0x87
	mov ecx, 256
.d:	mov [rdi], rax
	add eax, 0x200000
	add edi, 8
	loop .d
	mov qword [NPD], NPT + 7
	mov edi, NPT
	mov eax, 7
	mov ecx, 512
.t:	mov [rdi], rax
	add eax, 0x1000
	add edi, 8
	loop .t

	; What VMRUN refuses.
	call clear
	btr dword CTL(INTERCEPT+4), 0
	guest "no intercept of vmrun"
	run
	call clear
	mov dword CTL(0x58), 0
	guest "address space 0"
	run
	call clear
	mov dword SAVE(0x158+4), 1
	guest "CR0 beyond 32 bits"
	run
	call clear
	and dword SAVE(0xd0), ~(1 << 12)
	guest "EFER without SVME"
	run
	call clear
	mov dword CTL(0xa8), 0x80000102
	guest "a bad event"
	run

	; Instructions.
	call clear
	guest "vmmcall"
	run
	call clear
	guest "cpuid, not intercepted"
	xor eax, eax
	cpuid
	run
%macro insn 3+
	call clear
	on %1
	guest %2
	nop
	%3
	run
%endmacro
	insn 0x72, "cpuid", cpuid
	insn 0x78, "hlt", hlt
	insn 0x77, "pause", pause
	insn 0x70, "pushf", pushfq
	insn 0x71, "popf", popfq
	insn 0x74, "iret", iretq
	insn 0x6e, "rdtsc", rdtsc
	insn 0x66, "sidt", sidt [0x60000]
	insn 0x67, "sgdt", sgdt [0x60000]
	insn 0x68, "sldt", sldt ax
	insn 0x69, "str", str ax
	insn 0x6a, "lidt", lidt [0x60000]
	insn 0x6b, "lgdt", lgdt [0x60000]
	insn 0x76, "invd", invd
	insn 0x89, "wbinvd", wbinvd
	insn 0x79, "invlpg", invlpg [rax]
	insn 0x7a, "invlpga", invlpga
	insn 0x75, "int 0x40", int 0x40
	insn 0x88, "int1", db 0xf1
	insn 0x82, "vmload", vmload
	insn 0x83, "vmsave", vmsave
	insn 0x84, "stgi", stgi
	insn 0x85, "clgi", clgi
	insn 0x80, "vmrun", vmrun
	insn 0x8a, "monitor", monitor
	insn 0x8b, "mwait", mwait
	call clear
	mov word CTL(0), 1 << 3
	guest "from cr3"
	nop
	mov rbx, cr3
	run
	call clear
	mov word CTL(2), 1 << 4
	guest "to cr4"
	mov rbx, cr4
	mov cr4, rbx
	run
	call clear
	mov word CTL(2), 1 << 8
	guest "to cr8"
	xor ebx, ebx
	mov cr8, rbx
	run
	call clear
	mov word CTL(4), 1 << 6
	guest "from dr6"
	mov rbx, dr6
	run
	call clear
	mov word CTL(6), 1 << 1
	guest "to dr1"
	mov dr1, rbx
	run
	call clear
	on 0x65
	guest "CR0.MP, not selected"
	mov rbx, cr0
	xor ebx, 2
	mov cr0, rbx
	xor ebx, 2
	mov cr0, rbx
	xor ebx, ebx
	run
	call clear
	on 0x65
	guest "CR0.WP"
	mov rbx, cr0
	bts ebx, 16
	mov cr0, rbx
	run

	; Ports and MSRs.
	call clear
	on 0x7b
	guest "port not in the map"
	in al, 0x71
	run
	mov byte [IOPM+0x71/8], 1 << (0x71 & 7)
	call clear
	on 0x7b
	guest "in al, 0x71"
	in al, 0x71
	run
	call clear
	on 0x7b
	guest "out of two bytes"
	mov dx, 0x70
	out dx, ax
	run
	call clear
	on 0x7b
	guest "in eax"
	mov dx, 0x6f
	in eax, dx
	run
	call clear
	on 0x7c
	guest "msr not in the map"
	mov ecx, 0xc0000082
	rdmsr
	run
	mov byte [MSRPM+0x800+0x82/4], 1 << (0x82 & 3) * 2
	call clear
	on 0x7c
	guest "rdmsr"
	mov ecx, 0xc0000082
	rdmsr
	run
	call clear
	on 0x7c
	guest "wrmsr, not intercepted"
	mov ecx, 0xc0000082
	xor eax, eax
	xor edx, edx
	wrmsr
	run
	call clear
	on 0x7c
	guest "msr in no range"
	mov ecx, 0x40000000
	rdmsr
	run

	; Exceptions and events.
	call clear
	mov dword CTL(EXC), 1 << 6
	guest "#UD"
	nop
	ud2
	run
	call clear
	mov dword CTL(EXC), 1 << 13
	guest "#GP"
	mov ax, 0x1f8
	mov ds, ax
	run
	call clear
	mov dword CTL(EXC), 1 << 14
	guest "#PF, CR2 as it was"
	mov rbx, cr2
	mov rdi, 0x12345678
	mov byte [rdi], 1
	run
	call clear
	mov dword CTL(EXC), 1 << 3
	guest "int3"
	nop
	int3
	run
	call clear
	mov dword CTL(EXC), 1 << 14
	mov qword SAVE(0x80+8), 0x12340000	; the IDT is not mapped
	guest "#PF on the way of #UD"
	ud2
	run
	call clear
	on 0x7f
	mov dword SAVE(0x80+4), 0		; no IDT
	guest "shutdown"
	ud2
	run
	call clear
	mov dword CTL(0xa8), 0x80000306		; #UD
	mov qword [vector6], ginject
	call patch
	guest "inject #UD"
	run
	call clear
	mov dword CTL(0xa8), 0x80000040		; interrupt 0x40
	call patch40
	guest "inject an interrupt"
	run
	call clear
	mov dword CTL(0x60), 1 << 24 | 1 << 20 | 1 << 8
	mov dword CTL(0x64), 0x40
	guest "virtual interrupt"
	nop
	sti
	nop
	nop
	run
	call clear
	mov dword CTL(0x60), 1 << 24 | 1 << 20 | 1 << 8
	on 0x64
	guest "vintr"
	nop
	sti
	nop
	nop
	run
	call clear
	mov dword CTL(0x60), 1 << 24
	guest "virtual cr8"
	mov ebx, 9
	mov cr8, rbx
	mov rbx, cr8
	run
	mov eax, CTL(0x60)
	show "int_ctl ", rax

	; Nested paging.
	call clear
	call nested
	guest "nested paging"
	mov ebx, [0x50000]
	run
	call clear
	call nested
	and qword [NPT+0x60*8], ~2
	guest "nested write"
	mov ebx, [0x50000]
	mov [0x60008], rbx
	run
	or qword [NPT+0x60*8], 2
	call clear
	call nested
	and qword [NPT+0x61*8], ~1
	guest "nested read"
	mov rbx, [0x61230]
	run
	or qword [NPT+0x61*8], 1
	call clear
	call nested
	and qword [NPT+3*8], ~2
	guest "nested page table"
	mov rbx, [0x200000]
	run
	or qword [NPT+3*8], 2
	jmp quit

ginject: mov ebx, 0x1234
	vmmcall
gstart:	dq 0
vector6: dq 0
patch40: mov edi, IDT + 16 * 0x40
	jmp patchat
patch:	mov edi, IDT + 16 * 6
patchat: mov eax, ginject
	mov [rdi], ax
	shr eax, 16
	mov [rdi+6], ax
	ret
nested:	mov qword CTL(0x90), 1
	mov qword CTL(0xb0), NPML4
	ret
; clear makes a control block of the present state.
clear:	push rdi
	mov edi, VMCB
	mov ecx, 512
	xor eax, eax
	rep stosq
	pop rdi
	bts dword CTL(INTERCEPT+4), 0	; vmrun
	bts dword CTL(INTERCEPT+4), 1	; vmmcall
	mov qword CTL(0x40), IOPM
	mov qword CTL(0x48), MSRPM
	mov dword CTL(0x58), 1
	mov dword SAVE(0x10), 8 | 0xa9b << 16
	mov dword SAVE(0x14), -1
%assign s 0
%rep 4
	%if s != 1
	mov dword SAVE(s*16), 16 | 0xc93 << 16
	mov dword SAVE(s*16+4), -1
	%endif
	%assign s s+1
%endrep
	sgdt SAVE(0x60+6)
	mov ax, SAVE(0x60+6)
	mov SAVE(0x60+4), ax
	sidt SAVE(0x80+6)
	mov ax, SAVE(0x80+6)
	mov SAVE(0x80+4), ax
	mov word SAVE(0x66), 0
	mov word SAVE(0x86), 0
	mov ecx, 0xc0000080
	rdmsr
	mov SAVE(0xd0), eax
	mov rax, cr4
	mov SAVE(0x148), rax
	mov rax, cr3
	mov SAVE(0x150), rax
	mov rax, cr0
	mov SAVE(0x158), rax
	mov qword SAVE(0x160), 0x400
	mov dword SAVE(0x168), 0xffff0ff0
	mov qword SAVE(0x170), 2
	mov qword SAVE(0x1d8), 0x6f000
	mov qword SAVE(0x240), 0x777
	ret
enter:	mov eax, [gstart]
	mov SAVE(0x178), rax
	xor ebx, ebx
	mov eax, VMCB
	vmrun
	stgi
	put64 " ", CTL(0x70)
	put64 " info ", CTL(0x78)
	mov rax, CTL(0x80)	; the address behind the instruction if it is about ports
	mov rcx, rax
	sub rcx, [gstart]
	cmp dword CTL(0x70), 0x7b
	cmove rax, rcx
	put64 " ", rax
	put64 " event ", CTL(0x88)
	mov rax, SAVE(0x178)
	sub rax, [gstart]
	put64 " rip ", rax
	movzx ebx, bx	; CR0.CD and CR0.NW are as firmware has left them
	put64 " rbx ", rbx
	put64 " cr2 ", SAVE(0x240)
	say 10
	ret
	finish
