// Package x86 translates x86 machine code into the intermediate representation. One table row per instruction (opcodes_*.go) says how
// it is encoded, what its operands are, what it needs, and which function translates it; the decoder, the disassembler and the
// generator of the native tests read the same rows. Instruction encodings are those of the Intel 64 and IA-32 Architectures Software
// Developer's Manual, volume 2.
package x86
