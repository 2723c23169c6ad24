// Package ir is the translator's intermediate representation. It knows no guest and no host instruction set.
//
// A Block is a straight line of instructions with side exits and no internal merges: one entry, many exits. Guest registers are
// Globals (read by OpGet, written by OpSet); everything else is a single-assignment temporary (Val) or a vector register (VReg).
//
// # Integers
//
// A Val of kind Int is a 64-bit container. An operation of Size 8 computes 64 bits; of Size 4 computes on the low halves and
// zero-extends its result; of Size 1 or 2 computes on the low bits and leaves the upper bits of its result unspecified (OpExt,
// OpSext or OpDeposit give them a meaning).
//
// # FLAGS
//
// Arithmetic defines, through FOut, a value of kind Flags: the six bits carry, parity, auxiliary, zero, sign, overflow in the
// layout of Flag* (FlagC…). Consumers name it in FIn. OpSetFlags makes a Flags value the guest's current flags, kept in
// Header.CCOp/CCDst/CCSrc (see CC); OpGetFlags reads them back. A pass drops sets that nobody reads before the next one; an instruction
// that may fault reads them if a later one takes from a temporary what it would have to take from the guest's flags after the fault.
//
// # State at a fault
//
// Instructions execute in order and OpSet/OpSetFlags take effect where they stand. An instruction that may leave the block
// (memory access, helper, division) therefore sees exactly the guest state before it; the guest program counter of the
// instruction being executed is that of the last OpInsn. Frontends order the work of one guest instruction so that everything that may fault
// comes before the first OpSet/OpSetFlags of that instruction.
//
// # Vectors
//
// OpVec instructions name vector registers directly: the guest's (0…15, 256 bits wide) and three temporaries (VT0…VT2) that
// live within one guest instruction. Each VecOp is one SIMD operation; see vec.go.
package ir
