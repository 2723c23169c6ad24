; Two CPUs start here together and count with locked operations: aligned, unaligned, across a page boundary, and by CMPXCHG and
; CMPXCHG8B loops. The first one prints the sums.
%define N 2000
%define CPUS 2
	org 0x7c00
	bits 16
	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov ax, 1
	lock xadd [id], ax
	mov bx, ax
	mov sp, 0x7000
	shl ax, 9
	sub sp, ax
.meet:	cmp word [id], CPUS
	jne .meet
	mov cx, N
.loop:	lock inc dword [0x9000]
	lock add dword [0x9011], 1
	lock inc dword [0x9ffe]
	lock adc byte [0x9020], 0
.again:	mov eax, [0x9040]
	lea edx, [eax+1]
	lock cmpxchg [0x9040], edx
	jne .again
	mov eax, [0x9080]
	mov edx, [0x9084]
.wide:	push cx
	push bx
	mov ebx, eax
	mov ecx, edx
	add ebx, 0x80000000
	adc ecx, 0
	lock cmpxchg8b [0x9080]
	pop bx
	pop cx
	jne .wide
	mov al, 0
.spin:	mov al, 1
	xchg al, [0x90c0]
	test al, al
	jnz .spin
	inc dword [0x90c4]
	mov byte [0x90c0], 0
	dec cx
	jnz .loop
	lock inc word [done]
	test bx, bx
	jnz .idle
.wait:	pause
	cmp word [done], CPUS
	jne .wait
	mov si, sums
.out:	lodsw
	test ax, ax
	jz .end
	mov di, ax
	mov eax, [di]
	mov cx, 4
.b:	out 0xe9, al
	shr eax, 8
	loop .b
	jmp .out
.end:	out 0xf4, al
.idle:	hlt
	jmp .idle
sums:	dw 0x9000, 0x9011, 0x9ffe, 0x9040, 0x9080, 0x9084, 0x90c4, 0
id:	dw 0
done:	dw 0
