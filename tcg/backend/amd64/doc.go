// Package amd64 generates code for amd64 hosts from the translator's intermediate representation. It knows no guest.
//
// # Registers
//
// RBP holds the address of the CPU environment plus EnvBias. The hottest globals of the frontend are pinned to host registers for the whole
// code cache (pinned); R10, R11, R14 and R15 hold temporaries and spill to Header.Spill. Vector registers belong to vec*.go.
//
// # Leaving
//
// Generated code leaves by calling the leave stub; a descriptor follows the call instruction in the code (see leave.go). The stub saves
// every register to the environment and returns to Go, which looks at the descriptor and either ends Run or resumes.
//
// # Flags
//
// At most one Flags value is in the host's EFLAGS at a time. Values that the guest must see are stored as a recipe (ir.CC) when they are
// defined; values still needed when EFLAGS are about to be overwritten are saved as an image.
package amd64
