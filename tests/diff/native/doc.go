// Package native compares translated instructions with the host CPU: an instruction is executed once in a stub on the host and once
// by an engine, from the same registers, flags, vector state and memory, and everything is compared afterwards. The instructions are
// generated at random from the frontend's opcode tables, so that no user-level row goes untested.
package native
