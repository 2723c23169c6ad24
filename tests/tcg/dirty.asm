; Writes without end, in every way that reaches memory, to pages that a generator of random numbers chooses, and reloads CR3 now and then.
%define SECTORS 32
%include "long.inc"
%define AREA 0x400000		; 1024 pages from here on are written
%define PT 0x4000		; page table of the first half of them
main64:	mov rsp, 0x70000
	mov edi, PT
	mov eax, AREA+3
.map:	mov [rdi], rax
	add eax, 0x1000
	add edi, 8
	cmp edi, PT+0x1000
	jne .map
	mov qword [0x3010], PT+3
	mov qword [0x3018], AREA+0x200083
	mov qword [0x3020], AREA+0x400083	; what lies across the end
	mov rbx, 0x9e3779b97f4a7c15
	mov al, 0
	out 0xf4, al		; set up
	xor ebp, ebp
next:	mov rax, rbx		; xorshift
	shl rax, 13
	xor rbx, rax
	mov rax, rbx
	shr rax, 7
	xor rbx, rax
	mov rax, rbx
	shl rax, 17
	xor rbx, rax
	mov rdi, rbx
	and edi, 0x3ffff0
	add edi, AREA
	inc ebp
	mov eax, ebp
	and eax, 7
	jz .push
	dec eax
	jz .string
	dec eax
	jz .move
	dec eax
	jz .atomic
	dec eax
	jz .vector
	dec eax
	jz .cross
	dec eax
	jz .cr3
	mov [rdi], rbx
	jmp next
.push:	xchg rsp, rdi
	push rbx
	xchg rsp, rdi
	jmp next
.string:
	mov ecx, 6000
	mov eax, ebx
	rep stosb
	jmp next
.move:	mov ecx, 700
	mov esi, AREA
	rep movsq
	jmp next
.atomic:
	lock add [rdi], ebx
	lock cmpxchg [rdi+4], ebx
	xchg [rdi+8], eax
	jmp next
.vector:
	movq xmm0, rbx
	movups [rdi+3], xmm0
	jmp next
.cross:	or edi, 0xffc
	mov [rdi], rbx
	jmp next
.cr3:	test ebp, 0x3ff8
	jnz next
	mov edi, ebx
	and edi, 0xff8
	and byte [PT+rdi], 0x9f	; not accessed, not dirty
	mov rax, cr3
	mov cr3, rax
	jmp next
	finish
