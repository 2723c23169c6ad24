; Every mode of the processor, each with what makes a hypervisor act: ports by single and string instructions, memory where nothing and
; where a device is, CPUID, model-specific registers, exceptions, page faults. Simple instructions only: hosts whose KVM is software
; emulate what they cannot execute. Starts in real mode at 0x7c00.
	org 0x7c00
	bits 16
start:	cli
	cld
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	jmp 0:real16

real16:	mov si, text_real
	mov cx, text_real_end - text_real
	mov dx, 0xe9
	rep outsb
	in al, 0xe9			; the debug console answers with its number
	mov [value], al
	mov ax, 0x1234			; a segment that is no multiple of a page
	mov fs, ax
	mov dword [fs:0x56], 0xcafe0001
	mov ax, 0x1200
	mov gs, ax
	mov eax, [gs:0x396]
	mov [value+4], eax
	mov eax, 0 ; the vendor differs; how many leaves there are does not matter here
	cpuid
	mov [value+8], ebx
	mov dword [4*6], ud16		; #UD in real mode
	ud2
back16:	lgdt [gdtr]
	lidt [idtr32]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:prot

ud16:	push bp
	mov bp, sp
	add word [bp+2], 2
	pop bp
	mov byte [value+1], 0x55
	iret

	bits 32
prot:	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x70000
	mov esi, text_prot
	call puts
	mov eax, [value]
	call hex
	mov eax, [value+4]
	call hex
	mov edi, idt			; interrupt gates of all exceptions
	mov ecx, 32
	mov eax, fault32
.gate:	mov [edi], ax
	mov word [edi+2], 8
	mov word [edi+4], 0x8e00
	mov edx, eax
	shr edx, 16
	mov [edi+6], dx
	add edi, 8
	loop .gate
	mov dword [resume], .a
	ud2
.a:	mov dword [resume], .b
	xor ecx, ecx
	xor edx, edx
	mov eax, 1
	div ecx
.b:	mov ecx, 0x277			; the page attribute table's power-up value
	rdmsr
	call hex
	mov eax, edx
	call hex
	mov eax, 0x00070106
	xor edx, edx
	mov ecx, 0x277
	wrmsr
	rdmsr
	call hex
	mov edi, 0x52000		; long mode
	mov ecx, 3*1024
	xor eax, eax
	rep stosd
	mov dword [0x52000], 0x53007
	mov dword [0x53000], 0x54007
	mov dword [0x53018], 0x55007	; the fourth GiB: devices
	mov dword [0x54000], 0x87
	mov dword [0x54008], 0x200087
	mov dword [0x54010], 0x400085	; read-only
	mov edi, 0x55000
	mov ecx, 512
	mov eax, 0xc0000087
.big:	mov [edi], eax
	mov dword [edi+4], 0
	add eax, 0x200000
	add edi, 8
	loop .big
	mov eax, cr4
	or eax, 1 << 5
	mov cr4, eax
	mov eax, 0x52000
	mov cr3, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 1 << 8
	wrmsr
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	jmp 0x18:mode64

puts:	lodsb
	test al, al
	jz .e
	out 0xe9, al
	jmp puts
.e:	ret
hex:	mov ecx, 8
.l:	rol eax, 4
	mov edx, eax
	and edx, 15
	mov dl, [digits + edx]
	xchg al, dl
	out 0xe9, al
	xchg al, dl
	loop .l
	mov al, ' '
	out 0xe9, al
	ret
; fault32 prints the vector's place on the stack: with or without an error code the flags are last.
fault32: mov al, '!'
	out 0xe9, al
	mov eax, esp
	and eax, 0xff
	call hex
	mov esp, 0x70000
	jmp [resume]			; no IRET: a software KVM may not emulate it here

	bits 64
mode64:	mov esi, text_long
.next:	lodsb
	test al, al
	jz .x
	out 0xe9, al
	jmp .next
.x:	mov rax, 0x123456789abcdef0
	mov [0x9000], rax
	mov r8, [0x9000]
	add r8, 0x10
	mov rax, r8
	shr rax, 32
	call hex64
	mov eax, r8d
	call hex64
	mov edi, idt64			; interrupt gates of all exceptions
	mov ecx, 32
	mov eax, fault64
.gate:	mov [rdi], ax
	mov word [rdi+2], 0x18
	mov word [rdi+4], 0x8e00
	mov edx, eax
	shr edx, 16
	mov [rdi+6], dx
	mov qword [rdi+8], 0
	add edi, 16
	dec ecx
	jnz .gate
	lidt [idtr64]
	mov esp, 0x70000
	mov dword [resume], .a
	ud2
.a:	mov dword [resume], .b
	mov rax, [0x600123]		; absent
.b:	mov rax, cr2
	call hex64
	mov rax, cr0
	or eax, 0x10000			; WP
	mov cr0, rax
	mov dword [resume], .c
	mov [0x400ff0], rax		; read-only
.c:	mov rax, cr2
	call hex64
	mov dword [resume], .d
	xor ecx, ecx
	xor edx, edx
	mov eax, 1
	div ecx
.d:	mov ecx, 0xc0000082		; a register of the system calls
	mov eax, 0x11223344
	mov edx, 0xffff8000
	wrmsr
	xor eax, eax
	rdmsr
	call hex64
	mov edi, 0xfec00000		; the I/O APIC, where there is one, and a hole otherwise
	mov dword [rdi], 1
	mov eax, [rdi+0x10]
	mov [value], eax
	mov edi, 0xd0000000
	mov dword [rdi], 0x55aa55aa	; a hole
	mov rax, [rdi]
	call hex64
	mov al, 10
	out 0xe9, al
	mov al, 0
	out 0xf4, al
	cli
	hlt
fault64: mov al, '!'
	out 0xe9, al
	mov eax, esp
	and eax, 0xff
	call hex64
	mov rsp, 0x6ffd8		; the frame without an error code, rebuilt
	mov eax, [resume]
	mov [rsp], rax
	mov qword [rsp+8], 0x18
	mov qword [rsp+16], 2
	mov qword [rsp+24], 0x70000
	mov qword [rsp+32], 0x10
	iretq
hex64:	mov ecx, 8
.l:	rol eax, 4
	mov edx, eax
	and edx, 15
	mov dl, [digits + edx]
	xchg al, dl
	out 0xe9, al
	xchg al, dl
	loop .l
	mov al, ' '
	out 0xe9, al
	ret

digits:	db "0123456789ABCDEF"
text_real: db "real "
text_real_end:
text_prot: db "protected ", 0
text_long: db "long ", 0
align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
	dq 0x00af9b000000ffff
gdtr:	dw $-gdt-1
	dd gdt
idt	equ 0x60000
idtr32:	dw 32*8-1
	dd idt
idt64	equ 0x61000
idtr64:	dw 32*16-1
	dq idt64
resume:	dd 0
value:	times 16 db 0
