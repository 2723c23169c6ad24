; Runs generated instructions in 16- or 32-bit code at privilege level 0 and writes what they did to the debug console.
; Assembled with MODE (16 or 32) and NCASES defined; cases.bin holds the memory template and the cases.
        bits 32
        org 0x100000

SLOT    equ 0x8000
WINDOW  equ 0xa000
WSIZE   equ 0x3000
SEGBASE equ 0x4000
STACK   equ 0x7c00

FLAT_CS equ 8
FLAT_DS equ 0x10
CS16    equ 0x18
DS16    equ 0x20

; A case: 32 bytes for the slot, 8 registers, flags, offset and value of a double word to be put in the window.
R_REGS  equ 32
R_POKE  equ 68
RECSIZE equ 76

header: dd 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        dd header, 0x100000, 0, 0, start

start:  cli
        cld
        lgdt [gdtr]
        jmp FLAT_CS:.flat
.flat:  mov ax, FLAT_DS
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov esp, STACK
        mov edi, idt
        mov eax, stubs
        mov ecx, 32
.gate:  mov [edi], ax
        mov word [edi+2], FLAT_CS
        mov word [edi+4], 0x8e00
        mov edx, eax
        shr edx, 16
        mov [edi+6], dx
        add edi, 8
        add eax, 16
        loop .gate
        lidt [idtr]
        ; What follows the slot: where branches go, and the end.
        mov esi, tail
        mov edi, SLOT+64
        mov ecx, tailend-tail
        rep movsb

next:   mov ebp, [caseptr]
        mov esi, cases
        mov edi, WINDOW
        mov ecx, WSIZE/4
        rep movsd
        mov edi, [ebp+R_POKE]
        cmp edi, -1
        je .nopoke
        mov eax, [ebp+R_POKE+4]
        mov [WINDOW+edi], eax
.nopoke:
        mov esi, ebp
        mov edi, SLOT
        mov ecx, 8
        rep movsd
        lea esi, [ebp+R_REGS]
        mov edi, inregs
        mov ecx, 9
        rep movsd
        mov dword [taken], 0
        mov dword [vector], -1
        mov dword [error], 0
        push dword [inregs+32]
        popfd
        mov eax, [inregs]
        mov ecx, [inregs+4]
        mov edx, [inregs+8]
        mov ebx, [inregs+12]
        mov ebp, [inregs+20]
        mov esi, [inregs+24]
        mov edi, [inregs+28]
%if MODE == 16
        mov ss, [cs:sel16]
        mov esp, [cs:inregs+16]
        mov es, [cs:sel16]
        mov ds, [cs:sel16]
        jmp CS16:SLOT-SEGBASE
%else
        mov esp, [inregs+16]
        jmp FLAT_CS:SLOT
%endif

tail:                           ; copied to SLOT+64
%if MODE == 16
        bits 16
%endif
        jmp dword FLAT_CS:savetaken
        times 64-($-tail) nop
        jmp dword FLAT_CS:save
        bits 32
tailend:

savetaken:
        mov ds, [cs:sel32]
        mov dword [taken], 1
save:   mov ds, [cs:sel32]
        mov [out], eax
        mov [out+16], esp
        mov ss, [sel32]
        mov esp, STACK
        pushfd
        pop dword [out+32]
        jmp finish

unwind: mov ds, [cs:sel32]
        mov [out], eax
        pop dword [vector]
        pop dword [error]
        pop eax                 ; EIP
        pop eax
        pop dword [out+32]
        mov eax, esp
%if MODE == 16
        movzx eax, ax           ; the stack segment is small
%endif
        and dword [ss:eax-4], ~0x10000  ; RF, which QEMU does not save with faults
        mov [out+16], esp
        mov ss, [sel32]
        mov esp, STACK

finish: mov es, [sel32]
        mov [out+4], ecx
        mov [out+8], edx
        mov [out+12], ebx
        mov [out+20], ebp
        mov [out+24], esi
        mov [out+28], edi
        cld
        mov esi, WINDOW
        mov ecx, WSIZE/4
        xor edx, edx
.sum:   lodsd
        rol edx, 5
        xor edx, eax
        loop .sum
        mov [sum], edx
        mov esi, out
        mov ecx, outend-out
        mov dx, 0xe9
        rep outsb
        add dword [caseptr], RECSIZE
        dec dword [count]
        jnz next
        lidt [none]             ; triple fault
        int3

        align 16
stubs:
%assign v 0
%rep 32
        align 16
%if v != 8 && (v < 10 || v > 14) && v != 17
        push byte 0
%endif
        push byte v
        jmp near unwind
%assign v v+1
%endrep

        align 16
gdt:    dq 0
        dq 0x00cf9b000000ffff
        dq 0x00cf93000000ffff
        dw 0xffff, SEGBASE, 0x9b00, 0
        dw 0xffff, SEGBASE, 0x9300, 0
gdtr:   dw $-gdt-1
        dd gdt
idtr:   dw 32*8-1
        dd idt
none:   dw 0
        dd 0
sel16:  dw DS16
sel32:  dw FLAT_DS
caseptr: dd cases+WSIZE
count:  dd NCASES
inregs: times 9 dd 0
out:    times 9 dd 0
taken:  dd 0
vector: dd 0
error:  dd 0
sum:    dd 0
outend:
        align 8
idt:    times 64 dd 0
cases:  incbin "cases.bin"
