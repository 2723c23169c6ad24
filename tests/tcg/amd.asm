; 3DNow! with its extensions and SSE4a: every operation on the same numbers, between registers and from memory.
%define SECTORS 16
%include "long.inc"
%macro now 1	; last byte of the instruction
	movq mm1, [a]
	movq mm2, [b]
	db 0x0f, 0x0f, 0xca, %1
	movq [out], mm1
	movq mm3, [c]
	db 0x0f, 0x0f, 0x1c, 0x25
	dd d
	db %1
	movq [out+8], mm3
	db 0x0f, 0x0e
	mov esi, out
	mov ecx, 16
	call put
%endmacro
main64:	now 0x0c
	now 0x0d
	now 0x1c
	now 0x1d
	now 0x8a
	now 0x8e
	now 0x90
	now 0x94
	now 0x96
	now 0x97
	now 0x9a
	now 0x9e
	now 0xa0
	now 0xa4
	now 0xa6
	now 0xa7
	now 0xaa
	now 0xae
	now 0xb0
	now 0xb4
	now 0xb6
	now 0xb7
	now 0xbb
	now 0xbf
	movdqu xmm0, [a]
	db 0x66, 0x0f, 0x78, 0xc0, 12, 20	; extrq xmm0, 12, 20; QEMU 7.2 takes XMM0 whatever register is meant
	movq [out], xmm0
	movdqu xmm0, [a]
	db 0x66, 0x0f, 0x78, 0xc0, 0, 0
	movq [out+8], xmm0
	call show
	movdqu xmm1, [a]
	movq xmm3, [field]
	db 0x66, 0x0f, 0x79, 0xcb	; extrq xmm1, xmm3
	movq [out], xmm1
	movdqu xmm4, [a]
	movdqu xmm5, [c]
	db 0xf2, 0x0f, 0x78, 0xe5, 10, 30	; insertq xmm4, xmm5, 10, 30
	movq [out+8], xmm4
	call show
	movdqu xmm4, [a]
	movdqu xmm5, [c]
	pinsrw xmm5, [field], 4
	db 0xf2, 0x0f, 0x79, 0xe5	; insertq xmm4, xmm5
	movq [out], xmm4
	movdqu xmm6, [c]
	mov qword [out+8], 0
	db 0xf3, 0x0f, 0x2b, 0x34, 0x25	; movntss [out+8], xmm6
	dd out+8
	call show
	db 0xf2, 0x0f, 0x2b, 0x34, 0x25	; movntsd [out+8], xmm6
	dd out+8
	call show
	jmp quit
show:	mov esi, out
	mov ecx, 16
	jmp put
align 16
a:	dd 3.25, -7.5
b:	dd 2.0, -65536.75
c:	dd 1000000.0, 0x80001234
d:	dd 3000000000.0, -0.015625
field:	dw 0x0914, 0
out:	dq 0, 0
	finish
