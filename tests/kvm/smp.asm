; A PC's interrupts: the timer through the 8259 pair while the processor halts, then all other processors, started by their local APICs,
; each of which halts until it is sent an interrupt, counts and says so. The first prints how many there are. CPUS is their number. Starts in real mode at 0x7c00.
%ifndef CPUS
%define CPUS 1
%endif
	org 0x7c00
	bits 16
start:	cli
	cld
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	jmp 0:real

real:	mov dword [4*8], tick
	mov al, 0x11			; the 8259 pair, at the BIOS's vectors
	out 0x20, al
	mov al, 8
	out 0x21, al
	mov al, 4
	out 0x21, al
	mov al, 1
	out 0x21, al
	mov al, 0xfe
	out 0x21, al
	mov al, 0x34
	out 0x43, al
	mov al, 0xa9			; about 1000 times a second
	out 0x40, al
	mov al, 4
	out 0x40, al
.next:	sti
	hlt
	cli
	cmp byte [ticks], 5
	jb .next
	mov al, 0xff
	out 0x21, al
	mov si, text_ticks
	mov cx, text_ticks_end - text_ticks
	mov dx, 0xe9
	rep outsb
	mov si, trampoline		; where the others begin
	mov di, 0x8000
	mov cx, trampoline_end - trampoline
	rep movsb
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:prot
tick:	push ax
	inc byte [ticks]
	mov al, 0x20
	out 0x20, al
	pop ax
	iret

trampoline:				; at 0x8000
	cli
	xor ax, ax
	mov ds, ax
	lgdt [gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp 8:other
trampoline_end:

	bits 32
prot:	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x70000
	lidt [idtr]
	mov eax, woken
	mov [idt + 0x40*8], ax
	mov word [idt + 0x40*8 + 2], 8
	mov word [idt + 0x40*8 + 4], 0x8e00
	shr eax, 16
	mov [idt + 0x40*8 + 6], ax
	mov ebx, 0xfee00000
	mov dword [ebx + 0xf0], 0x1ff		; on
	mov dword [ebx + 0x300], 0xc4500	; INIT to all but self
	mov ecx, 100000
.w:	in al, 0x80
	dec ecx
	cmp ecx, 99000
	ja .w
	mov dword [ebx + 0x300], 0xc4608	; start-up at 0x8000
.meet:	pause
	cmp dword [here], CPUS - 1
	jne .meet
	mov dword [ebx + 0x300], 0xc4040	; the interrupt that wakes them
.done:	pause
	cmp dword [count], CPUS - 1
	jne .done
	mov al, '0' + CPUS
	out 0xe9, al
	mov al, 10
	out 0xe9, al
	mov al, 0
	out 0xf4, al
	cli
	hlt
other:	mov ax, 0x10
	mov ds, ax
	mov ss, ax
	mov eax, 0x400
	lock xadd [stacks], eax
	mov esp, eax
	lidt [idtr]
	mov dword [0xfee000f0], 0x1ff
	lock inc dword [here]
.sleep:	sti
	hlt
	jmp .sleep
woken:	lock inc dword [count]
	mov dword [0xfee000b0], 0
	add esp, 12			; no IRET: a software KVM may not emulate it here
	jmp other.sleep

text_ticks: db "ticks, processors: "
text_ticks_end:
align 8
gdt:	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
gdtr:	dw $-gdt-1
	dd gdt
idt	equ 0x60000
idtr:	dw 0x41*8-1
	dd idt
stacks:	dd 0x68400
here:	dd 0
count:	dd 0
ticks:	db 0
