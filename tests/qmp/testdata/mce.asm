; A BIOS that prints "R" at port 0xe9 when it waits for machine checks, and the machine check registers and "E" for each.
bits 16
org 0
start:	cli
	xor ax, ax
	mov ss, ax
	mov ds, ax
	mov sp, 0x7000
	mov word [18*4], handler
	mov word [18*4+2], 0xf000
	mov eax, cr4
	or eax, 0x40		; MCE
	mov cr4, eax
	mov al, 'R'
	out 0xe9, al
idle:	hlt
	jmp idle

handler:
	mov si, list
next:	cs lodsw
	or ax, ax
	jz done
	movzx ecx, ax
	rdmsr
	call print
	mov eax, edx
	call print
	jmp next
done:	xor eax, eax
	xor edx, edx
	mov ecx, 0x17a		; no longer in progress
	wrmsr
	mov ecx, 0x40d		; status of bank 3
	wrmsr
	mov al, 'E'
	out 0xe9, al
	iret

print:	mov bx, 8
digit:	rol eax, 4
	push ax
	and al, 15
	add al, '0'
	cmp al, '9'
	jbe put
	add al, 'a'-'9'-1
put:	out 0xe9, al
	pop ax
	dec bx
	jnz digit
	ret

list:	dw 0x179, 0x17a, 0x40c, 0x40d, 0x40e, 0x40f, 0
	times 0xfff0-($-$$) db 0
	jmp 0xf000:start
	times 0x10000-($-$$) db 0
