; Unmasked x87 and SSE exceptions: logs vector, address, x87 status and MXCSR at each; results are stored behind the log.
%define SECTORS 6
%include "long.inc"
%define OUT 0x10000
%define IDT 0x20000
main64:
 mov rsp,0x7c00
 mov rdi,IDT
 mov ecx,0x200/8
 xor eax,eax
 cld
 rep stosq
%macro gate 2
 mov rax,%2
 mov word [IDT+%1*16],ax
 mov word [IDT+%1*16+2],8
 mov word [IDT+%1*16+4],0x8e00
 shr rax,16
 mov [IDT+%1*16+6],ax
%endmacro
 gate 6,vec6
 gate 16,vec16
 gate 19,vec19
 lidt [idtr]
 mov r15,OUT ; where the log goes
 ; x87: division by zero, invalid, inexact, overflow on a store, stack top changes in between
 fninit
 fldcw [cwZ]
 fld1
 fldz
 fdivp
 fld1 ; raises
 fninit
 fldcw [cwI]
 fldz
 fldz
 fdivp
 fwait
 fstp qword [OUT+0x800]
 fnclex
 fninit
 fldcw [cwP]
 fld1
 fld qword [three]
 fdivp
 fnop
 fst dword [OUT+0x808]
 fwait
 fninit
 fldcw [cwO]
 fld tword [huge]
 fstp qword [OUT+0x810]
 fwait
 fninit
 fldcw [cwZ]
 fnstenv [OUT+0x850]
 fnstcw [OUT+0x870]
 fninit
 ; SSE
 ldmxcsr [csrZ]
 movsd xmm0,[one]
 xorps xmm1,xmm1
 divsd xmm0,xmm1
 movsd [OUT+0x820],xmm0
 ldmxcsr [csrI]
 movaps xmm0,[nans]
 addps xmm0,xmm0
 movaps [OUT+0x830],xmm0
 ldmxcsr [csrP]
 cvtsd2si eax,[pi]
 mov [OUT+0x840],eax
 ldmxcsr [csrP]
 vcvttpd2dq xmm3,[pi]
 ldmxcsr [csrI]
 ucomiss xmm1,[nans]
 comiss xmm1,[qnan]
 mov rcx,cr4
 and rcx,~(1<<10)
 mov cr4,rcx
 ldmxcsr [csrZ]
 movsd xmm0,[one]
 xorps xmm1,xmm1
 divsd xmm0,xmm1
 ldmxcsr [csrAll]
 mov rsi,OUT
 mov ecx,0x900
 call put
 jmp quit
; The handlers log and take the cause away.
%macro handler 1
vec%1:
 push rax
 mov rax,[rsp+8]
 mov byte [r15],%1
 mov [r15+1],ax
 fnstsw [r15+4]
 stmxcsr [r15+8]
 add r15,16
%if %1 == 16
 fnclex
%else
 ldmxcsr [csrAll]
%endif
 pop rax
 iretq
%endmacro
handler 6
handler 16
handler 19
align 16
nans: dd 0x7f800001,0x3f800000,0x7fc00000,0
pi: dq 3.14159
 dq 2.5
one: dq 1.0
three: dq 3.0
qnan: dd 0x7fc00000
huge: dt 1.0e4000
cwZ: dw 0x37b
cwI: dw 0x37e
cwP: dw 0x35f
cwO: dw 0x377
csrZ: dd 0x1d80
csrI: dd 0x1f00
csrP: dd 0x0f80
csrAll: dd 0x1f80
idtr: dw 0x1ff
 dq IDT
finish
