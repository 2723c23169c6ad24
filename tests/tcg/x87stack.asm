; x87 stack faults, masked and unmasked, and the saved pointers: QEMU 7.2 knows no stack faults.
%define SECTORS 20
%include "trap64.inc"
%define ENV 0x50000
%macro state 1	; name: status word, tags, ST(0)
	fnstsw ax
	fnstenv [ENV]
	say %1
	call hex16
	say " "
	mov ax, [ENV+8]
	call hex16
	say 10
	fldenv [ENV]
%endmacro
%macro top 1
	fxsave64 [ENV]
	say %1
	mov rax, [ENV+40]
	call hex16
	say " "
	mov rax, [ENV+32]
	call hex64
	say 10
%endmacro
main:	mov rax, cr0
	or rax, 0x20
	mov cr0, rax
	fninit
	fadd st1
	state "fadd empty "
	top "sum "
	fninit
	fld1
	fadd st1
	state "fadd half "
	fninit
	fstp qword [ENV+0x400]
	state "fstp empty "
	show "stored ", [ENV+0x400]
	fninit
	fistp dword [ENV+0x400]
	state "fistp empty "
	fninit
	fxch st3
	state "fxch "
	fninit
	fld1
	fcomi st2
	pushfq
	pop rbx
	and ebx, 0x45
	show "fcomi ", rbx
	state "fcomi "
	fninit
%rep 8
	fld1
%endrep
	state "full "
	fldpi
	state "overflow "
	top "pushed "
	fninit
%rep 8
	fldz
%endrep
	fsincos
	state "fsincos "
	fninit
%rep 8
	fldz
%endrep
	ffree st7
	fldpi
	state "freed "
	fninit
	fincstp
	fdecstp
	ffree st0
	fxam
	state "none "
	fninit
	mov word [ENV+0x400], 0x037e
	fldcw [ENV+0x400]
	fadd st1
	state "unmasked "
	begin "next"
	fnop
	end
	fnclex
	fninit
%rep 8
	fld1
%endrep
	fldcw [ENV+0x400]
	fldpi
	state "unmasked push "
	begin "wait"
	fwait
	end
	fninit
	; pointers
.p:	fld1
	fnop
.q:	fadd dword [ENV+0x404]
	fnstcw [ENV+0x400]
	fxsave64 [ENV]
	mov rax, [ENV+8]
	mov rbx, .q
	sub rax, rbx
	show "fip ", rax
	show "fdp ", [ENV+16]
	fld1
.r:	fmul st1
	fnstenv [ENV]
	mov eax, [ENV+12]
	mov ebx, .r
	sub eax, ebx
	show "fip ", rax
	mov eax, [ENV+20]
	show "fdp ", rax
	jmp quit
	finish
