; Segment limits and rights in protected mode, which QEMU's translator does not look at.
%define SECTORS 28
%include "trap32.inc"
%macro desc 3	; number, low dword, high dword
	mov dword [GDT+SEL_FREE+8*%1], %2
	mov dword [GDT+SEL_FREE+8*%1+4], %3
%endmacro
%define SEL(n) SEL_FREE+8*n
%macro tryseg 3+	; name, segment register to load from CX, instruction
	begin %1
	mov %2, cx
	%3
	end
%endmacro
main:	desc 0, 0x00000fff, 0x00409200	; data, limit fff
	desc 1, 0x00000fff, 0x00409600	; expands down, above fff
	desc 2, 0x00000fff, 0x00009600	; expands down, above fff, 16 bits
	desc 3, 0x0000ffff, 0x00cf9000	; read-only
	desc 4, 0x0000ffff, 0x00cf9800	; execute-only
	desc 5, 0x0000ffff, 0x00cf9a00	; code, readable
	desc 6, code_end-code-1, 0x00409a00	; code of its own
	mov eax, code
	mov [GDT+SEL_FREE+8*6+2], ax
	shr eax, 16
	mov [GDT+SEL_FREE+8*6+4], al
	mov ebx, 0xffc
	mov cx, SEL(0)
	tryseg "last dword", ds, mov eax, [ebx]
	tryseg "one beyond", ds, mov eax, [ebx+1]
	tryseg "last byte", ds, mov al, [ebx+3]
	tryseg "byte beyond", ds, mov [ebx+4], al
	tryseg "wraps", ds, mov eax, [ebx-0xffe]
	tryseg "moffs", ds, mov eax, [0xffd]
	tryseg "lea", ds, lea eax, [ebx+8]
	tryseg "es flat", ds, mov eax, [es:ebx+8]
	tryseg "rmw", ds, add dword [ebx+1], 1
	tryseg "cmpxchg8b", ds, cmpxchg8b [ebx]
	tryseg "fld", ds, fld qword [ebx]
	fninit
	tryseg "bts register", ds, bts [ebx-4], ebp
	mov esi, 0x50000
	mov edi, 0xff0
	mov edx, ecx
	mov ecx, 8
	begin "rep movsd"
	mov es, dx
	rep movsd
	end
	mov eax, edi
	call puthex
	mov eax, ecx
	call puthex
	call newline
	mov ecx, edx
	mov es, cx
	mov edi, 0xffd
	try "stosd", stosd
	tryseg "stosb", es, stosb
	mov cx, SEL(1)
	tryseg "down low", ds, mov eax, [0xfff]
	tryseg "down", ds, mov eax, [0x1000]
	tryseg "down high", ds, mov eax, [0xfffffffd]
	mov cx, SEL(2)
	tryseg "down 16", ds, mov eax, [0xfffc]
	tryseg "down 16 high", ds, mov eax, [0xfffd]
	mov cx, SEL(3)
	tryseg "ro read", ds, mov eax, [ebx]
	tryseg "ro write", ds, mov [ebx], eax
	mov cx, SEL(5)
	tryseg "code read", ds, mov eax, [ebx]
	tryseg "code write", ds, mov [ebx], eax
	try "cs write", mov [cs:ebx], eax
	try "cs read", mov eax, [cs:ebx]
	xor ecx, ecx
	tryseg "null", ds, mov eax, [ebx]
	mov fs, cx
	try "null fs", mov eax, [fs:0]
	mov cx, SEL(0)
	mov fs, cx
	try "fs", mov eax, [fs:ebx]
	try "fs beyond", mov eax, [fs:ebx+1]
	mov cx, SEL(1)
	mov fs, cx
	try "fs down", mov eax, [fs:0x1000]
	mov cx, SEL(0)
	; the stack
	begin "push"
	mov ss, cx
	mov esp, 0x1000
	push eax
	mov cx, SEL_DATA
	mov ss, cx
	mov esp, 0x70000
	end
	mov cx, SEL(0)
	begin "stack read"
	mov ss, cx
	mov esp, 0x800
	mov eax, [esp+0x7fd]
	end
	mov cx, SEL_DATA
	mov ss, cx
	mov esp, 0x70000
	; code
	try "call", call SEL(6):0
	try "jmp beyond", call SEL(6):1
	try "jz beyond", call SEL(6):3
	try "run beyond", call SEL(6):7
	try "call beyond", call SEL(6):100
	finish
code:	retf
	jmp short code+100
	xor eax, eax
	jz code+100
	times 8 nop
code_end:
	times 200 nop
