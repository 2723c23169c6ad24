; Masked stores and loads, gathers, and the instructions that save x87 and SSE state. Prints what they leave in registers and memory.
%define SECTORS 6
%include "long.inc"
%define OUT 0x10000
main64:
 mov rdi,OUT
 mov ecx,0x1000/8
 xor eax,eax
 cld
 rep stosq
 movdqu xmm0,[data]
 movdqu xmm1,[mask]
 mov rdi,OUT+0x10
 maskmovdqu xmm0,xmm1
 movq mm0,[data]
 movq mm1,[mask]
 mov rdi,OUT+0x23
 maskmovq mm0,mm1
 emms
 vmovdqu ymm2,[data]
 vmovdqu ymm3,[mask]
 vmaskmovps ymm4,ymm3,[data]
 vmovdqu [OUT+0x40],ymm4
 vmaskmovps [OUT+0x60],ymm3,ymm2
 vmaskmovpd xmm4,xmm3,[data]
 vmovdqu [OUT+0x80],ymm4
 vmaskmovpd [OUT+0xa0],ymm3,ymm2
 vpmaskmovd [OUT+0xc0],xmm3,xmm2
 vpmaskmovq ymm5,ymm3,[data]
 vmovdqu [OUT+0xe0],ymm5
 mov rax,data
 vmovdqu ymm6,[index]
 vmovdqu ymm7,[data]
 vmovdqu ymm8,[mask]
 vpgatherdd ymm7,[rax+ymm6*4],ymm8
 vmovdqu [OUT+0x100],ymm7
 vmovdqu [OUT+0x120],ymm8
 vmovdqu ymm7,[data+8]
 vmovdqu ymm8,[mask]
 vgatherdpd ymm7,[rax+xmm6*8],ymm8
 vmovdqu [OUT+0x140],ymm7
 vmovdqu ymm6,[index64]
 vmovdqu ymm7,[data+8]
 vmovdqu ymm8,[mask]
 vpgatherqd xmm7,[rax+ymm6*4],xmm8
 vmovdqu [OUT+0x160],ymm7
 vmovdqu [OUT+0x180],ymm8
 vmovdqu ymm7,[data+8]
 vmovdqu ymm8,[mask]
 vgatherqpd ymm7,[rax+ymm6*1+3],ymm8
 vmovdqu [OUT+0x1a0],ymm7
 ; x87 state
 fninit
%rep 8
 fldz ; QEMU leaves the exponents alone that MMX instructions set to all ones
%endrep
 fninit
 fld1
 fldpi
 fldz
 fld1
 fdivrp
 fld qword [data]
 fstp st0
 fnstsw [OUT+0x200]
 fnstcw [OUT+0x202]
 fxsave64 [OUT+0x240]
 mov word [OUT+0x240+6],0 ; opcode and pointers are not compared
 mov qword [OUT+0x240+8],0
 mov qword [OUT+0x240+16],0
 fldl2e
 fxrstor64 [OUT+0x240]
 fnstsw [OUT+0x204]
 fstp tword [OUT+0x206]
 ldmxcsr [csr]
 stmxcsr [OUT+0x210]
 movsd xmm0,[data]
 divsd xmm0,[index64]
 stmxcsr [OUT+0x214]
 fldcw [cw]
 fldpi
 fistp dword [OUT+0x218]
 fsqrt
 fstp qword [OUT+0x220]
 fninit
 mov rsi,OUT
 mov ecx,0x440
 call put
 jmp quit
align 32
data:
%assign i 0
%rep 32
 dd i*0x01020304+0x3f800000
%assign i i+1
%endrep
mask: dd 0x80000080,0x00ff7f80,-1,0x7fffffff,0x80000000,0,0xffffffff,0x80808080
index: dd 3,0,7,-0,5,6,1,9
index64: dq 0,2,9,4
csr: dd 0x9fc0
cw: dw 0x0f7f
finish
