; Prints CPUID leaves: leaf, subleaf, EAX, EBX, ECX, EDX as little endian dwords.
org 0x7c00
bits 16
 cli
 xor ax,ax
 mov ds,ax
 mov si,tab
next:
 lodsd
 mov ebx,eax
 lodsd
 cmp ebx,-1
 je done
 mov ecx,eax
 mov eax,ebx
 mov ebp,eax
 mov edi,ecx
 push eax
 push ecx
 cpuid
 push edx
 push ecx
 push ebx
 push eax
 mov eax,ebp
 call out32
 mov eax,edi
 call out32
 pop eax
 call out32
 pop eax
 call out32
 pop eax
 call out32
 pop eax
 call out32
 add sp,8
 jmp next
done: mov dx,0xf4
 mov al,0
 out dx,al
 hlt
out32:
 mov cx,4
 mov dx,0xe9
.l: out dx,al
 shr eax,8
 loop .l
 ret
tab:
%macro L 2
 dd %1,%2
%endmacro
L 0,0
L 1,0
L 2,0
L 3,0
L 4,0
L 4,1
L 4,2
L 4,3
L 4,4
L 5,0
L 6,0
L 7,0
L 7,1
L 7,2
L 9,0
L 0xa,0
L 0xb,0
L 0xb,1
L 0xb,2
L 0xc,0
L 0xd,0
L 0xd,1
L 0xd,2
L 0xd,3
L 0xd,9
L 0x14,0
L 0x15,0
L 0x1f,0
L 0x40000000,0
L 0x40000001,0
L 0x80000000,0
L 0x80000001,0
L 0x80000008,0
L 0x8000000a,0
dd -1,-1
times 510-($-$$) db 0
dw 0xaa55
